/** The body of an answer by sendfile(2), where the connection is a plain socket. */
import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { SendableFile } from '../byte-source.ts'
import type { Sendfile } from '../sendfile.ts'

export interface FileSender {
  /**
   * @param length bytes that are wanted
   * @returns how many the socket has taken; 0: some are to be read and written
   * @throws the signal's reason when the client has left
   */
  send(position: number, length: number, signal: AbortSignal): Promise<number>
  /** Most bytes to write when `send` gave 0; `undefined`: as many as in any other answer. */
  mostToWrite(): number | undefined
}

/**
 * Bytes that one call may move. It costs two changes of threads, and the reader is woken less often by
 * more at a time: with 1 MiB a GB took up to twice the CPU at 64 connections. What is on the disk only
 * keeps a thread for as long as the disk takes for it.
 */
const MOST_PER_CALL = 4 * 1024 * 1024
/** Bytes that a full socket is given to wait with: a page, as each of a thousand slow clients has them. */
const MOST_TO_WAIT_WITH = 4 * 1024
/** Bytes of which a few more are not worth a call of their own, nor a packet for the head alone. */
const WORTHWHILE = 64 * 1024

/**
 * Only the stream of Node can wait until a full socket has room. So it is given the next few bytes, and
 * calls back when the kernel has them: then there is room for many more.
 */
export function createFileSender(
  outgoing: ServerResponse,
  file: SendableFile,
  sendfile: Sendfile,
): FileSender | undefined {
  if (!isPlain(outgoing.req.socket)) return undefined
  let hasBegun = false
  /** Nothing fits, though something did. */
  let isFull = false
  /** Nothing is to be had by sendfile, for this answer. */
  let isBroken = false
  /** Nothing but the stream can go on, for this turn. */
  let isWaiting = false

  /** The head goes out first, by itself; from then on nothing of this answer is in the stream. */
  function begin(): void {
    if (!hasBegun) outgoing.flushHeaders()
    hasBegun = true
  }

  async function sendNow(position: number, length: number): Promise<number> {
    const socket = emptySocket(outgoing)
    const descriptor = socket && descriptorOf(socket)
    if (socket === undefined || descriptor === undefined) return 0
    try {
      const sent = await sendfile.send(descriptor, file.descriptor, position, length)
      if (sent > 0) noteActivity(socket)
      return sent
    } catch {
      // Reading or writing it says what is wrong, in the words that any other answer has for it.
      isBroken = true
      return 0
    }
  }

  return {
    async send(position, length, signal) {
      signal.throwIfAborted()
      if (isBroken || length < WORTHWHILE) return 0
      begin()
      isWaiting = isFull || !emptySocket(outgoing)
      isFull = false
      if (isWaiting) return 0
      const reached = await file.reach(position, Math.min(length, MOST_PER_CALL), signal)
      if (reached === 0) return 0
      // What the socket has taken counts as sent, also where the client has left meanwhile.
      const sent = await sendNow(position, reached)
      isWaiting = sent === 0
      isFull = sent > 0 && sent < reached
      return sent
    },
    mostToWrite: () => (isWaiting && !isBroken ? MOST_TO_WAIT_WITH : undefined),
  }
}

/**
 * The connection, if the next bytes on it are the next of this answer: not while it belongs to an
 * earlier answer, or holds bytes in its stream.
 */
function emptySocket({ socket }: ServerResponse): Socket | undefined {
  return socket?.writableLength === 0 ? socket : undefined
}

function isPlain(socket: Socket): boolean {
  return socket instanceof Socket && !(socket instanceof TLSSocket)
}

/** Of a private field, which becomes null at any time: to be asked for right before it is used. */
function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as { _handle?: { readonly fd?: unknown } | null }
  const descriptor = handle?.fd
  return typeof descriptor === 'number' && descriptor >= 0 ? descriptor : undefined
}

/** The stream does not see what goes past it, and would take a client for one that has stopped. */
function noteActivity(socket: Socket): void {
  if (socket.timeout !== undefined && socket.timeout > 0) socket.setTimeout(socket.timeout)
}
