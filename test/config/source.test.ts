import { describe, expect, it } from 'vitest'
import { parse, problems, refusal } from './fixtures.ts'

const OK = 'upstreams: { docker.io: {} }\n'

describe('what is not YAML', () => {
  it.each([
    [
      'a tab',
      'upstreams:\n\tdocker.io: {}\n',
      2,
      'this line is indented with a tab; YAML wants spaces',
    ],
    ['a reserved character', 'data: @x\n', 1, 'a value that begins with @ or ` must be in quotes'],
    [
      'an escape',
      'data: "\\q"\n',
      1,
      'an unknown \\ escape; text with backslashes goes into single quotes',
    ],
    [
      'an open bracket',
      'allow: [a\ndata: x\n',
      2,
      'this line is not what YAML expects here; check indentation, brackets and quotes from the line above on, and put text that holds ": " or " #" in quotes',
    ],
    [
      'an open quote',
      'data: "x\n',
      2,
      'before this place a closing quote or bracket, a comma or a colon is missing',
    ],
    [
      'a second document',
      `${OK}---\n${OK}`,
      2,
      'a second document (---) begins here; a configuration is one document',
    ],
    [
      'text after a value',
      'data: "x" y\n',
      1,
      'this line is not what YAML expects here; check indentation, brackets and quotes from the line above on, and put text that holds ": " or " #" in quotes',
    ],
    [
      'a colon in text',
      'data: x: y\n',
      1,
      'this line is not what YAML expects here; check indentation, brackets and quotes from the line above on, and put text that holds ": " or " #" in quotes',
    ],
    ['two anchors', 'data: &a &b x\n', 1, 'this line is not valid YAML (MULTIPLE_ANCHORS)'],
  ])('%s', (_, text, line, message) => {
    expect(problems(text)[0]).toBe(`${line} : ${message}`)
  })

  it('is told once a line, and five times at most', () => {
    const lines = Array.from({ length: 9 }, (_, index) => `key${index}: "x" y "z"`)
    expect(problems(lines.join('\n')).map((problem) => problem.slice(0, 2))).toEqual([
      '1 ',
      '2 ',
      '3 ',
      '4 ',
      '5 ',
    ])
  })

  it('stops there, because nothing else can be trusted', () => {
    expect(problems('budget: nonsense\ndata: @x\n')).toHaveLength(1)
  })
})

describe('what is too much', () => {
  it('more than 1 MiB', () => {
    const filling = `# ${'é'.repeat(1000)}\n`
    const most = filling.repeat(Math.floor(2 ** 20 / Buffer.byteLength(filling)) - 1)
    expect(parse(most + OK).upstreams.size).toBe(1)
    expect(problems(most + filling.repeat(2) + OK)).toEqual([
      '1 : is larger than 1 MiB, which no configuration is',
    ])
  })

  it.each([
    ['lists', '['.repeat(100_000)],
    ['closed lists', `allow: ${'['.repeat(101)}${']'.repeat(101)}`],
    ['mappings', '{a: '.repeat(5000)],
    ['lines of dashes', `${'- '.repeat(50_000)}x`],
    ['indentation', Array.from({ length: 500 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
  ])('nesting that would end the process: %s', (_, text) => {
    expect(problems(text)).toEqual([
      '1 : is nested deeper than 100 levels, which no configuration is',
    ])
  })

  it('brackets in text and comments are no nesting', () => {
    const brackets = '['.repeat(1000)
    expect(parse(`${OK}data: "${brackets}" # ${brackets}`).data).toContain(brackets)
  })

  it('brackets one after the other are no nesting', () => {
    const rules = Array.from({ length: 500 }, () => '{}').join(', ')
    expect(problems(`${OK}allow: [${rules}]`)).toHaveLength(500)
  })

  it('many keys take no quadratic time', () => {
    const hosts = Array.from({ length: 30_000 }, (_, index) => `  h${index}.lan: docker.io\n`)
    expect(parse(`${OK}hosts:\n${hosts.join('')}`).hosts.size).toBe(30_000)
  }, 10_000)
})

describe('what YAML can, and a configuration may not', () => {
  it('aliases', () => {
    const message =
      'is a YAML alias, because it begins with *; put it in quotes, as in "**:nightly"'
    expect(
      problems(`${OK}allow:\n  - **\n  - *\n  - **:nightly\n  - **/x\n  - *:x\ndeny: *x\n`),
    ).toEqual([
      `3 allow[0]: ${message}`,
      `4 allow[1]: ${message}`,
      `5 allow[2]: ${message}`,
      `6 allow[3]: ${message}`,
      `7 allow[4]: ${message}`,
      `8 deny: ${message}`,
    ])
  })

  it('an alias is not expanded, so there is nothing to multiply', () => {
    expect(problems(`${OK}allow: &a [docker.io/x]\ndeny: *a\n`)).toHaveLength(1)
  })

  it('tags', () => {
    expect(problems(`${OK}data: !!binary aGVsbG8=\nhosts: !mine {}\nallow: !!set {}\n`)).toEqual([
      '2 data: has a YAML tag (!); remove it',
      '3 hosts: has a YAML tag (!); remove it',
      '4 allow: has a YAML tag (!); remove it',
    ])
  })

  it('keys twice: a rule that is shadowed in silence is a hole', () => {
    expect(
      problems('upstreams: { docker.io: {} }\ndeny: [docker.io/x]\nallow: ["**"]\ndeny: []\n'),
    ).toEqual(['4 deny: is there twice; keep one'])
    expect(problems('upstreams:\n  docker.io: { tagTtl: 1m, "tagTtl": 2m }\n')).toEqual([
      '2 upstreams.docker.io.tagTtl: is there twice; keep one',
    ])
  })

  it('keys that are no text, and keys that reach for prototypes', () => {
    expect(
      problems(`${OK}? [data]\n: x\n__proto__: { offline: true }\n<<: { offline: true }\n`),
    ).toEqual([
      '2 "?": is a key that is not plain text',
      '4 "?": is a key that is not plain text',
      expect.stringMatching(/^5 "<<": is not a key; the keys here are listen, publicUrl, /),
    ])
    expect(({} as Record<string, unknown>)['offline']).toBeUndefined()
  })

  it('names of upstreams that JavaScript knows are names like others', () => {
    const { upstreams } = parse(
      'upstreams: { constructor: { endpoints: [https://c.lan] }, toString: { endpoints: [https://t.lan] } }'.replace(
        'toString',
        'hasownproperty',
      ),
    )
    expect([...upstreams.keys()]).toEqual(['constructor', 'hasownproperty'])
  })

  it('numbers, dates and words that look like them stay text in keys', () => {
    expect(problems(`${OK}8080: x\n~: y\n`)).toEqual([
      expect.stringContaining('2 8080: is not a key'),
      expect.stringContaining('3 "~": is not a key'),
    ])
  })
})

describe('what is nothing', () => {
  it.each([
    ['', 'nothing'],
    ['# only a comment\n', 'nothing'],
    ['- a\n', 'a list'],
    ['text\n', '"text"'],
    ['7\n', '7'],
  ])('%j', (text, found) => {
    expect(refusal(text).message).toBe(
      `/etc/entrepot/mirrors.yml:1: found ${found}; write keys and values, at least "upstreams: { docker.io: {} }"`,
    )
  })
})
