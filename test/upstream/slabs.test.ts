/** Memory that sockets read into is used again, and never while somebody still uses what is in it. */
import { afterEach, expect, it, vi } from 'vitest'
import { createSlabs, type Slab } from '../../src/upstream/slabs.ts'

const MIB = 1024 * 1024

afterEach(() => {
  vi.useRealTimers()
})

function memoryOf(slab: Slab): ArrayBufferLike | undefined {
  return slab.room()?.buffer
}

it('is used again when nothing more is read into it and all bytes were let go', () => {
  const slabs = createSlabs()
  const slab = slabs.open()
  const memory = memoryOf(slab)
  const [one, other] = [slab.filled(1000), slab.filled(2000)]
  expect(other.byteOffset).toBe(1000)

  slabs.release(other)
  slab.close()
  expect(memoryOf(slabs.open())).not.toBe(memory)
  slabs.release(one)

  expect(memoryOf(slabs.open())).toBe(memory)
})

it('is not used again while it is open, though all bytes were let go', () => {
  const slabs = createSlabs()
  const slab = slabs.open()
  slabs.release(slab.filled(1000))
  expect(slabs.idleBytes()).toBe(0)
  expect(slab.filled(1).byteOffset).toBe(1000)
})

it('is not used again before whoever retained bytes has let them go too', () => {
  const slabs = createSlabs()
  const slab = slabs.open()
  const bytes = slab.filled(3000)
  slabs.retain(bytes.subarray(0, 2000))
  slab.close()
  slab.close()
  slabs.release(bytes)
  expect(slabs.idleBytes()).toBe(0)
  slabs.release(bytes.subarray(0, 2000))
  expect(slabs.idleBytes()).toBe(MIB)
})

it('has no room for a read that would bring little', () => {
  const slab = createSlabs().open()
  slab.filled(MIB - 64 * 1024)
  expect(slab.room()).toHaveLength(64 * 1024)
  slab.filled(1)
  expect(slab.room()).toBeUndefined()
})

it('bytes of other memory are nobody’s concern', () => {
  const slabs = createSlabs()
  slabs.retain(Buffer.alloc(10))
  slabs.release(Buffer.alloc(10))
  expect(slabs.idleBytes()).toBe(0)
})

it('waits in small numbers, and is given back after five seconds without traffic', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const slabs = createSlabs()
  const opened = Array.from({ length: 20 }, () => slabs.open())
  for (const slab of opened) slab.close()
  expect(slabs.idleBytes()).toBe(8 * MIB)
  vi.advanceTimersByTime(4999)
  slabs.open().close()
  vi.advanceTimersByTime(4999)
  expect(slabs.idleBytes()).toBe(8 * MIB)
  vi.advanceTimersByTime(1)
  expect(slabs.idleBytes()).toBe(0)
  expect(vi.getTimerCount()).toBe(0)
})
