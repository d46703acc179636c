/**
 * What a `Response` cannot say: how its body goes over the wire. A handler attaches it with
 * `onWire`, and the adapter in `serve.ts` obeys.
 */
import type { ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Gate } from './gate.ts'

/** The body stops after so many bytes, all of them sent, until the gate opens. */
export interface Hold {
  readonly after: number
  readonly gate: Gate
}

export interface WireBehaviour {
  /** The connection is closed after so many body bytes, however many were announced. */
  readonly cutAfter?: number | undefined
  /** Cuts with a TCP reset; without `cutAfter` before the first byte of an answer. */
  readonly resetConnection?: boolean | undefined
  readonly holds?: readonly Hold[] | undefined
  readonly bytesPerSecond?: number | undefined
  /** How a body without `Content-Length` ends: by its last chunk, or with the connection (HTTP/1.0). */
  readonly framing?: 'chunked' | 'close' | undefined
  /** The announced length is false: the connection cannot be used after this answer. */
  readonly closeAfter?: boolean | undefined
  /** Header lines sent beside those of the response, for names that occur several times. */
  readonly headerLines?: readonly (readonly [name: string, value: string])[] | undefined
}

/** How an answer ended: all sent, cut by a fault, or left by the client. */
export type Ending = 'complete' | 'cut' | 'aborted'

const behaviours = new WeakMap<Response, WireBehaviour>()

export function onWire(response: Response, behaviour: WireBehaviour): Response {
  behaviours.set(response, behaviour)
  return response
}

/**
 * Sends the answer with back-pressure: the next piece is taken when the last has left the process.
 * @param onSent is told how many body bytes have just been handed to the kernel
 */
export async function sendOnWire(
  response: Response,
  outgoing: ServerResponse,
  onSent: (bytes: number) => void,
): Promise<Ending> {
  const behaviour = behaviours.get(response) ?? {}
  const reader = response.body?.getReader()
  try {
    if (behaviour.resetConnection === true && behaviour.cutAfter === undefined) {
      cut(outgoing, behaviour)
      return 'cut'
    }
    writeHead(response, outgoing, behaviour)
    return await sendBody(reader, outgoing, behaviour, onSent)
  } finally {
    await reader?.cancel()
  }
}

function writeHead(
  response: Response,
  outgoing: ServerResponse,
  { framing, headerLines = [] }: WireBehaviour,
): void {
  if (framing === 'close') outgoing.useChunkedEncodingByDefault = false
  const headers: Record<string, string | string[]> = Object.fromEntries(response.headers)
  for (const [name, value] of headerLines) headers[name] = [headers[name] ?? [], value].flat()
  outgoing.writeHead(response.status, headers)
  outgoing.flushHeaders()
}

async function sendBody(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
  outgoing: ServerResponse,
  behaviour: WireBehaviour,
  onSent: (bytes: number) => void,
): Promise<Ending> {
  const { cutAfter = Infinity, holds = [], bytesPerSecond = Infinity } = behaviour
  const closed = new Promise<'closed'>((resolve) => outgoing.once('close', () => resolve('closed')))
  const pending = holds.toSorted((one, other) => one.after - other.after)
  const started = performance.now()
  let sent = 0
  let rest: Uint8Array = new Uint8Array(0)

  for (;;) {
    if (outgoing.destroyed) return 'aborted'
    if (sent >= cutAfter) {
      cut(outgoing, behaviour)
      return 'cut'
    }
    const hold = pending[0]
    if (hold && sent >= hold.after) {
      await Promise.race([hold.gate.pass(), closed])
      pending.shift()
      continue
    }
    if (rest.length === 0) {
      const next = await reader?.read()
      if (!next || next.done) break
      rest = next.value
    }
    const piece = rest.subarray(0, Math.min(cutAfter, hold?.after ?? Infinity) - sent)
    if ((await write(outgoing, piece, closed)) === 'closed') return 'aborted'
    onSent(piece.length)
    sent += piece.length
    rest = rest.subarray(piece.length)
    await pace((sent / bytesPerSecond) * 1000 - (performance.now() - started), closed)
  }
  return end(outgoing, behaviour, closed)
}

function write(
  outgoing: ServerResponse,
  piece: Uint8Array,
  closed: Promise<'closed'>,
): Promise<'closed' | 'written'> {
  const written = new Promise<'closed' | 'written'>((resolve) => {
    outgoing.write(piece, (error) => resolve(error ? 'closed' : 'written'))
  })
  return Promise.race([written, closed])
}

async function pace(milliseconds: number, closed: Promise<unknown>): Promise<void> {
  if (milliseconds <= 0) return
  const controller = new AbortController()
  const slept = sleep(milliseconds, undefined, { signal: controller.signal }).catch(() => undefined)
  await Promise.race([slept, closed])
  controller.abort()
}

async function end(
  outgoing: ServerResponse,
  { closeAfter = false }: WireBehaviour,
  closed: Promise<unknown>,
): Promise<Ending> {
  const { socket } = outgoing
  const finished = new Promise<Ending>((resolve) => outgoing.end(() => resolve('complete')))
  const ending = await Promise.race([finished, closed.then((): Ending => 'aborted')])
  if (closeAfter) socket?.destroySoon()
  return ending
}

/** What was written before still arrives, except with a reset. */
function cut(outgoing: ServerResponse, { resetConnection = false }: WireBehaviour): void {
  const { socket } = outgoing
  if (!resetConnection) socket?.destroySoon()
  // A TLS socket has no descriptor of its own to reset.
  else if (socket instanceof TLSSocket) socket.destroy()
  else socket?.resetAndDestroy()
}
