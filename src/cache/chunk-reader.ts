/** Takes a stream apart chunk by chunk, with one promise for each: `for await` makes about ten. */
import type { Readable } from 'node:stream'

export interface ChunkReader {
  /**
   * The next chunk; `undefined` at the end. Not twice at a time.
   * @throws what the stream was destroyed with
   */
  next(): Promise<Buffer | undefined>
  /** The stream is left as it is. */
  stop(): void
}

interface Waiting {
  resolve(chunk: Buffer | undefined): void
  reject(error: Error): void
}

export function createChunkReader(stream: Readable): ChunkReader {
  let waiting: Waiting | undefined

  function look(): void {
    if (waiting === undefined) return
    const chunk = stream.read() as Buffer | null
    const isOver = chunk === null && (stream.readableEnded || stream.destroyed)
    if (chunk === null && !isOver) return
    const asked = waiting
    waiting = undefined
    if (chunk !== null) asked.resolve(chunk)
    else if (stream.readableEnded) asked.resolve(undefined)
    else asked.reject(stream.errored ?? new Error('The stream was closed before its end.'))
  }

  for (const event of EVENTS) stream.on(event, look)
  return {
    next: () =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        look()
      }),
    stop() {
      // An error that nobody listens to would end the process.
      for (const event of EVENTS) if (event !== 'error') stream.off(event, look)
    },
  }
}

/** After any of these there may be something to read, or never again. */
const EVENTS = ['readable', 'end', 'error', 'close'] as const
