import { describe, expect, it } from 'vitest'
import { countText, durationText, sizeText, tableText } from '../../src/cli/text.ts'

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
})
