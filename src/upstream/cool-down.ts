/** How long an endpoint or an account is left alone after a failure. */
import { UpstreamError } from './upstream.ts'

export interface CoolDown {
  /** Milliseconds for which others are asked first. */
  remaining(): number
  /** The failure with which upstream said that it must not be asked before a time that has not come yet. */
  demand(): UpstreamError | undefined
  failed(error: UpstreamError): void
  /** It has answered: what it demanded still holds. */
  answered(): void
}

/** Milliseconds; doubled with every failure in a row. */
const SHORTEST = 1000
const LONGEST = 60_000

/** @param now milliseconds of a monotonic clock */
export function createCoolDown(now: () => number): CoolDown {
  let failures = 0
  let restsUntil = 0
  let demanded: { readonly error: UpstreamError; readonly until: number } | undefined

  const left = (until: number): number => Math.max(until - now(), 0)

  return {
    remaining: () => Math.max(left(restsUntil), left(demanded?.until ?? 0)),

    demand() {
      const wait = left(demanded?.until ?? 0)
      return wait > 0 && demanded ? withWait(demanded.error, Math.ceil(wait / 1000)) : undefined
    },

    failed(error) {
      const { retryAfter, mustWait } = error
      if (mustWait && retryAfter !== undefined) {
        const until = now() + retryAfter * 1000
        if (until > (demanded?.until ?? 0)) demanded = { error, until }
        return
      }
      // Many requests may fail of the same trouble at once; that counts as one failure.
      if (left(restsUntil) > 0) return
      const rest =
        retryAfter === undefined ? SHORTEST * 2 ** Math.min(failures, 10) : retryAfter * 1000
      failures += 1
      restsUntil = now() + Math.min(rest, LONGEST)
    },

    answered() {
      failures = 0
      restsUntil = 0
    },
  }
}

/** The same failure, remembered: with what is left of the time. */
function withWait({ reason, message, blames }: UpstreamError, retryAfter: number): UpstreamError {
  const text = `It is not asked for another ${retryAfter} s, as it wished when it answered: ${message}`
  return new UpstreamError(reason, text, { retryAfter, mustWait: true, blames })
}
