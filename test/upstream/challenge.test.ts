import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  CHALLENGE_MAX_COUNT,
  CHALLENGE_MAX_LENGTH,
  parseChallenges,
} from '../../src/upstream/challenge.ts'

/** Challenges as plain data, for comparison. */
function parsed(header: string | readonly string[] | undefined) {
  return parseChallenges(header).map(({ scheme, token68, parameters }) => ({
    scheme,
    ...(token68 !== undefined && { token68 }),
    ...Object.fromEntries(parameters),
  }))
}

describe('what registries send', () => {
  test.each([
    [
      'docker.io',
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull"',
      [
        {
          scheme: 'bearer',
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:library/x:pull',
        },
      ],
    ],
    [
      'Artifact Registry, without service',
      'Bearer realm="https://us-docker.pkg.dev/v2/token"',
      [{ scheme: 'bearer', realm: 'https://us-docker.pkg.dev/v2/token' }],
    ],
    [
      'registry.suse.com, spaces in a value',
      'Bearer realm="https://registry.suse.com/auth",service="SUSE Linux Docker Registry"',
      [
        {
          scheme: 'bearer',
          realm: 'https://registry.suse.com/auth',
          service: 'SUSE Linux Docker Registry',
        },
      ],
    ],
    [
      'private ECR',
      'Basic realm="https://1.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com"',
      [
        {
          scheme: 'basic',
          realm: 'https://1.dkr.ecr.eu-west-1.amazonaws.com/',
          service: 'ecr.amazonaws.com',
        },
      ],
    ],
    [
      'Azure, two on one line',
      'Bearer realm="https://x.azurecr.io/oauth2/token",service="x.azurecr.io", Basic realm="x"',
      [
        { scheme: 'bearer', realm: 'https://x.azurecr.io/oauth2/token', service: 'x.azurecr.io' },
        { scheme: 'basic', realm: 'x' },
      ],
    ],
    [
      'empty scope',
      'Bearer realm="https://r/t",scope=""',
      [{ scheme: 'bearer', realm: 'https://r/t', scope: '' }],
    ],
  ])('%s', (_, header, expected) => {
    expect(parsed(header)).toEqual(expected)
  })

  test('repeated headers', () => {
    expect(parsed(['Basic realm="a"', 'Bearer realm="https://r/t"'])).toEqual([
      { scheme: 'basic', realm: 'a' },
      { scheme: 'bearer', realm: 'https://r/t' },
    ])
  })

  test('no header', () => {
    expect(parsed(undefined)).toEqual([])
    expect(parsed('')).toEqual([])
  })
})

describe('grammar of RFC 9110', () => {
  test.each<[string, string, object[]]>([
    [
      'commas and schemes inside quotes',
      'A r="x, B r=\\"y\\"", B z=1',
      [
        { scheme: 'a', r: 'x, B r="y"' },
        { scheme: 'b', z: '1' },
      ],
    ],
    ['escapes', String.raw`A r="a\"b\\c\d"`, [{ scheme: 'a', r: String.raw`a"b\cd` }]],
    ['names and schemes in any case', 'BEARER ReAlM="X"', [{ scheme: 'bearer', realm: 'X' }]],
    [
      'unquoted values',
      'Bearer realm=https://r/t?a=b,service=s',
      [{ scheme: 'bearer', realm: 'https://r/t?a=b', service: 's' }],
    ],
    [
      'spaces around everything',
      'A \t r = "x" \t , \t s\t=\ty ,, B',
      [{ scheme: 'a', r: 'x', s: 'y' }, { scheme: 'b' }],
    ],
    ['missing commas', 'A r="x" s="y"', [{ scheme: 'a', r: 'x', s: 'y' }]],
    ['schemes alone', 'Negotiate, NTLM', [{ scheme: 'negotiate' }, { scheme: 'ntlm' }]],
    [
      'token68',
      'Negotiate abc+/==, Basic realm="b"',
      [
        { scheme: 'negotiate', token68: 'abc+/==' },
        { scheme: 'basic', realm: 'b' },
      ],
    ],
    ['the first of a repeated parameter', 'A r="x", R="y"', [{ scheme: 'a', r: 'x' }]],
    [
      'names that objects have',
      'A __proto__="x", constructor="y"',
      [JSON.parse('{"scheme":"a","__proto__":"x","constructor":"y"}') as object],
    ],
    ['an empty unquoted value', 'A r=, s="t"', [{ scheme: 'a', token68: 'r=', s: 't' }]],
    ['obs-text', 'A r="\u00e9"', [{ scheme: 'a', r: '\u00e9' }]],
  ])('%s', (_, header, expected) => {
    expect(parsed(header)).toEqual(expected)
  })

  test.each<[string, string, object[]]>([
    ['a string without an end', 'A r="x", B s="y', [{ scheme: 'a', r: 'x' }]],
    ['a string that ends in an escape', 'A r="x\\', []],
    ['a control character in a string', 'A r="x\u0001y"', []],
    ['an escaped control character', 'A r="\\\u0001"', []],
    ['a character beyond Latin-1', 'A r="\u20ac"', []],
    ['a parameter without a scheme', 'realm="x", Basic realm="y"', []],
    ['punctuation instead of a name', 'A r="x", B ;=1', [{ scheme: 'a', r: 'x' }]],
    ['punctuation at the beginning', '"x"', []],
  ])('leaves out %s', (_, header, expected) => {
    expect(parsed(header)).toEqual(expected)
  })
})

