import { describe, expect, it } from 'vitest'
import {
  agoText,
  countText,
  durationText,
  jsonText,
  safeText,
  sizeText,
  tableText,
  timeText,
} from '../../src/cli/text.ts'

const DAY = 24 * 3600 * 1000

describe('text for people', () => {
  it.each([
    [0, '0 bytes'],
    [1023, '1023 bytes'],
    [1024, '1.0 KiB'],
    [1_610_612_736, '1.5 GiB'],
    [3 * 1024 ** 4, '3.0 TiB'],
    [5000 * 1024 ** 4, '5000.0 TiB'],
  ])('writes %d bytes as %s', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text)
  })

  it.each([
    [0, '0 seconds'],
    [-5000, '0 seconds'],
    [1400, '1 seconds'],
    [119_000, '119 seconds'],
    [120_000, '2 minutes'],
    [2 * 3600 * 1000, '2 hours'],
    [47 * 3600 * 1000, '47 hours'],
    [2 * DAY, '2 days'],
    [400 * DAY, '400 days'],
  ])('writes %d ms as %s', (milliseconds, text) => {
    expect(durationText(milliseconds)).toBe(text)
  })

  it('knows one from many', () => {
    expect([0, 1, 2].map((count) => countText(count, 'blob'))).toEqual([
      '0 blobs',
      '1 blob',
      '2 blobs',
    ])
  })

  it('aligns columns, without spaces at the end of a line', () => {
    const rows = [['a', 'b'], ['long', ''], ['c', 'last', 'more']] // prettier-ignore
    expect(tableText(rows)).toBe('a     b\nlong\nc     last  more')
  })

  it('writes times so that an option could read them', () => {
    expect(timeText(Date.UTC(2030, 0, 31, 12, 30, 15, 999))).toBe('2030-01-31T12:30:15Z')
    expect(agoText(0, 3 * DAY)).toBe('3 days ago')
  })

  it('shows foreign text on one line, bounded, and in its order', () => {
    expect(safeText('a\n\u001b[2J\u009b\u202eb\u2028ü\u{e0041}')).toBe('a??[2J??b?ü?')
    expect(safeText('x'.repeat(300))).toHaveLength(256)
    expect(safeText('x'.repeat(300), 10)).toHaveLength(10)
    expect(safeText(undefined)).toBe('')
  })

  it('writes JSON that means the same and controls nothing', () => {
    const value = { text: 'a\n\u001b\u007f\u009b\u202e\u2028ü\u{e0041}"\\', list: [1, {}] }
    for (const indent of [0, 2]) {
      const text = jsonText(value, indent)
      expect(JSON.parse(text)).toEqual(value)
      expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\u2028]/u)
      expect(text).toContain('ü')
    }
    expect(jsonText(value, 0)).not.toContain('\n')
  })
})
