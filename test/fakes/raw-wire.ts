/** Answers byte for byte: what no HTTP server would send, and when it would not send it. */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export type Step =
  | { readonly send: string | Uint8Array }
  /** Milliseconds in which nothing is sent. */
  | { readonly pause: number }
  /** `close` lets what was sent arrive, `reset` does not; `never` waits until the peer has gone. */
  | { readonly end: 'close' | 'reset' | 'never' }

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** Status line and headers, with the empty line. */
export function headText({ status, headers }: Pick<RawAnswer, 'status' | 'headers'>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} Fake\r\n${lines.join('')}\r\n`
}

/** The whole answer as it should be. */
export function wholeAnswer(answer: RawAnswer, method: string): Step[] {
  const head = { send: headText(answer) }
  return method === 'HEAD' ? [head] : [head, { send: answer.body }]
}

/** Answers each request on the connection in turn, reading on meanwhile to notice that the peer leaves. */
export function converse(socket: Socket, answer: (head: string) => Iterable<Step>): void {
  let pending = ''
  let turn = Promise.resolve()
  // A peer that resets the connection is no news here.
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => {
    const [...heads] = (pending + chunk.toString('latin1')).split('\r\n\r\n')
    pending = heads.pop() ?? ''
    for (const head of heads) turn = turn.then(() => play(socket, answer(head)))
  })
}

async function play(socket: Socket, steps: Iterable<Step>): Promise<void> {
  const leaving = new AbortController()
  const leave = (): void => leaving.abort()
  socket.once('close', leave)
  try {
    for (const step of steps) {
      if (socket.destroyed) return
      await perform(socket, step, leaving.signal)
    }
  } finally {
    socket.off('close', leave)
  }
}

async function perform(socket: Socket, step: Step, left: AbortSignal): Promise<void> {
  if ('send' in step) await write(socket, step.send)
  else if ('pause' in step) await sleep(step.pause, undefined, { signal: left }).catch(() => null)
  else if (step.end === 'never') await aborted(left)
  else if (step.end === 'close') socket.destroySoon()
  else socket.resetAndDestroy()
}

/** Resolves when the kernel has the bytes, or the peer has gone. */
function write(socket: Socket, bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', resolve)
    const written = (): void => {
      socket.off('close', resolve)
      resolve()
    }
    if (typeof bytes === 'string') socket.write(bytes, 'latin1', written)
    else socket.write(bytes, written)
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
