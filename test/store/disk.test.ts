import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { digestHex, digestOf } from '../../src/oci/digest.ts'
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

    await expect(under.store.delete(digest)).rejects.toMatchObject({ syscall: 'unlink' })
  })
})

function digestOfHex(digit: string) {
  return `sha256:${digit.repeat(64)}` as typeof digest
}

async function listed({ store }: BlobStoreUnderTest): Promise<StoredBlob[]> {
  const blobs: StoredBlob[] = []
  for await (const blob of store.list()) blobs.push(blob)
  return blobs
}
