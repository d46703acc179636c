/** How soon a worker that has died gets a successor: at once, unless that goes on and on. */

/** Milliseconds. */
const WINDOW = 60_000
const MOST_IN_WINDOW = 5
const PAUSE = 10_000

/** @returns tells of a death, and says after how many milliseconds the next worker may be started */
export function createRestartPace(now: () => number = Date.now): () => number {
  let deaths: number[] = []
  return () => {
    const at = now()
    // A clock that was set back must not keep anything waiting.
    deaths = [...deaths.filter((time) => time <= at && at - time < WINDOW), at]
    return deaths.length > MOST_IN_WINDOW ? PAUSE : 0
  }
}
