/**
 * A large blob, divided between several connections: each fetches a stretch to its end, then the next
 * one, in the order of the blob. So nothing is cut short but the connection that it began with, and
 * what readers wait for is never far behind.
 */
import type { Flow } from './flow.ts'
import { createParallelismSearch, type Parallelism } from './parallelism.ts'
import type { SharedConnections } from './shared-connections.ts'

/** How an upstream lets large blobs be divided. */
export interface Division {
  /** Connections for one blob at a time. */
  readonly connections: number
  /** Whether there are several endpoints. */
  readonly canSpread: boolean
  readonly shared: SharedConnections
  /** Begins to watch. @returns whether this process has been at its limit since then */
  readonly watchLoad: () => () => boolean
}

export interface Stretches {
  /** Connections at a time at most. */
  readonly limit: number
  /**
   * Whether it is divided from its first byte on, because that was faster for the last one.
   * @param left bytes that are missing
   */
  isDividedAtOnce(left: number): boolean
  /**
   * Whether it is divided from now on. What is fast, and what this process is the limit of, is not.
   * @param left bytes that the only connection has still to bring
   */
  shouldDivide(left: number): boolean
  /** Whether the next stretch should begin now. @param flows under way */
  wantsNext(flows: readonly Flow[]): boolean
  /** A connection beside others. @returns false when there is none to be had */
  take(): boolean
  /** A connection beside others did not come about. @param flows how many are left */
  gaveUp(flows: number): void
  /** Bytes of the next stretch: all of them when one connection is enough. @param left bytes that nobody fetches */
  length(left: number): number
  /** Of the next stretch, where connections go to different endpoints. @param flows under way */
  lane(flows: readonly Flow[]): number | undefined
  /** Upstream has begun to answer after so many milliseconds. */
  answered(delay: number): void
  /** Bytes came. @param flows under way */
  received(bytes: number, flows: readonly Flow[]): void
  /** A connection has ended. @param flows how many are left */
  ended(flows: number): void
  /** Upstream does not send parts: the next blobs are not divided. */
  refuse(): void
  /** Gives back whatever was taken. */
  close(): void
}

/** A smaller rest is not worth a second connection. */
const LARGE_BYTES = 64 * 1024 * 1024
const MIN_STRETCH = 16 * 1024 * 1024
const MAX_STRETCH = 64 * 1024 * 1024
/** Of the last stretches, which are shorter so that all connections end at about the same time. */
const MIN_LAST_STRETCH = 8 * 1024 * 1024
/** So many times longer takes a stretch than the wait for its first byte: an eighth is lost by that. */
const TIMES_DELAY = 8
/** Bytes after which a connection is past its slow start. */
const START_BYTES = 512 * 1024
/** How much sooner than expected the next stretch is asked for, and what the wait may be at most, in ms. */
const CAUTION = 1.5
const MAX_AHEAD = 1000

/**
 * @param isAwaited whether a client waits; without one a blob has one connection
 * @returns undefined for a blob that is not divided, however large it is
 */
export function createStretches(
  division: Division | undefined,
  isAwaited: () => boolean,
): Stretches | undefined {
  if (division === undefined || division.connections === 1) return undefined
  const { connections: limit, canSpread, shared } = division
  const known = shared.remembered()
  if (known?.connections === 1) return undefined
  const search = createParallelismSearch({ limit, canSpread, known: within(known, limit) })
  const taken: (() => void)[] = []
  const isBusy = division.watchLoad()
  let delay = 0
  /** Connections at a time; fewer once upstream did not give one, which would be asked for in vain again. */
  let most = limit
  let lastAt = performance.now()
  let rate = 0

  const isSingle = (): boolean => search.isSettled && search.current.connections === 1

  function giveBack(flows: number): void {
    while (taken.length > Math.max(0, flows - 1)) taken.pop()?.()
  }

  return {
    limit,
    isDividedAtOnce: (left) => known !== undefined && left >= LARGE_BYTES,

    shouldDivide(left) {
      const isWanted = search.current.connections > 1 && left >= LARGE_BYTES && isAwaited()
      if (!isWanted) return false
      // More connections would only make more work.
      if (isBusy()) search.settleFor(1)
      return search.current.connections > 1
    },

    wantsNext(flows) {
      const wanted = isAwaited() ? search.current.connections : 1
      return flows.length < most && flows.filter((flow) => !isEnding(flow)).length < wanted
    },

    lane(flows) {
      if (!search.current.spread) return undefined
      const taken = new Set(flows.filter((flow) => !isEnding(flow)).map(({ lane = 0 }) => lane))
      let lane = 0
      while (taken.has(lane)) lane += 1
      return lane
    },

    take() {
      const release = shared.take(limit)
      if (release !== undefined) taken.push(release)
      return release !== undefined
    },

    length(size) {
      if (isSingle()) return size
      const usual = clamp(Math.ceil(rate * delay) * TIMES_DELAY, MIN_STRETCH, MAX_STRETCH)
      const share = Math.max(MIN_LAST_STRETCH, Math.ceil(size / search.current.connections))
      const length = Math.min(size, usual, share)
      // No request for a crumb.
      return size - length < MIN_LAST_STRETCH / 2 ? size : length
    },

    answered: (milliseconds) => void (delay = Math.min(milliseconds, MAX_AHEAD)),

    received(bytes, flows) {
      const now = performance.now()
      const elapsed = now - lastAt
      lastAt = now
      const flowing = isAwaited() ? pastStart(flows) : 0
      if (flowing === 0 || !areSpreadAsWanted(flows)) return
      rate = Math.max(...flows.map((flow) => flow.rate()))
      const wasSettled = search.isSettled
      search.observe(bytes, elapsed, flowing)
      if (search.isSettled && !wasSettled) shared.remember(search.current)
    },

    ended: giveBack,
    gaveUp(flows) {
      most = Math.max(1, flows)
      search.settleFor(most)
    },

    refuse: () => shared.remember({ connections: 1, spread: false }),

    close: () => giveBack(0),
  }

  /** Those that began before go on where they are. */
  function areSpreadAsWanted(flows: readonly Flow[]): boolean {
    const { spread } = search.current
    const lanes = flows.map(({ lane }) => lane ?? 0)
    return spread ? new Set(lanes).size === lanes.length : lanes.every((lane) => lane === 0)
  }

  /** Its last byte comes about when the first one of another connection would. */
  function isEnding(flow: Flow): boolean {
    return flow.left() <= flow.rate() * delay * CAUTION
  }
}

/** How many bring bytes; 0 while one of them has not reached its speed yet. */
function pastStart(flows: readonly Flow[]): number {
  const flowing = flows.filter((flow) => flow.hasAnswered() && flow.left() > 0)
  return flowing.some((flow) => flow.brought() < START_BYTES) ? 0 : flowing.length
}

function within(known: Parallelism | undefined, limit: number): Parallelism | undefined {
  return known && { ...known, connections: Math.min(limit, known.connections) }
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value))
}
