/** Files of a host get our part and lose it again; nothing else of them changes, and all of a client or none. */
import { writeFileSync as writeFileNow } from 'node:fs'
import * as fs from 'node:fs/promises'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { ClientSetupError, removeClient, writeClient } from '../src/client-setup.ts'
import type { ClientConfig, ClientFile } from '../src/clients/client-config.ts'
import { FormatError } from '../src/formats/format-error.ts'

vi.mock('node:fs/promises', async (original) => {
  const actual = await original<typeof fs>()
  const { open, rename, unlink } = actual
  return { ...actual, open: vi.fn(open), rename: vi.fn(rename), unlink: vi.fn(unlink) }
})

const OURS = 'mirror = here\n'
const FILE = '/etc/engine/engine.conf'
const KEPT = `${FILE}.entrepot-backup`

describe('a file that is not there', () => {
  it('is made with its folders and its mode, and goes again', async () => {
    await using host = await makeHost()
    const secret = { ...fileOfLines(FILE), mode: 0o600 }
    expect(await host.write(secret)).toEqual([
      { path: host.at(FILE), change: 'written', backup: undefined },
    ])
    expect(await host.read(FILE)).toBe(OURS)
    expect(await host.mode(FILE)).toBe(0o600)
    expect(await host.write(secret)).toMatchObject([{ change: 'unchanged' }])
    expect(await host.remove(secret)).toMatchObject([{ change: 'deleted', backup: undefined }])
    expect(await host.files()).toEqual([])
    expect(await host.remove(secret)).toMatchObject([{ change: 'unchanged' }])
  })

  it('takes the folder of its registry with it when it goes', async () => {
    await using host = await makeHost()
    const hosts = ['quay.io', 'docker.io'].map((name) =>
      fileOfLines(`/etc/certs.d/${name}/hosts.toml`),
    )
    await host.write(...hosts)
    await host.put('/etc/certs.d/quay.io/ca.crt', 'of somebody')
    await host.remove(...hosts)
    expect(await host.files()).toEqual(['/etc/certs.d/quay.io/ca.crt'])
    expect(await readdir(host.at('/etc/certs.d'))).toEqual(['quay.io'])
  })

  it('takes the folder of its registry with it when other settings need none', async () => {
    await using host = await makeHost()
    const former = fileOfLines('/etc/certs.d/docker.io/hosts.toml')
    await host.write(former)
    await host.change('write', { files: [fileOfLines(FILE)], formerFiles: [former] })
    expect(await host.files()).toEqual([FILE])
    expect(await readdir(host.at('/etc/certs.d'))).toEqual([])
  })

  it('of a user is in the home folder, and belongs to whom that belongs', async () => {
    await using host = await makeHost()
    await mkdir(host.at('/home/ann'), { recursive: true })
    if (process.geteuid?.() === 0) await chown(host.at('/home/ann'), 4711, 4712)
    const [written] = await host.write(fileOfLines('~/.config/client/config'))
    expect(written?.path).toBe(host.at('/home/ann/.config/client/config'))
    const owner = await stat(host.at('/home/ann'))
    for (const path of ['/home/ann/.config', '/home/ann/.config/client/config']) {
      const { uid, gid } = await stat(host.at(path))
      expect([uid, gid]).toEqual([owner.uid, owner.gid])
    }
  })
})

