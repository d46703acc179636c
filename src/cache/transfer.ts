/** One stretch of a blob from upstream into the spool: asks again where it was cut. */
import { setTimeout as delay } from 'node:timers/promises'
import { slabs } from '../upstream/slabs.ts'
import { UpstreamError, type ByteWindow, type UpstreamBlob } from '../upstream/upstream.ts'
import { createChunkReader, type ChunkReader } from './chunk-reader.ts'
import { TrickleError, watchTrickle, type TrickleWatch } from './trickle.ts'

export interface Transfer {
  /** The next byte that it will write. */
  position: number
  /** Where it ends; moved to the front when somebody else begins further ahead. `Infinity`: not known yet. */
  end: number
}

export interface TransferOptions {
  readonly transfer: Transfer
  /** Bytes to ask for at a time; without it everything in one request. */
  readonly stride?: number
  connect(window: ByteWindow, signal: AbortSignal): Promise<UpstreamBlob>
  /** Told of each answer before its bytes. Throws when it cannot be of this blob. */
  answered(blob: UpstreamBlob): Promise<void>
  write(chunk: Buffer, position: number): Promise<void>
  /** Bytes that the blob may have at most. */
  limit(): number
  /** The body of an answer that does not tell its length has ended. */
  endedUnannounced(): void
  /** How often upstream may still be asked. */
  readonly retries: Retries
  /** Waited for before each chunk, so that what nobody waits for gives way. */
  turn(): Promise<void> | undefined
  readonly signal: AbortSignal
}

/** Shared by all transfers of a blob. */
export interface Retries {
  /** Counts a connection that broke. @returns ms to wait, `undefined` when it is enough */
  afterFailure(broughtBytes: boolean): number | undefined
}

/** Connections in a row that may bring nothing. */
const MAX_FRUITLESS_RESUMES = 5
/** Connections in all: an upstream that cuts after each byte must not hold a fill for ever. */
const MAX_RESUMES = 100
/** Milliseconds before the first resume; doubled each time that nothing came. */
const RESUME_DELAY = 50
/** Bytes that are rather read and dropped than a connection closed. */
const DRAINED_BYTES = 64 * 1024

export function createRetries(): Retries {
  let fruitless = 0
  let resumes = 0
  return {
    afterFailure(broughtBytes) {
      fruitless = broughtBytes ? 0 : fruitless + 1
      resumes += 1
      const isEnough = fruitless > MAX_FRUITLESS_RESUMES || resumes > MAX_RESUMES
      return isEnough ? undefined : RESUME_DELAY * 2 ** fruitless
    },
  }
}

/** @throws {UpstreamError} when nothing comes any more, {StorageError}, or the signal's reason */
export async function runTransfer(options: TransferOptions): Promise<void> {
  const { transfer, retries, signal } = options
  while (transfer.position < transfer.end) {
    const before = transfer.position
    try {
      const window = nextWindow(options)
      await receive(await options.connect(window, signal), window, options)
    } catch (error) {
      signal.throwIfAborted()
      const broughtBytes = transfer.position > before && !(error instanceof TrickleError)
      const pause = canResume(error, transfer) ? retries.afterFailure(broughtBytes) : undefined
      if (pause === undefined) throw error
      await delay(pause, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  }
}

function nextWindow({ transfer: { position, end }, stride }: TransferOptions): ByteWindow {
  if (stride === undefined) return { first: position }
  return { first: position, last: Math.min(end, position + stride) - 1 }
}

/** Nothing was promised to anybody before the size is known, so a failure then is final. */
function canResume(error: unknown, { end }: Transfer): boolean {
  if (!(error instanceof UpstreamError) || end === Infinity) return false
  return error.reason === 'unavailable' || error.reason === 'rate-limited'
}

async function receive(
  blob: UpstreamBlob,
  window: ByteWindow,
  options: TransferOptions,
): Promise<void> {
  const { transfer } = options
  let chunks: ChunkReader | undefined
  let trickle: TrickleWatch | undefined
  try {
    if (blob.offset > transfer.position) throw anotherPart()
    await options.answered(blob)
    chunks = createChunkReader(blob.body)
    trickle = watchTrickle(blob)
    let at = blob.offset
    for (;;) {
      const chunk = await nextChunk(chunks, trickle)
      if (chunk === undefined) break
      await options.turn()
      const from = Math.min(Math.max(0, transfer.position - at), chunk.length)
      const to = Math.min(Math.max(0, transfer.end - at), chunk.length)
      at += chunk.length
      if (at > options.limit()) throw tooLong()
      if (from < to) {
        const fresh = chunk.subarray(from, to)
        await options.write(fresh, transfer.position)
        transfer.position += fresh.length
      }
      slabs.release(chunk)
      if (at >= transfer.end && bodyEnd(blob, window, options) - at > DRAINED_BYTES) return
    }
    endOfBody(window, options)
  } finally {
    trickle?.stop()
    chunks?.stop()
    blob.body.destroy()
  }
}

function bodyEnd(blob: UpstreamBlob, window: ByteWindow, options: TransferOptions): number {
  const whole = blob.size ?? options.limit()
  // Who ignores the range sends everything.
  return blob.offset === window.first ? Math.min(whole, (window.last ?? Infinity) + 1) : whole
}

function endOfBody({ last = Infinity }: ByteWindow, options: TransferOptions): void {
  const { position, end } = options.transfer
  if (end === Infinity) return options.endedUnannounced()
  const missing = Math.min(end, last + 1) - position
  if (missing > 0) {
    throw new UpstreamError('unavailable', `Upstream ended the blob ${missing} bytes early.`)
  }
}

/** A body that breaks is an upstream that is unavailable: the one kind of failure that is resumed. */
async function nextChunk(chunks: ChunkReader, trickle: TrickleWatch): Promise<Buffer | undefined> {
  try {
    return await trickle.next(chunks)
  } catch (cause) {
    if (cause instanceof UpstreamError) throw cause
    throw new UpstreamError('unavailable', 'Upstream cut the connection within a blob.', { cause })
  }
}

function anotherPart(): UpstreamError {
  return new UpstreamError('corrupt', 'Upstream sent another part of the blob than was asked for.')
}

function tooLong(): UpstreamError {
  return new UpstreamError('corrupt', 'Upstream sent more than it said, or did not say how much.')
}
