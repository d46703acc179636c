import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  isRepository,
  isTag,
  parseReference,
  parseRepository,
  parseTag,
  referenceText,
} from '../../src/oci/reference.ts'
import { anyText, digests, repositories, tags, textOver } from './names.ts'
import { refusal } from './refusal.ts'

/** As the distribution specification prints it: one expression over the whole name. */
const SPEC_NAME = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/
const SPEC_TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

describe('parseRepository', () => {
  it('accepts every name that the grammar makes', () => {
    fc.assert(
      fc.property(repositories, (name) => {
        expect(parseRepository(name)).toBe(name)
      }),
    )
  })

  it('accepts exactly what the expression of the specification matches', () => {
    fc.assert(
      fc.property(fc.oneof(textOver('a0._-/', 9), textOver('az9/_-.A \n%:@é', 9)), (text) => {
        expect(isRepository(text)).toBe(SPEC_NAME.test(text))
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    ['', 'nothing'],
    ['/a', 'a leading slash'],
    ['a/', 'a trailing slash'],
    ['a//b', 'an empty component'],
    ['..', 'dot segments'],
    ['a/../b', 'dot segments'],
    ['Library/nginx', 'upper case'],
    ['a___b', 'three underscores'],
    ['a..b', 'two dots'],
    ['a._b', 'two separators'],
    ['-a', 'a leading separator'],
    ['a.', 'a trailing separator'],
    ['nginx\n', 'a line feed at the end'],
    ['nginx\u0000', 'NUL'],
    ['nginx%2f', 'percent encoding'],
    ['naïve', 'letters outside ASCII'],
    ['registry:5000/a', 'a colon'],
  ])('E-42: refuses %j, which has %s', (text) => {
    expect(refusal(() => parseRepository(text))).toBe('NAME_INVALID')
  })

  it('E-42: takes 255 characters and not one more', () => {
    const longest = 'a'.repeat(127) + '/' + 'b'.repeat(127)

    expect(parseRepository(longest)).toHaveLength(255)
    expect(refusal(() => parseRepository(`${longest}b`))).toBe('NAME_INVALID')
  })

  it('does not repeat an endless name in its error', () => {
    const run = () => parseRepository('A'.repeat(10_000))

    expect(run).toThrow(expect.objectContaining({ detail: { name: 'A'.repeat(256) } }))
  })
})

describe('parseTag', () => {
  it('accepts every tag that the grammar makes', () => {
    fc.assert(
      fc.property(tags, (tag) => {
        expect(parseTag(tag)).toBe(tag)
      }),
    )
  })

  it('accepts exactly what the expression of the specification matches', () => {
    fc.assert(
      fc.property(fc.oneof(textOver('aZ0._-', 9), textOver('a.-_:/ \n+é', 9)), (text) => {
        expect(isTag(text)).toBe(SPEC_TAG.test(text))
      }),
      { numRuns: 2000 },
    )
  })

  it('E-42: takes 128 characters and not one more', () => {
    expect(parseTag('t'.repeat(128))).toHaveLength(128)
    expect(refusal(() => parseTag('t'.repeat(129)))).toBe('TAG_INVALID')
  })

  it('does not repeat an endless tag in its error', () => {
    const run = () => parseTag('t'.repeat(10_000))

    expect(run).toThrow(expect.objectContaining({ detail: { tag: 't'.repeat(200) } }))
  })
})

describe('parseReference', () => {
  it('tells digests and tags apart, and gives back the text it was made of', () => {
    fc.assert(
      fc.property(fc.oneof(digests, tags), (text) => {
        const reference = parseReference(text)

        expect(reference.kind).toBe(text.includes(':') ? 'digest' : 'tag')
        expect(referenceText(reference)).toBe(text)
      }),
    )
  })

  it.each([
    ['', 'TAG_INVALID'],
    ['.hidden', 'TAG_INVALID'],
    ['-rf', 'TAG_INVALID'],
    ['v1.0+build', 'TAG_INVALID'],
    ['latest:', 'DIGEST_INVALID'],
    ['sha256:baddigeststring', 'DIGEST_INVALID'],
  ])('refuses %j as %s', (text, code) => {
    expect(refusal(() => parseReference(text))).toBe(code)
  })

  it('throws nothing but OciError, whatever it is given', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(refusal(() => parseReference(text))).not.toBe('UNKNOWN')
      }),
    )
  })
})
