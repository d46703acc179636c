/** When a stored blob may be sent from its file, without a look at its bytes. */
import { expect, it } from 'vitest'
import type { ByteSource } from '../../src/byte-source.ts'
import { createStorageTrouble } from '../../src/cache/failure.ts'
import { createInUse } from '../../src/cache/in-use.ts'
import { createStoredBlobs, type StoredBlobs } from '../../src/cache/stored-blobs.ts'
import { createVerifiedMemory } from '../../src/cache/verified-source.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { openStoredContent } from './stored-content.ts'

const SIZE = 300_000
const { signal } = new AbortController()

interface StoredBlob extends AsyncDisposable {
  readonly digest: Digest
  readonly verified: ReturnType<typeof createVerifiedMemory>
  open(): Promise<ByteSource>
}

async function storedBlob(): Promise<StoredBlob> {
  const content = await openStoredContent()
  const digest = await content.put('blob', SIZE, 0)
  const verified = createVerifiedMemory({ max: 10, ttl: 1e9 })
  const trouble = createStorageTrouble({
    metrics: createMetrics(),
    log: createLog(undefined, 'silent'),
  })
  const blobs: StoredBlobs = createStoredBlobs({
    ...content,
    inUse: createInUse(),
    verified,
    trouble,
    damaged: () => expect.unreachable('It is as it was stored.'),
  })
  return {
    digest,
    verified,
    async open() {
      const source = await blobs.open(digest)
      if (source === undefined) throw new Error('It is not there.')
      return source
    },
    [Symbol.asyncDispose]: () => content[Symbol.asyncDispose](),
  }
}

async function readAll(source: ByteSource): Promise<void> {
  for (let position = 0; position < SIZE;) {
    position += await source.read(Buffer.alloc(100_000), position, signal)
  }
}

it('is read by the first one, and sent from its file to the next', async () => {
  await using it = await storedBlob()
  const first = await it.open()
  expect(await first.file?.reach(0, SIZE, signal)).toBe(0)
  await readAll(first)
  await first.close()

  const second = await it.open()
  expect(await second.file?.reach(0, SIZE, signal)).toBe(SIZE)
  await second.close()
})

it('is read again when it was forgotten that it is right', async () => {
  await using it = await storedBlob()
  it.verified.add(it.digest)
  const known = await it.open()
  expect(await known.file?.reach(0, SIZE, signal)).toBe(SIZE)
  await known.close()

  it.verified.forget(it.digest)
  const unknown = await it.open()
  expect(await unknown.file?.reach(0, SIZE, signal)).toBe(0)
  await unknown.close()
})
