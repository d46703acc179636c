import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  covers,
  literalComponents,
  matchesPattern,
  matchingSteps,
} from '../../src/access/pattern.ts'
import { repositories, textOver } from '../oci/names.ts'

/** What the pattern means, said as a regular expression; slow ones are no concern for short texts. */
function reference(pattern: string): RegExp {
  const parts = pattern.split(/(\*\*|\*)/).map((part) => {
    if (part === '**') return '[^]*'
    if (part === '*') return '[^/]*'
    return part.replace(/[^a-z]/g, (character) => `\\${character}`)
  })
  return new RegExp(`^${parts.join('')}$`)
}

const patterns = textOver('ab/.*', 8)
const texts = textOver('ab/.', 10)

describe('matchesPattern', () => {
  it('matches exactly what the pattern means', () => {
    fc.assert(
      fc.property(patterns, texts, (pattern, text) => {
        expect(matchesPattern(pattern, text)).toBe(reference(pattern).test(text))
      }),
      { numRuns: 5000 },
    )
  })

  it('matches every text that was made from the pattern', () => {
    const literals = textOver('ab./', 4).filter((text) => text !== '')
    const stars = fc.oneof(
      textOver('ab.', 4).map((text) => ({ star: '*', text })),
      textOver('ab./', 6).map((text) => ({ star: '**', text })),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(stars, literals), { maxLength: 5 }), (parts) => {
        const pattern = parts.map(([{ star }, literal]) => star + literal).join('')
        const made = parts.map(([{ text }, literal]) => text + literal).join('')

        expect(matchesPattern(pattern, made)).toBe(true)
      }),
    )
  })

  it('without stars matches itself and nothing else', () => {
    fc.assert(
      fc.property(repositories, repositories, (one, other) => {
        expect(matchesPattern(one, one)).toBe(true)
        expect(matchesPattern(one, other)).toBe(one === other)
      }),
    )
  })

  it.each([
    ['docker.io/library/*', 'docker.io/library/nginx', true],
    ['docker.io/library/*', 'docker.io/library/nginx/extra', false],
    ['docker.io/library/*', 'docker.io/library', false],
    ['quay.io/coreos/**', 'quay.io/coreos/etcd', true],
    ['quay.io/coreos/**', 'quay.io/coreos/a/b/c', true],
    ['quay.io/coreos/**', 'quay.io/coreosx/etcd', false],
    ['**', '', true],
    ['**', 'quay.io/anything/at/all', true],
    ['*', 'quay.io/anything', false],
    ['*/*', 'quay.io/anything', true],
    ['**/nginx', 'docker.io/library/nginx', true],
    ['**/nginx', 'docker.io/library/nginx-evil', false],
    ['docker.io/**/redis', 'docker.io/a/b/redis', true],
    ['docker.io/team-*/app', 'docker.io/team-a/app', true],
    ['docker.io/team-*/app', 'docker.io/team-a/b/app', false],
    ['7.*', '7.2.4', true],
    ['7.*', '17.2', false],
    ['', '', true],
    ['', 'a', false],
    ['a.c', 'abc', false],
    ['a+', 'aa', false],
    ['[ab]', 'a', false],
    ['a?', 'ab', false],
    ['(a|b)', 'a', false],
  ])('%j matches %j: %s', (pattern, text, expected) => {
    expect(matchesPattern(pattern, text)).toBe(expected)
  })

  // A matcher that backtracks would not end within the age of the universe: CVE-2026-26996 and its kin.
  it.each([
    ['a*', 'a', 'b'],
    ['*a', 'a', 'b'],
    ['a**', 'a', 'b'],
    ['**/', 'a/', 'b'],
    ['*', 'a', '/'],
    ['**a*', 'a', 'b'],
  ])('ends soon on many times %j against many times %j and %j', (part, repeated, last) => {
    const pattern = `${part.repeat(100)}c*`
    const text = `${repeated.repeat(5000)}${last}`

    expect(matchesPattern(pattern, text)).toBe(false)
    expect(matchesPattern(part.repeat(100), repeated.repeat(5000))).toBe(true)
  })
})

