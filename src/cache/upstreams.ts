/** The upstreams of this moment; a reload of the configuration replaces them. */
import { OciError } from '../oci/error.ts'
import type { Upstream } from '../upstream/upstream.ts'

/** How one upstream is to be treated by the cache. */
export interface MirroredUpstream {
  readonly client: Upstream
  /** Milliseconds for which a tag is believed without asking. */
  readonly tagTtl: number
}

export interface CacheSettings {
  readonly upstreams: ReadonlyMap<string, MirroredUpstream>
  readonly rateLimitStatus: 429 | 503
}

/** @throws {OciError} NAME_UNKNOWN when a reload removed it after the request was routed */
export function clientOf(settings: CacheSettings, upstream: string): Upstream {
  return mirrored(settings, upstream).client
}

export function tagTtlOf(settings: CacheSettings, upstream: string): number {
  return mirrored(settings, upstream).tagTtl
}

function mirrored(settings: CacheSettings, upstream: string): MirroredUpstream {
  const found = settings.upstreams.get(upstream)
  if (found === undefined) {
    throw new OciError('NAME_UNKNOWN', `${upstream} is no longer mirrored here.`)
  }
  return found
}
