/** What a warm job is, and what it works with. */
import type { Mirror } from '../cache/mirror.ts'
import type { WarmEvent } from './events.ts'
import type { PlatformChoice } from './platforms.ts'
import type { ImageSource } from './sources.ts'

export interface WarmJob {
  readonly sources: readonly ImageSource[]
  readonly platforms: PlatformChoice
  /** Downloads at a time, and images at a time. */
  readonly concurrency: number
  /** Fetches nothing: says what would be fetched. */
  readonly dryRun?: boolean
}

/** What rules and rights say of an image, as `Operator.explain` has it. */
export interface Verdict {
  /** As it was understood: `docker.io/library/redis:7`. */
  readonly image: string
  readonly upstream: string
  readonly repository: string
  readonly tag: string | undefined
  readonly digest: string | undefined
  readonly allowed: boolean
  /** In a sentence. */
  readonly verdict: string
  /** Milliseconds since the epoch; `undefined`: it is on no probation. */
  readonly probationEndsAt: number | undefined
  readonly content: {
    readonly digest: string | undefined
    readonly isStored: boolean
    readonly blobs: { readonly missing: number; readonly missingBytes: number }
  }
}

export type WarmMirror = Pick<
  Mirror,
  'manifest' | 'describe' | 'tags' | 'confirmTag' | 'ensureBlob' | 'blobProgress' | 'upstreamState'
>

export interface WarmSurroundings {
  readonly mirror: WarmMirror
  /**
   * For whoever wants the images.
   * @throws {Error} with a sentence for people, and the code `forbidden` where they have no right to it,
   *   or `invalid` where it is no image
   */
  readonly explain: (image: string) => Promise<Verdict>
  /** Told in order; must not throw. */
  readonly onEvent: (event: WarmEvent) => void
  readonly signal: AbortSignal
  /** Milliseconds between two looks at a running download; 500 by default. */
  readonly lookEvery?: number
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}
