import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createExtents } from '../../src/cache/extents.ts'
import { createHeldBack, HELD_BACK_BYTES } from '../../src/cache/held-back.ts'

const KIB = 1024

describe('what is held back', () => {
  it('is never given to all who ask together', () => {
    const asked = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), length: fc.nat() })
    fc.assert(
      fc.property(fc.nat(400 * KIB), fc.array(asked, { maxLength: 40 }), (size, requests) => {
        const heldBack = createHeldBack(size)
        const given = createExtents()
        for (const { at, length } of requests) {
          const position = Math.floor(at * size)
          const there = Math.min(length % (100 * KIB), size - position)
          const released = heldBack.release(position, there)
          expect(released).toBeLessThanOrEqual(there)
          given.add(position, position + released)
        }
        expect(size - given.total()).toBeGreaterThanOrEqual(Math.min(size, HELD_BACK_BYTES))
      }),
    )
  })

  it('is the end for who reads from the beginning', () => {
    const heldBack = createHeldBack(200 * KIB)
    expect(heldBack.release(0, 100 * KIB)).toBe(100 * KIB)
    expect(heldBack.release(100 * KIB, 100 * KIB)).toBe(36 * KIB)
    expect(heldBack.release(136 * KIB, 64 * KIB)).toBe(0)
  })

  it('is another place for who asks for the end first', () => {
    const heldBack = createHeldBack(200 * KIB)
    expect(heldBack.release(199 * KIB, KIB)).toBe(KIB)
    expect(heldBack.release(0, 100 * KIB)).toBe(100 * KIB)
    // 64 KiB just before the end are what nobody has been given.
    expect(heldBack.release(100 * KIB, 99 * KIB)).toBe(35 * KIB)
  })

  it('is the whole of a small blob', () => {
    const heldBack = createHeldBack(60 * KIB)
    expect(heldBack.release(59 * KIB, KIB)).toBe(0)
    expect(heldBack.release(0, KIB)).toBe(0)
  })
})