describe('a file that is there', () => {
  it.each([
    ['', 'empty'],
    ['a = 1\n', 'in order'],
    ['# note\r\n\r\na = 1\r\n', 'with the line ends of Windows'],
    ['a = 1', 'without a line end'],
    ['\uFEFFa = 1\n', 'with a byte order mark'],
    ['a = "é𝄞\u0000"\n', 'with rare characters'],
  ])('keeps all else, %j', async (before) => {
    await using host = await makeHost()
    await host.put(FILE, before)
    const backup = host.at(KEPT)
    expect(await host.write(fileOfLines(FILE))).toMatchObject([{ change: 'written', backup }])
    expect(await host.read(FILE)).toBe(before + OURS)
    expect(await host.read(KEPT)).toBe(before)
    expect(await host.remove(fileOfLines(FILE))).toMatchObject([{ change: 'restored' }])
    expect(await host.read(FILE)).toBe(before)
    expect(await host.files()).toEqual([FILE])
  })

  it('keeps its mode and owner, and so does what is kept of it', async () => {
    await using host = await makeHost()
    await host.put(FILE, 'a = 1\n')
    await chmod(host.at(FILE), 0o2664)
    const isRoot = process.geteuid?.() === 0
    if (isRoot) await chown(host.at(FILE), 4711, 4712)
    await chmod(host.at(FILE), 0o664)
    await host.write(fileOfLines(FILE))
    for (const path of [FILE, KEPT]) {
      const { mode, uid } = await stat(host.at(path))
      expect([mode & 0o7777, uid]).toEqual([0o664, isRoot ? 4711 : process.geteuid?.()])
    }
  })

  it('is no longer for everybody once it holds a secret', async () => {
    await using host = await makeHost()
    const secret = { ...fileOfLines(FILE), mode: 0o600 }
    await host.put(FILE, 'a = 1\n')
    await chmod(host.at(FILE), 0o664)
    await host.write(secret)
    expect(await host.mode(FILE)).toBe(0o660)
    await host.remove(secret)
    expect(await host.mode(FILE)).toBe(0o664)
  })

  it('with a secret of ours is closed again', async () => {
    await using host = await makeHost()
    const secret = { ...fileOfLines(FILE), mode: 0o600 }
    await host.write(secret)
    await chmod(host.at(FILE), 0o644)
    expect(await host.write(secret)).toMatchObject([{ change: 'written' }])
    expect(await host.mode(FILE)).toBe(0o640)
  })

  it('keeps what was added since, and the first copy', async () => {
    await using host = await makeHost()
    await host.put(FILE, 'a = 1\n')
    await host.write(fileOfLines(FILE))
    await host.put(FILE, `a = 1\n${OURS}b = 2\n`)
    expect(await host.write(fileOfLines(FILE))).toMatchObject([{ change: 'unchanged' }])
    const newer = fileOfLines(FILE, 'mirror = there\n')
    expect(await host.write(newer)).toMatchObject([{ change: 'written', backup: host.at(KEPT) }])
    expect(await host.read(KEPT)).toBe('a = 1\n')
    expect(await host.remove(newer)).toMatchObject([{ change: 'cleaned', backup: host.at(KEPT) }])
    expect(await host.read(FILE)).toBe('a = 1\nb = 2\n')
    expect(await host.read(KEPT)).toBe('a = 1\n')
    expect(await host.remove(newer)).toMatchObject([{ change: 'unchanged' }])
  })

  it('goes where others have emptied it since, but what is kept stays', async () => {
    await using host = await makeHost()
    await host.put(FILE, 'a = 1\n')
    await host.write(fileOfLines(FILE))
    await host.put(FILE, OURS)
    expect(await host.remove(fileOfLines(FILE))).toMatchObject([{ change: 'deleted' }])
    expect(await host.files()).toEqual([KEPT])
  })

  it('is not kept where all of it is ours', async () => {
    await using host = await makeHost()
    await host.write(fileOfLines(FILE, 'mirror = there\n'))
    await host.write(fileOfLines(FILE))
    expect(await host.files()).toEqual([FILE])
  })

  it('takes with it a copy that holds nothing else than an earlier part of ours', async () => {
    await using host = await makeHost()
    await host.put(FILE, 'a = 1\nmirror = there\n')
    await host.write(fileOfLines(FILE))
    expect(await host.read(KEPT)).toBe('a = 1\nmirror = there\n')
    expect(await host.remove(fileOfLines(FILE))).toMatchObject([
      { change: 'cleaned', backup: undefined },
    ])
    expect(await host.read(FILE)).toBe('a = 1\n')
    expect(await host.files()).toEqual([FILE])
  })

  it('is what it was although the merge tidied it up', async () => {
    await using host = await makeHost()
    const tidying: ClientFile = {
      ...fileOfLines(FILE),
      merge: (text) => (text.endsWith(OURS) ? text : `${text.trimEnd()}\n${OURS}`),
    }
    await host.put(FILE, 'a = 1\n\n\n')
    await host.write(tidying)
    expect(await host.remove(tidying)).toMatchObject([{ change: 'restored' }])
    expect(await host.read(FILE)).toBe('a = 1\n\n\n')
  })

  it('keeps a copy that somebody has spoilt', async () => {
    await using host = await makeHost()
    await host.put(FILE, 'a = 1\n')
    await host.write(fileOfLines(FILE))
    await host.put(KEPT, 'broken')
    expect(await host.remove(fileOfLines(FILE))).toMatchObject([
      { change: 'cleaned', backup: host.at(KEPT) },
    ])
    expect(await host.read(FILE)).toBe('a = 1\n')
  })
})

