/** The use-cases of the mirror. What an upstream did wrong leaves here in the words of the protocol. */
import type { Catalog, RepositoryKey } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference, Tag } from '../oci/reference.ts'
import type { BlobStore } from '../store/blob-store.ts'
import type { Tracing } from '../tracing.ts'
import type { UpstreamState } from '../upstream/upstream.ts'
import { createBlobFills } from './blob-fills.ts'
import { createBlobs, type BlobAnswer, type BlobHead } from './blobs.ts'
import { describeContent, type ContentState, type DescribeDependencies } from './describe.ts'
import { createEvictor } from './evict.ts'
import { createStorageTrouble, toClientError } from './failure.ts'
import type { FillProgress } from './fill.ts'
import { createFills } from './fills.ts'
import { createInUse } from './in-use.ts'
import { createLists, type Lists } from './lists.ts'
import type { ManifestAnswer } from './manifest-answer.ts'
import { createManifestStore } from './manifest-store.ts'
import { createManifests } from './manifests.ts'
import { createPrefetcher } from './prefetch.ts'
import type { DiskLimits } from './room.ts'
import type { ScrubReport } from './scrub.ts'
import type { Spool } from './spool.ts'
import { statusOf, type MirrorStatus } from './status.ts'
import { createStoredBlobs } from './stored-blobs.ts'
import { createUpkeep } from './upkeep.ts'
import { createUpstreamWork } from './upstream-work.ts'
import type { CacheSettings } from './upstreams.ts'
import { createUsage } from './usage.ts'
import { createVerifiedMemory } from './verified-source.ts'

export interface Mirror {
  /**
   * @param wantsBody false for HEAD
   * @param isPull false where no client is given it: what it names is not fetched in the background
   */
  manifest(
    key: RepositoryKey,
    reference: Reference,
    wantsBody: boolean,
    isPull?: boolean,
  ): Promise<ManifestAnswer>
  /** Size of a blob, without downloading it. */
  blobHead(key: RepositoryKey, digest: Digest): Promise<BlobHead>
  /** The caller closes the source. */
  blob(key: RepositoryKey, digest: Digest): Promise<BlobAnswer>
  /**
   * Makes sure that the blob is stored, without sending it to anybody; clients go before it.
   * @throws {OciError} {StorageError} when it cannot be had or stored, or the signal's reason: the
   *   download itself goes on
   */
  ensureBlob(key: RepositoryKey, digest: Digest, signal: AbortSignal): Promise<'present' | 'stored'>
  /** How far the running download of the blob is; `undefined`: none is running. */
  blobProgress(key: RepositoryKey, digest: Digest): Promise<FillProgress | undefined>
  /**
   * Asks upstream now what the tag means, unless that was confirmed within its time to live.
   * @throws {OciError} where it cannot be asked, or has no such tag
   */
  confirmTag(key: RepositoryKey, tag: Tag): Promise<void>
  /** Known without asking; `undefined`: that upstream is not mirrored. */
  upstreamState(upstream: string): Promise<UpstreamState | undefined>
  readonly tags: Lists['tags']
  readonly referrers: Lists['referrers']
  /** Tags that lead, or once led, to the digest in this repository, as far as is known here. */
  tagsLeadingTo(key: RepositoryKey, digest: Digest): Promise<string[]>
  /**
   * Whether the digest, or something here that contains it, has been known upstream for so long in this
   * repository, or an operator has let it through: approved it, or frozen a tag to it. Upstream is asked
   * once about a manifest that was never seen, which starts its time; a blob's starts with its manifest.
   * @param minAge milliseconds
   * @throws {OciError} where upstream does not have such a manifest, or cannot be asked
   */
  isOfAge(
    key: RepositoryKey,
    digest: Digest,
    minAge: number,
    kind: 'manifest' | 'blob',
  ): Promise<boolean>
  /** Changes whenever any tag comes to mean something else, which answers of before then may not say. */
  tagsVersion(): number
  /** What is known of an image here, without asking anybody. */
  describe(key: RepositoryKey, reference: Reference): Promise<ContentState>
  /** Repositories of which something was pulled, in byte order, behind `after`. */
  repositories(after: RepositoryKey | undefined, limit: number): Promise<RepositoryKey[]>
  /** Rejects when requests cannot be served. */
  ready(): Promise<void>
  /** What an operator may want to see; says no secret. */
  status(): Promise<MirrorStatus>
  /** Reads the whole store now, and mends what is damaged. */
  scrub(): Promise<ScrubReport>
  /** Resolves when nothing is being fetched, compared or mended. */
  idle(): Promise<void>
  close(): Promise<void>
}

export interface MirrorOptions {
  readonly catalog: Catalog
  readonly store: BlobStore
  readonly spool: Spool
  readonly disk: DiskLimits
  /** Bytes per second at which the store is read again; 0: never. */
  readonly scrubRate: number
  /** Asked anew for each request, since the configuration may be read again. */
  readonly settings: () => CacheSettings
  readonly metrics: Metrics
  readonly log: Log
  readonly tracing?: Tracing | undefined
  readonly now?: () => number
}

/** Days are long enough for a disk to spoil a file, and short enough for a scrub to come round. */
const VERIFIED_FOR = 24 * 60 * 60 * 1000
const VERIFIED_DIGESTS = 100_000

