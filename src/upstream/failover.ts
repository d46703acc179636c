/** Which endpoint, as which user, is asked next. */
import type { Route } from './route.ts'
import { isConnectFailure } from './network-failure.ts'
import { UpstreamError } from './upstream.ts'

export interface Failover {
  /**
   * Tries one route after the other until one answers. Only `unavailable` and `rate-limited` move on;
   * any other failure is upstream's answer.
   * @throws the most telling UpstreamError when no route is left, or whatever else `attempt` throws
   */
  run<T>(attempt: (route: Route) => Promise<T>, signal: AbortSignal): Promise<T>
  /** A transfer that `run` had started broke off: others are preferred for a while. */
  broke(route: Route, error: UpstreamError): void
}

/** Milliseconds for which an endpoint that failed is asked last. */
const COOL_DOWN = 10_000
/**
 * Milliseconds after a failed connection in which no other is tried, so that an endpoint that is down
 * costs each client an error at once rather than a timeout.
 */
const REFUSAL = 1000

interface Trouble {
  readonly error: UpstreamError
  /** The route is asked last until then. */
  readonly restsUntil: number
  /** The route is not asked at all until then. */
  readonly refusedUntil: number
}

/** @param now milliseconds of a monotonic clock */
export function createFailover(routes: readonly Route[], now: () => number): Failover {
  const troubles = new Map<Route, Trouble>()

  return {
    async run(attempt, signal) {
      let telling: UpstreamError | undefined
      const unavailable = new Set<URL>()
      for (const route of byReadiness()) {
        // Another user would find the same endpoint down.
        if (unavailable.has(route.endpoint)) continue
        let failure = justFailed(route)
        if (failure === undefined) {
          try {
            const result = await attempt(route)
            troubles.delete(route)
            return result
          } catch (error) {
            if (signal.aborted || !movesOn(error)) throw error
            note(route, error)
            failure = error
          }
        }
        if (failure.reason === 'unavailable') unavailable.add(route.endpoint)
        if (telling?.reason !== 'rate-limited') telling = failure
      }
      throw telling ?? new UpstreamError('unavailable', 'This upstream has no endpoint.')
    },

    broke: note,
  }

  /** The configured order, those that rest behind the others. */
  function byReadiness(): Route[] {
    const time = now()
    const rests = (route: Route): number => {
      const until = troubles.get(route)?.restsUntil ?? 0
      return until > time ? until : 0
    }
    return routes.toSorted((one, other) => rests(one) - rests(other))
  }

  function justFailed(route: Route): UpstreamError | undefined {
    const trouble = troubles.get(route)
    if (trouble === undefined || now() >= trouble.refusedUntil) return undefined
    // Not the error of then: its message names what somebody else asked for.
    const message = `No connection to ${route.endpoint.origin} could be made a moment ago.`
    return new UpstreamError('unavailable', message, { cause: trouble.error })
  }

  function note(route: Route, error: UpstreamError): void {
    const time = now()
    const trouble = {
      error,
      restsUntil: time + (error.retryAfter === undefined ? COOL_DOWN : error.retryAfter * 1000),
      refusedUntil: isConnectFailure(error) ? time + REFUSAL : 0,
    }
    for (const other of routes) {
      const shared = error.reason === 'unavailable' && other.endpoint === route.endpoint
      if (other === route || shared) troubles.set(other, trouble)
    }
  }
}

function movesOn(error: unknown): error is UpstreamError {
  return (
    error instanceof UpstreamError &&
    (error.reason === 'unavailable' || error.reason === 'rate-limited')
  )
}
