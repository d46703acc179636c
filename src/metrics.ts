/**
 * What is counted, one function per event. Label values come from configuration or closed sets only,
 * never from a request: an attacker must not be able to grow the series (security rule R38).
 */
import { setTimeout as delay } from 'node:timers/promises'
import {
  AggregatorRegistry,
  Counter,
  Gauge,
  Histogram,
  Registry,
  type MetricObjectWithValues,
  type MetricValue,
} from 'prom-client'
import { METRICS } from './metric-definitions.ts'
import type { StorageFailure } from './storage-error.ts'

/** How a request was served; the same word in the log, the metrics and `Cache-Status`. */
export type Outcome = 'hit' | 'joined' | 'miss' | 'revalidated' | 'stale' | 'bypass' | 'denied'

/** What was asked for. */
export type RequestKind =
  'ping' | 'manifest' | 'blob' | 'tags' | 'referrers' | 'catalog' | 'token' | 'api' | 'other'

/** Why something went to the client without being stored. */
export type PassThroughReason = 'disk' | 'budget'

/** What became of a credential. */
export type LoginResult = 'accepted' | 'rejected' | 'held-back'

/** Why an upstream could not be used. */
export type UpstreamFailure =
  'not-found' | 'unauthorized' | 'forbidden' | 'rate-limited' | 'unavailable' | 'corrupt'

export interface RequestRecord {
  readonly kind: RequestKind
  /** A configured upstream's name; `undefined` where none was resolved. */
  readonly upstream: string | undefined
  readonly outcome: Outcome | undefined
  readonly status: number
  readonly bytes: number
  readonly milliseconds: number
}

/** What is so at the moment when somebody looks; bytes, and milliseconds. */
export interface MirrorSample {
  readonly offline: boolean
  readonly store: { readonly budget: number | undefined; readonly freeBytes: number | undefined }
  readonly upstreams: readonly {
    readonly name: string
    readonly endpoints: readonly { readonly restsFor: number }[]
  }[]
}

/** Of requests with the same labels, since somebody looked last. */
interface Tally {
  readonly kind: RequestKind
  readonly upstream: string
  readonly outcome: string
  readonly status: string
  requests: number
  bytes: number
}

export type Metrics = ReturnType<typeof createMetrics>

/** All that one process has counted, as data that can be sent to another. */
export type MetricsSnapshot = readonly MetricObjectWithValues<MetricValue<string>>[]

/** What Prometheus reads, and its media type. */
export interface MetricsPage {
  readonly text: string
  readonly contentType: string
}

/** Milliseconds that a page waits for what is so at the moment. */
const LOOK_DEADLINE = 2000

