import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureTtl, freshnessOf, mayServeOnError } from '../../src/cache/freshness.ts'

const moments = fc.integer({ min: 0, max: 4_000_000_000_000 })
const ages = fc.integer({ min: -100_000, max: 1_000_000 })
const ttls = fc.oneof(fc.constantFrom(0, 1, 300_000), fc.nat({ max: 1_000_000 }))

describe('freshnessOf', () => {
  it('E-36: goes from fresh through the time of grace to expired, and never back', () => {
    fc.assert(
      fc.property(moments, ages, ttls, ttls, (checkedAt, age, tagTtl, staleWhileRevalidate) => {
        const found = freshnessOf({ checkedAt }, { tagTtl, staleWhileRevalidate }, checkedAt + age)

        const isFresh = age >= 0 && age < tagTtl
        const isUsable = age >= 0 && age < tagTtl + staleWhileRevalidate
        expect(found === 'fresh').toBe(isFresh)
        expect(found === 'expired').toBe(!isUsable)
      }),
    )
  })

  it.each([
    [0, 1000, 0, 'fresh'],
    [999, 1000, 0, 'fresh'],
    [1000, 1000, 0, 'expired'],
    [1000, 1000, 1, 'revalidate-behind'],
    [1001, 1000, 1, 'expired'],
    [0, 0, 0, 'expired'],
    [0, 0, 1, 'revalidate-behind'],
    [1, Infinity, 0, 'fresh'],
    [5000, 0, Infinity, 'revalidate-behind'],
  ])(
    'E-36: after %i ms of %i, and %i more, is %s',
    (age, tagTtl, staleWhileRevalidate, expected) => {
      const limits = { tagTtl, staleWhileRevalidate }
      expect(freshnessOf({ checkedAt: 5000 }, limits, 5000 + age)).toBe(expected)
    },
  )

  it('E-45: is expired for a check in the future, after the clock was set back', () => {
    const limits = { tagTtl: 1_000_000, staleWhileRevalidate: 1_000_000 }
    expect(freshnessOf({ checkedAt: 5000 }, limits, 4999)).toBe('expired')
  })
})

describe('mayServeOnError', () => {
  it.each([
    [0, 0, true],
    [1, 0, false],
    [1000, 1000, true],
    [1001, 1000, false],
    [Number.MAX_SAFE_INTEGER, Infinity, true],
    [-1, 0, true],
  ])('after %i ms of %i: %s', (age, staleIfError, may) => {
    expect(mayServeOnError({ checkedAt: 5000 }, { staleIfError }, 5000 + age)).toBe(may)
  })
})

describe('failureTtl', () => {
  it.each([
    ['not-found', undefined, 10_000],
    ['unauthorized', undefined, 10_000],
    ['forbidden', undefined, 10_000],
    ['unavailable', undefined, 2_000],
    ['unavailable', 60, 2_000],
    ['corrupt', undefined, 2_000],
    ['rate-limited', undefined, 1_000],
    ['rate-limited', 3, 3_000],
    ['rate-limited', 86_400, 10_000],
  ])('E-32, E-39: remembers %s with Retry-After %s for %i ms', (reason, retryAfter, expected) => {
    expect(failureTtl(reason, retryAfter)).toBe(expected)
  })

  it('is never nothing, which the cache of failures takes for ever', () => {
    const reasons = fc.constantFrom('rate-limited', 'unavailable', 'not-found')
    const retryAfters = fc.option(fc.integer({ min: 0, max: 100_000 }), { nil: undefined })
    fc.assert(
      fc.property(reasons, retryAfters, (reason, retryAfter) => {
        expect(failureTtl(reason, retryAfter)).toBeGreaterThan(0)
        expect(failureTtl(reason, retryAfter)).toBeLessThanOrEqual(10_000)
      }),
    )
    expect(failureTtl('rate-limited', 0)).toBeGreaterThan(0)
  })
})
