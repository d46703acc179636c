/** Bytes from a file, or from a download that runs, straight to the socket: no web streams in between. */
import type { ServerResponse } from 'node:http'
import type { ByteSource } from '../byte-source.ts'
import type { ByteRange } from '../oci/range.ts'
import type { Buffers } from './buffers.ts'

interface SendOptions {
  readonly buffers: Buffers
  readonly onSent: (bytes: number) => void
  /** The answer ended short of what its headers promised, by the client or by us. */
  readonly onCut: (error: unknown) => void
}

/**
 * One buffer at a time: a slow client costs memory for one chunk, and nothing else waits for it.
 * Never throws; once the headers are out, a failure can only be told by destroying the socket, so
 * that the client sees a short body and never a complete wrong one.
 */
export async function sendSource(
  outgoing: ServerResponse,
  source: ByteSource,
  { first, last }: ByteRange,
  { buffers, onSent, onCut }: SendOptions,
): Promise<void> {
  const leaving = new AbortController()
  const leave = (): void => leaving.abort(new Error('The client closed the connection.'))
  outgoing.once('close', leave)
  // It may have gone while the blob was looked for.
  if (outgoing.destroyed) leave()
  try {
    let position = first
    while (position <= last) {
      const sent = await buffers.lend((buffer) =>
        sendChunk(outgoing, source, buffer, { first: position, last }, leaving.signal),
      )
      position += sent
      onSent(sent)
    }
    outgoing.end()
  } catch (error) {
    onCut(error)
    outgoing.destroy()
  } finally {
    outgoing.off('close', leave)
  }
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
function write(outgoing: ServerResponse, chunk: Buffer, signal: AbortSignal): Promise<void> {
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
