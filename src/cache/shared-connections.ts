/** What the downloads of large blobs from one upstream have in common. */
import type { Parallelism } from './parallelism.ts'

export interface SharedConnections {
  /**
   * Asks for one more for a blob that has one already.
   * @param limit of connections for one blob
   * @returns to be called once, when it is needed no longer; `undefined`: others have them all
   */
  take(limit: number): (() => void) | undefined
  /** What the last large blob has shown; `undefined` when that is long ago. */
  remembered(): Parallelism | undefined
  remember(found: Parallelism): void
}

/** So many blobs at a time can have as many connections as one may have, every other one only its own. */
const BLOBS_IN_FULL = 2
/** Milliseconds after which what was found out counts no longer. */
const MEMORY = 10 * 60_000

/** @param now milliseconds of a monotonic clock */
export function createSharedConnections(now: () => number): SharedConnections {
  let taken = 0
  let memory: { readonly found: Parallelism; readonly until: number } | undefined

  return {
    take(limit) {
      if (taken >= BLOBS_IN_FULL * (limit - 1)) return undefined
      taken += 1
      return () => void (taken -= 1)
    },
    remembered: () => (memory !== undefined && now() < memory.until ? memory.found : undefined),
    remember: (found) => void (memory = { found, until: now() + MEMORY }),
  }
}
