/**
 * Pulls that are left, by account, as upstream says in `ratelimit-limit` and `ratelimit-remaining`
 * (Docker Hub: `100;w=21600`, the window in seconds). Only GETs of manifests are counted there.
 */
import { header, type HopResponse } from './response.ts'
import type { Route } from './route.ts'
import type { AccountState, PullBudget } from './upstream.ts'

interface Allowance {
  readonly limit: number | undefined
  readonly remaining: number | undefined
  /** Seconds. */
  readonly window: number | undefined
}

export interface Budget {
  /** Remembers what a response says. Returns it, or `undefined` when it says nothing. */
  note(route: Route, response: HopResponse): Allowance | undefined
  /** Pulls left; an account that says nothing of a limit counts as one without (so does Docker Hub with paid ones). */
  left(route: Route): number
  /** @param isLimited whether upstream has refused the route for now because of a limit */
  total(isLimited: (route: Route) => boolean): PullBudget
  accounts(): AccountState[]
}

/** Seconds for which a number is believed that comes without a window. */
const DEFAULT_WINDOW = 60
const MAX_WINDOW = 24 * 60 * 60
/** The part of a limit that is kept for clients. */
const SCARCE_PART = 0.1

/** @param now milliseconds of a monotonic clock */
export function createBudget(routes: readonly Route[], now: () => number): Budget {
  const seen = new Map<Route, Allowance & { readonly until: number }>()

  /** After its window a number says nothing any more. */
  function known(route: Route): Allowance | undefined {
    const allowance = seen.get(route)
    return allowance !== undefined && now() < allowance.until ? allowance : undefined
  }

  const left = (route: Route): number => known(route)?.remaining ?? Infinity

  return {
    left,

    note(route, response) {
      const allowance = readAllowance(response)
      if (allowance === undefined) return undefined
      const window = Math.min(allowance.window ?? DEFAULT_WINDOW, MAX_WINDOW)
      seen.set(route, { ...allowance, until: now() + window * 1000 })
      return allowance
    },

    /**
     * Counts the endpoints that limit some account; one that has never spoken of a limit, as
     * mirror.gcr.io beside Docker Hub, may lack what is wanted, so it only keeps `spent` away.
     */
    total(isLimited) {
      const speaks = (route: Route): boolean => isLimited(route) || left(route) < Infinity
      const limiting = new Set(routes.filter(speaks).map(({ endpoint }) => endpoint))
      const counted = routes.filter(({ endpoint }) => limiting.has(endpoint))
      const usable = counted.filter((route) => !isLimited(route) && left(route) > 0)
      const isAmple = (route: Route): boolean => left(route) > reserveOf(known(route))
      if (counted.length === 0 || usable.some(isAmple)) return 'ample'
      return usable.length > 0 || counted.length < routes.length ? 'scarce' : 'spent'
    },

    accounts() {
      const labels = new Set(routes.map(({ account }) => account))
      return [...labels].map((account) => {
        const own = routes.filter((route) => route.account === account)
        const { limit, remaining, window } =
          own.map(known).find((allowance) => allowance !== undefined) ?? UNKNOWN
        return { account, limit, remaining, window }
      })
    },
  }
}

const UNKNOWN: Allowance = { limit: undefined, remaining: undefined, window: undefined }

function reserveOf(allowance: Allowance | undefined): number {
  return Math.max((allowance?.limit ?? 0) * SCARCE_PART, 1)
}

function readAllowance(response: HopResponse): Allowance | undefined {
  const limit = readNumber(header(response, 'ratelimit-limit'))
  const remaining = readNumber(header(response, 'ratelimit-remaining'))
  if (limit === undefined && remaining === undefined) return undefined
  return {
    limit: limit?.value,
    remaining: remaining?.value,
    window: remaining?.window ?? limit?.window,
  }
}

function readNumber(
  text: string | undefined,
): { readonly value: number; readonly window: number | undefined } | undefined {
  const [, value, window] = /^(\d{1,9})(?:;w=(\d{1,9}))?(?![\d.])/.exec(text?.trim() ?? '') ?? []
  if (value === undefined) return undefined
  return { value: Number(value), window: window === undefined ? undefined : Number(window) }
}
