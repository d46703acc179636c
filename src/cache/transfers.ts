/**
 * Which parts of a blob are being fetched. One transfer takes the first stretch that is missing; a
 * reader that is far ahead of every transfer gets one of its own, which begins where it reads. Every
 * byte is fetched once, but for what is under way on a connection that is cut short.
 */
import { UpstreamError, type UpstreamBlob } from '../upstream/upstream.ts'
import { defer } from './deferred.ts'
import type { Extents } from './extents.ts'
import { createRetries, runTransfer, type Transfer, type TransferOptions } from './transfer.ts'

export interface Transfers {
  /**
   * Bytes of the blob, when nothing of it is missing; rejects with what made that impossible. All have
   * ended then.
   */
  readonly done: Promise<number>
  /** A reader waits for this byte. @returns to be called when it does no longer */
  demand(position: number): () => void
}

interface TransfersOptions extends Pick<
  TransferOptions,
  'connect' | 'answered' | 'write' | 'limit' | 'turn'
> {
  readonly extents: Extents
  /** Bytes of the blob; `undefined` as long as it is not known. */
  size(): number | undefined
  /** The blob ended after so many bytes, of which upstream had said nothing. */
  endedAt(size: number): void
  readonly signal: AbortSignal
}

/** Connections for one blob at a time. */
const MAX_TRANSFERS = 4
/** Bytes that a reader rather waits for than having another connection opened. */
const NEAR_BYTES = 4 * 1024 * 1024
/** Milliseconds, likewise: of a fast upstream more is under way, which would be fetched in vain. */
const NEAR_TIME = 1000
/** Milliseconds until the rate of a transfer is believed, and between two looks at it. */
const RATE_INTERVAL = 250
/** Bytes asked for at a time out of order, so that little is under way when a transfer is cut short. */
const STRIDE_BYTES = 16 * 1024 * 1024

