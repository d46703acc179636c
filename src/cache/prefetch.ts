/**
 * Fetches in the background what the platform of a pulled image needs, so that the image can later be
 * pulled whole with upstream down, although its first client had some layers already.
 */
import { LRUCache } from '../lru.ts'
import type { RepositoryKey } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import { isDistributed, parseManifest } from '../oci/manifest.ts'
import type { StoredManifest } from './manifest-store.ts'
import { createPrefetchQueue, type PrefetchJob } from './prefetch-queue.ts'
import type { CacheSettings } from './upstreams.ts'

export interface Prefetcher {
  /** A client was given the bytes of this manifest. Costs one look into memory when it is hot. */
  manifestPulled(key: RepositoryKey, manifest: StoredManifest): void
  /**
   * Ensures one blob, before all that has been pulled only.
   * @returns whether it is stored now
   */
  request(key: RepositoryKey, digest: Digest): Promise<boolean>
  /** How many blobs wait for their turn. */
  waiting(): number
  /** Resolves when nothing waits or is being fetched. */
  idle(): Promise<void>
  close(): Promise<void>
}

interface Dependencies {
  readonly blobs: {
    /** Makes sure that the blob is stored, and that upstream has confirmed it for the repository. */
    ensure(key: RepositoryKey, digest: Digest, signal: AbortSignal): Promise<'present' | 'stored'>
  }
  readonly fills: {
    /** Resolves when no client waits for a running fill. */
    onceCalm(signal: AbortSignal): Promise<void>
  }
  readonly settings: () => CacheSettings
  readonly metrics: Metrics
  readonly log: Log
}

/** At a time, over all upstreams: clients are to notice nothing. */
const PARALLEL = 2
/** Milliseconds that a blob waits for clients to have what they wait for. */
const LONGEST_WAIT = 30_000
const REMEMBERED_MANIFESTS = 10_000
/** Milliseconds after which a manifest that is pulled is looked at again. */
const REMEMBERED_FOR = 10 * 60 * 1000

export function createPrefetcher(dependencies: Dependencies): Prefetcher {
  const { blobs, fills, settings, metrics, log } = dependencies
  const closing = new AbortController()
  const seen = new LRUCache<string, true>({ max: REMEMBERED_MANIFESTS, ttl: REMEMBERED_FOR })
  const queue = createPrefetchQueue({
    onDropped: (job) => end(job, false, 'dropped'),
    onLength: metrics.prefetchesWaiting,
  })
  const workers = new Set<Promise<void>>()

  /** A worker that ends looks whether more has come meanwhile. */
  function wake(): void {
    if (closing.signal.aborted || workers.size >= PARALLEL || queue.length() === 0) return
    const worker = work()
      .catch(() => undefined)
      .finally(() => {
        workers.delete(worker)
        wake()
      })
    workers.add(worker)
    wake()
  }

  async function work(): Promise<void> {
    while (queue.length() > 0) {
      await calm()
      const job = queue.begin()
      if (job === undefined) return
      await run(job)
    }
  }

  /** A mirror that is never calm would complete nothing; a fill in the background gives way by itself. */
  async function calm(): Promise<void> {
    const patience = AbortSignal.timeout(LONGEST_WAIT)
    await fills.onceCalm(AbortSignal.any([closing.signal, patience])).catch(() => undefined)
    closing.signal.throwIfAborted()
  }

  async function run(job: PrefetchJob): Promise<void> {
    if (!isWanted(job)) return end(job, false, 'dropped')
    const { key, digest } = job
    try {
      const found = await blobs.ensure(key, digest, closing.signal)
      end(job, true, found === 'stored' ? 'stored' : undefined)
    } catch (error) {
      end(job, false, closing.signal.aborted ? undefined : 'failed')
      if (closing.signal.aborted) return
      log.warn(
        { upstream: key.upstream, repository: key.repository, digest, reason: reasonOf(error) },
        'a blob could not be fetched in the background',
      )
    }
  }

  /** Not repeated by itself when it did not work: the next pull of the manifest asks again. */
  function end(
    job: PrefetchJob,
    worked: boolean,
    result: 'stored' | 'failed' | 'dropped' | undefined,
  ): void {
    queue.end(job)
    if (result !== undefined) metrics.prefetched(job.key.upstream, result)
    if (!worked) for (const manifest of job.manifests) seen.delete(manifest)
    for (const tell of job.waiting) tell(worked)
  }

  /** Asked again before each download: rules, settings and what is left of the budget change. */
  function isWanted({ key, waiting }: PrefetchJob): boolean {
    return waiting.length > 0 ? mayAsk(key) : completes(key)
  }

  function completes(key: RepositoryKey): boolean {
    const upstream = settings().upstreams.get(key.upstream)
    const isOn = upstream?.complete === 'pulled' && upstream.client.state().pullBudget === 'ample'
    return isOn && mayAsk(key)
  }

  function mayAsk(key: RepositoryKey): boolean {
    const upstream = settings().upstreams.get(key.upstream)
    return upstream !== undefined && !upstream.client.state().offline && settings().admits(key)
  }

  return {
    manifestPulled(key, manifest) {
      const name = `${key.upstream}/${key.repository}@${manifest.digest}`
      if (seen.has(name) || closing.signal.aborted || !completes(key)) return
      seen.set(name, true)
      for (const digest of blobsOf(manifest)) queue.add(key, digest, name)
      wake()
    },
    async request(key, digest) {
      if (closing.signal.aborted || !mayAsk(key)) return false
      const result = queue.addUrgent(key, digest)
      wake()
      return result
    },
    waiting: () => queue.length(),
    async idle() {
      while (workers.size > 0) await Promise.all(workers)
    },
    async close() {
      closing.abort(new Error('The mirror is shutting down.'))
      for (let job = queue.begin(); job; job = queue.begin()) end(job, false, undefined)
      await Promise.all(workers)
    },
  }
}

/** Config and layers. What an index lists is for other platforms, until a client pulls it. */
function blobsOf({ bytes, mediaType }: StoredManifest): Set<Digest> {
  const { children } = parseManifest(bytes, mediaType)
  const needed = children.filter((child) => !child.isManifest && isDistributed(child.mediaType))
  return new Set(needed.map(({ digest }) => digest))
}

/** Without a stack: what goes wrong here is nearly always upstream's. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
