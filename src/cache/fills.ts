/** The fills that are running: one for each blob of an upstream, joined by whoever asks for it. */
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'
import { StorageError } from '../storage-error.ts'
import type { Span, Tracing } from '../tracing.ts'
import { UpstreamError } from '../upstream/upstream.ts'
import { createChangeSignal } from './change-signal.ts'
import { startFill, type Fill, type FillOptions } from './fill.ts'
import { watchOwnLoad } from './own-load.ts'
import { createRateMeter, type RateMeter } from './rate.ts'
import { createSharedConnections, type SharedConnections } from './shared-connections.ts'
import type { Spool } from './spool.ts'
import type { Division } from './stretches.ts'

export interface FillRequest extends Pick<
  FillOptions,
  | 'upstream'
  | 'digest'
  | 'expectedSize'
  | 'connect'
  | 'confirm'
  | 'reserve'
  | 'wrote'
  | 'passedThrough'
  | 'keep'
> {
  /** Whose right to the blob the download proves. */
  readonly repository: Repository
  /** How a large blob may be divided; without it, not at all. */
  readonly division?: Omit<Division, 'shared' | 'watchLoad'>
  /** No client has asked for it: it gives way to what clients wait for. */
  readonly isBackground?: boolean
}

interface RunningFill {
  readonly fill: Fill
  /** The repository that it was begun for. */
  readonly repository: Repository
  readonly request: FillRequest
  readonly span: Span | undefined
  readonly rate: RateMeter
}

/** As far as it is now. */
export interface Download {
  readonly upstream: string
  readonly repository: Repository
  readonly digest: Digest
  /** That are on disk. */
  readonly bytes: number
  /** Bytes of the whole; `undefined` before they are known. */
  readonly size: number | undefined
  /** Bytes per second, of the last seconds. */
  readonly rate: number
  /** Clients that read it now; 0: it is fetched in the background, or they have left. */
  readonly clients: number
}

export interface Fills {
  find(upstream: string, digest: Digest): RunningFill | undefined
  /** The running fill, or a new one. */
  join(request: FillRequest): { fill: Fill; joined: boolean }
  /** How many are running. */
  running(): number
  /** In the order in which they were begun. */
  downloads(): Download[]
  /** Whether a client waits for one of them. */
  isBusy(): boolean
  /**
   * Resolves when no client waits for any.
   * @throws the signal's reason when it aborts first
   */
  onceCalm(signal: AbortSignal): Promise<void>
  idle(): Promise<void>
  /** Aborts what is running and waits until every file is closed. */
  close(): Promise<void>
}

/** Milliseconds that a background fill stands still at most: its connection must not fall asleep. */
const LONGEST_PAUSE = 1000

/**
 * Fills are kept apart by upstream: a blob that several upstreams hold may be downloaded from each,
 * but a slow or lying one can never hold up or fail the clients of another.
 */