/** Brings the store under its budget first, as that may have been lowered. */
export async function createMirror(options: MirrorOptions): Promise<Mirror> {
  const { catalog, store, spool, disk, settings, metrics, log, now = Date.now } = options
  const startedAt = now()
  const shutdown = new AbortController()
  const trouble = createStorageTrouble({ metrics, log })
  const work = createUpstreamWork(shutdown.signal)
  const inUse = createInUse()
  const verified = createVerifiedMemory({ max: VERIFIED_DIGESTS, ttl: VERIFIED_FOR })
  const common = { catalog, store, spool, settings, metrics, log, now, trouble, inUse, verified }

  const onRemoved = (digest: Digest): void => {
    verified.forget(digest)
    storedManifests.forget(digest)
  }
  const usage = createUsage({ blobs: catalog.blobs, now, metrics, log })
  const evictor = createEvictor({ ...common, usage, disk, onRemoved })
  const upkeep = createUpkeep({ ...common, scrubRate: options.scrubRate, heal, onRemoved })
  const damaged = (digest: Digest): void => upkeep.damaged(digest, 'read')

  const fills = createFills({ spool, metrics, log, tracing: options.tracing })
  const blobFills = createBlobFills({ ...common, fills, evictor, minFree: disk.minFree })
  const stored = createStoredBlobs({ ...common, damaged })
  const blobs = createBlobs({ ...common, stored, fills, blobFills, work, usage })
  const prefetcher = createPrefetcher({ blobs, fills, settings, metrics, log })
  const used = (digest: Digest): void => usage.used(digest)
  const storedManifests = createManifestStore({ ...common, used, damaged })
  const manifests = createManifests({
    ...common,
    manifests: storedManifests,
    work,
    onPulled: (key, manifest) => prefetcher.manifestPulled(key, manifest),
  })
  const lists = createLists({ ...common, manifests, work })
  const describing: DescribeDependencies = {
    catalog,
    limitsOf: (upstream) => settings().upstreams.get(upstream),
    frozenTo: (key, tag) => settings().frozenTo(key, tag),
    lastSaid: (key, tag) => manifests.lastSaid(key, tag),
    stateOf: (upstream) => settings().upstreams.get(upstream)?.client.state(),
    now,
  }

  await trouble.survive(evictor.makeRoom())
  await storeFinished()
  upkeep.start()

  /** What a client may have got whole before the process was killed. Upstream is not asked for it. */
  async function storeFinished(): Promise<void> {
    for (const { upstream, digest } of spool.finished()) {
      const holders = (await trouble.survive(catalog.contents.holders(digest))) ?? []
      const key = holders.find((holder) => holder.upstream === upstream)
      if (key) blobFills.join({ key, digest, expectedSize: undefined, isBackground: true })
    }
  }

  /** From the first repository that is known to hold it and may still be fetched from. */
  async function heal(digest: Digest, isManifest: boolean): Promise<boolean> {
    for (const key of await catalog.contents.holders(digest)) {
      if (!settings().upstreams.has(key.upstream) || !settings().admits(key)) continue
      if (!isManifest) {
        if (await prefetcher.request(key, digest)) return true
        continue
      }
      const refetched = manifests.refetch(key, digest).then(() => true)
      if (await refetched.catch(() => false)) return true
    }
    return false
  }

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
    manifest: (key, reference, wantsBody, isPull) =>
      translated(
        'MANIFEST_UNKNOWN',
        reference.kind === 'tag'
          ? manifests.byTag(key, reference.tag, wantsBody, isPull)
          : manifests.byDigest(key, reference.digest, wantsBody, isPull),
      ),
    blobHead: (key, digest) => translated('BLOB_UNKNOWN', blobs.head(key, digest)),
    blob: (key, digest) => translated('BLOB_UNKNOWN', blobs.get(key, digest)),
    async ensureBlob(key, digest, signal) {
      const found = await translated('BLOB_UNKNOWN', blobs.ensure(key, digest, signal))
      // Else it would be the first to go for what is fetched next.
      if (found === 'present') usage.used(digest)
      return found
    },
    blobProgress: async (key, digest) => fills.find(key.upstream, digest)?.fill.progress(),
    confirmTag: (key, tag) => translated('MANIFEST_UNKNOWN', manifests.confirm(key, tag)),
    upstreamState: async (upstream) => settings().upstreams.get(upstream)?.client.state(),
    tags: (key, query) => translated('NAME_UNKNOWN', lists.tags(key, query)),
    referrers: (key, subject, artifactType, query) =>
      translated('NAME_UNKNOWN', lists.referrers(key, subject, artifactType, query)),
    tagsVersion: () => manifests.tagsVersion(),
    tagsLeadingTo: (key, digest) => catalog.tags.leadingTo(key, digest),
    isOfAge: (key, digest, minAge, kind) =>
      translated('MANIFEST_UNKNOWN', manifests.isOfAge(key, digest, minAge, kind)),
    describe: (key, reference) => describeContent(describing, key, reference),
    repositories: (after, limit) => catalog.contents.repositories(after, limit),
    ready: () => catalog.ping(),
    status: () =>
      statusOf({ startedAt, catalog, store, fills, prefetcher, upkeep, settings, disk }),
    scrub: () => upkeep.scrub(),
    async idle() {
      await work.idle()
      await fills.idle()
      await prefetcher.idle()
      await upkeep.idle()
    },
    async close() {
      shutdown.abort(new Error('The mirror is shutting down.'))
      await prefetcher.close()
      await work.idle()
      await fills.close()
      await upkeep.close()
      await evictor.close()
      await usage.close()
    },
  }
}
