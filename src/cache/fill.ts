/**
 * One download of one blob, and everybody who reads it meanwhile.
 *
 *   connecting → streaming → verifying → stored | failed
 *
 * Upstream and disk set the pace, never the slowest client: bytes go to a spool file, and readers
 * follow that file at their own speed, whenever they joined. The last bytes are held back until the
 * digest is right, so nobody can ever hold a complete wrong blob. The fill belongs to no client.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ByteSource } from '../byte-source.ts'
import { createDigestHash, digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts'
import { UpstreamError, type UpstreamBlob } from '../upstream/upstream.ts'
import { createChangeSignal } from './change-signal.ts'
import type { Spool, SpoolFile } from './spool.ts'

export interface FillOptions {
  readonly digest: Digest
  /** Bytes, as a manifest says; used where upstream does not tell. */
  readonly expectedSize: number | undefined
  readonly spool: Spool
  /** Asks upstream for the blob from this offset on. */
  connect(offset: number, signal: AbortSignal): Promise<UpstreamBlob>
  /** Takes over the verified file: store first, then catalog. */
  keep(path: string, size: number): Promise<void>
}

export interface Fill {
  /** Bytes of the blob, as soon as they are known. Rejects when the fill fails before that. */
  readonly size: Promise<number>
  /** Resolves when the blob is stored, rejects when it cannot be. */
  readonly settled: Promise<void>
  /** A reader of the whole blob, from bytes that are there or still to come; `undefined` when the file is closed. */
  open(): Promise<ByteSource | undefined>
  abort(reason: Error): void
}

/** Bytes at the end that nobody gets before the digest is known to be right. */
const HELD_BACK_BYTES = 64 * 1024
/** Connections in a row that may bring nothing before the fill gives up. */
const MAX_FRUITLESS_RESUMES = 5
/** Connections in all: an upstream that cuts after each byte must not hold a fill for ever. */
const MAX_RESUMES = 100
/** Most bytes of a blob whose length neither upstream nor a manifest tells: an endless one must end. */
const MAX_UNANNOUNCED_BYTES = 256 * 1024 * 1024
/** Milliseconds before the first resume; doubled each time that nothing came. */
const RESUME_DELAY = 50

