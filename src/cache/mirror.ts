/** The use-cases of the mirror. What an upstream did wrong leaves here in the words of the protocol. */
import type { Catalog, RepositoryKey } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference } from '../oci/reference.ts'
import type { BlobStore } from '../store/blob-store.ts'
import { createBlobs, type BlobAnswer, type BlobHead } from './blobs.ts'
import { createEvictor } from './evict.ts'
import { toClientError } from './failure.ts'
import { createFills } from './fills.ts'
import { createLists, type Lists } from './lists.ts'
import { createManifestStore } from './manifest-store.ts'
import { createManifests, type ManifestAnswer } from './manifests.ts'
import type { Spool } from './spool.ts'
import { createUpstreamWork } from './upstream-work.ts'
import type { CacheSettings } from './upstreams.ts'
import { createUsage } from './usage.ts'

export interface Mirror {
  /** @param wantsBody false for HEAD */
  manifest(key: RepositoryKey, reference: Reference, wantsBody: boolean): Promise<ManifestAnswer>
  /** Size of a blob, without downloading it. */
  blobHead(key: RepositoryKey, digest: Digest): Promise<BlobHead>
  /** The caller closes the source. */
  blob(key: RepositoryKey, digest: Digest): Promise<BlobAnswer>
  readonly tags: Lists['tags']
  readonly referrers: Lists['referrers']
  /** Tags that lead, or once led, to the digest in this repository, as far as is known here. */
  tagsLeadingTo(key: RepositoryKey, digest: Digest): Promise<string[]>
  /** Rejects when requests cannot be served. */
  ready(): Promise<void>
  /** Resolves when nothing is being fetched. */
  idle(): Promise<void>
  close(): Promise<void>
}

export interface MirrorOptions {
  readonly catalog: Catalog
  readonly store: BlobStore
  readonly spool: Spool
  /** Bytes; `undefined`: no limit. */
  readonly budget: number | undefined
  /** Asked anew for each request, since the configuration may be read again. */
  readonly settings: () => CacheSettings
  readonly metrics: Metrics
  readonly log: Log
  readonly now?: () => number
}

/** Brings the store under its budget first, as that may have been lowered. */
export async function createMirror(options: MirrorOptions): Promise<Mirror> {
  const { catalog, store, spool, budget, settings, metrics, log, now = Date.now } = options
  const shutdown = new AbortController()
  const work = createUpstreamWork(shutdown.signal)
  const usage = createUsage({ blobs: catalog.blobs, now, log })
  const evictor = createEvictor({ catalog, store, usage, budget, metrics, log })
  await evictor.makeRoom()
  const fills = createFills({ spool, metrics, log })
  const stored = createManifestStore({ catalog, store, spool, now })
  const manifests = createManifests({ catalog, manifests: stored, work, settings, now })
  const blobs = createBlobs({ catalog, store, fills, work, usage, evictor, settings, now })
  const lists = createLists({ catalog, manifests, work, settings })

  async function translated<T>(
    unknown: Parameters<typeof toClientError>[1],
    result: Promise<T>,
  ): Promise<T> {
    try {
      return await result
    } catch (error) {
      throw toClientError(error, unknown, settings().rateLimitStatus)
    }
  }

  return {
    manifest: (key, reference, wantsBody) =>
      translated(
        'MANIFEST_UNKNOWN',
        reference.kind === 'tag'
          ? manifests.byTag(key, reference.tag, wantsBody)
          : manifests.byDigest(key, reference.digest, wantsBody),
      ),
    blobHead: (key, digest) => translated('BLOB_UNKNOWN', blobs.head(key, digest)),
    blob: (key, digest) => translated('BLOB_UNKNOWN', blobs.get(key, digest)),
    tags: (key, query) => translated('NAME_UNKNOWN', lists.tags(key, query)),
    referrers: (key, subject, artifactType, query) =>
      translated('NAME_UNKNOWN', lists.referrers(key, subject, artifactType, query)),
    tagsLeadingTo: (key, digest) => catalog.tags.leadingTo(key, digest),
    ready: () => catalog.ping(),
    async idle() {
      await work.idle()
      await fills.idle()
    },
    async close() {
      shutdown.abort(new Error('The mirror is shutting down.'))
      await work.idle()
      await fills.close()
      await usage.close()
    },
  }
}
