/**
 * What is counted, one function per event. Label values come from configuration or closed sets only,
 * never from a request: an attacker must not be able to grow the series (security rule R38).
 */
import {
  AggregatorRegistry,
  Counter,
  Gauge,
  Histogram,
  Registry,
  type MetricObjectWithValues,
  type MetricValue,
} from 'prom-client'
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

export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]

  const requests = new Counter({
    name: 'entrepot_requests_total',
    help: 'Requests answered, by what was asked, which upstream, how it was served and the status class.',
    labelNames: ['kind', 'upstream', 'outcome', 'status'],
    registers,
    collect: () => countTallied(),
  })
  /** By their labels: counted here at each request, and in the series when somebody looks. */
  const tallies = new Map<string, Tally>()
  const duration = new Histogram({
    name: 'entrepot_request_duration_seconds',
    help: 'Time from the request to the last byte of the answer.',
    labelNames: ['kind'],
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300],
    registers,
  })
  const clientBytes = new Counter({
    name: 'entrepot_client_bytes_total',
    help: 'Body bytes sent to clients.',
    labelNames: ['upstream'],
    registers,
  })
  const upstreamBytes = new Counter({
    name: 'entrepot_upstream_bytes_total',
    help: 'Body bytes received from upstreams.',
    labelNames: ['upstream'],
    registers,
  })
  const upstreamRequests = new Counter({
    name: 'entrepot_upstream_requests_total',
    help: 'Requests sent to upstreams, redirects included.',
    labelNames: ['upstream'],
    registers,
  })
  const upstreamFailures = new Counter({
    name: 'entrepot_upstream_failures_total',
    help: 'Operations on upstreams that failed, by reason.',
    labelNames: ['upstream', 'reason'],
    registers,
  })
  const tokenRequests = new Counter({
    name: 'entrepot_upstream_token_requests_total',
    help: 'Requests to token endpoints of upstreams.',
    labelNames: ['upstream'],
    registers,
  })
  const rateLimitRemaining = new Gauge({
    name: 'entrepot_upstream_ratelimit_remaining',
    help: 'Pulls left, as upstream last said (ratelimit-remaining), by account.',
    labelNames: ['upstream', 'account'],
    registers,
  })
  const rateLimit = new Gauge({
    name: 'entrepot_upstream_ratelimit_limit',
    help: 'Pulls in a window, as upstream last said (ratelimit-limit), by account.',
    labelNames: ['upstream', 'account'],
    registers,
  })
  const hedges = new Counter({
    name: 'entrepot_upstream_hedges_total',
    help: 'Second requests to another endpoint because the first was slow, by who answered first.',
    labelNames: ['upstream', 'winner'],
    registers,
  })
  const prefetches = new Counter({
    name: 'entrepot_prefetches_total',
    help: 'Blobs fetched in the background to complete an image, by result.',
    labelNames: ['upstream', 'result'],
    registers,
  })
  const prefetchesWaiting = new Gauge({
    name: 'entrepot_prefetches_waiting',
    help: 'Blobs that wait to be fetched in the background.',
    registers,
  })
  const passedThrough = new Counter({
    name: 'entrepot_passed_through_total',
    help: 'Answers that went from upstream to the client without being stored, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const storageFailures = new Counter({
    name: 'entrepot_storage_failures_total',
    help: 'Operations on the data folder that failed, by kind of failure.',
    labelNames: ['failure'],
    registers,
  })
  const scrubbedBytes = new Counter({
    name: 'entrepot_scrubbed_bytes_total',
    help: 'Bytes of stored files that were read again and checked.',
    registers,
  })
  const damagedBlobs = new Counter({
    name: 'entrepot_damaged_blobs_total',
    help: 'Stored files whose bytes were no longer those of their name, by who noticed.',
    labelNames: ['found'],
    registers,
  })
  const healedBlobs = new Counter({
    name: 'entrepot_healed_blobs_total',
    help: 'Damaged files that were fetched again from upstream.',
    registers,
  })
  const fillsRunning = new Gauge({
    name: 'entrepot_fills_running',
    help: 'Blob downloads in flight.',
    registers,
  })
  const fills = new Counter({
    name: 'entrepot_fills_total',
    help: 'Blob downloads that ended, by result.',
    labelNames: ['upstream', 'result'],
    registers,
  })
  const joinedReaders = new Counter({
    name: 'entrepot_fill_joined_readers_total',
    help: 'Clients that were served from a download which another client had started.',
    labelNames: ['upstream'],
    registers,
  })
  const cacheBytes = new Gauge({
    name: 'entrepot_cache_bytes',
    help: 'Bytes of content in the store.',
    registers,
  })
  const evictedBytes = new Counter({
    name: 'entrepot_evicted_bytes_total',
    help: 'Bytes removed to keep the store under its budget.',
    registers,
  })
  const logins = new Counter({
    name: 'entrepot_logins_total',
    help: 'Credentials of users and robots that were looked at, by result; held back: too many failed before.',
    labelNames: ['result'],
    registers,
  })
  const accessRequests = new Counter({
    name: 'entrepot_access_requests_total',
    help: 'Names that were refused to a caller for the first time.',
    registers,
  })
  const accessRequestsOpen = new Gauge({
    name: 'entrepot_access_requests_open',
    help: 'Refused names that nobody has approved or dismissed.',
    registers,
  })
  const notifications = new Counter({
    name: 'entrepot_notifications_total',
    help: 'Messages to the webhook, by result.',
    labelNames: ['result'],
    registers,
  })

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
    notified: (result: 'delivered' | 'failed' | 'dropped'): void => notifications.inc({ result }),

    render: (): Promise<MetricsPage> => pageOf(registry),
    snapshot: (): Promise<MetricsSnapshot> => registry.getMetricsAsJSON(),
  }
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
