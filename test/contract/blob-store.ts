/** What every store of blobs must do, whatever it keeps them in. */
import { createHash } from 'node:crypto'
import { readSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { ByteSource } from '../../src/byte-source.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import type { BlobStore, StoredBlob } from '../../src/store/blob-store.ts'

export interface BlobStoreUnderTest extends AsyncDisposable {
  readonly store: BlobStore
  /** A finished file with these bytes, where the store can take it over. */
  writeFile(bytes: Uint8Array): Promise<string>
  /** Closes nothing, and opens the same blobs once more, as after a restart. */
  reopen(): Promise<BlobStore>
}

const content = Buffer.from('the bytes of a layer')
const digest = digestOf(content)
const { signal } = new AbortController()

export function testBlobStore(open: () => Promise<BlobStoreUnderTest>): void {
  async function openWith(...blobs: Uint8Array[]): Promise<BlobStoreUnderTest> {
    const under = await open()
    for (const bytes of blobs)
      await under.store.adopt(await under.writeFile(bytes), digestOf(bytes))
    return under
  }

  describe('a blob that is not there', () => {
    it('has no size, cannot be opened, and may be deleted or quarantined', async () => {
      await using under = await open()
      const { store } = under

      expect(await store.size(digest)).toBeUndefined()
      expect(await store.open(digest)).toBeUndefined()
      await expect(store.delete(digest)).resolves.toBeUndefined()
      await expect(store.quarantine(digest)).resolves.toBeUndefined()
      expect(await listed(store)).toEqual([])
    })
  })

  describe('a blob that was adopted', () => {
    it('is there with its size and its bytes', async () => {
      await using under = await openWith(content)
      const { store } = under

      expect(await store.size(digest)).toBe(content.length)
      expect(await bytesOf(store, digest)).toEqual(content)
      expect(await listed(store)).toEqual([{ digest, size: content.length }])
    })

    it('is there after a restart', async () => {
      await using under = await openWith(content)
      const reopened = await under.reopen()

      expect(await bytesOf(reopened, digest)).toEqual(content)
      expect(await listed(reopened)).toEqual([{ digest, size: content.length }])
    })

    it('E-25: may be empty, and is there all the same', async () => {
      const empty = digestOf(Buffer.alloc(0))
      await using under = await openWith(Buffer.alloc(0))
      const { store } = under

      expect(await store.size(empty)).toBe(0)
      expect(await bytesOf(store, empty)).toEqual(Buffer.alloc(0))
      expect(await listed(store)).toEqual([{ digest: empty, size: 0 }])
    })

    it('may be large, and is read from any position', async () => {
      const large = Buffer.alloc(3 * 1024 * 1024, 'entrepot')
      await using under = await openWith(large)
      const source = await opened(under.store, digestOf(large))
      const buffer = Buffer.alloc(100)

      const atMiddle = await source.read(buffer, 1_000_003, signal)
      expect(buffer.subarray(0, atMiddle)).toEqual(large.subarray(1_000_003, 1_000_003 + atMiddle))
      expect(await source.read(buffer, large.length - 7, signal)).toBe(7)
      expect(await source.read(buffer, large.length, signal)).toBe(0)
      await source.close()
      expect(sha256(await bytesOf(under.store, digestOf(large)))).toBe(sha256(large))
    })

    it('may offer the file in which its bytes lie', async () => {
      await using under = await openWith(content)
      const source = await opened(under.store, digest)
      const { file } = source
      if (file === undefined) return
      const bytes = Buffer.alloc(content.length)

      expect(await file.reach(0, 5, signal)).toBe(5)
      expect(await file.reach(3, 1000, signal)).toBe(content.length - 3)
      expect(await file.reach(content.length, 10, signal)).toBe(0)
      expect(await file.reach(content.length + 10, 10, signal)).toBe(0)
      readSync(file.descriptor, bytes, 0, bytes.length, 0)
      expect(bytes).toEqual(content)
      await source.close()
    })

    it('is found under the algorithm that it was named by', async () => {
      const digests = (['sha256', 'sha384', 'sha512'] as const).map((name) =>
        digestOf(content, name),
      )
      await using under = await open()
      const { store } = under
      for (const named of digests) await store.adopt(await under.writeFile(content), named)

      for (const named of digests) expect(await bytesOf(store, named)).toEqual(content)
      expect((await listed(store)).map((blob) => blob.digest)).toEqual(digests)
    })

    it('may be adopted again, also while it is read', async () => {
      await using under = await openWith(content)
      const source = await opened(under.store, digest)

      await under.store.adopt(await under.writeFile(content), digest)

      expect(await readToEnd(source)).toEqual(content)
      expect(await bytesOf(under.store, digest)).toEqual(content)
      expect(await listed(under.store)).toHaveLength(1)
    })

    it('takes the place of one that was damaged', async () => {
      await using under = await open()
      await under.store.adopt(await under.writeFile(Buffer.from('rotten')), digest)
      const source = await opened(under.store, digest)

      await under.store.adopt(await under.writeFile(content), digest)

      expect(await bytesOf(under.store, digest)).toEqual(content)
      expect(await listed(under.store)).toEqual([{ digest, size: content.length }])
      expect(await readToEnd(source)).toEqual(Buffer.from('rotten'))
    })

    it('may be adopted twice at the same time', async () => {
      await using under = await open()
      const files = await Promise.all([1, 2, 3].map(() => under.writeFile(content)))

      await Promise.all(files.map((file) => under.store.adopt(file, digest)))

      expect(await bytesOf(under.store, digest)).toEqual(content)
      expect(await listed(under.store)).toHaveLength(1)
    })

    it('is read by many at once', async () => {
      await using under = await openWith(content)

      const all = await Promise.all(Array.from({ length: 20 }, () => bytesOf(under.store, digest)))

      for (const bytes of all) expect(bytes).toEqual(content)
    })
  })

  describe('a blob that was deleted', () => {
    it('is gone, and others stay', async () => {
      const other = Buffer.from('another layer')
      await using under = await openWith(content, other)

      await under.store.delete(digest)

      expect(await under.store.size(digest)).toBeUndefined()
      expect(await under.store.open(digest)).toBeUndefined()
      expect(await listed(under.store)).toEqual([{ digest: digestOf(other), size: other.length }])
    })

    it('E-44: is read to its end by whoever had opened it', async () => {
      await using under = await openWith(content)
      const source = await opened(under.store, digest)
      const first = Buffer.alloc(3)
      await source.read(first, 0, signal)

      await under.store.delete(digest)

      expect(await readToEnd(source)).toEqual(content)
    })

    it('can be adopted anew', async () => {
      await using under = await openWith(content)
      await under.store.delete(digest)

      await under.store.adopt(await under.writeFile(content), digest)

      expect(await bytesOf(under.store, digest)).toEqual(content)
    })
  })

  describe('a blob that was quarantined', () => {
    it('is out of service, also after a restart, and others stay', async () => {
      const other = Buffer.from('another layer')
      await using under = await openWith(content, other)

      await under.store.quarantine(digest)

      for (const store of [under.store, await under.reopen()]) {
        expect(await store.size(digest)).toBeUndefined()
        expect(await store.open(digest)).toBeUndefined()
        expect(await listed(store)).toEqual([{ digest: digestOf(other), size: other.length }])
      }
    })

    it('is read to its end by whoever had opened it', async () => {
      await using under = await openWith(content)
      const source = await opened(under.store, digest)

      await under.store.quarantine(digest)

      expect(await readToEnd(source)).toEqual(content)
    })

    it('can be adopted anew, and quarantined again', async () => {
      await using under = await openWith(content)
      await under.store.quarantine(digest)

      await under.store.adopt(await under.writeFile(content), digest)

      expect(await bytesOf(under.store, digest)).toEqual(content)
      await under.store.quarantine(digest)
      expect(await under.store.size(digest)).toBeUndefined()
    })
  })

  it('refuses a file that does not exist with a StorageError, and has no blob then', async () => {
    await using under = await open()
    const file = await under.writeFile(content)
    await under.store.adopt(file, digestOf(content, 'sha512'))

    await expect(under.store.adopt(file, digest)).rejects.toBeInstanceOf(StorageError)
    expect(await under.store.size(digest)).toBeUndefined()
  })

  it('says how many bytes may still be written, unless nothing limits them', async () => {
    await using under = await open()
    const free = (await under.store.freeSpace()) ?? 1

    expect(free).toBeGreaterThan(0)
    expect(Number.isSafeInteger(free)).toBe(true)
  })

  it('lists what stays while other blobs are deleted under way', async () => {
    const blobs = Array.from({ length: 30 }, (_, number) => Buffer.from(`blob ${number}`))
    await using under = await openWith(...blobs)
    const seen = new Set<Digest>()

    for await (const { digest: listed } of under.store.list()) {
      seen.add(listed)
      for (const bytes of blobs.slice(0, 20)) await under.store.delete(digestOf(bytes))
    }

    for (const bytes of blobs.slice(20)) expect(seen).toContain(digestOf(bytes))
    expect(await listed(under.store)).toHaveLength(10)
  })

  it('lists every blob once', async () => {
    const blobs = Array.from({ length: 40 }, (_, number) => Buffer.from(`blob ${number}`))
    await using under = await openWith(...blobs)

    expect((await listed(under.store)).map((blob) => blob.digest)).toEqual(
      blobs.map((bytes) => digestOf(bytes)).toSorted(),
    )
  })
}

async function opened(store: BlobStore, digest: Digest): Promise<ByteSource> {
  const source = await store.open(digest)
  if (source === undefined) throw new Error(`${digest} is not in the store.`)
  return source
}

async function bytesOf(store: BlobStore, digest: Digest): Promise<Buffer> {
  return readToEnd(await opened(store, digest))
}

/** Closes the source. */
async function readToEnd(source: ByteSource): Promise<Buffer> {
  const bytes = Buffer.alloc(source.size)
  let position = 0
  for (;;) {
    const count = await source.read(bytes.subarray(position), position, signal)
    if (count === 0) break
    position += count
  }
  await source.close()
  return bytes.subarray(0, position)
}

/** In a stable order. */
async function listed(store: BlobStore): Promise<StoredBlob[]> {
  const blobs: StoredBlob[] = []
  for await (const blob of store.list()) blobs.push(blob)
  return blobs.toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
