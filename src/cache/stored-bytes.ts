/** A small stored file, whole and verified. */
import type { ByteSource } from '../byte-source.ts'
import { digestAlgorithm, digestOf, type Digest } from '../oci/digest.ts'
import { MANIFEST_MAX_BYTES, parseManifest, type ManifestFacts } from '../oci/manifest.ts'
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
  const bytes = await readBytes(store, digest)
  if (bytes === undefined || digestOf(bytes, digestAlgorithm(digest)) !== digest) return undefined
  try {
    return { ...parseManifest(bytes, mediaType), size: bytes.length }
  } catch {
    return undefined
  }
}

async function readBytes(store: BlobStore, digest: Digest): Promise<Buffer | undefined> {
  const source = await store.open(digest)
  if (source === undefined) return undefined
  try {
    return source.size > MANIFEST_MAX_BYTES ? undefined : await readFrom(source)
  } finally {
    await source.close()
  }
}

async function readFrom(source: ByteSource): Promise<Buffer | undefined> {
  const bytes = Buffer.alloc(source.size)
  const { signal } = new AbortController()
  for (let done = 0; done < bytes.length;) {
    const count = await source.read(bytes.subarray(done), done, signal)
    if (count === 0) return undefined
    done += count
  }
  return bytes
}
