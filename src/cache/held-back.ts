/**
 * The part of an unverified blob that nobody gets. As long as the digest is not known to be right,
 * some stretch of the blob has been given to no client at all, so that not even several clients
 * together can hold a complete wrong blob.
 *
 * At first it is the end. Who asks for the end alone (the footer of a lazily pulled layer, the last of
 * several parallel chunks) shall not wait for the whole, so the stretch moves to another place that
 * nobody has been given yet, if there is one.
 */
import { createExtents } from './extents.ts'

export interface HeldBack {
  /**
   * How many of these bytes may be given out now; they count as given.
   * @param length bytes, all of which are there
   */
  release(position: number, length: number): number
}

/** Bytes. A smaller blob is given out only as a whole. */
export const HELD_BACK_BYTES = 64 * 1024

/** @param size bytes of the blob */
export function createHeldBack(size: number): HeldBack {
  const given = createExtents()
  let first = Math.max(0, size - HELD_BACK_BYTES)
  const end = (): number => Math.min(size, first + HELD_BACK_BYTES)

  /** The last stretch of the right length that was given to nobody and is not asked for now. */
  function elsewhere(askedFirst: number, askedEnd: number): number | undefined {
    const taken = createExtents(given.list())
    taken.add(askedFirst, askedEnd)
    let before = size
    for (const extent of taken.list().toReversed()) {
      if (before - extent.end >= HELD_BACK_BYTES) return before - HELD_BACK_BYTES
      before = extent.first
    }
    return before >= HELD_BACK_BYTES ? before - HELD_BACK_BYTES : undefined
  }

  return {
    release(position, length) {
      const askedEnd = position + length
      if (askedEnd > first && position < end()) {
        first = elsewhere(position, askedEnd) ?? first
      }
      const overlaps = askedEnd > first && position < end()
      const released = overlaps ? Math.max(0, first - position) : length
      given.add(position, position + released)
      return released
    },
  }
}
