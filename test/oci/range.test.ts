import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { allowsRange, matchesEntityTag, parseRanges, type ByteRange } from '../../src/oci/range.ts'
import { anyText, digests, textOver } from './names.ts'
import { refusal } from './refusal.ts'

/** A list for several, whatever is left of them. */
type Answer = 'whole' | 'unsatisfiable' | ByteRange | readonly ByteRange[]

function answer(header: string | undefined, size: number): Answer {
  let selected: Answer = 'whole'
  const code = refusal(() => {
    const selection = parseRanges(header, size)
    if (selection.kind === 'part') selected = selection.range
    if (selection.kind === 'parts') selected = selection.ranges
  })
  if (code === 'RANGE_INVALID') return 'unsatisfiable'
  if (code !== undefined) throw new Error(`A range is never refused as ${code}.`)
  return selected
}

type IsSelected = (position: number) => boolean

/** Looks at each byte of the body by itself and asks whether it was selected. */
function model(isSelected: IsSelected, size: number): 'whole' | 'unsatisfiable' | ByteRange {
  if (size === 0) return 'whole'
  const selected = Array.from({ length: size }, (_, position) => position).filter(isSelected)
  const [first] = selected
  const last = selected.at(-1)
  return first === undefined || last === undefined ? 'unsatisfiable' : { first, last }
}

const sizes = fc.nat({ max: 40 })
const numbers = fc.oneof(fc.nat({ max: 45 }), fc.bigInt({ min: 0n, max: 10n ** 30n }))

