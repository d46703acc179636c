/** A bounded rate for work that nobody waits for. */

/** @throws the signal's reason when it aborts */
export type Pause = (milliseconds: number, signal: AbortSignal) => Promise<void>

/** Milliseconds of work that may be done at once. */
const BURST = 250

/**
 * @param rate per second; 0: no limit
 * @returns to be awaited after each piece of work, with its amount
 */
export function createPace({
  rate,
  pause,
}: {
  rate: number
  pause: Pause
}): (amount: number, signal: AbortSignal) => Promise<void> {
  /** When all that was done so far would have ended at the given rate. */
  let paidUntil = -Infinity
  return async (amount, signal) => {
    if (rate === 0) return
    const now = performance.now()
    paidUntil = Math.max(paidUntil, now - BURST) + (amount / rate) * 1000
    if (paidUntil > now) await pause(paidUntil - now, signal)
  }
}
