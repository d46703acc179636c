/** Manifests that are here: in memory while hot, else in the store, described by the catalog. */
import { LRUCache } from '../lru.ts'
import type { Catalog, RepositoryKey } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { digestOf, digestAlgorithm, type Digest } from '../oci/digest.ts'
import { parseManifest, type ManifestFacts } from '../oci/manifest.ts'
import { StorageError, storageFailure } from '../storage-error.ts'
import type { BlobStore } from '../store/blob-store.ts'
import { UpstreamError, type UpstreamManifest } from '../upstream/upstream.ts'
import { createStorageTrouble } from './failure.ts'
import type { Spool } from './spool.ts'
import { readWhole } from './stored-bytes.ts'

export interface StoredManifest {
  readonly digest: Digest
  readonly mediaType: string
  readonly bytes: Uint8Array
}

export interface KeptManifest {
  readonly manifest: StoredManifest
  /** Why it is in memory only; `undefined` when it is stored. */
  readonly failure: StorageError | undefined
}

export interface ManifestStore {
  /** What cannot be read is `undefined`: upstream can be asked for it again. */
  load(digest: Digest): Promise<StoredManifest | undefined>
  /**
   * Verifies, stores and links what upstream sent. A disk that fails is logged, and costs no answer.
   * @throws {UpstreamError} corrupt, when the bytes are not the digest
   * @throws {OciError} MANIFEST_INVALID
   */
  keep(key: RepositoryKey, digest: Digest, received: UpstreamManifest): Promise<KeptManifest>
  /** What was stored for another repository is known to belong to this one too: links what it refers to. */
  link(key: RepositoryKey, manifest: StoredManifest): Promise<void>
  /** Drops it from memory, since it was removed from the store or is found to be damaged there. */
  forget(digest: Digest): void
}

interface Options {
  readonly catalog: Catalog
  readonly store: BlobStore
  readonly spool: Spool
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
  /** Told of each manifest that is loaded, for what was used last. */
  readonly used?: (digest: Digest) => void
  /** Told of a stored file whose bytes are no longer those of its name. */
  readonly damaged?: (digest: Digest) => void
}

/** Bytes of hot manifests kept in memory; a typical one takes a few kilobytes. */
const MEMORY_BYTES = 32 * 1024 * 1024

export function createManifestStore(options: Options): ManifestStore {
  const { catalog, store, spool, metrics, log, now, used, damaged } = options
  const trouble = createStorageTrouble({ metrics, log })
  const memory = new LRUCache<Digest, StoredManifest>({
    maxSize: MEMORY_BYTES,
    sizeCalculation: ({ bytes }) => bytes.length + 512,
  })

  async function read(digest: Digest): Promise<StoredManifest | undefined> {
    const record = await catalog.contents.findManifest(digest)
    const source = record && (await store.open(digest))
    if (source === undefined) return undefined
    const bytes = await readWhole(source, digest, record?.size)
    if (bytes === undefined) damaged?.(digest)
    return bytes && { digest, mediaType: record?.mediaType ?? '', bytes }
  }

  /** In this order: a crash in between leaves a file without a row, never a row that lies. */
  async function write(
    key: RepositoryKey,
    digest: Digest,
    bytes: Uint8Array,
    facts: ManifestFacts,
  ): Promise<void> {
    await writeFile(digest, bytes)
    await catalog.blobs.put({ digest, size: bytes.length }, now())
    await catalog.contents.putManifest(key, { digest, size: bytes.length, ...facts })
  }

  async function writeFile(digest: Digest, bytes: Uint8Array): Promise<void> {
    const { path, handle } = await spool.create(digest)
    try {
      await handle.writeFile(bytes)
      await store.adopt(path, digest)
    } catch (error) {
      throw storageFailure(error)
    } finally {
      // The first error is the one to tell.
      await handle.close().catch(() => undefined)
      await spool.remove(path).catch(() => undefined)
    }
  }

  function tell(failure: StorageError, digest: Digest): StorageError {
    metrics.storageFailed(failure.code)
    metrics.passedThrough('disk')
    log.warn({ digest, failure: failure.code, err: failure }, 'a manifest could not be stored')
    return failure
  }

  return {
    async load(digest) {
      const hot = memory.get(digest)
      const stored = hot ?? (await trouble.survive(read(digest)))
      if (stored === undefined) return undefined
      if (hot === undefined) memory.set(digest, stored)
      used?.(digest)
      return stored
    },
    async keep(key, digest, { bytes, contentType }) {
      if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
        throw new UpstreamError('corrupt', `Upstream sent a manifest that is not ${digest}.`)
      }
      const facts = parseManifest(bytes, contentType)
      const manifest = { digest, mediaType: facts.mediaType, bytes }
      const failure = await failureOf(write(key, digest, bytes, facts))
      memory.set(digest, manifest)
      return { manifest, failure: failure && tell(failure, digest) }
    },
    async link(key, { digest, mediaType, bytes }) {
      const facts = parseManifest(bytes, mediaType)
      const record = { digest, size: bytes.length, ...facts }
      await trouble.survive(catalog.contents.putManifest(key, record))
    },
    forget: (digest) => void memory.delete(digest),
  }
}

async function failureOf(write: Promise<void>): Promise<StorageError | undefined> {
  try {
    await write
    return undefined
  } catch (error) {
    if (error instanceof StorageError) return error
    throw error
  }
}