describe('a file of other settings', () => {
  const former = '/etc/engine/login.conf'

  it.each(['write', 'remove'] as const)('loses our part at %s', async (action) => {
    await using host = await makeHost()
    await host.put(former, 'a = 1\n')
    await host.write(fileOfLines(former))
    const config = { files: [fileOfLines(FILE)], formerFiles: [fileOfLines(former)] }
    const changed = await host.change(action, config)
    expect(changed).toContainEqual({ path: host.at(former), change: 'restored', backup: undefined })
    expect(await host.read(former)).toBe('a = 1\n')
    const again = await host.change(action, config)
    expect(again.map(({ path }) => path)).toEqual([host.at(FILE)])
  })

  it('is left alone where it cannot be read', async () => {
    await using host = await makeHost()
    await host.put(former, 'broken\n')
    const config = { files: [fileOfLines(FILE)], formerFiles: [fileOfLines(former)] }
    const reason = `${host.at(former)}:1:3: is broken`
    const left = { path: host.at(former), change: 'left', backup: undefined, reason }
    expect(await host.change('write', config)).toContainEqual(left)
    expect(await host.read(FILE)).toBe(OURS)
    expect(await host.change('remove', config)).toContainEqual(left)
    expect(await host.read(former)).toBe('broken\n')
  })

  it('with a fault of the program is none', async () => {
    await using host = await makeHost()
    await host.put(former, 'a = 1\n')
    const remove = (): string => {
      throw new RangeError('a fault')
    }
    const formerFiles = [{ ...fileOfLines(former), remove }]
    await expect(host.change('write', { files: [], formerFiles })).rejects.toBeInstanceOf(
      RangeError,
    )
  })
})

it('a file that is of use only where it is there is not made', async () => {
  await using host = await makeHost()
  const file = { ...fileOfLines(FILE), onlyIfThere: true }
  expect(await host.write(file)).toMatchObject([{ change: 'unchanged' }])
  expect(await host.files()).toEqual([])
  await host.put(FILE, 'a = 1\n')
  expect(await host.write(file)).toMatchObject([{ change: 'written' }])
})

describe('a link', () => {
  it('stays, and what it leads to is changed, below the root of the host', async () => {
    await using host = await makeHost()
    await host.put('/usr/share/engine.conf', 'a = 1\n')
    await mkdir(host.at('/etc'))
    await symlink('/usr/./share', host.at('/etc/engine'))
    await symlink('../share/engine.conf', host.at('/usr/share/link.conf'))
    const file = fileOfLines('/etc/engine/link.conf')
    const path = host.at('/usr/share/engine.conf')
    expect(await host.write(file)).toMatchObject([{ path, change: 'written' }])
    expect(await host.read('/usr/share/engine.conf')).toBe(`a = 1\n${OURS}`)
    expect((await fs.lstat(host.at('/usr/share/link.conf'))).isSymbolicLink()).toBe(true)
    await host.remove(file)
    expect(await host.read('/usr/share/engine.conf')).toBe('a = 1\n')
  })

  it('never leads out of the root of the host', async () => {
    await using host = await makeHost()
    await mkdir(host.at('/etc'))
    await symlink('../../../../../../../../tmp/out', host.at('/etc/engine'))
    const [written] = await host.write(fileOfLines(FILE))
    expect(written?.path).toBe(host.at('/tmp/out/engine.conf'))
  })

  it.skipIf(process.geteuid?.() !== 0)(
    'of a user leads root nowhere but within their home folder',
    async () => {
      await using host = await makeHost()
      const file = fileOfLines('~/.config/engine.conf')
      await host.put('/etc/shared.conf', 'a = 1\n')
      await host.put('/home/ann/mine.conf', 'a = 1\n')
      await mkdir(host.at('/home/ann/.config'))
      await symlink('/etc/shared.conf', host.at('/home/ann/.config/engine.conf'))
      // Their own folder may be anywhere, and root's links are root's.
      expect(await host.write(file)).toMatchObject([{ path: host.at('/etc/shared.conf') }])
      await host.remove(file)

      await chown(host.at('/home/ann'), 4711, 4712)
      const refused = await failureOf(host.write(file))
      expect(refused.message).toContain('is outside of the home folder whose link leads to it')
      expect(await host.read('/etc/shared.conf')).toBe('a = 1\n')

      await rm(host.at('/home/ann/.config/engine.conf'))
      await symlink('../mine.conf', host.at('/home/ann/.config/engine.conf'))
      const kept = host.at('/home/ann/mine.conf.entrepot-backup')
      await symlink('/etc/new', kept)
      await failureOf(host.write(file))
      expect(await host.files()).not.toContain('/etc/new')
      await rm(kept)
      expect(await host.write(file)).toMatchObject([{ path: host.at('/home/ann/mine.conf') }])
    },
  )

  it('to itself is refused', async () => {
    await using host = await makeHost()
    await mkdir(host.at('/etc'))
    await symlink('engine', host.at('/etc/engine'))
    await expect(host.write(fileOfLines(FILE))).rejects.toThrow('leads through too many links.')
  })
})

