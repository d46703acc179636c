/** What may be served without upstream, and what is fetched unasked: for all upstreams, or for one. */
import type { UpstreamConfig } from './schema.ts'
import type { Section } from './section.ts'
import type { CachePolicyShape } from './shape.ts'
import { parseDuration, parseDurationOrUnlimited } from './units.ts'

export type CachePolicy = Pick<
  UpstreamConfig,
  'complete' | 'staleWhileRevalidate' | 'staleIfError' | 'keepDeleted'
>

export const DEFAULT_CACHE_POLICY: CachePolicy = {
  complete: 'pulled',
  staleWhileRevalidate: 0,
  staleIfError: Number.POSITIVE_INFINITY,
  keepDeleted: true,
}

/** What the section says, and for the rest what its surroundings say. */
export function readCachePolicy(
  section: Section<CachePolicyShape>,
  defaults: CachePolicy,
): CachePolicy {
  const { complete, keepDeleted } = section.shape
  return {
    complete: complete ?? defaults.complete,
    staleWhileRevalidate:
      section.read('staleWhileRevalidate', parseDuration) ?? defaults.staleWhileRevalidate,
    staleIfError: section.read('staleIfError', parseDurationOrUnlimited) ?? defaults.staleIfError,
    keepDeleted: keepDeleted ?? defaults.keepDeleted,
  }
}
