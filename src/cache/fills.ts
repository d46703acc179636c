/** The fills that are running: one for each blob of an upstream, joined by whoever asks for it. */
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'
import { startFill, type Fill, type FillOptions } from './fill.ts'
import type { Spool } from './spool.ts'

export interface FillRequest {
  /** Name of the upstream. */
  readonly upstream: string
  /** Whose right to the blob the download proves. */
  readonly repository: Repository
  readonly digest: Digest
  readonly expectedSize: number | undefined
  readonly connect: FillOptions['connect']
  /** Called once the blob is verified; the fill counts as running until it resolves. */
  readonly keep: FillOptions['keep']
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
  idle(): Promise<void>
  /** Aborts what is running and waits until every spool file is gone. */
  close(): Promise<void>
}

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

  function start(key: string, request: FillRequest): Fill {
    const { digest, upstream, repository } = request
    const fill = startFill({ ...request, spool })
    running.set(key, { fill, repository })
    metrics.fillStarted()
    const ended = (result: 'stored' | 'failed') => {
      running.delete(key)
      metrics.fillEnded(upstream, result)
    }
    fill.settled.then(
      () => ended('stored'),
      (error: unknown) => {
        ended('failed')
        log.warn({ upstream, digest, reason: reasonOf(error) }, 'a blob could not be downloaded')
      },
    )
    return fill
  }

  return {
    find: (upstream, digest) => running.get(keyOf(upstream, digest)),
    join(request) {
      const key = keyOf(request.upstream, request.digest)
      const found = running.get(key)
      if (found === undefined) return { fill: start(key, request), joined: false }
      metrics.readerJoined(request.upstream)
      return { fill: found.fill, joined: true }
    },
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