describe('nothing at all is changed', () => {
  const FIRST = '/etc/first/first.conf'

  it.each<[string, (host: Host) => Promise<unknown>, string]>([
    ['cannot be read', (host) => host.put(FILE, 'a = 1\nbroken\n'), ':2:3: is broken'],
    ['is spoilt as a whole', (host) => host.put(FILE, 'nonsense'), ': makes no sense'],
    ['is not UTF-8', (host) => host.put(FILE, Buffer.from([0x61, 0xff])), ': is not UTF-8'],
    ['is a folder', (host) => mkdir(host.at(FILE), { recursive: true }), ' is not a regular file.'],
    ['is huge', (host) => host.put(FILE, 'a\n'.repeat(2 ** 21 + 1)), ' is larger than 4 MiB.'],
    [
      'is below a file',
      (host) => host.put(dirname(FILE), ''),
      ' cannot be read: a part of the path is no folder.',
    ],
  ])('where one file %s', async (_, prepare, message) => {
    await using host = await makeHost()
    await host.put(FIRST, 'a = 1\n')
    await prepare(host)
    const before = await host.files()
    const error = await failureOf(host.write(fileOfLines(FIRST), fileOfLines(FILE)))
    expect(error.message).toContain(`${host.at(FILE)}${message}`)
    expect(error.file.path).toBe(FILE)
    expect(await host.files()).toEqual(before)
    expect(await host.read(FIRST)).toBe('a = 1\n')
  })

  it('where one file cannot be written', async () => {
    await using host = await makeHost()
    await host.put(FIRST, 'a = 1\n')
    const name = 'n'.repeat(235)
    const file = fileOfLines(`/etc/new/folder/${name}`)
    const error = await failureOf(host.write(fileOfLines(FIRST), file))
    expect(error.message).toContain(`${name} cannot be written: ENAMETOOLONG.`)
    expect(error.file.path).toBe(file.path)
    expect(await host.files()).toEqual([FIRST])
    expect(await readdir(host.at('/etc'))).toEqual(['first'])
    expect(await host.read(FIRST)).toBe('a = 1\n')
  })

  it('where somebody else changes a file meanwhile', async () => {
    await using host = await makeHost()
    await host.put(FIRST, 'a = 1\n')
    await host.put(FILE, 'a = 1\n')
    const busy: ClientFile = {
      ...fileOfLines(FILE),
      merge(text) {
        // Between reading and writing.
        writeFileNow(host.at(FILE), 'of somebody')
        return text + OURS
      },
    }
    const error = await failureOf(host.write(fileOfLines(FIRST), busy))
    expect(error.message).toContain('was changed by somebody else just now.')
    expect(await host.files()).toEqual([FILE, FIRST])
    expect(await host.read(FILE)).toBe('of somebody')
    expect(await host.read(FIRST)).toBe('a = 1\n')
  })

  it('where the last step fails: the others are undone', async () => {
    await using host = await makeHost()
    const fresh = '/etc/fresh/hosts.toml'
    await host.put(FIRST, 'a = 1\n')
    await host.put(FILE, 'a = 1\n')
    await failRenameTo(host.at(FILE), 'EBUSY')
    const error = await failureOf(
      host.write(fileOfLines(FIRST), fileOfLines(fresh), fileOfLines(FILE)),
    )
    expect(error.message).toBe(`${host.at(FILE)} cannot be written: it is mounted there by itself.`)
    expect(await host.files()).toEqual([FILE, FIRST])
    expect(await host.read(FIRST)).toBe('a = 1\n')
  })

  it('on a read-only file system: nothing was there to be undone', async () => {
    await using host = await makeHost()
    await host.put(FILE, 'a = 1\n')
    const refuse = (): never => {
      throw Object.assign(new Error('EROFS'), { code: 'EROFS' })
    }
    const { open, unlink } = await vi.importActual<typeof fs>('node:fs/promises')
    vi.mocked(fs.open).mockImplementation(async () => refuse())
    vi.mocked(fs.unlink).mockImplementation(async () => refuse())
    const error = await failureOf(host.write(fileOfLines(FILE)))
    vi.mocked(fs.open).mockImplementation(open)
    vi.mocked(fs.unlink).mockImplementation(unlink)
    expect(error.message).toBe(`${host.at(KEPT)} cannot be written: the file system is read-only.`)
  })

  it('and what cannot be undone is told', async () => {
    await using host = await makeHost()
    await host.put(FIRST, 'a = 1\n')
    await host.put(FILE, 'a = 1\n')
    const { rename } = await vi.importActual<typeof fs>('node:fs/promises')
    vi.mocked(fs.rename).mockImplementation(async (from, to) => {
      const written = (await readFile(host.at(FIRST), 'utf8')) !== 'a = 1\n'
      if (written) throw Object.assign(new Error('EIO: no more'), { code: 'EIO' })
      await rename(from, to)
    })
    const error = await failureOf(host.write(fileOfLines(FIRST), fileOfLines(FILE)))
    vi.mocked(fs.rename).mockImplementation(rename)
    expect(error.message).toMatch(/cannot be written: EIO\. Not undone: EIO: no more\.$/)
  })
})

