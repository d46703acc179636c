import {
  appendFile,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSpool, type Spool } from '../../src/cache/spool.ts'
import { digestHex, digestOf, type Digest } from '../../src/oci/digest.ts'

const digest = digestOf(Buffer.from('layer'))

interface Folder extends AsyncDisposable {
  readonly path: string
}

async function makeFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'entrepot-spool-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

describe('the spool', () => {
  it('makes files that are told apart, although they are of the same blob', async () => {
    await using folder = await makeFolder()
    const spool = await openSpool(folder.path)

    const [one, other] = [await spool.create(digest), await spool.create(digest)]
    await one.handle.write('one')
    await other.handle.write('other')
    await one.handle.close()
    await other.handle.close()

    expect(await readFile(one.path, 'utf8')).toBe('one')
    expect(await readFile(other.path, 'utf8')).toBe('other')
    for (const name of await readdir(folder.path)) {
      expect(name.startsWith(`${digestHex(digest)}.`)).toBe(true)
    }
  })

  it('opens a file for reading and writing', async () => {
    await using folder = await makeFolder()
    const { handle } = await (await openSpool(folder.path)).create(digest)

    await handle.write(Buffer.from('bytes'), 0, 5, 0)

    const { buffer } = await handle.read(Buffer.alloc(5), 0, 5, 0)
    await handle.close()
    expect(buffer.toString()).toBe('bytes')
  })

  it('is closed to everybody else', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'data', 'spool')
    const spool = await openSpool(path)
    const file = await spool.create(digest)
    await file.handle.close()

    expect((await lstat(path)).mode & 0o777).toBe(0o700)
    expect((await lstat(file.path)).mode & 0o777).toBe(0o600)
  })

  it('removes a file, also one that has been adopted meanwhile', async () => {
    await using folder = await makeFolder()
    const spool = await openSpool(join(folder.path, 'spool'))
    const [left, adopted] = [await spool.create(digest), await spool.create(digest)]
    await left.handle.close()
    await adopted.handle.close()
    await rename(adopted.path, join(folder.path, 'adopted'))

    await spool.remove(left.path)
    await spool.remove(adopted.path)

    expect(await readdir(join(folder.path, 'spool'))).toEqual([])
    expect(await readdir(folder.path)).toContain('adopted')
  })

  it('is swept of what an earlier process left behind', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'spool')
    await mkdir(path)
    await writeFile(join(path, `${digestHex(digest)}.0`), 'half of a layer')
    await writeFile(join(path, 'anything'), '')

    await openSpool(path)

    expect(await readdir(path)).toEqual([])
  })
})

