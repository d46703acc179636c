/**
 * Which parts of a blob are being fetched. One transfer takes the first stretch that is missing, of a
 * large blob others take the next ones where that is faster; a reader that is far ahead of every
 * transfer gets one of its own, which begins where it reads. Every byte is fetched once, but for what
 * is under way on a connection that is cut short.
 */
import { UpstreamError, type UpstreamBlob } from '../upstream/upstream.ts'
import { createClaims } from './claims.ts'
import { defer } from './deferred.ts'
import type { Extents } from './extents.ts'
import { createFlow, RATE_INTERVAL, type Flow } from './flow.ts'
import { createStretches, type Division } from './stretches.ts'
import {
  createRetries,
  runTransfer,
  type Retries,
  type Transfer,
  type TransferOptions,
} from './transfer.ts'

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
  /** Bytes of the blob, as a manifest says. */
  readonly expectedSize?: number | undefined
  /** How a large blob may be divided between connections; `undefined`: not at all. */
  readonly division?: Division | undefined
  /** Whether a client waits for the blob. */
  readonly isAwaited?: () => boolean
  /** The blob ended after so many bytes, of which upstream had said nothing. */
  endedAt(size: number): void
  readonly signal: AbortSignal
}

/** Connections for one blob at a time; a reader far ahead may have one more than a divided blob has. */
const MAX_TRANSFERS = 4
/** Bytes that a reader rather waits for than having another connection opened. */
const NEAR_BYTES = 4 * 1024 * 1024
/** Milliseconds, likewise: of a fast upstream more is under way, which would be fetched in vain. */
const NEAR_TIME = 250
/** Bytes asked for at a time out of order, so that little is under way when a transfer is cut short. */
const STRIDE_BYTES = 16 * 1024 * 1024
/** A stretch is short enough to be asked for at once. */
const ONE_REQUEST = Infinity

