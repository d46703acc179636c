import { describe, expect, it } from 'vitest'
import { createTagFilter } from '../../src/warm/tag-filter.ts'

const TAGS = ['1.13.1-alpine-perl', '1.13.3-alpine-perl', 'v1.2', '1.2.4', '2', '2.1-rc1', 'latest']

describe('an expression', () => {
  it.each([
    ['^1\\.13\\.[12]-alpine-perl$', ['1.13.1-alpine-perl']],
    ['alpine', ['1.13.1-alpine-perl', '1.13.3-alpine-perl']],
    ['\\A1\\.2\\.\\d\\z', ['1.2.4']],
    ['(?i)^LATEST$', ['latest']],
    ['^2\\.1\\-rc1$', ['2.1-rc1']],
    ['^2\\.1[\\-_]rc1$', ['2.1-rc1']],
    ['^(?P<major>\\d)$', ['2']],
    ['^nothing$', []],
  ])('%s finds what it finds in Go', (matching, found) => {
    expect(createTagFilter({ matching })(TAGS)).toEqual(found)
  })

  it.each([
    ['(', /is not a regular expression: /],
    ['a{2,1}', /is not a regular expression: numbers out of order/],
    ['a(?=b)', /looks around/],
    ['(?<!a)b', /looks around/],
    ['(a)\\1', /looks around or back/],
    ['a(?i)b', /has flags inside/],
    ['a(?i:b)', /has flags inside/],
    ['[[:alpha:]]+', /has a class such as \[:alpha:\]/],
    ['a'.repeat(513), /is longer than 512 characters/],
  ])('%j is refused in a sentence', (matching, sentence) => {
    expect(() => createTagFilter({ matching })).toThrow(sentence)
  })

  it('that backtracks without end is cut off', () => {
    const filter = createTagFilter({ matching: '^(a+)+$' })
    expect(filter(['aaa'])).toEqual(['aaa'])
    expect(() => filter([`${'a'.repeat(120)}-`])).toThrow(/takes longer than 250 ms/)
  })
})

describe('a range of versions', () => {
  it.each([
    ['>= 1.2, < 2', ['v1.2', '1.2.4']],
    ['^1.2', ['v1.2', '1.2.4']],
    ['>= 2', ['2']],
    ['>= 2.1.0-0', ['2.1-rc1']],
    ['1.2.4 || 2.x', ['1.2.4', '2']],
  ])('%s finds versions with fewer parts as well', (semver, found) => {
    expect(createTagFilter({ semver })(TAGS)).toEqual(found)
  })

  it.each(['', ' ', '>= one', '!= 1.0.0', '>'.repeat(600)])('%j is refused', (semver) => {
    expect(() => createTagFilter({ semver })).toThrow(
      /is not a range of versions; write for example|is longer than/,
    )
  })
})

it('a range of many alternatives is cut off as well', () => {
  const semver = Array.from({ length: 100 }, (_, index) => 100 + index).join('||')
  const tags = Array.from({ length: 200_000 }, (_, index) => `1.${index}.0`)
  expect(() => createTagFilter({ semver })(tags)).toThrow(/takes longer than 250 ms/)
})

it('without either, every tag is meant', () => {
  expect(createTagFilter({})(TAGS)).toEqual(TAGS)
})