export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]

  const requests = new Counter({
    ...METRICS.requests,
    registers,
    collect: () => countTallied(),
  })
  /** By their labels: counted here at each request, and in the series when somebody looks. */
  const tallies = new Map<string, Tally>()
  const duration = new Histogram({
    ...METRICS.duration,
    buckets: [...METRICS.duration.buckets],
    registers,
  })
  const clientBytes = new Counter({ ...METRICS.clientBytes, registers })
  const upstreamBytes = new Counter({ ...METRICS.upstreamBytes, registers })
  const upstreamRequests = new Counter({ ...METRICS.upstreamRequests, registers })
  const upstreamFailures = new Counter({ ...METRICS.upstreamFailures, registers })
  const tokenRequests = new Counter({ ...METRICS.tokenRequests, registers })
  const rateLimitRemaining = new Gauge({ ...METRICS.rateLimitRemaining, registers })
  const rateLimit = new Gauge({ ...METRICS.rateLimit, registers })
  const hedges = new Counter({ ...METRICS.hedges, registers })
  const prefetches = new Counter({ ...METRICS.prefetches, registers })
  const prefetchesWaiting = new Gauge({ ...METRICS.prefetchesWaiting, registers })
  const passedThrough = new Counter({ ...METRICS.passedThrough, registers })
  const storageFailures = new Counter({ ...METRICS.storageFailures, registers })
  const scrubbedBytes = new Counter({ ...METRICS.scrubbedBytes, registers })
  const damagedBlobs = new Counter({ ...METRICS.damagedBlobs, registers })
  const healedBlobs = new Counter({ ...METRICS.healedBlobs, registers })
  const fillsRunning = new Gauge({ ...METRICS.fillsRunning, registers })
  const fills = new Counter({ ...METRICS.fills, registers })
  const joinedReaders = new Counter({ ...METRICS.joinedReaders, registers })
  const cacheBytes = new Gauge({ ...METRICS.cacheBytes, registers })
  const evictedBytes = new Counter({ ...METRICS.evictedBytes, registers })
  const logins = new Counter({ ...METRICS.logins, registers })
  const accessRequests = new Counter({ ...METRICS.accessRequests, registers })
  const accessRequestsOpen = new Gauge({ ...METRICS.accessRequestsOpen, registers })
  const notifications = new Counter({ ...METRICS.notifications, registers })

  const warmRuns = new Counter({ ...METRICS.warmRuns, registers })
  const warmImages = new Counter({ ...METRICS.warmImages, registers })
  const warmedAt = new Gauge({ ...METRICS.warmedAt, registers })

  const cacheBudget = new Gauge({ ...METRICS.cacheBudget, registers })
  const diskFree = new Gauge({ ...METRICS.diskFree, registers })
  const offline = new Gauge({ ...METRICS.offline, registers })
  const endpoints = new Gauge({ ...METRICS.endpoints, registers })
  countProcess(registers)
  let sample: (() => Promise<MirrorSample>) | undefined

  /** What cannot be found out now, as on a disk that hangs, stays what it was. */
  async function look(): Promise<void> {
    if (sample === undefined) return
    const limit = new AbortController()
    const late = delay(LOOK_DEADLINE, undefined, { ref: false, signal: limit.signal })
    const seen = await Promise.race([sample(), late]).catch(() => undefined)
    late.catch(() => undefined)
    limit.abort()
    if (seen === undefined) return
    offline.set(seen.offline ? 1 : 0)
    cacheBudget.set(seen.store.budget ?? 0)
    if (seen.store.freeBytes !== undefined) diskFree.set(seen.store.freeBytes)
    endpoints.reset()
    for (const { name: upstream, endpoints: all } of seen.upstreams) {
      const resting = all.filter(({ restsFor }) => restsFor > 0).length
      endpoints.set({ upstream, state: 'well' }, all.length - resting)
      endpoints.set({ upstream, state: 'resting' }, resting)
    }
  }

  function tallyOf({ kind, upstream = '', status, ...record }: RequestRecord): Tally {
    const outcome = record.outcome ?? ''
    const statusClass = `${Math.floor(status / 100)}xx`
    const key = `${kind} ${upstream} ${outcome} ${statusClass}`
    const known = tallies.get(key)
    if (known) return known
    const tally = { kind, upstream, outcome, status: statusClass, requests: 0, bytes: 0 }
    tallies.set(key, tally)
    return tally
  }

  function countTallied(): void {
    for (const tally of tallies.values()) {
      const { kind, upstream, outcome, status } = tally
      requests.inc({ kind, upstream, outcome, status }, tally.requests)
      if (tally.bytes > 0) clientBytes.inc({ upstream }, tally.bytes)
      tally.requests = 0
      tally.bytes = 0
    }
  }

  return {
    requestEnded(record: RequestRecord): void {
      const tally = tallyOf(record)
      tally.requests += 1
      tally.bytes += record.bytes
      duration.observe({ kind: record.kind }, record.milliseconds / 1000)
    },
    upstreamRequested: (upstream: string): void => upstreamRequests.inc({ upstream }),
    upstreamReceived: (upstream: string, bytes: number): void =>
      upstreamBytes.inc({ upstream }, bytes),
    upstreamFailed: (upstream: string, reason: UpstreamFailure): void =>
      upstreamFailures.inc({ upstream, reason }),
    tokenRequested: (upstream: string): void => tokenRequests.inc({ upstream }),
    rateLimitSeen(
      upstream: string,
      account: string,
      said: { readonly limit: number | undefined; readonly remaining: number | undefined },
    ): void {
      if (said.remaining !== undefined) {
        rateLimitRemaining.set({ upstream, account }, said.remaining)
      }
      if (said.limit !== undefined) rateLimit.set({ upstream, account }, said.limit)
    },
    hedged: (upstream: string, winner: 'first' | 'second'): void =>
      hedges.inc({ upstream, winner }),
    prefetched: (upstream: string, result: 'stored' | 'failed' | 'dropped'): void =>
      prefetches.inc({ upstream, result }),
    prefetchesWaiting: (count: number): void => prefetchesWaiting.set(count),
    passedThrough: (reason: PassThroughReason): void => passedThrough.inc({ reason }),
    storageFailed: (failure: StorageFailure): void => storageFailures.inc({ failure }),
    scrubbed: (bytes: number): void => scrubbedBytes.inc(bytes),
    damaged: (found: 'scrub' | 'read'): void => damagedBlobs.inc({ found }),
    healed: (): void => healedBlobs.inc(),
    fillStarted: (): void => fillsRunning.inc(),
    fillEnded(upstream: string, result: 'stored' | 'failed'): void {
      fillsRunning.dec()
      fills.inc({ upstream, result })
    },
    readerJoined: (upstream: string): void => joinedReaders.inc({ upstream }),
    cacheSized: (bytes: number): void => cacheBytes.set(bytes),
    evicted: (bytes: number): void => evictedBytes.inc(bytes),
    loginSeen: (result: LoginResult): void => logins.inc({ result }),
    accessRequested: (count: number): void => accessRequests.inc(count),
    accessRequestsOpen: (count: number): void => accessRequestsOpen.set(count),
    /** @param run images of a job that ran to its end */
    warmed({ images, failed }: { readonly images: number; readonly failed: number }): void {
      warmRuns.inc({ result: failed === 0 ? 'complete' : 'incomplete' })
      if (images > failed) warmImages.inc({ result: 'warmed' }, images - failed)
      if (failed > 0) warmImages.inc({ result: 'failed' }, failed)
    },
    warmRunFailed: (): void => warmRuns.inc({ result: 'failed' }),
    /** @param at milliseconds since the epoch */
    warmScheduleEnded: (at: number): void => warmedAt.set(at / 1000),
    notified: (result: 'delivered' | 'failed' | 'dropped'): void => notifications.inc({ result }),

    /** Asked whenever somebody looks. */
    sampled: (from: () => Promise<MirrorSample>): void => void (sample = from),

    async render(): Promise<MetricsPage> {
      await look()
      return pageOf(registry)
    },
    async snapshot(): Promise<MetricsSnapshot> {
      await look()
      return registry.getMetricsAsJSON()
    },
  }
}

