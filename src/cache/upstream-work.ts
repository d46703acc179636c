/**
 * Work on an upstream that nobody owns: shared by all who want its result, not ended by a client that
 * leaves, bounded in time, and not repeated at once when it has failed.
 */
import { LRUCache } from '../lru.ts'
import { UpstreamError } from '../upstream/upstream.ts'
import { failureTtl } from './freshness.ts'
import { createSingleFlight, type Flight } from './single-flight.ts'

export interface UpstreamWork {
  /** @param key names the work; the same key is the same work */
  share<T>(key: string, work: (signal: AbortSignal) => Promise<T>): Flight<T>
  /** Nobody may wait for this any more: whether it fails is of no interest, only that it ends. */
  goOn(work: Promise<unknown>): void
  idle(): Promise<void>
}

/** Milliseconds. containerd gives up on response headers after 30 s, so an error must come before. */
const DEADLINE = 25_000
/** Their keys may hold the longest query that is read, 4 KiB. */
const REMEMBERED_FAILURES = 2_000

/** @param shutdown aborts what is in flight */
export function createUpstreamWork(shutdown: AbortSignal): UpstreamWork {
  const flights = createSingleFlight()
  const failures = new LRUCache<string, UpstreamError>({ max: REMEMBERED_FAILURES })
  const leftAlone = new Set<Promise<unknown>>()

  async function bounded<T>(key: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const remembered = failures.get(key)
    if (remembered) throw remembered
    const deadline = AbortSignal.timeout(DEADLINE)
    try {
      return await work(AbortSignal.any([shutdown, deadline]))
    } catch (error) {
      const failure = deadline.aborted ? tooSlow(error) : error
      if (failure instanceof UpstreamError) {
        failures.set(key, failure, { ttl: failureTtl(failure.reason, failure.retryAfter) })
      }
      throw failure
    }
  }

  return {
    share: (key, work) => flights.run(key, () => bounded(key, work)),
    goOn(work) {
      const ended = work.catch(() => undefined).finally(() => leftAlone.delete(ended))
      leftAlone.add(ended)
    },
    async idle() {
      await flights.idle()
      while (leftAlone.size > 0) {
        await Promise.all(leftAlone)
        await flights.idle()
      }
    },
  }
}

function tooSlow(cause: unknown): UpstreamError {
  return new UpstreamError('unavailable', `Upstream took longer than ${DEADLINE / 1000} s.`, {
    cause,
  })
}
