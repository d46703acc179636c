// @ts-check
/** Shares a rate among all who ask, first come, first served. */
import { setTimeout as delay } from 'node:timers/promises'

/** Milliseconds that bytes may go out early: a timer is no finer than one. */
const TOLERANCE = 3

/**
 * @param {number | null} bytesPerSecond null: as fast as it goes
 * @returns {(bytes: number) => Promise<void>} resolves when these bytes may be sent
 */
export function createThrottle(bytesPerSecond) {
  let due = 0
  return async function take(bytes) {
    if (bytesPerSecond === null) return
    const now = performance.now()
    due = Math.max(due, now) + (bytes / bytesPerSecond) * 1000
    if (due - now > TOLERANCE) await delay(due - now)
  }
}