export function startFill(options: FillOptions): Fill {
  const aborter = new AbortController()
  const { signal } = aborter
  const hash = createDigestHash(digestAlgorithm(options.digest))
  const progress = createChangeSignal()
  const spooled = options.spool.create(options.digest)
  const known = defer<number>()
  let written = 0
  let size: number | undefined
  let verified = false
  let failure: Error | undefined
  let users = 1 // the download itself, and each reader

  const settled = run()
  // Whoever waits gets the rejection; that nobody may be waiting is no crash.
  settled.catch(() => undefined)
  known.promise.catch(() => undefined)
  return { size: known.promise, settled, open, abort: (reason) => aborter.abort(reason) }

  async function run(): Promise<void> {
    const { path } = await spooled.catch(fail)
    try {
      await download()
      verify()
      await options.keep(path, written)
    } catch (error) {
      fail(error)
    } finally {
      await release()
      await options.spool.remove(path)
    }
  }

  /** Asks again from where it was cut, until the blob is whole or nothing comes any more. */
  async function download(): Promise<void> {
    let fruitless = 0
    for (let resumes = 0; size === undefined || written < size; resumes += 1) {
      const before = written
      try {
        await receive(await options.connect(written, signal))
      } catch (error) {
        if (signal.aborted) throw signal.reason
        fruitless = written > before ? 0 : fruitless + 1
        const givenUp = fruitless > MAX_FRUITLESS_RESUMES || resumes >= MAX_RESUMES
        if (givenUp || !canResume(error)) throw error
        const pause = delay(RESUME_DELAY * 2 ** fruitless, undefined, { signal })
        await pause.catch(() => signal.throwIfAborted())
      }
    }
  }

  /** Nothing was promised to anybody before the size is known, so a failure then is final. */
  function canResume(error: unknown): boolean {
    const { reason } = error instanceof UpstreamError ? error : {}
    return size !== undefined && (reason === 'unavailable' || reason === 'rate-limited')
  }

  async function receive(blob: UpstreamBlob): Promise<void> {
    try {
      learnSize(blob)
      let skip = written - blob.offset
      for await (const chunk of chunksOf(blob)) {
        const fresh = chunk.subarray(Math.min(skip, chunk.length))
        skip -= chunk.length - fresh.length
        if (fresh.length > 0) await append(fresh)
      }
      endOfBody()
    } finally {
      blob.body.destroy()
    }
  }

  function learnSize(blob: UpstreamBlob): void {
    if (blob.offset > written) throw corrupt('sent another part of the blob than was asked for')
    const said = blob.size ?? options.expectedSize
    if (said === undefined) return
    const believed = size ?? options.expectedSize ?? said
    if (said !== believed) throw corrupt(`says ${said} bytes where ${believed} were expected`)
    size = said
    known.resolve(size)
    progress.notify()
  }

  async function append(chunk: Buffer): Promise<void> {
    const limit = size ?? MAX_UNANNOUNCED_BYTES
    if (written + chunk.length > limit)
      throw corrupt('sent more than it said, or did not say how much')
    const { handle } = await spooled
    const writing = writeFully(handle, chunk, written)
    hash.update(chunk)
    await writing
    written += chunk.length
    progress.notify()
  }

  function endOfBody(): void {
    if (size === undefined) {
      // Told to nobody before the digest has confirmed it.
      size = written
    } else if (written < size) {
      throw new UpstreamError(
        'unavailable',
        `Upstream ended the blob ${size - written} bytes early.`,
      )
    }
  }

  function verify(): void {
    if (hash.digest('hex') !== digestHex(options.digest)) {
      throw corrupt(`sent bytes that are not ${options.digest}`)
    }
    verified = true
    known.resolve(written)
    progress.notify()
  }

  async function open(): Promise<ByteSource | undefined> {
    if (users === 0) return undefined
    users += 1
    try {
      const { handle } = await spooled
      return reader(handle, await known.promise)
    } catch (error) {
      await release()
      throw error
    }
  }

  function reader(handle: SpoolFile['handle'], whole: number): ByteSource {
    let closed = false
    return {
      size: whole,
      async read(buffer, position, clientSignal) {
        for (;;) {
          if (failure !== undefined && !verified) throw failure
          const length = Math.min(buffer.length, readable(whole) - position)
          if (length > 0) return (await handle.read(buffer, 0, length, position)).bytesRead
          if (verified) return 0
          await progress.next(clientSignal)
        }
      },
      async close() {
        if (closed) return
        closed = true
        await release()
      },
    }
  }

  /** How far readers may go in a blob of this many bytes. */
  function readable(whole: number): number {
    return verified ? whole : Math.max(0, Math.min(written, whole - HELD_BACK_BYTES))
  }

  /** The file stays open while anybody reads it, also after it was renamed or removed. */
  async function release(): Promise<void> {
    users -= 1
    if (users === 0) await (await spooled).handle.close()
  }

  function fail(error: unknown): never {
    failure = error instanceof Error ? error : new Error('The fill failed.', { cause: error })
    known.reject(failure)
    progress.notify()
    throw failure
  }
}

/** A body that breaks is an upstream that is unavailable: the one kind of failure that is resumed. */
async function* chunksOf({ body }: UpstreamBlob): AsyncGenerator<Buffer> {
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  for (;;) {
    const next = await chunks.next().catch((cause: unknown) => {
      if (cause instanceof UpstreamError) throw cause
      throw new UpstreamError('unavailable', 'Upstream cut the connection within a blob.', {
        cause,
      })
    })
    if (next.done) return
    yield next.value
  }
}

/** A write may be short without being an error (POSIX write(2)). */
async function writeFully(
  handle: SpoolFile['handle'],
  chunk: Buffer,
  position: number,
): Promise<void> {
  let done = 0
  while (done < chunk.length) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done)
    done += bytesWritten
  }
}

interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

function defer<T>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> | undefined
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, resolve: (value) => settle?.resolve(value), reject: (e) => settle?.reject(e) }
}

function corrupt(what: string): UpstreamError {
  return new UpstreamError('corrupt', `Upstream ${what}.`)
}
