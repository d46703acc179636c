/** When a tag must be asked for again. Pure: no clock, no I/O. */
import type { TagRecord } from '../catalog/catalog.ts'

/**
 * Within its time to live a tag costs no upstream request. A check in the future, after the clock
 * was set back, counts as expired.
 * @param ttl milliseconds
 * @param now milliseconds since the epoch
 */
export function isFresh(
  { checkedAt }: Pick<TagRecord, 'checkedAt'>,
  ttl: number,
  now: number,
): boolean {
  const age = now - checkedAt
  return age >= 0 && age < ttl
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