export function createTransfers(options: TransfersOptions): Transfers {
  const { extents, isAwaited = () => true } = options
  const stopping = new AbortController()
  const signal = AbortSignal.any([options.signal, stopping.signal])
  const retries = createRetries()
  const running = new Map<Transfer, Running>()
  const demands = new Set<{ readonly position: number }>()
  const finished = defer<number>()
  const { firstUnclaimed, claimedFrom, isFirst, giveBack } = createClaims(extents, () => [
    ...running.keys(),
  ])
  /** Believed until upstream has said how much it is. */
  const believedSize = options.size() ?? options.expectedSize ?? 0
  const stretches = createStretches(options.division, isAwaited)
  let isDividing = stretches?.isDividedAtOnce(believedSize - extents.total()) ?? false
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
    const isBefore = flows().some((flow) => {
      const { transfer } = flow
      const ahead = position - transfer.position
      const near = Math.max(NEAR_BYTES, flow.reachIn(milliseconds))
      return ahead >= 0 && ahead <= near && position < transfer.end
    })
    if (isBefore || !isDivided()) return isBefore
    // The next stretch begins by itself; beyond that nobody is cut short by who begins there now.
    const ahead = position - firstUnclaimed()
    return ahead >= 0 && ahead <= NEAR_BYTES
  }

  function flows(): Flow[] {
    return [...running.values()].map(({ flow }) => flow)
  }

  function isDivided(): boolean {
    return isDividing && acceptsRanges
  }

  function schedule(): void {
    if (stopping.signal.aborted) return
    const size = options.size()
    if (size !== undefined && extents.missingFrom(0) >= size) return finished.resolve(size)
    if (size !== undefined && acceptsRanges) {
      for (const { position } of demands) beginAhead(position, size)
    }
    if (isDivided()) beginStretches()
    else beginRest(size)
  }

  /** Everything that is missing, up to where others are. */
  function beginRest(size = Infinity): void {
    const first = firstUnclaimed()
    // Whoever cannot be asked for a part is asked for what comes next and for nothing else.
    const mayBegin = acceptsRanges || first === extents.missingFrom(0)
    if (!mayBegin || first >= size || running.size >= MAX_TRANSFERS) return
    const isWhole = first === 0 && running.size === 0 && extents.total() === 0
    const end = isWhole ? size : claimedFrom(first, size)
    // While others fetch what is ahead, only what lies between is asked for.
    const isBounded = end < size || flows().some(({ transfer }) => transfer.end > first)
    begin({ position: first, end }, isBounded ? { stride: STRIDE_BYTES } : {})
  }

  function beginStretches(): void {
    const size = options.size() ?? believedSize
    for (;;) {
      const first = firstUnclaimed()
      if (first >= size || !(isNext(first) || mayBeginBeside())) return
      beginStretch(first, size)
    }
  }

  function beginStretch(position: number, size: number): void {
    const end = endOfStretch(position, claimedFrom(position, size))
    begin({ position, end }, { stride: ONE_REQUEST, isStretch: true })
  }

  function endOfStretch(position: number, end: number): number {
    return Math.min(end, position + (stretches?.length(end - position) ?? Infinity))
  }

  /** Others fetch what the only connection was to fetch, from some byte on: there it is cut short. */
  function divide(): void {
    const [flow, ...others] = flows()
    const size = options.size()
    if (flow === undefined || others.length > 0 || flow.transfer.end !== size) return
    if (!acceptsRanges || !stretches?.shouldDivide(flow.left()) || !stretches.take()) return
    isDividing = true
    flow.transfer.end = endOfStretch(flow.transfer.position, size)
    beginStretch(flow.transfer.end, size)
    beginStretches()
  }

  /** Everybody waits for it, and nobody is about to end, after whom it would begin anyway. */
  function isNext(position: number): boolean {
    const isMissing = position === extents.missingFrom(0)
    return isMissing && flows().every(({ transfer }) => transfer.end > position)
  }

  /** Nobody is asked for more before the first answer: that may be the whole blob. */
  function mayBeginBeside(): boolean {
    const isWanted = options.size() !== undefined && stretches?.wantsNext(flows()) === true
    return isWanted && stretches.take()
  }

  function beginAhead(position: number, size: number): void {
    const most = Math.max(MAX_TRANSFERS, isDivided() ? (stretches?.limit ?? 0) + 1 : 0)
    if (running.size >= most || position >= size) return
    if (extents.missingFrom(position) !== position || isNear(position, NEAR_TIME)) return
    const end = Math.min(claimedFrom(position, size), isDivided() ? position + STRIDE_BYTES : size)
    for (const transfer of running.keys()) {
      if (transfer.position < position && position < transfer.end) transfer.end = position
    }
    begin({ position, end }, { stride: STRIDE_BYTES })
  }

  function begin(transfer: Transfer, { stride, isStretch = false }: Kind): void {
    const flow = createFlow(transfer, isStretch ? stretches?.lane(flows()) : undefined)
    const work = runTransfer({
      ...options,
      transfer,
      ...(stride !== undefined && { stride }),
      retries: isStretch ? retriesOfStretch(transfer) : retries,
      signal,
      connect: (window, aborted) => options.connect({ ...window, lane: flow.lane }, aborted),
      answered: (blob) => answered(blob, flow, isStretch),
      write,
      endedUnannounced() {
        transfer.end = transfer.position
        options.endedAt(transfer.position)
      },
    }).then(
      () => left(transfer),
      (error: unknown) => {
        left(transfer)
        if (!goesOnWithout(flow, isStretch, error)) throw error
      },
    )
    running.set(transfer, { flow, ended: work })
    work.then(schedule, (error: unknown) => finished.reject(error))
  }

  function left(transfer: Transfer): void {
    running.delete(transfer)
    stretches?.ended(running.size)
  }

  async function write(chunk: Buffer, position: number): Promise<void> {
    await options.write(chunk, position)
    if (stretches === undefined || !acceptsRanges || signal.aborted) return
    stretches.received(chunk.length, flows())
    if (!isDividing) divide()
    else if (stretches.wantsNext(flows())) beginStretches()
  }

  async function answered(blob: UpstreamBlob, flow: Flow, isStretch: boolean): Promise<void> {
    const { transfer } = flow
    const wasKnown = options.size() !== undefined
    stretches?.answered(flow.answered())
    await options.answered(blob)
    const size = options.size()
    const isWhole = blob.offset < transfer.position || (isStretch && blob.ignoresRange === true)
    if (isWhole && !isFirst(transfer)) throw ignoresRanges()
    if (isWhole && isStretch && size !== undefined) {
      // Nothing of it is asked for a second time.
      stopDividing()
      transfer.end = claimedFrom(transfer.position, size)
    }
    if (transfer.end === Infinity && size !== undefined) transfer.end = size
    // Readers that waited for the size may be far ahead.
    if (!wasKnown && size !== undefined) schedule()
  }

  /** @returns whether the blob can be had without this transfer */
  function goesOnWithout(flow: Flow, isStretch: boolean, error: unknown): boolean {
    if (!(error instanceof UpstreamError) || signal.aborted) return false
    const { transfer } = flow
    // Such an answer to a range says nothing of the blob.
    const isOfRange = isStretch && !flow.hasAnswered() && error.reason === 'corrupt'
    // A transfer out of order is a favour: without it everything comes in order.
    if (isFirst(transfer) && !isOfRange) return false
    if (isStretch && isTrouble(error)) stretches?.gaveUp(running.size)
    else if (isStretch) stopDividing()
    else acceptsRanges = false
    giveBack(transfer, isDivided() && running.size > 1 ? undefined : options.size())
    return true
  }

  function stopDividing(): void {
    acceptsRanges = false
    stretches?.refuse()
  }

  /** Whoever begins beside others is not waited for, and until the size is known nothing was promised. */
  function retriesOfStretch(transfer: Transfer): Retries {
    return {
      afterFailure(broughtBytes) {
        const isWorthIt = broughtBytes || isFirst(transfer)
        return isWorthIt && options.size() !== undefined
          ? retries.afterFailure(broughtBytes)
          : undefined
      },
    }
  }

  async function stop(): Promise<void> {
    stopping.abort(new Error('The download has ended.'))
    stopLooking()
    await Promise.allSettled([...running.values()].map(({ ended }) => ended))
    stretches?.close()
  }
}

interface Kind {
  /** Bytes to ask for at a time; without it everything in one request. */
  readonly stride?: number
  /** Part of a divided blob. */
  readonly isStretch?: boolean
}

interface Running {
  readonly flow: Flow
  readonly ended: Promise<void>
}

function isTrouble({ reason }: UpstreamError): boolean {
  return reason === 'unavailable' || reason === 'rate-limited'
}

function ignoresRanges(): UpstreamError {
  return new UpstreamError('corrupt', 'Upstream ignores ranges.')
}
