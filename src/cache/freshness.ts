/** When a tag must be asked for again, and for how long it may be served without. Pure: no clock, no I/O. */
import type { TagRecord } from '../catalog/catalog.ts'

/** How long what is known of a tag may be used, in milliseconds. */
export interface TagLimits {
  /** It is believed. */
  readonly tagTtl: number
  /** After that, it is served while upstream is asked. */
  readonly staleWhileRevalidate: number
  /** Since upstream last confirmed it, it is served when upstream cannot; `Infinity`: always. */
  readonly staleIfError: number
}

/**
 * `fresh`: costs no upstream request. `revalidate-behind`: served as it is, and asked for meanwhile.
 * `expired`: upstream is asked first.
 */
export type Freshness = 'fresh' | 'revalidate-behind' | 'expired'

/**
 * RFC 5861 §3, for tags. A check in the future, after the clock was set back, counts as expired.
 * @param now milliseconds since the epoch
 */
export function freshnessOf(
  { checkedAt }: Pick<TagRecord, 'checkedAt'>,
  { tagTtl, staleWhileRevalidate }: Pick<TagLimits, 'tagTtl' | 'staleWhileRevalidate'>,
  now: number,
): Freshness {
  const age = now - checkedAt
  if (age < 0) return 'expired'
  if (age < tagTtl) return 'fresh'
  return age < tagTtl + staleWhileRevalidate ? 'revalidate-behind' : 'expired'
}

/**
 * RFC 5861 §4. A check in the future is served: nobody knows its age, and an outage is no time to guess.
 * @param now milliseconds since the epoch
 */
export function mayServeOnError(
  { checkedAt }: Pick<TagRecord, 'checkedAt'>,
  { staleIfError }: Pick<TagLimits, 'staleIfError'>,
  now: number,
): boolean {
  return now - checkedAt <= staleIfError
}

/** Longest time for which a refusal is remembered, in milliseconds: a new image must not stay hidden. */
const REFUSAL_TTL = 10_000
/** How long an outage is remembered, so that a crowd does not wait for the same timeout one by one. */
const OUTAGE_TTL = 2_000

/** How long the failure of one reference is remembered, in milliseconds. */
export function failureTtl(reason: string, retryAfter: number | undefined): number {
  if (reason === 'rate-limited') {
    // Never 0, which to the cache of failures means for ever.
    return Math.min(Math.max(retryAfter ?? 1, 1) * 1000, REFUSAL_TTL)
  }
  return reason === 'unavailable' || reason === 'corrupt' ? OUTAGE_TTL : REFUSAL_TTL
}
