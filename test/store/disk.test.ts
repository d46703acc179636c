import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { digestHex, digestOf } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import type { StoredBlob } from '../../src/store/blob-store.ts'
import { openDiskStore } from '../../src/store/disk.ts'
import { testBlobStore, type BlobStoreUnderTest } from '../contract/blob-store.ts'
import { openFilesBelow } from '../support/leaks.ts'

interface DiskStoreUnderTest extends BlobStoreUnderTest {
  readonly root: string
}

/** The disposal fails when the store has left a file open. */
async function open(): Promise<DiskStoreUnderTest> {
  const root = await mkdtemp(join(tmpdir(), 'entrepot-store-'))
  let files = 0
  return {
    root,
    store: await openDiskStore(root),
    async writeFile(bytes) {
      const file = join(root, `finished-${(files += 1)}`)
      await writeFile(file, bytes)
      return file
    },
    reopen: () => openDiskStore(root),
    async [Symbol.asyncDispose]() {
      const leaked = await openFilesBelow(root)
      await rm(root, { recursive: true })
      expect(leaked).toEqual([])
    },
  }
}

const content = Buffer.from('the bytes of a layer')
const digest = digestOf(content)
const hex = digestHex(digest)

function pathIn(root: string): string {
  return join(root, 'blobs-v1', 'sha256', hex.slice(0, 2), hex)
}

describe('the disk store', () => {
  testBlobStore(open)
})

