/** Response bodies: every one is read to its end under a limit, handed on, or destroyed. */
import { finished, Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { loggableUrl } from '../log.ts'
import { createByteQueue } from './byte-queue.ts'
import { networkFailure } from './network-failure.ts'
import { contentLength, header, type HopResponse } from './response.ts'
import { slabs } from './slabs.ts'
import { UpstreamError } from './upstream.ts'

/** What an error page or a redirect may weigh so that reading it is cheaper than a new connection. */
const DISCARD_MAX_BYTES = 64 * 1024
/** Milliseconds that reading it may take. */
const DISCARD_DEADLINE = 1000

/** What may wait to be written: goes on in one piece, so that writes are few. */
const BLOB_BUFFER_BYTES = 1024 * 1024
/** Likewise, of bytes that come one by one: a million of them would take more than 100 MiB. */
const MAX_WAITING_PIECES = 1024
/** Milliseconds that bytes wait for more, which all that is done for each piece is worth. */
const GATHERING_TIME = 6

interface ReadOptions {
  readonly maxBytes: number
  /** Milliseconds that the whole body may take: an idle timeout alone lets one byte at a time go on for ever. */
  readonly deadline: number
  /** Told of every chunk, as it came over the wire. */
  readonly received?: (bytes: number) => void
}

interface StreamOptions {
  /** More than that is `corrupt`; `undefined`: no limit. */
  readonly maxBytes: number | undefined
  readonly received: (bytes: number) => void
  readonly failed: (error: UpstreamError) => void
}

/** Gets rid of a body that nobody wants, keeping the connection where that is cheap. Never throws. */
export async function discardBody({ body }: HopResponse): Promise<void> {
  const signal = AbortSignal.timeout(DISCARD_DEADLINE)
  await body.dump({ limit: DISCARD_MAX_BYTES, signal }).catch(() => undefined)
  // undici takes a connection back one turn of the event loop after the body.
  await setImmediate()
}

/** For a body that may be large: closes its connection instead of reading it. */
export function destroyBody({ body }: HopResponse): void {
  body.destroy()
}

/**
 * The whole body as sent.
 * @throws {UpstreamError} corrupt when it is larger than the limit, unavailable when it breaks off or is too slow
 */
export async function readBody(
  response: HopResponse,
  { maxBytes, deadline, received }: ReadOptions,
): Promise<Buffer> {
  const { body, url } = response
  if ((contentLength(response) ?? 0) > maxBytes) {
    body.destroy()
    throw tooLarge(url, maxBytes)
  }
  const timer = setTimeout(() => body.destroy(tooSlow(url, deadline)), deadline)
  try {
    return await collect(body, url, maxBytes, received)
  } finally {
    clearTimeout(timer)
  }
}

/**
 * The content of a small document. gzip is undone although identity was asked for, because some
 * front-ends compress regardless; the digest is one of the uncompressed bytes.
 * @throws {UpstreamError} corrupt when it is larger than the limit, or encoded otherwise
 */
export async function readDocument(response: HopResponse, options: ReadOptions): Promise<Buffer> {
  const encoding = contentEncoding(response)
  if (encoding !== undefined && encoding !== 'gzip' && encoding !== 'x-gzip') {
    destroyBody(response)
    throw new UpstreamError(
      'corrupt',
      `${loggableUrl(response.url)} answered with a Content-Encoding that was not asked for.`,
    )
  }
  const bytes = await readBody(response, options)
  return encoding === undefined ? bytes : await unzip(bytes, options.maxBytes, response.url)
}

/** `undefined` for none and for `identity`. */
export function contentEncoding(response: HopResponse): string | undefined {
  const encoding = header(response, 'content-encoding')?.trim().toLowerCase()
  return encoding === '' || encoding === 'identity' ? undefined : encoding
}

/**
 * The body as a stream whose errors are UpstreamErrors, except that of an aborted signal, which is its
 * reason. `failed` is told of each, also when it is destroyed with one from outside. Each chunk is all
 * that came meanwhile; `slabs` are to be told when it is used no longer.
 */
export function streamBody(
  { body, url }: HopResponse,
  { maxBytes = Infinity, received, failed }: StreamOptions,
  signal: AbortSignal,
): Readable {
  const queue = createByteQueue(slabs)
  let size = 0
  let isWanted = false
  /** What ended the body; told when everything that came before was taken. */
  let failure: Error | undefined
  let gathering: NodeJS.Timeout | undefined
  const stream = new Readable({
    // In bytes, chunks that wait would be copied into one.
    objectMode: true,
    highWaterMark: 1,
    read() {
      isWanted = true
      passOrGather()
    },
    destroy(error, callback) {
      clearTimeout(gathering)
      body.destroy()
      if (error instanceof UpstreamError && !signal.aborted) failed(error)
      callback(error)
    },
  })

  function passOrGather(): void {
    if (failure !== undefined) return passOrFail(failure)
    if (!isFull()) body.resume()
    // Not in the middle of what was read at once: undici would go through all the rest of it again each
    // time, and read on meanwhile.
    else queueMicrotask(() => isFull() && body.pause())
    if (!isWanted || queue.length === 0) return
    const isFirst = queue.length === size
    if (isFirst || queue.isFirstComplete() || isFull()) pass()
    else gathering ??= setTimeout(pass, GATHERING_TIME)
  }

  function passOrFail(error: Error): void {
    if (isWanted && queue.length > 0) pass()
    else if (isWanted) stream.destroy(error)
  }

  function isFull(): boolean {
    return queue.length >= BLOB_BUFFER_BYTES || queue.pieces >= MAX_WAITING_PIECES
  }

  function pass(): void {
    clearTimeout(gathering)
    gathering = undefined
    isWanted = false
    stream.push(queue.take())
  }

  function end(): void {
    clearTimeout(gathering)
    while (queue.length > 0) stream.push(queue.take())
    stream.push(null)
  }

  // It may break before anybody reads it; an unheard error event ends the process.
  stream.on('error', () => undefined)
  body.pause()
  body.on('data', (chunk: Buffer) => {
    received(chunk.byteLength)
    size += chunk.byteLength
    if (size > maxBytes) {
      stream.destroy(tooLarge(url, maxBytes))
    } else {
      queue.add(chunk)
      passOrGather()
    }
  })
  finished(body, (error) => {
    if (stream.destroyed) return
    if (!error) return end()
    if (signal.aborted) return void stream.destroy(reasonOf(signal))
    failure = networkFailure(error, url)
    passOrFail(failure)
  })
  return stream
}

async function collect(
  body: Readable,
  url: URL,
  maxBytes: number,
  received: ReadOptions['received'],
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.byteLength
      received?.(chunk.byteLength)
      // Leaving the loop destroys the body.
      if (size > maxBytes) throw tooLarge(url, maxBytes)
      chunks.push(chunk)
    }
  } catch (error) {
    throw networkFailure(error, url)
  }
  return Buffer.concat(chunks, size)
}

async function unzip(bytes: Buffer, maxBytes: number, url: URL): Promise<Buffer> {
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: maxBytes })
  } catch (cause) {
    throw new UpstreamError(
      'corrupt',
      `${loggableUrl(url)} answered with gzip that is broken or larger than ${maxBytes} bytes.`,
      { cause },
    )
  }
}

function tooLarge(url: URL, maxBytes: number): UpstreamError {
  return new UpstreamError(
    'corrupt',
    `${loggableUrl(url)} answered with more than ${maxBytes} bytes, which is refused.`,
  )
}

function tooSlow(url: URL, milliseconds: number): UpstreamError {
  return new UpstreamError(
    'unavailable',
    `${loggableUrl(url)} did not complete its answer in ${milliseconds} ms.`,
  )
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted')
}
