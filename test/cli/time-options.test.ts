import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/cli/command.ts'
import { readExpiry, readSince } from '../../src/cli/time-options.ts'

const NOW = Date.UTC(2030, 0, 31, 12)
const HOUR = 3600 * 1000

describe('times in options', () => {
  it.each([
    [{}, undefined],
    [{ for: '1.5h' }, NOW + 1.5 * HOUR],
    [{ for: '0s' }, NOW],
    [{ until: '2030-02-01' }, Date.UTC(2030, 1, 1)],
    [{ until: '2030-02-01T12:30Z' }, Date.UTC(2030, 1, 1, 12, 30)],
    [{ until: '2030-02-01T12:30:15.5+02:00' }, Date.UTC(2030, 1, 1, 10, 30, 15, 500)],
    [{ until: '2032-02-29' }, Date.UTC(2032, 1, 29)],
  ])('%j end at %s', (options, expected) => {
    expect(readExpiry(options, NOW)).toBe(expected)
  })

  it.each([
    '',
    '2030',
    '2030-2-1',
    '2030-02-29',
    '2030-02-01T25:00Z',
    '2030-02-01T12:00',
    '1d',
    'x',
  ])('have to be one: --until "%s"', (until) => {
    expect(() => readExpiry({ until }, NOW)).toThrow(UsageError)
  })

  it('have to be one that a date can say', () => {
    expect(() => readExpiry({ for: '100000000d' }, NOW)).toThrow(/too long/)
    expect(() => readSince('104000000d', NOW)).toThrow(/too long/)
  })

  it.each([
    ['2h', NOW - 2 * HOUR],
    ['2030-01-01', Date.UTC(2030, 0, 1)],
  ])('begin %s', (text, expected) => {
    expect(readSince(text, NOW)).toBe(expected)
  })
})