describe('limits', () => {
  test('further challenges are ignored', () => {
    const header = Array.from({ length: 20 }, (_, index) => `S${index} r="x"`).join(', ')
    expect(parsed(header)).toHaveLength(CHALLENGE_MAX_COUNT)
    expect(parsed(header.split(', '))).toHaveLength(CHALLENGE_MAX_COUNT)
  })

  test('a header that is too long is ignored, also in several lines', () => {
    const line = `A r="${'x'.repeat(CHALLENGE_MAX_LENGTH - 6)}"`
    expect(line).toHaveLength(CHALLENGE_MAX_LENGTH)
    expect(parsed(line)).toHaveLength(1)
    expect(parsed(`${line} `)).toEqual([])
    expect(parsed([line, 'B'])).toHaveLength(1)
  })
})

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/
const token = fc.stringMatching(TOKEN)
const quotable = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,20}$/)
const value = fc.record({ text: quotable, quoted: fc.boolean(), escapeAll: fc.boolean() })

const challenge = fc.record({
  scheme: token,
  parameters: fc.uniqueArray(fc.tuple(token, value), {
    selector: ([name]) => name.toLowerCase(),
    maxLength: 4,
  }),
})

/** Writes a value in one of the ways that the grammar allows for it. */
function written({
  text,
  quoted,
  escapeAll,
}: {
  text: string
  quoted: boolean
  escapeAll: boolean
}) {
  if (!quoted && TOKEN.test(text)) return text
  const special = escapeAll ? /[^]/g : /["\\]/g
  return `"${text.replace(special, String.raw`\$&`)}"`
}

describe('properties', () => {
  test('whatever was written is read again', () => {
    const separator = fc.constantFrom(',', ', ', ' ,\t', ',,')
    fc.assert(
      fc.property(fc.array(challenge, { maxLength: 6 }), separator, (challenges, comma) => {
        const header = challenges
          .map(({ scheme, parameters }) => {
            const list = parameters.map(([name, content]) => `${name}=${written(content)}`)
            return list.length === 0 ? scheme : `${scheme} ${list.join(comma)}`
          })
          .join(comma)
        fc.pre(header.length <= CHALLENGE_MAX_LENGTH)
        const expected = challenges.map(({ scheme, parameters }) => ({
          scheme: scheme.toLowerCase(),
          parameters: parameters.map(([name, { text }]) => [name.toLowerCase(), text]),
        }))
        const actual = parseChallenges(header).map(({ scheme, parameters }) => ({
          scheme,
          parameters: [...parameters],
        }))
        expect(actual).toEqual(expected)
      }),
      { numRuns: 500 },
    )
  })

  test('no text makes it throw, hang or exceed its limits', () => {
    const piece = fc.constantFrom('Bearer ', 'realm=', '"', '\\', ',', ' ', '=', 'a', '\u0000', 'é')
    const garbage = fc.oneof(
      fc.string({ maxLength: 300 }),
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.array(piece, { maxLength: 800 }).map((pieces) => pieces.join('')),
    )
    fc.assert(
      fc.property(fc.array(garbage, { maxLength: 4 }), (lines) => {
        const challenges = parseChallenges(lines)
        expect(challenges.length).toBeLessThanOrEqual(CHALLENGE_MAX_COUNT)
        for (const { scheme } of challenges) expect(scheme).toBe(scheme.toLowerCase())
      }),
      { numRuns: 1000 },
    )
  })

  test('a realm is never one that stood inside another quoted value', () => {
    fc.assert(
      fc.property(quotable, (text) => {
        const hostile = `${text}", Bearer realm="https://evil.test/`.replace(
          /["\\]/g,
          String.raw`\$&`,
        )
        const header = `Bearer scope="${hostile}",realm="https://good.test/"`
        expect(parseChallenges(header).map(({ parameters }) => parameters.get('realm'))).toEqual([
          'https://good.test/',
        ])
      }),
    )
  })
})
