import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createExtents } from '../../src/cache/extents.ts'

const SPACE = 60
const stretch = fc
  .tuple(fc.nat(SPACE), fc.nat(SPACE))
  .map(([one, other]) => ({ first: Math.min(one, other), end: Math.max(one, other) }))

describe('extents', () => {
  it('know exactly the bytes that were added, in whatever order', () => {
    fc.assert(
      fc.property(fc.array(stretch), fc.nat(SPACE), (added, position) => {
        const extents = createExtents()
        const bytes = new Set<number>()
        for (const { first, end } of added) {
          extents.add(first, end)
          for (let byte = first; byte < end; byte += 1) bytes.add(byte)
        }

        expect(extents.total()).toBe(bytes.size)
        let missing = position
        while (bytes.has(missing)) missing += 1
        expect(extents.missingFrom(position)).toBe(missing)
        const present = [...bytes].filter((byte) => byte >= position)
        expect(extents.presentFrom(position)).toBe(Math.min(...present))
      }),
    )
  })

  it('are kept in order, and as few as possible', () => {
    fc.assert(
      fc.property(fc.array(stretch), (added) => {
        const list = createExtents(added).list()
        for (const [at, { first, end }] of list.entries()) {
          expect(first).toBeLessThan(end)
          expect(first).toBeGreaterThan(list[at - 1]?.end ?? -1)
        }
      }),
    )
  })
})
