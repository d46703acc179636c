/** A small stored file, whole and verified. */
import type { ByteSource } from '../byte-source.ts'
import { digestAlgorithm, digestOf, type Digest } from '../oci/digest.ts'
import { MANIFEST_MAX_BYTES, parseManifest, type ManifestFacts } from '../oci/manifest.ts'
import { storageFailure } from '../storage-error.ts'
import type { BlobStore } from '../store/blob-store.ts'

/**
 * What the bytes of a stored manifest say, for a catalog that has lost it.
 * @returns `undefined` when they are missing, damaged or no manifest of that type
 * @throws {StorageError}
 */
export async function readManifestFacts(
  store: BlobStore,
  digest: Digest,
  mediaType: string,
): Promise<(ManifestFacts & { size: number }) | undefined> {
  const source = await store.open(digest)
  const bytes = source && (await readWhole(source, digest))
  if (bytes === undefined) return undefined
  try {
    return { ...parseManifest(bytes, mediaType), size: bytes.length }
  } catch {
    return undefined
  }
}

/**
 * Closes the source.
 * @param size bytes that it must have
 * @returns `undefined` when the file is too large, truncated or no longer what its name says
 * @throws {StorageError}
 */
export async function readWhole(
  source: ByteSource,
  digest: Digest,
  size = source.size,
): Promise<Uint8Array | undefined> {
  try {
    if (source.size !== size || size > MANIFEST_MAX_BYTES) return undefined
    const bytes = Buffer.alloc(source.size)
    const { signal } = new AbortController()
    for (let position = 0; position < bytes.length;) {
      const count = await source.read(bytes.subarray(position), position, signal)
      if (count === 0) return undefined
      position += count
    }
    return digestOf(bytes, digestAlgorithm(digest)) === digest ? bytes : undefined
  } catch (error) {
    throw storageFailure(error)
  } finally {
    await source.close()
  }
}
