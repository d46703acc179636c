/** Which endpoint, as which user, is asked next. */
import type { UpstreamFailure } from '../metrics.ts'
import type { Route } from './route.ts'
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

const MOVES_ON: ReadonlySet<UpstreamFailure> = new Set(['unavailable', 'rate-limited'])
/** Milliseconds for which an endpoint that failed is asked last. */
const COOL_DOWN = 10_000

/** @param now milliseconds of a monotonic clock */
export function createFailover(routes: readonly Route[], now: () => number): Failover {
  /** When a route that is in trouble is asked first again. */
  const restsUntil = new Map<Route, number>()

  return {
    async run(attempt, signal) {
      const failures: UpstreamError[] = []
      const unavailable = new Set<URL>()
      for (const route of byReadiness()) {
        // Another user would find the same endpoint down.
        if (unavailable.has(route.endpoint)) continue
        const outcome = await tryRoute(route, attempt, signal)
        if (!(outcome instanceof UpstreamError)) return outcome.result
        if (outcome.reason === 'unavailable') unavailable.add(route.endpoint)
        failures.push(outcome)
      }
      const limit = failures.find(({ reason }) => reason === 'rate-limited')
      throw limit ?? failures[0] ?? new UpstreamError('unavailable', 'It has no endpoint.')
    },

    broke: note,
  }

  /** Returns the failures that move on, throws the others. */
  async function tryRoute<T>(
    route: Route,
    attempt: (route: Route) => Promise<T>,
    signal: AbortSignal,
  ): Promise<{ readonly result: T } | UpstreamError> {
    try {
      const result = await attempt(route)
      restsUntil.delete(route)
      return { result }
    } catch (error) {
      if (signal.aborted || !(error instanceof UpstreamError)) throw error
      if (MOVES_ON.has(error.reason)) {
        note(route, error)
        return error
      }
      // It answered, so it is well.
      restsUntil.delete(route)
      throw error
    }
  }

  /** The configured order, those that rest behind the others. */
  function byReadiness(): Route[] {
    const time = now()
    const rests = (route: Route): number => {
      const until = restsUntil.get(route) ?? 0
      return until > time ? until : 0
    }
    return routes.toSorted((one, other) => rests(one) - rests(other))
  }

  function note(route: Route, { reason, retryAfter }: UpstreamError): void {
    const until = now() + (retryAfter === undefined ? COOL_DOWN : retryAfter * 1000)
    for (const other of routes) {
      const shared = reason === 'unavailable' && other.endpoint === route.endpoint
      if (other === route || shared) restsUntil.set(other, until)
    }
  }
}
