/** How fast something grows just now. */

export interface RateMeter {
  /** @param bytes of all that is there by now */
  note(bytes: number): void
  /** Bytes per second; 0 before there is anything to compare. */
  current(): number
}

/** Milliseconds that are looked back on: long enough to be steady, short enough to be now. */
const WINDOW = 5000
/** Milliseconds between two marks. */
const STEP = 500

interface Mark {
  readonly at: number
  readonly bytes: number
}

/** @param now milliseconds of a clock that never goes back */
export function createRateMeter(now: () => number): RateMeter {
  const marks: Mark[] = []
  let bytes = 0

  /** The newest that is older than the window stays: a standstill is compared with it. */
  function forget(before: number): void {
    while (marks.length > 1 && (marks[1]?.at ?? before) <= before) marks.shift()
  }

  return {
    note(total) {
      bytes = total
      const at = now()
      const last = marks.at(-1)
      if (last === undefined || at - last.at >= STEP) marks.push({ at, bytes })
      forget(at - WINDOW)
    },
    current() {
      const at = now()
      forget(at - WINDOW)
      const [first] = marks
      if (first === undefined || at <= first.at) return 0
      return Math.round(((bytes - first.bytes) * 1000) / (at - first.at))
    },
  }
}