it('a fault of the program itself stays one', async () => {
  await using host = await makeHost()
  await host.put(FILE, 'a = 1\n')
  const faulty: ClientFile = {
    ...fileOfLines(FILE),
    merge: () => {
      throw new RangeError('a fault')
    },
  }
  await expect(host.write(faulty)).rejects.toBeInstanceOf(RangeError)
})

it('a client without files needs nothing', async () => {
  await using host = await makeHost()
  expect(await host.write()).toEqual([])
})

/** Lines, of which those that begin with `mirror` are ours. */
function fileOfLines(path: string, ours = OURS): ClientFile {
  const without = (text: string): string => {
    const at = text.split('\n').indexOf('broken')
    if (at !== -1) throw new FormatError('is broken', { line: at + 1, column: 3 })
    if (text === 'nonsense') throw new FormatError('makes no sense')
    return text.replace(/^mirror = .*\n/gm, '')
  }
  return {
    path,
    mode: 0o644,
    text: ours,
    merge: (text) => (text.includes(ours) ? text : without(text) + ours),
    remove(text) {
      const rest = without(text.replace(/mirror = .*\n/g, ''))
      return rest === '' && text !== '' ? undefined : rest
    },
  }
}

interface Host extends AsyncDisposable {
  at(path: string): string
  put(path: string, content: string | Buffer): Promise<void>
  read(path: string): Promise<string>
  mode(path: string): Promise<number>
  /** All that there are, without folders. */
  files(): Promise<string[]>
  change(
    action: 'write' | 'remove',
    files: Pick<ClientConfig, 'files' | 'formerFiles'>,
  ): ReturnType<typeof writeClient>
  write(...files: ClientFile[]): ReturnType<typeof writeClient>
  remove(...files: ClientFile[]): ReturnType<typeof removeClient>
}

async function makeHost(): Promise<Host> {
  const root = await mkdtemp(join(tmpdir(), 'entrepot-host-'))
  const at = (path: string): string => join(root, path)
  const place = { root, home: '/home/ann' }
  const rest = { name: 'docker', title: 'Docker', commands: [], notes: [] } as const
  const change: Host['change'] = (action, files) =>
    (action === 'write' ? writeClient : removeClient)({ ...rest, ...files }, place)
  return {
    at,
    async put(path, content) {
      await mkdir(dirname(at(path)), { recursive: true })
      await writeFile(at(path), content)
    },
    read: (path) => readFile(at(path), 'utf8'),
    mode: async (path) => (await stat(at(path))).mode & 0o7777,
    async files() {
      const entries = await readdir(root, { recursive: true, withFileTypes: true })
      const names = entries
        .filter((it) => !it.isDirectory())
        .map((it) => join(it.parentPath, it.name))
      return names.map((name) => name.slice(root.length)).toSorted()
    },
    change,
    write: (...files) => change('write', { files, formerFiles: [] }),
    remove: (...files) => change('remove', { files, formerFiles: [] }),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  }
}

async function failureOf(work: Promise<unknown>): Promise<ClientSetupError> {
  const error = await work.catch((it: unknown) => it)
  expect(error).toBeInstanceOf(ClientSetupError)
  return error as ClientSetupError
}

/** Once. */
async function failRenameTo(path: string, code: string): Promise<void> {
  const { rename } = await vi.importActual<typeof fs>('node:fs/promises')
  vi.mocked(fs.rename).mockImplementation(async (from, to) => {
    if (to !== path) return rename(from, to)
    vi.mocked(fs.rename).mockImplementation(rename)
    throw Object.assign(new Error(code), { code })
  })
}
