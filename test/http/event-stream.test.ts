/** Events for a client that is slow, silent, or gone. */
import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { streamEvents, type EventStream } from '../../src/http/api/event-stream.ts'
import type { HttpContext } from '../../src/http/context.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

class Outgoing extends EventEmitter {
  readonly written: string[] = []
  writableLength = 0
  destroyed = false
  ended = false
  head: unknown
  writeHead(status: number, headers: object): void {
    this.head = { status, ...headers }
  }
  flushHeaders(): void {}
  write(text: string): void {
    this.written.push(text)
  }
  end(): void {
    this.ended = true
  }
  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }
}

function stream(produce: (stream: EventStream, outgoing: Outgoing) => Promise<void>) {
  const outgoing = new Outgoing()
  const trace = { bytes: 0, failure: undefined as unknown }
  const context = { env: { outgoing }, get: () => trace } as unknown as HttpContext
  const done = streamEvents(context, 'application/x-ndjson', (it) => produce(it, outgoing))
  return { outgoing, trace, done }
}

it('what is soon outdated is left out while a client is behind', async () => {
  const { outgoing, trace, done } = stream(async ({ send }, out) => {
    send({ a: 1 }, true)
    out.writableLength = 300 * 1024
    send({ a: 2 }, true)
    send({ a: 3 })
  })
  await done
  expect(outgoing.written).toEqual(['{"a":1}\n', '{"a":3}\n'])
  expect([outgoing.ended, trace.bytes]).toEqual([true, 16])
  expect(outgoing.head).toMatchObject({ status: 200, 'Cache-Control': 'no-store' })
})

it('a client that does not read is given up', async () => {
  const { outgoing, trace, done } = stream(async ({ send, signal }, out) => {
    out.writableLength = 17 * 1024 * 1024
    send({ a: 1 })
    expect(signal.aborted).toBe(true)
    send({ a: 2 })
    signal.throwIfAborted()
  })
  await done
  expect([outgoing.written.length, outgoing.destroyed, outgoing.ended]).toEqual([1, true, false])
  expect(String(trace.failure)).toContain('The client has left')
})

it('silence is broken now and then, and not when all is said', async () => {
  let finish = (): void => undefined
  const { outgoing, done } = stream(async ({ send }) => {
    send({ a: 1 })
    await new Promise<void>((resolve) => (finish = resolve))
  })
  vi.advanceTimersByTime(31_000)
  expect(outgoing.written).toEqual(['{"a":1}\n', '\n', '\n'])
  outgoing.destroyed = true
  vi.advanceTimersByTime(31_000)
  expect(outgoing.written).toHaveLength(3)
  finish()
  await done
  expect([vi.getTimerCount(), outgoing.listenerCount('close')]).toEqual([0, 0])
})
