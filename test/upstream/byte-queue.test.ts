/** Bytes that wait come out in order, uncopied where they lie side by side. */
import { expect, it } from 'vitest'
import { createByteQueue } from '../../src/upstream/byte-queue.ts'

const KIB = 1024

function queued() {
  const released: number[] = []
  const queue = createByteQueue({ release: (bytes) => void released.push(bytes.length) })
  return { queue, released }
}

function numbered(length: number): Buffer {
  // In memory of its own.
  const bytes = Buffer.allocUnsafeSlow(length)
  for (let index = 0; index < length; index += 1) bytes[index] = index % 251
  return bytes
}

it('neighbours come out in one piece, in the same memory', () => {
  const { queue, released } = queued()
  const bytes = numbered(300 * KIB)
  queue.add(bytes.subarray(0, 100 * KIB))
  queue.add(bytes.subarray(100 * KIB, 100 * KIB + 1))
  queue.add(bytes.subarray(100 * KIB + 1))
  expect(queue.isFirstComplete()).toBe(false)
  const taken = queue.take()
  expect(taken.equals(bytes)).toBe(true)
  expect(taken.buffer).toBe(bytes.buffer)
  expect(queue.length).toBe(0)
  expect(released).toEqual([])
})

it('large pieces that lie apart come out one by one', () => {
  const { queue } = queued()
  const bytes = numbered(300 * KIB)
  queue.add(bytes.subarray(0, 100 * KIB))
  queue.add(bytes.subarray(150 * KIB, 250 * KIB))
  expect(queue.isFirstComplete()).toBe(true)
  expect(queue.take().equals(bytes.subarray(0, 100 * KIB))).toBe(true)
  expect(queue.length).toBe(100 * KIB)
  expect(queue.take().equals(bytes.subarray(150 * KIB, 250 * KIB))).toBe(true)
  expect(queue.length).toBe(0)
})

it('small pieces that lie apart are copied together, and let go', () => {
  const { queue, released } = queued()
  const bytes = numbered(KIB)
  for (const first of [0, 300, 600]) queue.add(bytes.subarray(first, first + 200))
  expect(queue.isFirstComplete()).toBe(false)
  const taken = queue.take()
  const parts = [0, 300, 600].map((first) => bytes.subarray(first, first + 200))
  expect(taken.equals(Buffer.concat(parts))).toBe(true)
  expect(taken.buffer).not.toBe(bytes.buffer)
  // Two when they came, the first with what they were copied into when all were taken.
  expect(released).toEqual([200, 200, 200, 400])
  expect(queue.length).toBe(0)
})

it('bytes that come one by one take hardly more memory than they are', () => {
  const { queue } = queued()
  const bytes = numbered(20_000)
  const odd = Array.from({ length: 10_000 }, (_, index) => bytes.subarray(index * 2, index * 2 + 1))
  for (const byte of odd) queue.add(byte)
  expect(queue.pieces).toBeLessThan(4)
  expect(queue.length).toBe(10_000)
  const taken: Buffer[] = []
  while (queue.length > 0) taken.push(queue.take())
  expect(Buffer.concat(taken).equals(Buffer.concat(odd))).toBe(true)
})
