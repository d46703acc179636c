/** Which bytes of a blob some transfer is going to bring. */
import type { Extents } from './extents.ts'
import type { Transfer } from './transfer.ts'

export interface Claims {
  /** The first byte that is missing and that no transfer will come to; `Infinity`: one goes to an end that nobody knows. */
  readonly firstUnclaimed: () => number
  /** Where somebody else begins behind this byte, or what is there already. */
  readonly claimedFrom: (position: number, size: number) => number
  /** Whether it brings what everybody waits for. */
  readonly isFirst: (transfer: Transfer) => boolean
  /**
   * Whoever was to end where this one began goes on instead.
   * @param size of the blob, when that is up to where others are; `undefined`: as far as this one would have gone
   */
  readonly giveBack: (transfer: Transfer, size: number | undefined) => void
}

/** @param running the transfers of this moment */
export function createClaims(extents: Extents, running: () => readonly Transfer[]): Claims {
  function claimedFrom(position: number, size: number): number {
    const others = running().map((transfer) => transfer.position)
    return Math.min(size, extents.presentFrom(position), ...others.filter((at) => at > position))
  }

  return {
    claimedFrom,
    firstUnclaimed() {
      let position = extents.missingFrom(0)
      for (;;) {
        const owner = running().find((it) => it.position <= position && position < it.end)
        if (owner === undefined) return position
        if (owner.end === Infinity) return Infinity
        position = extents.missingFrom(owner.end)
      }
    },

    isFirst: (transfer) => transfer.position <= extents.missingFrom(0),

    giveBack({ position, end }, size) {
      for (const transfer of running()) {
        if (transfer.end !== position) continue
        transfer.end = size === undefined ? end : claimedFrom(transfer.position, size)
      }
    },
  }
}
