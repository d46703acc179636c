/** The upstreams of this moment; a reload of the configuration replaces them. */
import type { RepositoryKey } from '../catalog/catalog.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/error.ts'
import type { Tag } from '../oci/reference.ts'
import type { Upstream } from '../upstream/upstream.ts'

/** How one upstream is to be treated by the cache. */
export interface MirroredUpstream {
  readonly client: Upstream
  /** Milliseconds for which a tag is believed without asking. */
  readonly tagTtl: number
  /** Milliseconds after that in which a tag is served as it was while upstream is asked. */
  readonly staleWhileRevalidate: number
  /** Milliseconds since the last confirmation for which a tag is served in an outage. */
  readonly staleIfError: number
  /** What upstream has deleted can still be pulled by its tag. */
  readonly keepDeleted: boolean
  /** Whether the rest of an image is fetched when its manifest is pulled. */
  readonly complete: 'pulled' | 'off'
  /** Connections over which one large blob is fetched at a time, where that is faster; one by default. */
  readonly connections?: number
  /** Base URLs in order of preference. */
  readonly endpoints?: readonly string[]
}

export interface CacheSettings {
  readonly upstreams: ReadonlyMap<string, MirroredUpstream>
  readonly rateLimitStatus: 429 | 503
  /** Whether anything of the repository may be fetched in the background at this moment. */
  readonly admits: (key: RepositoryKey) => boolean
  /**
   * Milliseconds that a digest must have been known upstream before the tag may mean it here; 0: none.
   */
  readonly minAge: (key: RepositoryKey, tag: Tag) => number
  /** Whether an operator lets the digest through although it is young. */
  readonly isApproved: (key: RepositoryKey, digest: Digest) => boolean
  /** What an operator says that the tag means, whatever upstream says. */
  readonly frozenTo: (key: RepositoryKey, tag: Tag) => Digest | undefined
  /** What tags are frozen to: upstream may have it no more, so it stays in the store. */
  readonly frozenDigests: () => readonly Digest[]
  /** Whether what the tag leads to must stay in the store. */
  readonly isPinned: (key: RepositoryKey, tag: Tag) => boolean
}

/** @throws {OciError} NAME_UNKNOWN when a reload removed it after the request was routed */
export function clientOf(settings: CacheSettings, upstream: string): Upstream {
  return mirrored(settings, upstream).client
}

/** @throws {OciError} NAME_UNKNOWN, likewise */
export function mirrored(settings: CacheSettings, upstream: string): MirroredUpstream {
  const found = settings.upstreams.get(upstream)
  if (found === undefined) {
    throw new OciError('NAME_UNKNOWN', `${upstream} is no longer mirrored here.`)
  }
  return found
}
