/** What would become of a pull, and why. */
import type { Rule } from '../access/rule.ts'
import type { ContentState } from '../cache/describe.ts'

export interface Explanation {
  /** As it was understood: `docker.io/library/redis:7`. */
  readonly image: string
  readonly upstream: string
  readonly repository: string
  readonly tag: string | undefined
  readonly digest: string | undefined
  readonly allowed: boolean
  /** In a sentence. */
  readonly verdict: string
  /** The rule that decides; `undefined`: none is about it, so it is refused. */
  readonly rule: Rule | undefined
  /** Whether a caller without a name may pull it. */
  readonly anonymous: boolean
  readonly frozenTo: string | undefined
  /** Milliseconds since the epoch at which its probation ends; `undefined`: it is on none. */
  readonly probationEndsAt: number | undefined
  readonly content: ContentState
  /** Requests upstream and bytes that a pull would cost now. */
  readonly cost: {
    readonly heads: number
    /** Counted by Docker Hub. */
    readonly pulls: number
    /** `undefined`: not known before the manifests are. */
    readonly bytes: number | undefined
  }
}