describe('matchingSteps', () => {
  it('are no more than the pairs of positions in pattern and text', () => {
    fc.assert(
      fc.property(textOver('ab/*', 12), textOver('ab/', 20), (pattern, text) => {
        const pairs = (pattern.length + 1) * (text.length + 1)

        expect(matchingSteps(pattern, text)).toBeLessThanOrEqual(pairs)
      }),
      { numRuns: 5000 },
    )
  })

  // CVE-2026-26996: what doubles here took a matcher that backtracks twice as long for each letter.
  it.each([
    ['a*', 'a'],
    ['*a', 'a'],
    ['a**', 'a'],
    ['**a', 'a'],
    ['**a*', 'a'],
    ['**/', 'a/'],
    ['*/', 'a/'],
    ['**/*', 'a/'],
    ['*', 'a'],
    ['**', 'a/'],
  ])('double when a text of many %2$j doubles, for many times %1$j', (part, repeated) => {
    const pattern = `${part.repeat(60)}c*`
    const steps = [1000, 2000, 4000].map((times) => matchingSteps(pattern, repeated.repeat(times)))

    expect(steps[0]).toBeGreaterThan(120)
    expect((steps[1] ?? Infinity) / (steps[0] ?? 0)).toBeLessThan(2.1)
    expect((steps[2] ?? Infinity) / (steps[1] ?? 0)).toBeLessThan(2.1)
    expect(steps[2]).toBeLessThanOrEqual((pattern.length + 1) * (4000 * repeated.length + 1))
  })

  it('are none where what is spelled out at either end differs', () => {
    expect(matchingSteps('quay.io/team/app-*', 'quay.io/team/other')).toBe(0)
    expect(matchingSteps('quay.io/**/app', 'quay.io/team/other')).toBe(0)
    expect(matchingSteps('quay.io/team/app', 'quay.io/team/app')).toBe(0)
  })
})

describe('covers', () => {
  const every = enumerate('ab/', 6)

  it('never says yes where the narrow pattern matches more', () => {
    let yes = 0
    fc.assert(
      fc.property(textOver('ab/**', 5), textOver('ab/**', 5), (wide, narrow) => {
        fc.pre(covers(wide, narrow))
        yes += 1
        const beyond = every.find((it) => matchesPattern(narrow, it) && !matchesPattern(wide, it))

        expect(beyond).toBeUndefined()
      }),
      { numRuns: 1000 },
    )
    expect(yes).toBeGreaterThan(100)
  })

  it('says yes of a pattern and itself, of everything, and of each name that it matches', () => {
    fc.assert(
      fc.property(textOver('ab/*', 8), textOver('ab/', 8), (pattern, name) => {
        expect(covers(pattern, pattern)).toBe(true)
        expect(covers('**', pattern)).toBe(true)
        expect(covers(pattern, name)).toBe(matchesPattern(pattern, name))
      }),
      { numRuns: 3000 },
    )
  })

  it.each([
    ['quay.io/**', 'quay.io/team/*', true],
    ['quay.io/**', 'quay.io/**', true],
    ['quay.io/*', 'quay.io/**', false],
    ['quay.io/*', 'quay.io/a*b', true],
    ['quay.io/a*', 'quay.io/*', false],
    ['quay.io/*/app', 'quay.io/team-*/app', true],
    ['quay.io/*/app', 'quay.io/**/app', false],
    ['quay.io/**/app', 'quay.io/*/app', true],
    ['*/team/app', 'quay.io/team/app', true],
    ['quay.io/team/app', '*/team/app', false],
    ['**/app', '**', false],
  ])('%j covers %j: %s', (wide, narrow, expected) => {
    expect(covers(wide, narrow)).toBe(expected)
  })
})

describe('literalComponents', () => {
  it.each([
    ['docker.io/library/nginx', 'docker.io/library/nginx'],
    ['docker.io/library/*', 'docker.io/library'],
    ['docker.io/lib*', 'docker.io'],
    ['docker.io/*/app', 'docker.io'],
    ['**', ''],
    ['*.io/app', ''],
    ['do*', ''],
  ])('of %s are "%s"', (pattern, expected) => {
    expect(literalComponents(pattern)).toBe(expected)
  })

  it('begin every name that the pattern matches', () => {
    fc.assert(
      fc.property(textOver('ab/*', 8), textOver('ab/', 8), (pattern, name) => {
        fc.pre(matchesPattern(pattern, name))
        const literal = literalComponents(pattern)

        expect(literal === '' || name === literal || name.startsWith(`${literal}/`)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

/** Every text over the characters, up to the length. */
function enumerate(characters: string, maxLength: number): string[] {
  if (maxLength === 0) return ['']
  const shorter = enumerate(characters, maxLength - 1)
  return ['', ...characters.split('').flatMap((first) => shorter.map((rest) => first + rest))]
}
