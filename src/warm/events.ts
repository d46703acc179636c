/** What a warm job tells while it runs. Sent as JSON, one event a line; without any secret. */

/**
 * Why an image could not be warmed. `denied`: by rules or rights. `offline`: no upstream is asked.
 * `budget`: few pulls are left. `upstream`: it has no such thing, or cannot be reached. `storage`: there
 * is no room, or the disk fails. `invalid`: the name or the choice of platforms makes no sense.
 */
export const WARM_FAILURES = [
  'denied',
  'offline',
  'budget',
  'upstream',
  'storage',
  'invalid',
] as const

export type WarmFailureReason = (typeof WARM_FAILURES)[number]

/** Sizes are bytes. */
export type WarmEvent =
  | {
      readonly event: 'tags-selected'
      /** As the source names it. */
      readonly source: string
      readonly tags: number
      /** Tags that were selected, and that no rule lets in. */
      readonly refused: number
    }
  | { readonly event: 'images-selected'; readonly images: number }
  | { readonly event: 'image-started'; readonly image: string }
  | {
      readonly event: 'image-planned'
      readonly image: string
      readonly digest: string
      /** Config and layers of the chosen platforms, those that are here included. */
      readonly blobs: number
      readonly bytes: number
    }
  | {
      readonly event: 'blob-progress'
      readonly image: string
      readonly blob: string
      readonly bytes: number
      /** `undefined` before upstream has told it. */
      readonly size: number | undefined
    }
  | {
      readonly event: 'blob-finished'
      readonly image: string
      readonly blob: string
      readonly bytes: number
      readonly alreadyThere: boolean
    }
  | {
      readonly event: 'image-finished'
      readonly image: string
      readonly digest: string
      /** Blobs that were fetched, and how large they are. */
      readonly blobs: number
      readonly bytes: number
      /** Blobs that were here already. */
      readonly alreadyThere: number
      /** Why it is not the newest. */
      readonly note: string | undefined
    }
  | {
      /** Nothing is fetched when a job only looks. */
      readonly event: 'image-would-be-fetched'
      readonly image: string
      /** What follows is not known of an image that was never pulled. */
      readonly digest: string | undefined
      readonly blobs: number | undefined
      readonly bytes: number | undefined
    }
  | {
      readonly event: 'image-failed'
      readonly image: string
      readonly reason: WarmFailureReason
      readonly message: string
    }
  | WarmSummary

export interface WarmSummary {
  readonly event: 'summary'
  readonly images: number
  readonly failed: number
  /** Blobs that were fetched, and how large they are. */
  readonly blobs: number
  readonly bytes: number
  /** Blobs that were here already. */
  readonly alreadyThere: number
  readonly milliseconds: number
}

/** Something keeps one image from being warmed; the message is one for people. */
export class WarmFailure extends Error {
  override readonly name = 'WarmFailure'
  readonly reason: WarmFailureReason

  constructor(reason: WarmFailureReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}