describe('blobs on disk', () => {
  it('lie where the layout says, and are the file that was adopted', async () => {
    await using under = await open()
    const file = await under.writeFile(content)
    const { ino } = await lstat(file)

    await under.store.adopt(file, digest)

    expect(await readFile(pathIn(under.root))).toEqual(content)
    expect((await lstat(pathIn(under.root))).ino).toBe(ino)
    await expect(lstat(file)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('are in folders that nobody else can enter', async () => {
    await using under = await open()
    await under.store.adopt(await under.writeFile(content), digest)
    const folder = dirname(pathIn(under.root))

    for (const path of [folder, dirname(folder), dirname(dirname(folder))]) {
      expect((await lstat(path)).mode & 0o777).toBe(0o700)
    }
  })

  it('are not found through a symbolic link, wherever it leads', async () => {
    await using under = await open()
    const secret = await under.writeFile(Buffer.from('not a blob at all'))
    await mkdir(dirname(pathIn(under.root)), { recursive: true })
    await symlink(secret, pathIn(under.root))

    expect(await under.store.open(digest)).toBeUndefined()
    expect(await under.store.size(digest)).toBeUndefined()
    expect(await listed(under)).toEqual([])
  })

  it('take the place of a symbolic link, and leave alone what it leads to', async () => {
    await using under = await open()
    const other = await under.writeFile(Buffer.from('not a blob at all'))
    await mkdir(dirname(pathIn(under.root)), { recursive: true })
    await symlink(other, pathIn(under.root))

    await under.store.adopt(await under.writeFile(content), digest)

    expect(await readFile(pathIn(under.root))).toEqual(content)
    expect((await lstat(pathIn(under.root))).isFile()).toBe(true)
    expect(await readFile(other, 'utf8')).toBe('not a blob at all')
  })

  it('are told from what else lies in their folders', async () => {
    await using under = await open()
    await under.store.adopt(await under.writeFile(content), digest)
    const base = join(under.root, 'blobs-v1')
    await mkdir(join(base, 'sha256', 'aa', 'a'.repeat(64)), { recursive: true })
    await mkdir(join(base, 'md5', 'aa'), { recursive: true })
    await writeFile(join(base, 'CACHEDIR.TAG'), '')
    await writeFile(join(base, 'sha256', 'README'), '')
    await writeFile(join(base, 'sha256', hex.slice(0, 2), `${hex}.part`), '')
    await writeFile(join(base, 'md5', 'aa', 'a'.repeat(32)), '')

    expect(await listed(under)).toEqual([{ digest, size: content.length }])
    expect(await under.store.size(digestOfHex('a'))).toBeUndefined()
  })

  it('are not looked for before the folder is there, nor after it has gone', async () => {
    await using under = await open()
    await rm(join(under.root, 'blobs-v1'), { recursive: true })

    expect(await listed(under)).toEqual([])
    expect(await under.store.size(digest)).toBeUndefined()
    await under.store.adopt(await under.writeFile(content), digest)
    expect(await readdir(join(under.root, 'blobs-v1'))).toEqual(['sha256'])
  })

  it('cannot be deleted where something else lies: that is no success', async () => {
    await using under = await open()
    await mkdir(pathIn(under.root), { recursive: true })

    await expect(under.store.delete(digest)).rejects.toMatchObject({
      name: 'StorageError',
      cause: { syscall: 'unlink' },
    })
  })
})

describe('the quarantine', () => {
  const MEBIBYTE = 1024 ** 2

  /** Files that lie in quarantine already, by name. */
  async function openWith(files: Record<string, number>): Promise<DiskStoreUnderTest> {
    const under = await open()
    await mkdir(join(under.root, 'quarantine'))
    for (const [name, size] of Object.entries(files)) {
      const path = join(under.root, 'quarantine', name)
      await writeFile(path, '')
      await truncate(path, size) // sparse
    }
    await under.store.adopt(await under.writeFile(content), digest)
    return under
  }

  const quarantined = ({ root }: DiskStoreUnderTest) => readdir(join(root, 'quarantine'))

  it('keeps the file aside, named by its digest and the time', async () => {
    await using under = await open()
    await under.store.adopt(await under.writeFile(content), digest)

    await under.store.quarantine(digest)

    const [name = '', ...others] = await quarantined(under)
    expect(name).toMatch(new RegExp(`^${hex}\\.\\d{4}-\\d\\d-\\d\\dT\\d{6}\\.\\d{3}Z$`))
    expect(others).toEqual([])
    expect(await readFile(join(under.root, 'quarantine', name))).toEqual(content)
    expect((await lstat(join(under.root, 'quarantine'))).mode & 0o777).toBe(0o700)
  })

  it('is not made before there is something to put there', async () => {
    await using under = await open()

    await under.store.quarantine(digest)

    expect(await readdir(under.root)).toEqual(['blobs-v1'])
  })

  it('holds at most a hundred files: the oldest go', async () => {
    const names = Array.from(
      { length: 100 },
      (_, at) => `ab${at}.2001-01-01T0000${two(at % 60)}.${three(at)}Z`,
    )
    await using under = await openWith(Object.fromEntries(names.map((name) => [name, 1])))
    const oldest = names.toSorted((a, b) => (timeIn(a) < timeIn(b) ? -1 : 1))[0]

    await under.store.quarantine(digest)

    const left = await quarantined(under)
    expect(left).toHaveLength(100)
    expect(names.filter((name) => !left.includes(name))).toEqual([oldest])
  })

  it('holds at most 1 GiB: the oldest go, whatever is in front of their time', async () => {
    const old = 'ff.2001-01-01T000000.000Z'
    const newer = 'aa.2002-01-01T000000.000Z'
    await using under = await openWith({ [old]: 600 * MEBIBYTE, [newer]: 600 * MEBIBYTE })

    await under.store.quarantine(digest)

    const left = await quarantined(under)
    expect(left).toHaveLength(2)
    expect(left).toContain(newer)
  })

  it('leaves alone what somebody else has put there', async () => {
    await using under = await openWith({ 'notes.txt': 2000 * MEBIBYTE })

    await under.store.quarantine(digest)

    expect(await quarantined(under)).toHaveLength(2)
  })
})

describe('trouble with the disk', () => {
  it('is a StorageError that says what to do, and leaves nothing open', async () => {
    await using under = await open()
    await mkdir(pathIn(under.root), { recursive: true })

    await expect(under.store.adopt(await under.writeFile(content), digest)).rejects.toThrow(
      StorageError,
    )
    await rm(pathIn(under.root), { recursive: true })
    await under.store.adopt(await under.writeFile(content), digest)
    expect(await readFile(pathIn(under.root))).toEqual(content)
  })

  it('meets a reader as a StorageError', async () => {
    await using under = await open()
    await under.store.adopt(await under.writeFile(content), digest)
    const source = await under.store.open(digest)
    await source?.close()

    await expect(
      source?.read(Buffer.alloc(1), 0, new AbortController().signal),
    ).rejects.toBeInstanceOf(StorageError)
  })

  it('meets whoever opens, adopts, lists or asks for space as a StorageError', async () => {
    const root = await mkdtemp(join(tmpdir(), 'entrepot-store-'))
    const store = await openDiskStore(root)
    await rm(root, { recursive: true })

    await expect(store.freeSpace()).rejects.toThrow(StorageError)
    await writeFile(root, 'a file where the folder was')
    try {
      await expect(openDiskStore(root)).rejects.toThrow(StorageError)
      await expect(store.adopt(root, digest)).rejects.toThrow(StorageError)
      expect(await store.size(digest)).toBeUndefined()
    } finally {
      await rm(root)
    }
  })
})

function two(value: number): string {
  return String(value).padStart(2, '0')
}

function three(value: number): string {
  return String(value).padStart(3, '0')
}

function timeIn(name: string): string {
  return name.slice(name.indexOf('.'))
}

function digestOfHex(digit: string) {
  return `sha256:${digit.repeat(64)}` as typeof digest
}

async function listed({ store }: BlobStoreUnderTest): Promise<StoredBlob[]> {
  const blobs: StoredBlob[] = []
  for await (const blob of store.list()) blobs.push(blob)
  return blobs
}
