/** A transfer that is under way, and how fast it is. */
import type { Transfer } from './transfer.ts'

export interface Flow {
  readonly transfer: Transfer
  /** As in ByteWindow; `undefined`: wherever it is best. */
  readonly lane: number | undefined
  /** Upstream has begun to answer. @returns milliseconds that it took */
  answered(): number
  hasAnswered(): boolean
  /** Bytes that came so far. */
  brought(): number
  /** Bytes that are still to come. */
  left(): number
  /** Bytes per millisecond since the answer began; 0 before that. */
  rate(): number
  /** Bytes that it will bring in this time, if it goes on as it did so far, its wait for the answer included. */
  reachIn(milliseconds: number): number
}

/** Milliseconds until the rate of a transfer is believed, and between two looks at it. */
export const RATE_INTERVAL = 50

export function createFlow(transfer: Transfer, lane?: number): Flow {
  const from = transfer.position
  const since = performance.now()
  let answeredAt: number | undefined
  const brought = (): number => transfer.position - from

  return {
    transfer,
    lane,
    answered() {
      answeredAt ??= performance.now()
      return answeredAt - since
    },
    hasAnswered: () => answeredAt !== undefined,
    brought,
    left: () => Math.max(0, transfer.end - transfer.position),
    rate: () => (answeredAt === undefined ? 0 : brought() / (performance.now() - answeredAt + 1)),
    reachIn(milliseconds) {
      if (milliseconds === 0) return 0
      const elapsed = performance.now() - since
      return elapsed < RATE_INTERVAL ? Infinity : (brought() / elapsed) * milliseconds
    },
  }
}
