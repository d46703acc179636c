/** An answer that tells what happens while it does: one JSON value a line, as it comes. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { HttpContext } from '../context.ts'

/** Written where nothing else has been for so long (milliseconds), so that nobody takes it for dead. */
const STILL_THERE_EVERY = 15_000
/** Bytes that a client has not taken yet, from which on what is soon outdated is left out. */
const BEHIND = 256 * 1024
/** And from which on nobody is thought to read. */
const NOT_READING = 16 * 1024 * 1024

export interface EventStream {
  /** @param isPassing it may be left out where the client is behind */
  readonly send: (value: object, isPassing?: boolean) => void
  /** Aborted when the client has left, or does not read. */
  readonly signal: AbortSignal
}

/**
 * @param produce ends with the answer; where it throws, the answer breaks off, so that nobody takes it for
 *   the whole
 */
export async function streamEvents(
  c: HttpContext,
  mediaType: string,
  produce: (stream: EventStream) => Promise<void>,
): Promise<Response> {
  const { outgoing } = c.env
  const trace = c.get('trace')
  const left = new AbortController()
  const leave = (): void => left.abort(new Error('The client has left.'))
  const write = (line: string): void => {
    if (outgoing.destroyed) return
    trace.bytes += Buffer.byteLength(line)
    outgoing.write(line)
    stillThere.refresh()
    if (outgoing.writableLength > NOT_READING) outgoing.destroy()
  }
  outgoing.once('close', leave)
  outgoing.writeHead(200, { 'Content-Type': mediaType, 'Cache-Control': 'no-store' })
  outgoing.flushHeaders()
  const stillThere = setInterval(() => write('\n'), STILL_THERE_EVERY)
  stillThere.unref()
  try {
    await produce({
      signal: left.signal,
      send(value, isPassing = false) {
        if (left.signal.aborted || (isPassing && outgoing.writableLength > BEHIND)) return
        write(`${JSON.stringify(value)}\n`)
      },
    })
    outgoing.end()
  } catch (error) {
    trace.failure = error
    outgoing.destroy()
  } finally {
    clearInterval(stillThere)
    outgoing.off('close', leave)
  }
  return RESPONSE_ALREADY_SENT
}
