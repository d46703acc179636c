/**
 * One download of one blob, and everybody who reads it meanwhile.
 *
 *   connecting → streaming → verifying → stored | failed
 *
 * Upstream and disk set the pace, never the slowest client: bytes go to a spool file, and readers
 * follow that file at their own speed, whenever they joined. One transfer goes through the blob from
 * its beginning; who reads far ahead of it gets another one that begins there. Some part is held back
 * until the digest is right, so nobody can ever hold a complete wrong blob. The fill belongs to no client.
 */
import type { ByteSource } from '../byte-source.ts'
import type { Digest } from '../oci/digest.ts'
import { StorageError } from '../storage-error.ts'
import { UpstreamError, type ByteWindow, type UpstreamBlob } from '../upstream/upstream.ts'
import { createChangeSignal } from './change-signal.ts'
import { chunkWindows, type ChunkWindow } from './chunk-window.ts'
import { defer } from './deferred.ts'
import { createFillReader, type FillState } from './fill-reader.ts'
import { createFillWriter, type FillWriter } from './fill-writer.ts'
import { createHeldBack, type HeldBack } from './held-back.ts'
import { createPrefixHash, type PrefixHash } from './prefix-hash.ts'
import type { PartialFile, Spool } from './spool.ts'
import type { Division } from './stretches.ts'
import { createTransfers, type Transfers } from './transfers.ts'
import { untilAborted } from '../abort.ts'

export interface FillOptions {
  readonly upstream: string
  readonly digest: Digest
  /** Bytes, as a manifest says; used where upstream does not tell. */
  readonly expectedSize: number | undefined
  readonly spool: Spool
  /** How a large blob may be divided between connections; without it, not at all. */
  readonly division?: Division | undefined
  /** Asks upstream for a part of the blob. */
  connect(window: ByteWindow, signal: AbortSignal): Promise<UpstreamBlob>
  /**
   * Makes sure that upstream gives this blob to whoever asks, before anybody is given what an earlier
   * download has left: that may have been for somebody else.
   * @throws {UpstreamError} when it does not
   */
  confirm?(): Promise<void>
  /**
   * Makes room for so many bytes, once they are known and before any more is written.
   * @param written bytes that are on disk already
   * @throws {StorageError} when there is none
   */
  reserve?(size: number, written: number): Promise<void>
  /** Told how many bytes are on disk by now. */
  wrote?(bytes: number): void
  /** Waited for before each chunk while nobody reads; `undefined`: go on. */
  turn?(): Promise<void> | undefined
  /** Clients came or left. */
  readersChanged?(): void
  /** A client goes on straight from upstream, because nothing can be stored any more. */
  passedThrough?(): void
  /** Takes over the verified file: store first, then catalog. */
  keep(path: string, size: number): Promise<void>
}

export interface FillProgress {
  readonly bytes: number
  /** Bytes of the blob; `undefined` before they are known. */
  readonly size: number | undefined
}

export interface Fill {
  /** Bytes of the blob, as soon as they are known. Rejects when the fill fails before that. */
  readonly size: Promise<number>
  /** Resolves when the blob is stored, rejects when it cannot be. */
  readonly settled: Promise<void>
  /** Clients that read it now. */
  readers(): number
  /** How much of it is on disk. */
  progress(): FillProgress
  /** A reader of the whole blob, from bytes that are there or still to come; `undefined` when the file is closed. */
  open(): Promise<ByteSource | undefined>
  abort(reason: Error): void
}

/** Most bytes of a blob whose length neither upstream nor a manifest tells: an endless one must end. */
const MAX_UNANNOUNCED_BYTES = 256 * 1024 * 1024

