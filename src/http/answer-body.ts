/** The body of an answer, written chunk by chunk. */
import type { ServerResponse } from 'node:http'

export interface AnswerBody {
  /** Aborts when the client has closed the connection. */
  readonly signal: AbortSignal
  /**
   * One at a time. Resolves when the kernel has the bytes, so that the buffer may be used again.
   * @throws when the client has closed the connection
   */
  write(chunk: Uint8Array): Promise<void>
  /** Ends the watch over the connection, not the answer. */
  close(): void
}

export function openBody(outgoing: ServerResponse): AnswerBody {
  const leaving = new AbortController()
  const { signal } = leaving
  /** Of the chunk that is being written. */
  let giveUp: ((error: Error) => void) | undefined

  function leave(): void {
    const error = new Error('The client closed the connection.')
    leaving.abort(error)
    giveUp?.(error)
  }

  // An answer that waits behind others on its connection is told nothing of the end of that. Many may
  // wait; Node takes more than ten listeners for a leak.
  const connection = outgoing.req.socket.setMaxListeners(0)
  connection.once('close', leave)
  outgoing.once('close', leave)
  // It may have gone while the blob was looked for.
  if (outgoing.destroyed || connection.destroyed) leave()

  return {
    signal,
    write: (chunk) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted()
        giveUp = reject
        outgoing.write(chunk, (error) => {
          giveUp = undefined
          if (error) reject(error)
          else resolve()
        })
      }),
    close() {
      connection.off('close', leave)
      outgoing.off('close', leave)
    },
  }
}
