/** Which endpoint, as which user, is asked next. */
import type { UpstreamFailure } from '../metrics.ts'
import { createCoolDown, type CoolDown } from './cool-down.ts'
import { createHealth, type Health } from './health.ts'
import { hedge, type Contest, type Lane } from './hedge.ts'
import type { Route } from './route.ts'
import { UpstreamError, type EndpointState } from './upstream.ts'

export interface Operation<T> {
  /** Whether a registry may count it as a pull. */
  readonly isCounted: boolean
  /** Operations with different numbers at a time go to different endpoints, where several are well. */
  readonly lane?: number | undefined
  attempt(route: Route, signal: AbortSignal): Promise<T>
  /** Gets rid of a result that came too late. */
  discard(result: T): void
  /** Calls back when the result needs the signal no longer. */
  onEnd(result: T, release: () => void): void
}

export interface Failover {
  /**
   * Tries one route after the other until one answers, and a second endpoint beside one that is slow.
   * Only `unavailable` and `rate-limited` move on. Any other failure is upstream's answer if the route
   * that is configured first gives it; of another, which may be a mere mirror or an account with fewer
   * rights, it counts for less than that the first could not be asked.
   * @throws the most telling UpstreamError when no route is left, or whatever else `attempt` throws
   */
  run<T>(operation: Operation<T>, signal: AbortSignal): Promise<T>
  /** A transfer that `run` had started broke off: others are preferred for a while. */
  broke(route: Route, error: UpstreamError): void
  /** It sent wrong bytes: asked after all others for a while. */
  distrust(route: Route): void
  /** Whether the route must not be asked for now, because of a limit. */
  isLimited(route: Route): boolean
  endpoints(): EndpointState[]
}

