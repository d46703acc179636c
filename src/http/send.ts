/** Bytes from a file, or from a download that runs, straight to the socket: no web streams in between. */
import type { ServerResponse } from 'node:http'
import type { ByteSource } from '../byte-source.ts'
import type { ByteRange } from '../oci/range.ts'
import type { Sendfile } from '../sendfile.ts'
import { openBody, type AnswerBody } from './answer-body.ts'
import type { Buffers } from './buffers.ts'
import { createFileSender, type FileSender } from './send-file.ts'

/** A part of the source, or bytes as they are. */
export type Piece = ByteRange | Uint8Array

interface SendOptions {
  readonly buffers: Buffers
  /** Absent where each byte has to be read. */
  readonly sendfile?: Sendfile | undefined
  readonly onSent: (bytes: number) => void
  /** The answer ended short of what its headers promised, by the client or by us. */
  readonly onCut: (error: unknown) => void
}

interface Sending {
  readonly source: ByteSource
  readonly body: AnswerBody
  readonly buffers: Buffers
  readonly fileSender: FileSender | undefined
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
  { buffers, sendfile, onSent, onCut }: SendOptions,
): Promise<void> {
  const body = openBody(outgoing)
  const { file } = source
  const fileSender = file && sendfile && createFileSender(outgoing, file, sendfile)
  const sending = { source, body, buffers, fileSender }
  try {
    for (const piece of pieces) {
      if ('first' in piece) await sendRange(sending, piece, onSent)
      else await sendBytes(body, piece, onSent)
    }
    outgoing.end()
  } catch (error) {
    onCut(error)
    outgoing.destroy()
  } finally {
    body.close()
  }
}

async function sendRange(
  sending: Sending,
  { first, last }: ByteRange,
  onSent: (bytes: number) => void,
): Promise<void> {
  const { fileSender, body } = sending
  for (let position = first; position <= last;) {
    const length = last - position + 1
    const direct = (await fileSender?.send(position, length, body.signal)) ?? 0
    const sent = direct > 0 ? direct : await sendChunk(sending, position, length)
    position += sent
    onSent(sent)
  }
}

async function sendBytes(
  body: AnswerBody,
  bytes: Uint8Array,
  onSent: (bytes: number) => void,
): Promise<void> {
  await body.write(bytes)
  onSent(bytes.length)
}

/** @returns bytes sent, at least 1 */
function sendChunk(
  { source, body, buffers, fileSender }: Sending,
  position: number,
  length: number,
): Promise<number> {
  return buffers.lend(async (buffer) => {
    const wanted = buffer.subarray(0, Math.min(buffer.length, length))
    const count = await source.read(wanted, position, body.signal)
    if (count === 0) throw new Error('The stored blob is shorter than it was.')
    await body.write(wanted.subarray(0, count))
    return count
  }, fileSender?.mostToWrite())
}
