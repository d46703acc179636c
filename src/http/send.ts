/** Bytes from a file, or from a download that runs, straight to the socket: no web streams in between. */
import type { ServerResponse } from 'node:http'
import type { ByteSource } from '../byte-source.ts'
import type { ByteRange } from '../oci/range.ts'
import type { Buffers } from './buffers.ts'

/** A part of the source, or bytes as they are. */
export type Piece = ByteRange | Uint8Array

interface SendOptions {
  readonly buffers: Buffers
  readonly onSent: (bytes: number) => void
  /** The answer ended short of what its headers promised, by the client or by us. */
  readonly onCut: (error: unknown) => void
}

/**
 * One piece after the other, one buffer at a time: a slow client costs memory for one chunk, and
 * nothing else waits for it. Never throws; once the headers are out, a failure can only be told by
 * destroying the socket, so that the client sees a short body and never a complete wrong one.
 */
export async function sendPieces(
  outgoing: ServerResponse,
  source: ByteSource,
  pieces: Iterable<Piece>,
  options: SendOptions,
): Promise<void> {
  const leaving = new AbortController()
  const leave = (): void => leaving.abort(new Error('The client closed the connection.'))
  outgoing.once('close', leave)
  // It may have gone while the blob was looked for.
  if (outgoing.destroyed) leave()
  try {
    for (const piece of pieces) {
      if ('first' in piece) await sendRange(outgoing, source, piece, options, leaving.signal)
      else await sendBytes(outgoing, piece, options, leaving.signal)
    }
    outgoing.end()
  } catch (error) {
    options.onCut(error)
    outgoing.destroy()
  } finally {
    outgoing.off('close', leave)
  }
}

async function sendRange(
  outgoing: ServerResponse,
  source: ByteSource,
  { first, last }: ByteRange,
  { buffers, onSent }: SendOptions,
  signal: AbortSignal,
): Promise<void> {
  let position = first
  while (position <= last) {
    const sent = await buffers.lend((buffer) =>
      sendChunk(outgoing, source, buffer, { first: position, last }, signal),
    )
    position += sent
    onSent(sent)
  }
}

async function sendBytes(
  outgoing: ServerResponse,
  bytes: Uint8Array,
  { onSent }: SendOptions,
  signal: AbortSignal,
): Promise<void> {
  await write(outgoing, bytes, signal)
  onSent(bytes.length)
}

/** @returns bytes sent, at least 1 */
async function sendChunk(
  outgoing: ServerResponse,
  source: ByteSource,
  buffer: Buffer,
  { first, last }: ByteRange,
  signal: AbortSignal,
): Promise<number> {
  const wanted = buffer.subarray(0, Math.min(buffer.length, last - first + 1))
  const count = await source.read(wanted, first, signal)
  if (count === 0) throw new Error('The stored blob is shorter than it was.')
  await write(outgoing, wanted.subarray(0, count), signal)
  return count
}

/** Resolves when the kernel has the bytes, so that the buffer may be used again. */
function write(outgoing: ServerResponse, chunk: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error)
    if (signal.aborted) return leave()
    signal.addEventListener('abort', leave, { once: true })
    outgoing.write(chunk, (error) => {
      signal.removeEventListener('abort', leave)
      if (error) reject(error)
      else resolve()
    })
  })
}