describe('what lies in the spool', () => {
  const MIB = 1024 * 1024
  const DAY = 24 * 60 * 60 * 1000
  const other = digestOf(Buffer.from('other layer'))

  /** Leaves so many bytes of a blob of 4 MiB. */
  async function leave(spool: Spool, of: Digest, bytes: number): Promise<void> {
    const file = await spool.resume('docker.io', of)
    await file.handle.write(Buffer.alloc(bytes), 0, bytes, 0)
    file.extents.add(0, bytes)
    await file.note(4 * MIB, file.extents.list())
    await file.close()
    await file.handle.close()
    await spool.park(file, 'docker.io', of)
  }

  async function resumed(spool: Spool, upstream = 'docker.io'): Promise<number> {
    const file = await spool.resume(upstream, digest)
    await file.handle.close()
    return file.extents.total()
  }

  it('is given to the next download from the same upstream, once', async () => {
    await using folder = await makeFolder()
    const spool = await openSpool(folder.path)
    await leave(spool, digest, 2 * MIB)
    expect(spool.parkedBytes()).toBe(2 * MIB)

    expect(await resumed(spool, 'quay.io')).toBe(0)
    expect(await resumed(spool)).toBe(2 * MIB)
    expect(await resumed(spool)).toBe(0)
  })

  it('is nothing where too little has come to be worth it', async () => {
    await using folder = await makeFolder()
    const spool = await openSpool(folder.path)

    await leave(spool, digest, MIB - 1)

    expect(await readdir(folder.path)).toEqual([])
    expect(spool.parkedBytes()).toBe(0)
  })

  it('goes when it lies there for too long, and what is younger stays', async () => {
    await using folder = await makeFolder()
    let now = DAY
    const spool = await openSpool(folder.path, () => now)
    await leave(spool, digest, 2 * MIB)
    now += DAY / 2
    await leave(spool, other, 3 * MIB)

    now += DAY / 2
    expect(await spool.sweep(DAY)).toBe(2 * MIB)

    expect(spool.parkedBytes()).toBe(3 * MIB)
    expect(await readdir(folder.path)).toHaveLength(2)
    expect(await spool.sweep(0)).toBe(3 * MIB)
    expect(await readdir(folder.path)).toEqual([])
  })

  it('is found by the next process, unless it is too old by then', async () => {
    await using folder = await makeFolder()
    await leave(await openSpool(folder.path), digest, 2 * MIB)

    const next = await openSpool(folder.path)
    expect(next.parkedBytes()).toBe(2 * MIB)
    expect(next.finished()).toEqual([])

    const late = await openSpool(folder.path, () => Date.now() + 2 * DAY)
    expect(late.parkedBytes()).toBe(0)
    expect(await readdir(folder.path)).toEqual([])
  })

  it('is the most of what several downloads have left', async () => {
    await using folder = await makeFolder()
    await leave(await openSpool(folder.path), digest, 2 * MIB)
    const [name = ''] = (await readdir(folder.path)).toSorted()
    const lesser = join(folder.path, `${digestHex(digest)}.lesser`)
    await writeFile(lesser, Buffer.alloc(MIB))
    const journal = await readFile(join(folder.path, `${name}.journal`), 'utf8')
    await writeFile(`${lesser}.journal`, journal.replace(`0 ${2 * MIB}`, `0 ${MIB}`))

    const spool = await openSpool(folder.path)

    expect(spool.parkedBytes()).toBe(2 * MIB)
    expect(await readdir(folder.path)).toHaveLength(2)
  })

  it.each([
    ['the file', ''],
    ['the journal', '.journal'],
  ])('is begun anew where %s is gone, and nothing of it stays', async (_, ending) => {
    await using folder = await makeFolder()
    const spool = await openSpool(folder.path)
    await leave(spool, digest, 2 * MIB)
    const [name = ''] = (await readdir(folder.path)).toSorted()
    await rm(join(folder.path, name + ending))

    const file = await spool.resume('docker.io', digest)
    await file.handle.close()

    expect(file.extents.total()).toBe(0)
    expect(await readdir(folder.path)).toEqual([basename(file.path)])
  })

  it.each([
    'not JSON\n0 2000000\n',
    '{"version":2,"upstream":"docker.io"}\n',
    '{"version":1,"upstream":"docker.io","digest":"sha256:no","size":1}\n',
    'null\n',
    '',
  ])('is not kept with the journal %j', async (journal) => {
    await using folder = await makeFolder()
    await leave(await openSpool(folder.path), digest, 2 * MIB)
    const [name = ''] = (await readdir(folder.path)).toSorted()
    await writeFile(join(folder.path, `${name}.journal`), journal)

    const spool = await openSpool(folder.path)

    expect(spool.parkedBytes()).toBe(0)
    expect(await readdir(folder.path)).toEqual([])
  })

  it('that was torn by a crash is believed up to there, and added to after that', async () => {
    await using folder = await makeFolder()
    await leave(await openSpool(folder.path), digest, 2 * MIB)
    const [name = ''] = (await readdir(folder.path)).toSorted()
    await appendFile(join(folder.path, `${name}.journal`), '0 20')
    const spool = await openSpool(folder.path)
    const file = await spool.resume('docker.io', digest)
    expect(file.extents.list()).toEqual([{ first: 0, end: 2 * MIB }])

    await file.handle.write(Buffer.alloc(MIB), 0, MIB, 3 * MIB)
    await file.note(4 * MIB, [{ first: 3 * MIB, end: 4 * MIB }])
    await file.close()
    await file.handle.close()

    const again = await (await openSpool(folder.path)).resume('docker.io', digest)
    await again.handle.close()
    expect(again.extents.list()).toEqual([
      { first: 0, end: 2 * MIB },
      { first: 3 * MIB, end: 4 * MIB },
    ])
  })

  it('tells of a disk that fails in its own words', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'spool')
    await writeFile(path, 'a file in the place of the folder')
    const broken = { name: 'StorageError', code: 'broken' }
    await expect(openSpool(path)).rejects.toMatchObject(broken)
    await rm(path)
    const spool = await openSpool(path)
    const file = await spool.resume('docker.io', digest)
    await file.handle.close()
    await rm(path, { recursive: true })

    await expect(file.note(1, [])).rejects.toMatchObject(broken)
    await expect(spool.create(digest)).rejects.toMatchObject(broken)
  })
})
