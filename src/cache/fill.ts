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
import { StorageError, storageFailure } from '../storage-error.ts'
import { UpstreamError, type ByteWindow, type UpstreamBlob } from '../upstream/upstream.ts'
import { createChangeSignal } from './change-signal.ts'
import { defer } from './deferred.ts'
import { createHeldBack, HELD_BACK_BYTES, type HeldBack } from './held-back.ts'
import { createPassThrough } from './pass-through.ts'
import { createPrefixHash, type PrefixHash } from './prefix-hash.ts'
import { WORTH_KEEPING_BYTES, type PartialFile, type Spool } from './spool.ts'
import { createTransfers, type Transfers } from './transfers.ts'

export interface FillOptions {
  readonly upstream: string
  readonly digest: Digest
  /** Bytes, as a manifest says; used where upstream does not tell. */
  readonly expectedSize: number | undefined
  readonly spool: Spool
  /** Asks upstream for a part of the blob. */
  connect(window: ByteWindow, signal: AbortSignal): Promise<UpstreamBlob>
  /**
   * Makes room for so many bytes, once they are known and before any is written.
   * @throws {StorageError} when there is none
   */
  reserve?(size: number): Promise<void>
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

export interface Fill {
  /** Bytes of the blob, as soon as they are known. Rejects when the fill fails before that. */
  readonly size: Promise<number>
  /** Resolves when the blob is stored, rejects when it cannot be. */
  readonly settled: Promise<void>
  /** Clients that read it now. */
  readers(): number
  /** A reader of the whole blob, from bytes that are there or still to come; `undefined` when the file is closed. */
  open(): Promise<ByteSource | undefined>
  abort(reason: Error): void
}

/** Most bytes of a blob whose length neither upstream nor a manifest tells: an endless one must end. */
const MAX_UNANNOUNCED_BYTES = 256 * 1024 * 1024

export function startFill(options: FillOptions): Fill {
  const { digest } = options
  const aborter = new AbortController()
  const { signal } = aborter
  const progress = createChangeSignal()
  const spooled = options.spool.resume(options.upstream, digest)
  const known = defer<number>()
  /** Ways to say that what came was wrong. */
  const sources = new Set<UpstreamBlob['distrust']>()
  let size: number | undefined
  let heldBack: HeldBack | undefined
  let prefix: PrefixHash | undefined
  let verified = false
  let failure: Error | undefined
  /** What was hashed and could not be written: readers still get it. */
  let unwritten: { readonly bytes: Buffer; readonly first: number } | undefined
  let users = 1 // the download itself, and each reader
  let transfers: Transfers | undefined
  let unnoted = 0
  let noting: Promise<void> | undefined

  const settled = run()
  // Whoever waits gets the rejection; that nobody may be waiting is no crash.
  settled.catch(() => undefined)
  known.promise.catch(() => undefined)
  return {
    size: known.promise,
    settled,
    readers: () => Math.max(0, users - 1),
    open,
    abort: (reason) => aborter.abort(reason),
  }

  async function run(): Promise<void> {
    const file = await spooled.catch(fail)
    prefix = createPrefixHash(digest, file.handle, file.extents)
    try {
      await download(file, prefix)
      await verify(file, prefix)
      await options.keep(file.path, size ?? 0)
      await noting
      await file.close()
      await options.spool.remove(file.path)
    } catch (error) {
      await giveUp(file, error)
    } finally {
      await release()
    }
  }

  async function download(file: PartialFile, hash: PrefixHash): Promise<void> {
    if (file.size !== undefined) await begin(file.size)
    transfers = createTransfers({
      extents: file.extents,
      size: () => size,
      limit: () => size ?? MAX_UNANNOUNCED_BYTES,
      connect,
      answered,
      write: (chunk, position) => write(file, hash, chunk, position),
      // Told to nobody before the digest has confirmed it.
      endedAt: (end) => void (size = end),
      turn: () => (users > 1 ? undefined : options.turn?.()),
      signal,
    })
    await transfers.done
    await hash.catchUp(signal)
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
    if (size === undefined) await begin(said)
  }

  async function begin(whole: number): Promise<void> {
    await options.reserve?.(whole)
    size = whole
    heldBack = createHeldBack(whole)
    known.resolve(whole)
    progress.notify()
  }

  async function write(
    file: PartialFile,
    hash: PrefixHash,
    chunk: Buffer,
    position: number,
  ): Promise<void> {
    const writing = writeFully(file, chunk, position)
    hash.wrote(chunk, position)
    try {
      await writing
    } catch (error) {
      if (hash.position === position + chunk.length) unwritten = { bytes: chunk, first: position }
      throw error
    }
    file.extents.add(position, position + chunk.length)
    options.wrote?.(file.extents.total())
    progress.notify()
    // What came out of order before is next now.
    const isBehind = file.extents.missingFrom(hash.position) > hash.position
    if (isBehind) hash.catchUp(signal).catch(() => undefined)
    unnoted += chunk.length
    if (unnoted >= WORTH_KEEPING_BYTES) noting ??= note(file)
  }

  /** Without it the bytes would be fetched again after a crash: no reason to fail. */
  async function note(file: PartialFile): Promise<void> {
    unnoted = 0
    try {
      if (size !== undefined) await file.note(size, file.extents.list())
    } catch {
      // The disk is in trouble, of which the next write will tell.
    } finally {
      noting = undefined
    }
  }

  async function verify(file: PartialFile, hash: PrefixHash): Promise<void> {
    if (!hash.matches()) {
      for (const distrust of sources) distrust()
      throw corrupt(`sent bytes that are not ${digest}`)
    }
    // From now on a client may hold the whole, so it must survive the death of the process.
    await noting
    await note(file)
    verified = true
    known.resolve(size ?? 0)
    progress.notify()
  }

  /** What came so far is worth keeping, unless it may be wrong. */
  async function giveUp(file: PartialFile, error: unknown): Promise<never> {
    const isWrong = error instanceof UpstreamError && error.reason === 'corrupt'
    const isKept = verified
    const worthless = isKept || isWrong || file.extents.total() < WORTH_KEEPING_BYTES
    if (error instanceof StorageError && prefix) await finishInMemory(prefix).catch(() => undefined)
    await noting
    if (!worthless) await note(file)
    await file.close().catch(() => undefined)
    const { spool, upstream } = options
    const leaving = worthless ? spool.remove(file.path) : spool.park(file, upstream, digest)
    await leaving.catch(() => undefined)
    fail(error)
  }

  /** Where the disk fails close to the end, what is missing fits in memory, and is served from there. */
  async function finishInMemory(hash: PrefixHash): Promise<void> {
    await hash.catchUp(signal)
    const { position } = hash
    if (verified || size === undefined || size - position > HELD_BACK_BYTES) return
    const rest = Buffer.alloc(size - position)
    if (rest.length === 0 && !hash.matches()) return
    const source = createPassThrough({ digest, size, connect }, hash.copy())
    try {
      // It gives out the end of a blob only when all of it was right.
      for (let done = 0; done < rest.length;) {
        done += await source.read(rest.subarray(done), position + done, signal)
      }
    } finally {
      await source.close()
    }
    const { bytes, first } = unwritten ?? { bytes: Buffer.alloc(0), first: position }
    unwritten = { bytes: Buffer.concat([bytes, rest]), first }
    verified = true
  }

  async function open(): Promise<ByteSource | undefined> {
    if (users === 0) return undefined
    users += 1
    options.readersChanged?.()
    try {
      const whole = await known.promise
      return reader(await spooled, whole)
    } catch (error) {
      await release()
      throw error
    }
  }

  function reader(file: PartialFile, whole: number): ByteSource {
    let closed = false
    let passThrough: ByteSource | undefined

    async function read(buffer: Uint8Array, position: number, clientSignal: AbortSignal) {
      for (;;) {
        if (position >= whole && verified) return 0
        const wanted = buffer.subarray(0, readable(file, position, buffer.length))
        if (wanted.length > 0) return readFile(file, wanted, position)
        if (failure !== undefined) return await afterFailure(buffer, position, clientSignal)
        await more(file, position, clientSignal)
      }
    }

    /** When nothing can be stored any more, the client is served all the same. */
    async function afterFailure(
      buffer: Uint8Array,
      position: number,
      clientSignal: AbortSignal,
    ): Promise<number> {
      const kept = fromUnwritten(buffer, position)
      if (kept > 0) return kept
      // Where the held back part was reached, the hash is beyond it: the client has to ask again.
      const isPast = prefix !== undefined && position < prefix.position
      if (!(failure instanceof StorageError) || isPast) throw failure ?? new Error('It failed.')
      if (passThrough === undefined) options.passedThrough?.()
      passThrough ??= createPassThrough(
        { digest, size: whole, connect },
        prefix?.position === position ? prefix.copy() : undefined,
      )
      return passThrough.read(buffer, position, clientSignal)
    }

    return {
      size: whole,
      read,
      async close() {
        if (closed) return
        closed = true
        await passThrough?.close()
        await release()
      },
    }
  }

  /** How many bytes from here on may be given out. */
  function readable({ extents }: PartialFile, position: number, length: number): number {
    const isOver = failure !== undefined && !(failure instanceof StorageError)
    if (isOver && !verified) return 0
    // A reader of the whole changes over to upstream where the hash of what it had ends.
    const end = failure && prefix && position <= prefix.position ? prefix.position : Infinity
    const there = Math.min(length, extents.missingFrom(position) - position, end - position)
    if (verified || there <= 0) return Math.max(0, there)
    return heldBack?.release(position, there) ?? 0
  }

  function fromUnwritten(buffer: Uint8Array, position: number): number {
    if (unwritten === undefined || position < unwritten.first) return 0
    const rest = unwritten.bytes.subarray(position - unwritten.first)
    const wanted = Math.min(rest.length, buffer.length)
    const isFree = verified || wanted === 0
    const length = isFree ? wanted : (heldBack?.release(position, wanted) ?? 0)
    buffer.set(rest.subarray(0, length))
    return length
  }

  async function more(
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
    if (users === 0) await (await spooled).handle.close()
  }

  function fail(error: unknown): never {
    failure = error instanceof Error ? error : new Error('The fill failed.', { cause: error })
    known.reject(failure)
    progress.notify()
    throw failure
  }
}

async function readFile(
  { handle }: PartialFile,
  buffer: Uint8Array,
  position: number,
): Promise<number> {
  try {
    return (await handle.read(buffer, 0, buffer.length, position)).bytesRead
  } catch (error) {
    throw storageFailure(error)
  }
}

/** A write may be short without being an error (POSIX write(2)). */
async function writeFully({ handle }: PartialFile, chunk: Buffer, position: number): Promise<void> {
  try {
    let done = 0
    while (done < chunk.length) {
      const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done)
      done += bytesWritten
    }
  } catch (error) {
    throw storageFailure(error)
  }
}

function corrupt(what: string): UpstreamError {
  return new UpstreamError('corrupt', `Upstream ${what}.`)
}