/** Of the process that counts; of several the sum, where nothing else is said. */
function countProcess(registers: Registry[]) {
  let counted = 0
  let busy = 0
  return [
    new Counter({
      ...METRICS.processCpu,
      registers,
      collect() {
        const { user, system } = process.cpuUsage()
        this.inc((user + system) / 1e6 - counted)
        counted = (user + system) / 1e6
      },
    }),
    new Counter({
      ...METRICS.eventLoopBusy,
      registers,
      collect() {
        const { active } = performance.eventLoopUtilization()
        this.inc(active / 1000 - busy)
        busy = active / 1000
      },
    }),
    new Gauge({
      ...METRICS.processMemory,
      registers,
      collect() {
        this.set(process.memoryUsage.rss())
      },
    }),
    new Gauge({
      ...METRICS.processStart,
      registers,
      collect() {
        this.set((Date.now() - performance.now()) / 1000)
      },
    }),
    new Gauge({
      ...METRICS.processes,
      registers,
      collect() {
        this.set(1)
      },
    }),
  ]
}

/** Of several processes as if they were one. What is a state, and no sum, only one of them may set. */
export function renderSum(snapshots: readonly MetricsSnapshot[]): Promise<MetricsPage> {
  return pageOf(sumOf(snapshots))
}

/** What processes that are gone have counted; of their state nothing is left. */
export async function addUp(snapshots: readonly MetricsSnapshot[]): Promise<MetricsSnapshot> {
  const sum = await sumOf(snapshots).getMetricsAsJSON()
  return sum.filter(({ type }) => String(type) !== 'gauge')
}

function sumOf(snapshots: readonly MetricsSnapshot[]): Registry {
  return AggregatorRegistry.aggregate(snapshots.map((it) => [...it]))
}

async function pageOf(registry: Registry): Promise<MetricsPage> {
  return { text: await registry.metrics(), contentType: registry.contentType }
}