export function startFill(options: FillOptions): Fill {
  const { digest, upstream, spool } = options
  const aborter = new AbortController()
  const { signal } = aborter
  const progress = createChangeSignal()
  const state: FillState = {
    verified: false,
    failure: undefined,
    isRead: false,
    unwritten: undefined,
  }
  const known = defer<Known>()
  /** Ways to say that what came was wrong. */
  const sources = new Set<UpstreamBlob['distrust']>()
  let size: number | undefined
  let users = 1 // the download itself, and each reader
  let transfers: Transfers | undefined
  let onDisk = 0

  const opening = openSpooled()
  const settled = run()
  // Whoever waits gets the rejection; that nobody may be waiting is no crash.
  settled.catch(() => undefined)
  const toldSize = known.promise.then(({ whole }) => whole)
  toldSize.catch(() => undefined)
  return {
    size: toldSize,
    settled,
    readers: () => Math.max(0, users - 1),
    progress: () => ({ bytes: onDisk, size }),
    open,
    abort: (reason) => aborter.abort(reason),
  }

  async function run(): Promise<void> {
    const spooled = await opening.catch(fail)
    try {
      const whole = await download(spooled)
      await verify(spooled, whole)
      await options.keep(spooled.file.path, whole)
      await leave(spooled, false)
    } catch (error) {
      await giveUp(spooled, error)
    } finally {
      await release()
    }
  }

  async function openSpooled(): Promise<Spooled> {
    const file = await spool.resume(upstream, digest)
    const prefix = createPrefixHash(digest, file.handle, file.extents)
    onDisk = file.extents.total()
    const wrote = (): void => {
      onDisk = file.extents.total()
      options.wrote?.(onDisk)
      progress.notify()
    }
    const window = chunkWindows.open()
    const writer = createFillWriter({
      file,
      prefix,
      window,
      state,
      size: () => size,
      wrote,
      signal,
    })
    return { file, prefix, window, writer }
  }

  /** @returns bytes of the blob */
  async function download({ file, prefix, writer }: Spooled): Promise<number> {
    if (file.size !== undefined) {
      await untilAborted(Promise.resolve(options.confirm?.()), signal)
      await begin(file.size, file.extents.total())
      options.wrote?.(file.extents.total())
    }
    transfers = createTransfers({
      extents: file.extents,
      size: () => size,
      limit: () => size ?? MAX_UNANNOUNCED_BYTES,
      expectedSize: options.expectedSize,
      division: options.division,
      isAwaited: () => users > 1,
      connect,
      answered,
      write: (chunk, position) => writer.write(chunk, position),
      // Told to nobody before the digest has confirmed it.
      endedAt: (end) => void (size = end),
      turn: () => (users > 1 ? undefined : options.turn?.()),
      signal,
    })
    const whole = await transfers.done
    await prefix.catchUp(signal)
    return whole
  }

  function connect(window: ByteWindow, aborted: AbortSignal): Promise<UpstreamBlob> {
    return options.connect(window, aborted)
  }

  async function answered(blob: UpstreamBlob): Promise<void> {
    sources.add(() => blob.distrust())
    const said = blob.size ?? options.expectedSize
    if (said === undefined) return
    const believed = size ?? options.expectedSize ?? said
    if (said !== believed) throw corrupt(`says ${said} bytes where ${believed} were expected`)
    if (size === undefined) await begin(said, 0)
  }

  async function begin(whole: number, written: number): Promise<void> {
    await options.reserve?.(whole, written)
    size = whole
    tellSize(whole)
  }

  async function verify({ prefix, writer }: Spooled, whole: number): Promise<void> {
    if (!prefix.matches()) {
      for (const distrust of sources) distrust()
      throw corrupt(`sent bytes that are not ${digest}`)
    }
    // From now on a client may hold the whole, so it must survive the death of the process.
    await writer.note()
    state.verified = true
    tellSize(whole)
  }

  function tellSize(whole: number): void {
    known.resolve({ whole, heldBack: createHeldBack(whole) })
    progress.notify()
  }

  /** What came so far is worth keeping, unless it may be wrong or cannot be read. */
  async function giveUp(spooled: Spooled, error: unknown): Promise<never> {
    const isWrong = error instanceof UpstreamError && error.reason === 'corrupt'
    const isReadable = !(error instanceof StorageError) || (await canBeRead(spooled.prefix))
    await leave(spooled, !state.verified && !isWrong && isReadable)
    fail(error)
  }

  /** What goes wrong here changes nothing any more: the blob is stored, or was given up. */
  async function leave({ file, window, writer }: Spooled, isForNext: boolean): Promise<void> {
    window.close()
    await (isForNext ? writer.note() : writer.idle())
    await file.close().catch(() => undefined)
    const leaving = isForNext ? spool.park(file, upstream, digest) : spool.remove(file.path)
    await leaving.catch(() => undefined)
  }

  async function open(): Promise<ByteSource | undefined> {
    if (users === 0) return undefined
    users += 1
    options.readersChanged?.()
    try {
      return reader(await opening, await known.promise)
    } catch (error) {
      await release()
      throw error
    }
  }

  function reader({ file, prefix, window }: Spooled, { whole, heldBack }: Known): ByteSource {
    return createFillReader({
      digest,
      size: whole,
      file,
      prefix,
      heldBack,
      window,
      state,
      connect,
      changed: (position, clientSignal) => changed(file, position, clientSignal),
      passedThrough: () => options.passedThrough?.(),
      closed: release,
    })
  }

  async function changed(
    { extents }: PartialFile,
    position: number,
    clientSignal: AbortSignal,
  ): Promise<void> {
    const isMissing = extents.missingFrom(position) === position
    const served = isMissing ? transfers?.demand(position) : undefined
    try {
      await progress.next(clientSignal)
    } finally {
      served?.()
    }
  }

  /** The file stays open while anybody reads it, also after it was renamed or removed. */
  async function release(): Promise<void> {
    users -= 1
    options.readersChanged?.()
    // Whoever relies on the bytes has made sure that they are on disk.
    if (users === 0) await (await opening).file.handle.close().catch(() => undefined)
  }

  function fail(error: unknown): never {
    state.failure = error instanceof Error ? error : new Error('The fill failed.', { cause: error })
    known.reject(state.failure)
    progress.notify()
    throw state.failure
  }
}

/** The file that takes the bytes, and what is known of it. */
interface Spooled {
  readonly file: PartialFile
  readonly prefix: PrefixHash
  /** What came last. */
  readonly window: ChunkWindow
  readonly writer: FillWriter
}

/** What readers have to know before they begin. */
interface Known {
  /** Bytes of the blob. */
  readonly whole: number
  readonly heldBack: HeldBack
}

/** Reads what was not hashed yet. */
async function canBeRead(prefix: PrefixHash): Promise<boolean> {
  const { signal } = new AbortController()
  return prefix.catchUp(signal).then(
    () => true,
    () => false,
  )
}

function corrupt(what: string): UpstreamError {
  return new UpstreamError('corrupt', `Upstream ${what}.`)
}
