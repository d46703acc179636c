import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureTtl, isFresh } from '../../src/cache/freshness.ts'

const moments = fc.integer({ min: 0, max: 4_000_000_000_000 })
const ages = fc.integer({ min: -100_000, max: 1_000_000 })
const ttls = fc.oneof(fc.constantFrom(0, 1, 300_000), fc.nat({ max: 1_000_000 }))

describe('isFresh', () => {
  it('E-36: is true from the check on, until the time to live is over', () => {
    fc.assert(
      fc.property(moments, ages, ttls, (checkedAt, age, ttl) => {
        const fresh = age >= 0 && age < ttl

        expect(isFresh({ checkedAt }, ttl, checkedAt + age)).toBe(fresh)
      }),
    )
  })

  it.each([
    [0, 1000, true],
    [999, 1000, true],
    [1000, 1000, false],
    [0, 0, false],
    [1, Infinity, true],
  ])('E-36: after %i ms of %i: %s', (age, ttl, fresh) => {
    expect(isFresh({ checkedAt: 5000 }, ttl, 5000 + age)).toBe(fresh)
  })

  it('E-45: is false for a check in the future, after the clock was set back', () => {
    expect(isFresh({ checkedAt: 5000 }, 1_000_000, 4999)).toBe(false)
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
