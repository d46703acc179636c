/** The fills that are running: one for each blob of an upstream, joined by whoever asks for it. */
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'
import { StorageError } from '../storage-error.ts'
import { createChangeSignal } from './change-signal.ts'
import { startFill, type Fill, type FillOptions } from './fill.ts'
import { watchOwnLoad } from './own-load.ts'
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
}

export interface Fills {
  find(upstream: string, digest: Digest): RunningFill | undefined
  /** The running fill, or a new one. */
  join(request: FillRequest): { fill: Fill; joined: boolean }
  /** How many are running. */
  running(): number
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
}: {
  spool: Spool
  metrics: Metrics
  log: Log
}): Fills {
  const running = new Map<string, RunningFill>()
  /** By upstream. */
  const connections = new Map<string, SharedConnections>()
  const changed = createChangeSignal()

  function start(key: string, request: FillRequest): Fill {
    const { upstream, repository, division, isBackground = false } = request
    const fill = startFill({
      ...request,
      spool,
      division: division && { ...division, shared: sharedOf(upstream), watchLoad: watchOwnLoad },
      readersChanged: () => changed.notify(),
      ...(isBackground && { turn: giveWay }),
    })
    running.set(key, { fill, repository })
    metrics.fillStarted()
    const ended = (result: 'stored' | 'failed') => {
      running.delete(key)
      metrics.fillEnded(upstream, result)
      changed.notify()
    }
    fill.settled.then(
      () => ended('stored'),
      (error: unknown) => {
        ended('failed')
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
      if (request.isBackground !== true) metrics.readerJoined(request.upstream)
      return { fill: found.fill, joined: true }
    },
    running: () => running.size,
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

/** Without a stack: what goes wrong here is nearly always upstream's. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function keyOf(upstream: string, digest: Digest): string {
  return `${upstream} ${digest}`
}