export function createFills({
  spool,
  metrics,
  log,
  tracing,
}: {
  spool: Spool
  metrics: Metrics
  log: Log
  tracing?: Tracing | undefined
}): Fills {
  const running = new Map<string, RunningFill>()
  /** By upstream. */
  const connections = new Map<string, SharedConnections>()
  const changed = createChangeSignal()

  function start(key: string, request: FillRequest): Fill {
    const { upstream, repository, division, isBackground = false } = request
    const span = tracing && spanOf(tracing, request)
    const rate = createRateMeter(() => performance.now())
    const fill = startFill({
      ...request,
      wrote(bytes) {
        rate.note(bytes)
        request.wrote?.(bytes)
      },
      // Of the download, whoever it was that needed another connection for it.
      ...(span && { connect: (...part) => span.run(() => request.connect(...part)) }),
      spool,
      division: division && { ...division, shared: sharedOf(upstream), watchLoad: watchOwnLoad },
      readersChanged: () => changed.notify(),
      ...(isBackground && { turn: giveWay }),
    })
    running.set(key, { fill, request, repository, span, rate })
    metrics.fillStarted()
    const ended = (result: 'stored' | 'failed') => {
      running.delete(key)
      metrics.fillEnded(upstream, result)
      changed.notify()
    }
    fill.settled.then(
      () => {
        ended('stored')
        span?.set({ 'entrepot.bytes': fill.progress().bytes })
        span?.end()
      },
      (error: unknown) => {
        ended('failed')
        span?.end(failureOf(error))
        logFailure(request, error)
      },
    )
    return fill
  }

  function sharedOf(upstream: string): SharedConnections {
    const found = connections.get(upstream) ?? createSharedConnections(() => performance.now())
    connections.set(upstream, found)
    return found
  }

  function logFailure({ upstream, digest }: FillRequest, error: unknown): void {
    if (error instanceof StorageError) metrics.storageFailed(error.code)
    const what =
      error instanceof StorageError
        ? 'a blob could not be stored: clients are served from upstream'
        : 'a blob could not be downloaded'
    log.warn({ upstream, digest, reason: reasonOf(error) }, what)
  }

  const isBusy = (): boolean => [...running.values()].some(({ fill }) => fill.readers() > 0)

  function giveWay(): Promise<void> | undefined {
    if (!isBusy()) return undefined
    return onceCalm(AbortSignal.timeout(LONGEST_PAUSE)).catch(() => undefined)
  }

  async function onceCalm(signal: AbortSignal): Promise<void> {
    while (isBusy()) await changed.next(signal)
  }

  return {
    find: (upstream, digest) => running.get(keyOf(upstream, digest)),
    join(request) {
      const key = keyOf(request.upstream, request.digest)
      const found = running.get(key)
      if (found === undefined) return { fill: start(key, request), joined: false }
      if (request.isBackground !== true) {
        metrics.readerJoined(request.upstream)
        if (tracing) traceJoin(tracing, request, found)
      }
      return { fill: found.fill, joined: true }
    },
    running: () => running.size,
    downloads: () =>
      [...running.values()].map(({ fill, request, rate }) => ({
        upstream: request.upstream,
        repository: request.repository,
        digest: request.digest,
        ...fill.progress(),
        rate: rate.current(),
        clients: fill.readers(),
      })),
    isBusy,
    onceCalm,
    idle: () => settle(running),
    async close() {
      for (const { fill } of running.values()) fill.abort(new Error('The mirror is shutting down.'))
      await settle(running)
    },
  }
}

async function settle(running: ReadonlyMap<string, RunningFill>): Promise<void> {
  while (running.size > 0) {
    await Promise.allSettled([...running.values()].map(({ fill }) => fill.settled))
  }
}

/** Nobody's pull has begun what is fetched in the background. */
function spanOf(
  tracing: Tracing,
  { upstream, repository, digest, isBackground = false }: FillRequest,
): Span {
  return tracing.start('fill', {
    isRoot: isBackground,
    attributes: {
      'entrepot.upstream': upstream,
      'entrepot.repository': repository,
      'entrepot.digest': digest,
      'entrepot.background': isBackground,
    },
  })
}

/** Of whoever waits for what somebody else has begun: until the size is known, and reading can begin. */
function traceJoin(
  tracing: Tracing,
  { upstream, repository, digest }: FillRequest,
  { fill, span }: RunningFill,
): void {
  const waiting = tracing.start('join fill', {
    link: span?.traceparent,
    attributes: {
      'entrepot.upstream': upstream,
      'entrepot.repository': repository,
      'entrepot.digest': digest,
    },
  })
  fill.size.then(
    () => waiting.end(),
    (error: unknown) => waiting.end(failureOf(error)),
  )
}

function failureOf(error: unknown): string {
  if (error instanceof UpstreamError) return error.reason
  return error instanceof StorageError ? error.code : 'aborted'
}

/** Without a stack: what goes wrong here is nearly always upstream's. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function keyOf(upstream: string, digest: Digest): string {
  return `${upstream} ${digest}`
}
