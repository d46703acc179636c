/** Manifests that are here: in memory while hot, else in the store, described by the catalog. */
import { LRUCache } from '../lru.ts'
import type { Catalog, RepositoryKey } from '../catalog/catalog.ts'
import { digestOf, digestAlgorithm, type Digest } from '../oci/digest.ts'
import { MANIFEST_MAX_BYTES, parseManifest } from '../oci/manifest.ts'
import type { BlobStore } from '../store/blob-store.ts'
import { UpstreamError, type UpstreamManifest } from '../upstream/upstream.ts'
import type { Spool } from './spool.ts'

export interface StoredManifest {
  readonly digest: Digest
  readonly mediaType: string
  readonly bytes: Uint8Array
}

export interface ManifestStore {
  load(digest: Digest): Promise<StoredManifest | undefined>
  /**
   * Verifies, stores and links what upstream sent.
   * @throws {UpstreamError} corrupt, when the bytes are not the digest
   * @throws {OciError} MANIFEST_INVALID
   */
  keep(key: RepositoryKey, digest: Digest, received: UpstreamManifest): Promise<StoredManifest>
}

/** Bytes of hot manifests kept in memory; a typical one takes a few kilobytes. */
const MEMORY_BYTES = 32 * 1024 * 1024

export function createManifestStore({
  catalog,
  store,
  spool,
  now,
}: {
  catalog: Catalog
  store: BlobStore
  spool: Spool
  now: () => number
}): ManifestStore {
  const memory = new LRUCache<Digest, StoredManifest>({
    maxSize: MEMORY_BYTES,
    sizeCalculation: ({ bytes }) => bytes.length + 512,
  })

  async function read(digest: Digest): Promise<StoredManifest | undefined> {
    const record = await catalog.contents.findManifest(digest)
    if (record === undefined) return undefined
    const bytes = await readWhole(store, digest, record.size)
    return bytes && { digest, mediaType: record.mediaType, bytes }
  }

  async function write(digest: Digest, bytes: Uint8Array): Promise<void> {
    const { path, handle } = await spool.create(digest)
    try {
      await handle.writeFile(bytes)
      await store.adopt(path, digest)
    } finally {
      await handle.close()
      await spool.remove(path)
    }
  }

  return {
    async load(digest) {
      const hot = memory.get(digest)
      if (hot) return hot
      const stored = await read(digest)
      if (stored) memory.set(digest, stored)
      return stored
    },
    async keep(key, digest, { bytes, contentType }) {
      if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
        throw new UpstreamError('corrupt', `Upstream sent a manifest that is not ${digest}.`)
      }
      const facts = parseManifest(bytes, contentType)
      await write(digest, bytes)
      await catalog.blobs.put({ digest, size: bytes.length }, now())
      await catalog.contents.putManifest(key, { digest, size: bytes.length, ...facts })
      const stored = { digest, mediaType: facts.mediaType, bytes }
      memory.set(digest, stored)
      return stored
    },
  }
}

/** A file that is missing, truncated or no longer what its name says is a miss, not an error. */
async function readWhole(
  store: BlobStore,
  digest: Digest,
  size: number,
): Promise<Uint8Array | undefined> {
  const source = await store.open(digest)
  if (source === undefined) return undefined
  try {
    if (source.size !== size || size > MANIFEST_MAX_BYTES) return undefined
    const bytes = Buffer.alloc(size)
    const { signal } = new AbortController()
    let position = 0
    while (position < size) {
      const count = await source.read(bytes.subarray(position), position, signal)
      if (count === 0) return undefined
      position += count
    }
    return digestOf(bytes, digestAlgorithm(digest)) === digest ? bytes : undefined
  } finally {
    await source.close()
  }
}