export function createTransfers(options: TransfersOptions): Transfers {
  const { extents } = options
  const stopping = new AbortController()
  const signal = AbortSignal.any([options.signal, stopping.signal])
  const retries = createRetries()
  const running = new Map<Transfer, Running>()
  const demands = new Set<{ readonly position: number }>()
  const finished = defer<number>()
  let acceptsRanges = true
  let looking: NodeJS.Timeout | undefined

  schedule()
  return { done: ended(), demand }

  async function ended(): Promise<number> {
    try {
      return await finished.promise
    } finally {
      await stop()
    }
  }

  function demand(position: number): () => void {
    if (isNear(position)) return () => undefined
    const wish = { position }
    demands.add(wish)
    looking ??= setInterval(schedule, RATE_INTERVAL)
    schedule()
    return () => {
      demands.delete(wish)
      if (demands.size === 0) stopLooking()
    }
  }

  function stopLooking(): void {
    clearInterval(looking)
    looking = undefined
  }

  function isNear(position: number, milliseconds = 0): boolean {
    for (const [transfer, progress] of running) {
      const ahead = position - transfer.position
      const near = Math.max(NEAR_BYTES, reachIn(milliseconds, transfer, progress))
      if (ahead >= 0 && ahead <= near && position < transfer.end) return true
    }
    return false
  }

  function schedule(): void {
    if (stopping.signal.aborted) return
    const size = options.size()
    if (size !== undefined && extents.missingFrom(0) >= size) return finished.resolve(size)
    if (size !== undefined && acceptsRanges) {
      for (const { position } of demands) beginAhead(position, size)
    }
    const first = firstUnclaimed()
    // Whoever cannot be asked for a part is asked for what comes next and for nothing else.
    const mayBegin = acceptsRanges || first === extents.missingFrom(0)
    if (mayBegin && first < (size ?? Infinity) && running.size < MAX_TRANSFERS) {
      // While others fetch what is ahead, only what lies between is asked for.
      begin(first, claimedFrom(first, size ?? Infinity), running.size > 0)
    }
  }

  function beginAhead(position: number, size: number): void {
    if (running.size >= MAX_TRANSFERS || position >= size) return
    if (extents.missingFrom(position) !== position || isNear(position, NEAR_TIME)) return
    const end = claimedFrom(position, size)
    for (const transfer of running.keys()) {
      if (transfer.position < position && position < transfer.end) transfer.end = position
    }
    begin(position, end, true)
  }

  /** The first byte that is missing and that no transfer will come to. */
  function firstUnclaimed(): number {
    let position = extents.missingFrom(0)
    for (;;) {
      const owner = [...running.keys()].find(
        (transfer) => transfer.position <= position && position < transfer.end,
      )
      if (owner === undefined) return position
      if (owner.end === Infinity) return Infinity
      position = extents.missingFrom(owner.end)
    }
  }

  /** Where somebody else begins, or what is there already. */
  function claimedFrom(position: number, size: number): number {
    const others = [...running.keys()].map((transfer) => transfer.position)
    return Math.min(size, extents.presentFrom(position), ...others.filter((at) => at > position))
  }

  function begin(position: number, end: number, isAhead: boolean): void {
    const isWhole = position === 0 && running.size === 0 && extents.total() === 0
    const transfer: Transfer = { position, end: isWhole ? (options.size() ?? Infinity) : end }
    const bounded = isAhead || transfer.end < (options.size() ?? Infinity)
    const work = runTransfer({
      ...options,
      transfer,
      ...(bounded && { stride: STRIDE_BYTES }),
      retries,
      signal,
      answered: (blob) => answered(blob, transfer),
      endedUnannounced() {
        transfer.end = transfer.position
        options.endedAt(transfer.position)
      },
    }).then(
      () => void running.delete(transfer),
      (error: unknown) => {
        running.delete(transfer)
        if (!isOnlyAhead(error, transfer)) throw error
        acceptsRanges = false
        giveBack(transfer)
      },
    )
    running.set(transfer, { from: position, since: performance.now(), ended: work })
    work.then(schedule, (error: unknown) => finished.reject(error))
  }

  async function answered(blob: UpstreamBlob, transfer: Transfer): Promise<void> {
    await options.answered(blob)
    const size = options.size()
    if (transfer.end === Infinity && size !== undefined) {
      transfer.end = size
      // Readers that waited for the size may be far ahead.
      schedule()
    }
    if (blob.offset < transfer.position && !isFirst(transfer)) throw ignoresRanges()
  }

  /** A transfer out of order is a favour: without it everything comes in order. */
  function isOnlyAhead(error: unknown, transfer: Transfer): boolean {
    return !isFirst(transfer) && error instanceof UpstreamError && !signal.aborted
  }

  function isFirst(transfer: Transfer): boolean {
    return transfer.position <= extents.missingFrom(0)
  }

  /** Whoever was to end where this one began goes on instead. */
  function giveBack({ position, end }: Transfer): void {
    for (const transfer of running.keys()) {
      if (transfer.end === position) transfer.end = end
    }
  }

  async function stop(): Promise<void> {
    stopping.abort(new Error('The download has ended.'))
    stopLooking()
    await Promise.allSettled([...running.values()].map(({ ended }) => ended))
  }
}

interface Running {
  /** Its first byte. */
  readonly from: number
  /** When it began, in milliseconds of a monotonic clock. */
  readonly since: number
  readonly ended: Promise<void>
}

/** Bytes that it will bring in this time, if it goes on as it did so far. */
function reachIn(milliseconds: number, { position }: Transfer, { from, since }: Running): number {
  if (milliseconds === 0) return 0
  const elapsed = performance.now() - since
  return elapsed < RATE_INTERVAL ? Infinity : ((position - from) / elapsed) * milliseconds
}

function ignoresRanges(): UpstreamError {
  return new UpstreamError('corrupt', 'Upstream ignores ranges.')
}
