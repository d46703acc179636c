/** A stream chunk by chunk: in order, to its end or to what ended it. */
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createChunkReader } from '../../src/cache/chunk-reader.ts'
import { within } from '../support/until.ts'

function opened(options: { objectMode?: boolean } = { objectMode: true }) {
  const stream = new Readable({ ...options, read: () => undefined })
  return { stream, chunks: createChunkReader(stream) }
}

it('chunks come one by one, whether they wait or are waited for', async () => {
  const { stream, chunks } = opened()
  stream.push(Buffer.from('one'))
  stream.push(Buffer.from('two'))
  expect(String(await within(chunks.next()))).toBe('one')
  expect(String(await within(chunks.next()))).toBe('two')
  const third = chunks.next()
  await setImmediate()
  stream.push(Buffer.from('three'))
  expect(String(await within(third))).toBe('three')
  stream.push(null)
  expect(await within(chunks.next())).toBeUndefined()
  expect(await within(chunks.next())).toBeUndefined()
})

it('what the stream is destroyed with is thrown, waited for or not', async () => {
  const { stream, chunks } = opened()
  const next = chunks.next()
  const error = new Error('cut')
  stream.destroy(error)
  await expect(within(next)).rejects.toBe(error)
  await expect(within(chunks.next())).rejects.toBe(error)
})

it('a stream that is closed before its end did not end', async () => {
  const { stream, chunks } = opened({})
  stream.push('some')
  expect(String(await within(chunks.next()))).toBe('some')
  const next = chunks.next()
  stream.destroy()
  await expect(within(next)).rejects.toThrow('before its end')
})

it('leaves a stream with no listener but the one for errors', () => {
  const { stream, chunks } = opened()
  chunks.stop()
  const counts = ['readable', 'end', 'close'].map((event) => stream.listenerCount(event))
  expect(counts).toEqual([0, 0, 0])
  expect(stream.listenerCount('error')).toBe(1)
  stream.destroy(new Error('unheard'))
})
