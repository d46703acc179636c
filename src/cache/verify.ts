/** Whether stored files still hold the bytes that they are named by. */
import type { ByteSource } from '../byte-source.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { createDigestHash, digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts'
import { StorageError } from '../storage-error.ts'
import type { BlobStore } from '../store/blob-store.ts'

/** `wrong`: other bytes, or another size than the catalog says. `unreadable`: the disk gives an error. */
export type Verdict = 'sound' | 'wrong' | 'unreadable' | 'missing'

export interface Content {
  readonly store: BlobStore
  readonly catalog: Catalog
}

interface CheckOptions {
  readonly signal: AbortSignal
  /** Called after each piece with its length in bytes; the next piece waits for it. */
  readonly onRead?: (bytes: number) => Promise<void> | void
}

const PIECE_BYTES = 256 * 1024

/**
 * Reads the file whole.
 * @throws {StorageError} when the trouble is not that of this one file
 * @throws the signal's reason when it aborts
 */
export async function checkStored(
  { store, catalog }: Content,
  digest: Digest,
  options: CheckOptions,
): Promise<Verdict> {
  // Apart from the file: trouble with the catalog says nothing about it.
  const size = await catalog.blobs.size(digest)
  try {
    return await checkFile(store, digest, size, options)
  } catch (error) {
    if (error instanceof StorageError && error.code === 'broken') return 'unreadable'
    throw error
  }
}

async function checkFile(
  store: BlobStore,
  digest: Digest,
  size: number | undefined,
  options: CheckOptions,
): Promise<Verdict> {
  const source = await store.open(digest)
  if (source === undefined) return 'missing'
  try {
    if (size !== undefined && size !== source.size) return 'wrong'
    return (await isWhole(source, digest, options)) ? 'sound' : 'wrong'
  } finally {
    await source.close()
  }
}

async function isWhole(
  source: ByteSource,
  digest: Digest,
  { signal, onRead }: CheckOptions,
): Promise<boolean> {
  const hash = createDigestHash(digestAlgorithm(digest))
  const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, source.size))
  for (let position = 0; position < source.size;) {
    signal.throwIfAborted()
    const count = await source.read(buffer, position, signal)
    if (count === 0) return false
    hash.update(buffer.subarray(0, count))
    position += count
    await onRead?.(count)
  }
  return hash.digest('hex') === digestHex(digest)
}

export interface VerifyProgress {
  /** Files. */
  readonly checked: number
  readonly bytes: number
}

export interface Verified extends VerifyProgress {
  readonly damaged: readonly Digest[]
}

/**
 * Hashes every stored file as fast as the disk allows; changes nothing.
 * @throws {StorageError} when the store or the catalog cannot be read as such
 * @throws the signal's reason when it aborts
 */
export async function verifyAll({
  store,
  catalog,
  signal,
  onProgress,
}: Content & {
  signal: AbortSignal
  /** Called after each file. */
  onProgress?: (progress: VerifyProgress) => void
}): Promise<Verified> {
  const damaged: Digest[] = []
  let checked = 0
  let bytes = 0
  const onRead = (count: number): void => void (bytes += count)
  for await (const { digest } of store.list()) {
    const verdict = await checkStored({ store, catalog }, digest, { signal, onRead })
    if (verdict === 'missing') continue
    if (verdict !== 'sound') damaged.push(digest)
    checked += 1
    onProgress?.({ checked, bytes })
  }
  return { checked, bytes, damaged }
}
