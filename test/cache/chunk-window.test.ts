/** The chunks that came last stay in memory for those who keep up, within limits. */
import { expect, it } from 'vitest'
import { createChunkWindows } from '../../src/cache/chunk-window.ts'

const bytes = Buffer.from(Uint8Array.from({ length: 250 }, (_, index) => index))

/** Windows of 100 bytes each and 150 in all, and the length of what is kept by them. */
function windows() {
  let kept = 0
  const all = createChunkWindows(
    { each: 100, all: 150 },
    {
      retain: ({ length }) => void (kept += length),
      release: ({ length }) => void (kept -= length),
    },
  )
  return { all, kept: () => kept }
}

it('what was added is found from any byte, over the borders of chunks', () => {
  const { all } = windows()
  const window = all.open()
  window.add(bytes.subarray(10, 40), 10)
  window.add(bytes.subarray(40, 60), 40)
  window.add(bytes.subarray(80, 90), 80)
  expect(window.has(9, 100)).toBe(0)
  expect(window.has(10, 100)).toBe(50)
  expect(window.has(35, 10)).toBe(10)
  expect(window.has(60, 10)).toBe(0)
  expect(window.has(80, 100)).toBe(10)
  const buffer = Buffer.alloc(25)
  window.copy(buffer, 30)
  expect(buffer.equals(bytes.subarray(30, 55))).toBe(true)
  expect(() => window.copy(buffer, 50)).toThrow(RangeError)
})

it('later chunks take the place of earlier ones, and those are let go', () => {
  const { all, kept } = windows()
  const window = all.open()
  for (const first of [0, 40, 80]) window.add(bytes.subarray(first, first + 40), first)
  expect(window.has(0, 40)).toBe(0)
  expect(window.has(40, 100)).toBe(80)
  expect(kept()).toBe(80)
  window.add(bytes.subarray(0, 101), 120)
  expect(window.has(120, 1)).toBe(0)
  expect(kept()).toBe(80)
})

it('all together hold no more than they may: the oldest goes first, whosever it is', () => {
  const { all, kept } = windows()
  const [one, other] = [all.open(), all.open()]
  one.add(bytes.subarray(0, 60), 0)
  other.add(bytes.subarray(0, 70), 0)
  one.add(bytes.subarray(60, 100), 60)
  expect(one.has(0, 60)).toBe(0)
  expect(other.has(0, 70)).toBe(70)
  expect(one.has(60, 40)).toBe(40)
  expect(all.bytes()).toBe(110)
  expect(kept()).toBe(110)
})

it('small chunks are limited in number', () => {
  const { all } = windows()
  const window = all.open()
  for (let at = 0; at < 70; at += 1) window.add(bytes.subarray(at, at + 1), at)
  expect(window.has(5, 1)).toBe(0)
  expect(window.has(6, 100)).toBe(64)
})

it('a closed one lets everything go, and takes nothing more', () => {
  const { all, kept } = windows()
  const window = all.open()
  window.add(bytes.subarray(0, 60), 0)
  window.close()
  window.close()
  window.add(bytes.subarray(60, 70), 60)
  expect(window.has(60, 1)).toBe(0)
  expect(kept()).toBe(0)
  expect(all.bytes()).toBe(0)
  expect(window.has(0, 1)).toBe(0)
})
