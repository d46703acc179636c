/** What a blob's body is cut into: the first bytes at once, then what came in some milliseconds. */
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { streamBody } from '../../src/upstream/body.ts'
import type { HopResponse } from '../../src/upstream/response.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  const leaked = vi.getTimerCount()
  vi.useRealTimers()
  if (leaked > 0) throw new Error(`${leaked} timers are left.`)
})

function opened() {
  const body = new Readable({ read: () => undefined })
  const response = { body, url: new URL('http://registry.test/') } as unknown as HopResponse
  const stream = streamBody(
    response,
    { maxBytes: undefined, received: () => undefined, failed: () => undefined },
    new AbortController().signal,
  )
  const chunks: string[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
  const ended = new Promise((resolve) => void stream.once('close', resolve))
  const push = async (text: string): Promise<void> => {
    body.push(text)
    await vi.advanceTimersByTimeAsync(0)
  }
  return { body, stream, chunks, ended, push }
}

it('the first bytes go on at once, the next ones together with what follows', async () => {
  const { chunks, push, stream } = opened()
  await push('first')
  expect(chunks).toEqual(['first'])
  await push('a')
  await vi.advanceTimersByTimeAsync(5)
  await push('b')
  expect(chunks).toEqual(['first'])
  stream.destroy()
})

it('bytes wait for six milliseconds at most', async () => {
  const { chunks, push, stream } = opened()
  await push('first')
  await push('second')
  await vi.advanceTimersByTimeAsync(5)
  expect(chunks).toEqual(['first'])
  await vi.advanceTimersByTimeAsync(1)
  expect(chunks).toEqual(['first', 'second'])
  stream.destroy()
})

it('the end waits for nobody', async () => {
  const { body, chunks, ended, push } = opened()
  await push('first')
  await push('second')
  body.push(null)
  await ended
  expect(chunks.join(' ')).toBe('first second')
})

it('of bytes that come one by one none is lost', async () => {
  const { body, stream, chunks, ended } = opened()
  stream.pause()
  const all = Array.from({ length: 10_000 }, (_, index) => String.fromCharCode(97 + (index % 26)))
  for (const byte of all) {
    // As parts of something larger, which lie apart.
    body.push(Buffer.from(`-${byte}`).subarray(1))
    await vi.advanceTimersByTimeAsync(0)
  }
  body.push(null)
  stream.resume()
  await vi.advanceTimersByTimeAsync(100)
  await ended
  expect(chunks.join('')).toBe(all.join(''))
})

it('what came before a connection broke is passed on before that is told', async () => {
  const { body, stream } = opened()
  const seen: string[] = []
  stream.pause()
  for (const text of ['one', 'two', 'three']) body.push(Buffer.from(text))
  await vi.advanceTimersByTimeAsync(0)
  body.destroy(new Error('cut'))
  await vi.advanceTimersByTimeAsync(0)
  const broken = new Promise((resolve) => stream.once('error', resolve))
  stream.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
  stream.resume()
  await vi.advanceTimersByTimeAsync(100)
  expect(await broken).toMatchObject({ reason: 'unavailable' })
  expect(seen.join('')).toBe('onetwothree')
})
