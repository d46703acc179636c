import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  parseAge,
  parseBudget,
  parseDuration,
  parseDurationOrUnlimited,
  parseRate,
  parseSize,
  parseTimeout,
} from '../../src/config/units.ts'
import { InvalidValue } from '../../src/config/problem.ts'
import { invalid } from './fixtures.ts'

const DURATIONS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const SIZES = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 }

const NO_DURATION = 'is not a duration; write for example 5m (units s, m, h, d)'
const NO_SIZE = 'is not a size; write for example 200GiB (units KiB, MiB, GiB, TiB)'

describe.each([
  { name: 'parseDuration', parse: parseDuration, units: DURATIONS, complaint: NO_DURATION },
  { name: 'parseSize', parse: parseSize, units: SIZES, complaint: NO_SIZE },
])('$name', ({ parse, units, complaint }) => {
  const unit = fc.constantFrom(...Object.entries(units))

  it('multiplies whole numbers exactly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8000 }), unit, (amount, [name, factor]) => {
        expect(parse(`${amount}${name}`)).toBe(amount * factor)
      }),
    )
  })

  it('takes up to three decimals, and gives the nearest whole number', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9_999_999 }), unit, (thousandths, [name, factor]) => {
        const exact = (thousandths * factor) / 1000
        fc.pre(Math.round(exact) > 0 && exact < Number.MAX_SAFE_INTEGER)
        const text = `${(thousandths / 1000).toFixed(3)}${name}`
        expect(Math.abs(parse(text) - exact)).toBeLessThanOrEqual(0.51)
      }),
    )
  })

  it('gives a safe whole number or refuses, whatever the text', () => {
    const likely = fc
      .tuple(fc.stringMatching(/^[0-9.+\-e ]{0,18}$/), unit)
      .map(([amount, [name]]) => amount + name)
    const outcome = (text: string): unknown => {
      try {
        return parse(text)
      } catch (error) {
        return error
      }
    }
    fc.assert(
      fc.property(fc.oneof(fc.string(), likely), (text) => {
        const result = outcome(text)
        expect(
          result instanceof InvalidValue || (Number.isSafeInteger(result) && /^\d/.test(text)),
        ).toBe(true)
      }),
    )
  })

  it.each(['', '5', 'm', '5 m', '-5m', '+5m', '1e3s', '.5s', '5.s', '5x', '5M', '5GB', '5minutes'])(
    'refuses %j',
    (text) => {
      expect(invalid(() => parse(text))).toBe(complaint)
    },
  )

  it('refuses what cannot be counted exactly', () => {
    const [name = ''] = Object.keys(units).slice(-1)
    expect(invalid(() => parse(`999999999999${name}`))).toBe(complaint)
  })
})

it('a tag may be asked for every time, so a duration may be nothing', () => {
  expect(parseDuration('0s')).toBe(0)
})

it('a budget of nothing is refused, because it is easily read as no budget', () => {
  expect(invalid(() => parseBudget('0GiB'))).toBe('is nothing; leave the key out for no limit')
})

it('what must stay free may be nothing', () => {
  expect(parseSize('0GiB')).toBe(0)
})

it('a duration may be unlimited where that is offered, and is nothing else then', () => {
  expect(parseDurationOrUnlimited('unlimited')).toBe(Number.POSITIVE_INFINITY)
  expect(parseDurationOrUnlimited('0s')).toBe(0)
  expect(parseDurationOrUnlimited('7d')).toBe(604_800_000)
  expect(invalid(() => parseDuration('unlimited'))).toBe(NO_DURATION)
  expect(invalid(() => parseDurationOrUnlimited('Unlimited'))).toContain('or unlimited')
})

it('an age is a minute at least', () => {
  expect(parseAge('60s')).toBe(60_000)
  expect(invalid(() => parseAge('59.999s'))).toContain('write at least 1m')
})

it('a rate is off, or enough to get somewhere', () => {
  expect(parseRate('off')).toBe(0)
  expect(parseRate('64KiB')).toBe(65_536)
  expect(invalid(() => parseRate('0MiB'))).toContain('write at least 64KiB, or off')
  expect(invalid(() => parseRate('8MB'))).toContain('is not a rate')
})

describe('parseTimeout', () => {
  it.each([
    ['0.001s', 1],
    ['24h', 86_400_000],
    ['1d', 86_400_000],
  ])('takes %s', (text, milliseconds) => {
    expect(parseTimeout(text)).toBe(milliseconds)
  })

  it.each(['0s', '0.0s', '1.001d', '25d'])('refuses %s, which no timer can wait for', (text) => {
    expect(invalid(() => parseTimeout(text))).toBe(
      'is no usable timeout; write more than 0s and at most 1d',
    )
  })
})