describe('parseRanges', () => {
  it('E-19: selects the bytes from first to last, clamped to the body', () => {
    fc.assert(
      fc.property(numbers, numbers, sizes, (first, last, size) => {
        expect(answer(`bytes=${first}-${last}`, size)).toEqual(
          model((at) => BigInt(at) >= BigInt(first) && BigInt(at) <= BigInt(last), size),
        )
      }),
      { numRuns: 1000 },
    )
  })

  it('E-19: selects all bytes from first on', () => {
    fc.assert(
      fc.property(numbers, sizes, (first, size) => {
        expect(answer(`bytes=${first}-`, size)).toEqual(model((at) => at >= first, size))
      }),
      { numRuns: 500 },
    )
  })

  it('E-19: selects the last bytes, and the whole where more are asked for', () => {
    fc.assert(
      fc.property(numbers, sizes, (length, size) => {
        expect(answer(`bytes=-${length}`, size)).toEqual(
          model((at) => BigInt(size - at) <= BigInt(length), size),
        )
      }),
      { numRuns: 500 },
    )
  })

  // The ranges of the OCI conformance suite, on its 2048 bytes.
  it.each<[string, Answer]>([
    ['bytes=500-1499', { first: 500, last: 1499 }],
    ['bytes=500-', { first: 500, last: 2047 }],
    ['bytes=-500', { first: 1548, last: 2047 }],
    ['bytes=2000-5000', { first: 2000, last: 2047 }],
    ['bytes=0-2048', { first: 0, last: 2047 }],
    ['bytes=2047-', { first: 2047, last: 2047 }],
    ['bytes=-5000', { first: 0, last: 2047 }],
    ['bytes=0-9223372036854775807', { first: 0, last: 2047 }],
    ['bytes=500-0', 'unsatisfiable'],
    ['bytes=5000-10000', 'unsatisfiable'],
    ['bytes=2048-', 'unsatisfiable'],
    ['bytes=99999999999999999999-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
  ])('E-19: answers %s with %j', (header, expected) => {
    expect(answer(header, 2048)).toEqual(expected)
  })

  it.each(['BYTES=1-2', 'Bytes=1-2', 'bytes = 1-2', 'bytes=1-2 ', 'bytes=\t1-2'])(
    'reads %j as the range that it is',
    (header) => {
      expect(answer(header, 10)).toEqual({ first: 1, last: 2 })
    },
  )

  it.each<[string | undefined, string]>([
    [undefined, 'no header'],
    ['', 'nothing'],
    ['bytes', 'no range'],
    ['bytes=', 'no range'],
    ['bytes=-', 'neither first nor last'],
    ['bytes=--1', 'a negative suffix'],
    ['bytes=1', 'no dash'],
    ['bytes=a-b', 'no numbers'],
    ['bytes=1-2-3', 'three numbers'],
    ['bytes=0x0-0x5', 'hexadecimal numbers'],
    ['bytes=1.5-2', 'a fraction'],
    ['bytes=1e0-2', 'an exponent'],
    ['bytes=+1-2', 'a sign'],
    ['bytes=1 - 2', 'spaces within'],
    ['bytes=١-٢', 'digits outside ASCII'],
    ['items=0-5', 'an unknown unit'],
    ['bytesx=0-5', 'an unknown unit'],
    ['0-5', 'no unit'],
    ['bytes=,', 'nothing but a comma'],
    ['bytes=0-1,x', 'a second that is no range'],
    ['bytes=-,0-1', 'a first that is no range'],
    ['bytes=0-1;3-4', 'another separator'],
    ['bytes=0-1, bytes=3-4', 'two headers joined'],
  ])('E-19: sends the whole for %j, which has %s', (header) => {
    expect(answer(header, 10)).toBe('whole')
  })

  it('E-19: selects of several ranges those that lie inside, in the order asked', () => {
    const bounds = fc.oneof(
      fc.tuple(numbers, numbers).map(([first, last]) => ({
        text: `${first}-${last}`,
        isSelected: (at: number) => BigInt(at) >= BigInt(first) && BigInt(at) <= BigInt(last),
      })),
      fc.nat({ max: 45 }).map((first) => ({
        text: `${first}-`,
        isSelected: (at: number) => at >= first,
      })),
    )
    const lists = fc.array(bounds, { minLength: 2, maxLength: 8 })
    const separators = fc.constantFrom(',', ', ', ' ,', ',,', '\t,\t')
    fc.assert(
      fc.property(lists, separators, fc.integer({ min: 1, max: 40 }), (asked, separator, size) => {
        const header = `bytes=${asked.map(({ text }) => text).join(separator)}`
        const inside = asked
          .map(({ isSelected }) => model(isSelected, size))
          .filter((it) => it !== 'unsatisfiable')
        expect(answer(header, size)).toEqual(inside.length === 0 ? 'unsatisfiable' : inside)
      }),
      { numRuns: 1000 },
    )
  })

  it.each<[string, [number, number][] | ByteRange | 'unsatisfiable']>([
    [
      'bytes=0-1,8-9',
      [
        [0, 1],
        [8, 9],
      ],
    ],
    [
      'bytes=8-9,0-1',
      [
        [8, 9],
        [0, 1],
      ],
    ],
    [
      'bytes=0-0,-1',
      [
        [0, 0],
        [9, 9],
      ],
    ],
    [
      'bytes=0-5,3-7',
      [
        [0, 5],
        [3, 7],
      ],
    ],
    [
      'bytes=2-3,2-3',
      [
        [2, 3],
        [2, 3],
      ],
    ],
    ['bytes=2-3,10-', [[2, 3]]],
    ['bytes=5-1,-0,2-3', [[2, 3]]],
    ['bytes=2-3,', { first: 2, last: 3 }],
    ['bytes=,2-3', { first: 2, last: 3 }],
    ['bytes=10-,11-12', 'unsatisfiable'],
    ['bytes=5-1,-0', 'unsatisfiable'],
  ])('E-19: answers %s with %j', (header, expected) => {
    const ranges = Array.isArray(expected)
      ? expected.map(([first, last]) => ({ first, last }))
      : expected
    expect(answer(header, 10)).toEqual(ranges)
  })

  it('takes as many ranges as podman sends, and sends the whole for more', () => {
    const ranges = (count: number): string =>
      `bytes=${Array.from({ length: count }, (_, index) => `${2 * index}-${2 * index}`).join()}`
    expect(answer(ranges(1024), 4096)).toHaveLength(1024)
    expect(answer(ranges(1025), 4096)).toBe('whole')
  })

  it.each([
    'bytes=0-',
    'bytes=0-0',
    'bytes=-5',
    'bytes=5-',
    'bytes=5-1',
    'bytes=-0',
    'bytes=0-,1-',
  ])('E-18: sends the whole of an empty body for %s', (header) => {
    expect(answer(header, 0)).toBe('whole')
  })

  it('stays within the body, and throws nothing but RANGE_INVALID, whatever it is given', () => {
    const headers = fc.oneof(
      textOver('bytes=0123456789-, ', 20),
      anyText.map((rest) => `bytes=${rest}`),
    )
    fc.assert(
      fc.property(headers, fc.nat(), (header, size) => {
        const got = answer(header, size)
        for (const { first, last } of typeof got === 'string' ? [] : [got].flat()) {
          expect(first).toBeGreaterThanOrEqual(0)
          expect(last).toBeGreaterThanOrEqual(first)
          expect(last).toBeLessThan(size)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('says how long the content is when the range lies outside', () => {
    expect(() => parseRanges('bytes=10-', 10)).toThrow(
      expect.objectContaining({ code: 'RANGE_INVALID', detail: { size: 10 } }),
    )
  })
})

describe('matchesEntityTag', () => {
  const digest = digestOf(Buffer.from('content'))
  const other = digestOf(Buffer.from('other'))

  it.each([
    `"${digest}"`,
    `W/"${digest}"`,
    digest,
    '*',
    ' * ',
    ` "${digest}" `,
    `"${other}", "${digest}"`,
    `"${other}",W/"${digest}"`,
    `${other},${digest}`,
  ])('E-20: finds the digest in %s', (header) => {
    expect(matchesEntityTag(header, digest)).toBe(true)
  })

  it.each([
    undefined,
    '',
    ',',
    `"${other}"`,
    `"${digest}`,
    `""${digest}""`,
    `"*"`,
    `"${other}", *`,
    digest.toUpperCase(),
    digest.slice(7),
    `"${digest}-gzip"`,
  ])('E-20: does not find the digest in %s', (header) => {
    expect(matchesEntityTag(header, digest)).toBe(false)
  })

  it('E-20: finds a digest among others, wherever it stands', () => {
    const form = fc.constantFrom(
      (text: string) => text,
      (text: string) => `"${text}"`,
      (text: string) => `W/"${text}"`,
    )
    const written = fc.array(fc.tuple(digests, form), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(written, digests, (candidates, asked) => {
        const header = candidates.map(([candidate, write]) => write(candidate)).join(', ')
        const listed = candidates.map(([candidate]) => candidate)

        for (const candidate of listed) expect(matchesEntityTag(header, candidate)).toBe(true)
        expect(matchesEntityTag(header, asked)).toBe(listed.includes(asked))
      }),
    )
  })
})

describe('allowsRange', () => {
  const digest = digestOf(Buffer.from('content'))

  it.each([
    [undefined, true],
    [`"${digest}"`, true],
    [` "${digest}" `, true],
    [`W/"${digest}"`, false],
    [digest, false],
    ['*', false],
    ['', false],
    [`"${digestOf(Buffer.from('other'))}"`, false],
    ['Wed, 21 Oct 2015 07:28:00 GMT', false],
  ])('E-19: for If-Range %s: %s', (header, allowed) => {
    expect(allowsRange(header, digest)).toBe(allowed)
  })
})
