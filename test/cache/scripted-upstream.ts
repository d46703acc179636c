/** An upstream that does to one blob exactly what a script says, a connection at a time. */
import { Readable } from 'node:stream'
import type { FillOptions } from '../../src/cache/fill.ts'
import type { UpstreamFailure } from '../../src/metrics.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import type { Gate } from '../fakes/gate.ts'

export interface Connection {
  /** It is not made at all, once the gate is open. */
  readonly refused?: UpstreamFailure | undefined
  /** Sends from 0 on, whatever was asked for. */
  readonly ignoresRange?: boolean
  /** Where it claims to begin, after the offset that was asked for. */
  readonly skips?: number
  /** Bytes of the whole blob as it says; the truth by default. */
  readonly says?: number | 'nothing'
  /** Where in the blob it ends; the end by default. */
  readonly end?: number
  /** Stood before when all of it has been taken over, and before it ends. */
  readonly gate?: Gate
  /** How it ends: like a whole answer, or with an error. */
  readonly ending?: 'clean' | 'cut' | UpstreamError
  /** What it sends instead of the blob. */
  readonly sends?: Buffer
}

export interface ScriptedUpstream {
  readonly connect: FillOptions['connect']
  /** The offset that each connection was asked for. */
  readonly offsets: readonly number[]
  readonly bodies: readonly Readable[]
  /** Body bytes that were handed out. */
  readonly sentBytes: () => number
  /** How many of the connections were told that their bytes were wrong. */
  readonly distrusted: () => number
}

interface Options {
  /** What follows the last connection of the script; the whole rest by default. */
  readonly afterwards?: Connection
  /** Bytes in a chunk, one after the other, and again from the first. */
  readonly chunkSizes?: readonly number[]
  /** Waited for before each chunk and before the end. */
  readonly turn?: () => Promise<unknown>
}

export function scriptUpstream(
  blob: Buffer,
  script: readonly Connection[],
  { afterwards = {}, chunkSizes = [16 * 1024], turn = async () => undefined }: Options = {},
): ScriptedUpstream {
  const offsets: number[] = []
  const bodies: Readable[] = []
  let sent = 0
  let distrusted = 0

  async function* send(part: Buffer, { gate, ending }: Connection): AsyncGenerator<Buffer> {
    let position = 0
    for (let at = 0; position < part.length; at += 1) {
      await turn()
      const chunk = part.subarray(position, position + (chunkSizes[at % chunkSizes.length] ?? 1))
      position += chunk.length
      sent += chunk.length
      yield chunk
    }
    await turn()
    await gate?.pass()
    if (ending instanceof Error) throw ending
    if (ending === 'cut') throw new Error('ECONNRESET')
  }

  return {
    offsets,
    bodies,
    sentBytes: () => sent,
    distrusted: () => distrusted,
    async connect({ first: offset, last }, signal) {
      const connection = script[offsets.length] ?? afterwards
      const { refused, ignoresRange, skips = 0, says = blob.length, sends = blob } = connection
      offsets.push(offset)
      await turn()
      signal.throwIfAborted()
      if (refused !== undefined) await connection.gate?.pass()
      if (refused !== undefined) throw new UpstreamError(refused, 'Refused.')
      const start = (ignoresRange === true ? 0 : offset) + skips
      const end = ignoresRange === true || last === undefined ? sends.length : last + 1
      const part = sends.subarray(start, Math.min(end, connection.end ?? sends.length))
      const body = bodyOf(send(part, connection), signal)
      bodies.push(body)
      const distrust = (): void => void (distrusted += 1)
      return { offset: start, size: says === 'nothing' ? undefined : says, body, distrust }
    },
  }
}

/** Nothing is read ahead, so that what was sent before a cut has arrived. */
function bodyOf(chunks: AsyncGenerator<Buffer>, signal: AbortSignal): Readable {
  const body = new Readable({
    highWaterMark: 0,
    read() {
      chunks.next().then(
        ({ done, value }) => body.push(done === true ? null : value),
        (error: Error) => body.destroy(error),
      )
    },
  })
  const abort = (): void => void body.destroy(signal.reason as Error)
  signal.addEventListener('abort', abort)
  body.once('close', () => signal.removeEventListener('abort', abort))
  return body
}