export interface FailoverOptions {
  /** Milliseconds without an answer after which another endpoint is asked too. */
  readonly hedgeAfter: number
  /** Pulls that the account of a route has left; `Infinity` when nothing is known of a limit. */
  readonly pullsLeft: (route: Route) => number
  readonly hedged: (winner: Lane) => void
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

const MOVES_ON: ReadonlySet<UpstreamFailure> = new Set(['unavailable', 'rate-limited'])
/** An endpoint is slow when it takes this many times, and this many milliseconds, longer than the fastest. */
const SLOW_TIMES = 3
const SLOW_DELAY = 1000

export function createFailover(
  routes: readonly Route[],
  { hedgeAfter, pullsLeft, hedged, now }: FailoverOptions,
): Failover {
  const endpoints = [...new Set(routes.map(({ endpoint }) => endpoint))]
  const healths = new Map(endpoints.map((endpoint) => [endpoint, createHealth(now)]))
  /** Of accounts, each towards one endpoint. */
  const coolDowns = new Map(routes.map((route) => [route, createCoolDown(now)]))

  return {
    async run(operation, signal) {
      const { contest, failure } = createContest(operation)
      const victory = await hedge(contest, signal)
      if (victory === undefined) throw failure()
      const { result, lane, loser, release } = victory
      operation.onEnd(result, release)
      if (loser !== undefined) {
        hedged(lane)
        if (lane === 'second') healthOf(loser).outrun()
      }
      return result
    },

    broke: note,
    distrust: (route) => healthOf(route).distrust(),
    isLimited: (route) => accountOf(route).remaining() > 0,

    endpoints: () =>
      endpoints.map((endpoint) => {
        const own = routes.filter((route) => route.endpoint === endpoint)
        const rests = own.map((route) => Math.max(restOf(route), healthOf(route).distrustedFor()))
        return { origin: endpoint.origin, restsFor: Math.ceil(Math.min(...rests)) }
      }),
  }

  /** Who may be asked in one run, and how it went wrong so far. */
  function createContest<T>(operation: Operation<T>) {
    const demands = routes.map(demandOf).filter((demand) => demand !== undefined)
    const failed: UpstreamError[] = []
    const unavailable = new Set<URL>()
    const fit = ordered(operation.isCounted).filter((route) => demandOf(route) === undefined)
    const waiting = turned(fit, operation.lane ?? 0)

    const contest: Contest<Route, T> = {
      next(beside) {
        const isNext = (route: Route): boolean =>
          // Another user would find the same endpoint down.
          !unavailable.has(route.endpoint) && (beside === undefined || isSpare(route, beside))
        const index = waiting.findIndex(isNext)
        return index < 0 ? undefined : waiting.splice(index, 1)[0]
      },
      async ask(route, signal) {
        const outcome = await tryRoute(route, operation, signal)
        if (!(outcome instanceof UpstreamError)) return outcome
        if (MOVES_ON.has(outcome.reason)) failed.push(outcome)
        if (outcome.reason === 'unavailable' && outcome.blames === 'endpoint') {
          unavailable.add(route.endpoint)
        }
        return undefined
      },
      patience: (route) => Math.max(hedgeAfter, 2 * (healthOf(route).usualDelay() ?? 0)),
      discard: (result) => operation.discard(result),
    }
    return { contest, failure: () => mostTelling(failed, demands) }
  }

  /** Returns the failures after which others are asked, throws those that are the answer. */
  async function tryRoute<T>(
    route: Route,
    operation: Operation<T>,
    signal: AbortSignal,
  ): Promise<{ readonly result: T } | UpstreamError> {
    const startedAt = now()
    const answered = (): void => {
      healthOf(route).answered(now() - startedAt)
      accountOf(route).answered()
    }
    try {
      const result = await operation.attempt(route, signal)
      answered()
      return { result }
    } catch (error) {
      if (signal.aborted || !(error instanceof UpstreamError)) throw error
      if (MOVES_ON.has(error.reason)) {
        note(route, error)
        return error
      }
      answered()
      if (route === routes[0]) throw error
      return error
    }
  }

  /**
   * Distrusted endpoints last, before them those that rest, the shortest first, before them accounts
   * without pulls where these are counted. Else the configured order, but endpoints that fail or are
   * slow behind the others; of the accounts of an endpoint the one with most pulls left.
   */
  function ordered(isCounted: boolean): Route[] {
    const rank = (route: Route): readonly number[] => [
      healthOf(route).condition() === 'distrusted' ? 1 : 0,
      restOf(route),
      isCounted && pullsLeft(route) === 0 ? 1 : 0,
      isWell(route) ? 0 : 1,
      endpoints.indexOf(route.endpoint),
      -pullsLeft(route),
    ]
    return routes
      .map((route) => ({ route, rank: rank(route) }))
      .toSorted((one, other) => compare(one.rank, other.rank))
      .map(({ route }) => route)
  }

  /** First of all what leads to the endpoint whose turn it is, of those that are well. */
  function turned(sorted: readonly Route[], lane: number): Route[] {
    if (lane === 0) return [...sorted]
    const well = sorted.filter((route) => restOf(route) === 0 && isWell(route))
    const places = [...new Set(well.map(({ endpoint }) => endpoint))]
    const chosen = places[lane % places.length]
    const isChosen = (route: Route): boolean => route.endpoint === chosen && well.includes(route)
    return [...sorted.filter(isChosen), ...sorted.filter((route) => !isChosen(route))]
  }

  /** Fit to be asked beside another: on another endpoint that is not in trouble. */
  function isSpare(route: Route, beside: Route): boolean {
    const isOther = route.endpoint !== beside.endpoint
    return isOther && restOf(route) === 0 && healthOf(route).condition() === 'well'
  }

  function isWell(route: Route): boolean {
    return healthOf(route).condition() === 'well' && !isSlow(route)
  }

  function isSlow(route: Route): boolean {
    const delays = [...healths.values()].map((health) => health.usualDelay() ?? Infinity)
    const fastest = Math.min(...delays)
    const usual = healthOf(route).usualDelay() ?? 0
    return usual > fastest * SLOW_TIMES && usual > fastest + SLOW_DELAY
  }

  function restOf(route: Route): number {
    return Math.max(healthOf(route).coolDown.remaining(), accountOf(route).remaining())
  }

  /** With the longer wait where both the endpoint and the account have demanded one. */
  function demandOf(route: Route): UpstreamError | undefined {
    const demands = [healthOf(route).coolDown.demand(), accountOf(route).demand()]
    return demands
      .filter((demand) => demand !== undefined)
      .toSorted(bySoonest)
      .at(-1)
  }

  function note(route: Route, error: UpstreamError): void {
    if (error.blames === 'account') accountOf(route).failed(error)
    else healthOf(route).failed(error)
  }

  function healthOf({ endpoint }: Route): Health {
    return ofRoute(healths.get(endpoint))
  }

  function accountOf(route: Route): CoolDown {
    return ofRoute(coolDowns.get(route))
  }
}

/** A limit tells more than an outage, and what has just happened more than what was remembered. */
function mostTelling(
  failed: readonly UpstreamError[],
  demands: readonly UpstreamError[],
): UpstreamError {
  const [soonest] = demands.toSorted(bySoonest)
  if (failed.length === 0 && soonest !== undefined) return soonest
  const limit = [...failed, ...demands].find(({ reason }) => reason === 'rate-limited')
  return limit ?? failed[0] ?? new UpstreamError('unavailable', 'It has no endpoint.')
}

function bySoonest(one: UpstreamError, other: UpstreamError): number {
  return (one.retryAfter ?? 0) - (other.retryAfter ?? 0)
}

/** By the first member that differs. */
function compare(one: readonly number[], other: readonly number[]): number {
  const index = one.findIndex((value, at) => value !== other[at])
  return index < 0 ? 0 : (one[index] ?? 0) < (other[index] ?? 0) ? -1 : 1
}

function ofRoute<T>(found: T | undefined): T {
  if (found === undefined) throw new TypeError('The route is not one of this upstream.')
  return found
}
