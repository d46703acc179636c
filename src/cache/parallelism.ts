/**
 * How many connections at a time bring a blob soonest: found out while it comes. Twice as many are tried
 * as long as all together are clearly faster than before; where they are not, the same number over
 * several endpoints; then it stays with the best. What was best for the last blob is tried at once, and
 * nothing else. Knows no clock: it is told what came in which time. PURE.
 */

export interface Parallelism {
  /** Connections at a time. */
  readonly connections: number
  /** Whether they go to different endpoints, where several are well. */
  readonly spread: boolean
}

export interface ParallelismSearch {
  /** What to do now. */
  readonly current: Parallelism
  /** Nothing else will be tried. */
  readonly isSettled: boolean
  /** @param flowing how many connections brought these bytes in this time, all of them past their start */
  observe(bytes: number, milliseconds: number, flowing: number): void
  /** More than this many are not to be had: nothing else is tried. */
  settleFor(connections: number): void
}

interface SearchOptions {
  /** Connections at a time at most. */
  readonly limit: number
  /** Whether there are several endpoints. */
  readonly canSpread: boolean
  /** What was found out before. */
  readonly known: Parallelism | undefined
}

/** What has to be seen of a number of connections before it is judged: milliseconds and bytes. */
const MEASURED_TIME = 150
const MEASURED_BYTES = 2 * 1024 * 1024
/** Bytes per millisecond, of a line of 1 Gbit/s: what comes over one connection as fast as that is not divided. */
const FAST = 125_000
/** The part of the gain of a perfect division by which more connections must be faster to be kept. */
const CLEAR_GAIN = 0.3

const SINGLE: Parallelism = { connections: 1, spread: false }

export function createParallelismSearch({
  limit,
  canSpread,
  known,
}: SearchOptions): ParallelismSearch {
  let best = { ...SINGLE, rate: 0 }
  let current = SINGLE
  let isSettled = limit === 1
  let seen = { bytes: 0, time: 0 }
  /** Looks in vain at what is tried: the first may have been at a bad moment. */
  let failures = 0

  function judge(rate: number): void {
    const isBetter = rate >= best.rate * (1 + CLEAR_GAIN * (idealGain() - 1))
    if (isBetter) best = { ...current, rate }
    failures = isBetter ? 0 : failures + 1
    if (failures === 1) return
    failures = 0
    const next = current.connections === 1 && rate >= FAST ? undefined : following(isBetter)
    isSettled = next === undefined
    current = next ?? { connections: best.connections, spread: best.spread }
  }

  function following(isBetter: boolean): Parallelism | undefined {
    if (known !== undefined) return current.connections === 1 ? known : undefined
    return isBetter ? more() : elsewhere()
  }

  /** What a perfect division would bring: over several endpoints as much as twice the connections. */
  function idealGain(): number {
    return Math.min(2, current.connections / best.connections)
  }

  function more(): Parallelism | undefined {
    const connections = Math.min(limit, best.connections * 2)
    return connections > best.connections ? { ...current, connections } : undefined
  }

  function elsewhere(): Parallelism | undefined {
    return canSpread && !current.spread ? { ...current, spread: true } : undefined
  }

  return {
    get current() {
      return current
    },
    get isSettled() {
      return isSettled
    },
    observe(bytes, milliseconds, flowing) {
      if (isSettled || flowing !== current.connections) return
      seen = { bytes: seen.bytes + bytes, time: seen.time + milliseconds }
      if (seen.time < MEASURED_TIME || seen.bytes < MEASURED_BYTES) return
      const rate = seen.bytes / seen.time
      seen = { bytes: 0, time: 0 }
      judge(rate)
    },
    settleFor(connections) {
      isSettled = true
      current = { ...current, connections: Math.min(current.connections, connections) }
    },
  }
}
