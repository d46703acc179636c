import * as fc from 'fast-check'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROLES } from '../../src/access/principal.ts'
import { readPattern } from '../../src/access/rule.ts'
import { parseRepositoryPattern } from '../../src/config/rule.ts'
import { folderWith, invalid, parse, problems } from './fixtures.ts'

const OK = 'upstreams: { docker.io: {}, quay.io: {} }\n'
const LINE =
  'a pattern such as docker.io/library/*, in quotes where in doubt and without a space before its tag, or { image: docker.io/library/*, minAge: 3d }'

describe('allow', () => {
  it('takes patterns and mappings, in their order and as they are written', () => {
    const text = `${OK}allow:
  - docker.io/redis
  - { image: 'docker.io/grafana/*:1.*', minAge: 3d }
  - image: quay.io/**
  - { image: quay.io/x, minAge: 0s }
`
    expect(parse(text).allow).toEqual([
      { pattern: 'docker.io/redis', minAge: 0 },
      { pattern: 'docker.io/grafana/*:1.*', minAge: 3 * 86_400_000 },
      { pattern: 'quay.io/**', minAge: 0 },
      { pattern: 'quay.io/x', minAge: 0 },
    ])
  })

  it('says of each line what is wrong with it, in its place', () => {
    const text = `${OK}allow:
  - { image: ghcr.io/x/y, minAge: 3 days }
  - { minAge: 3d }
  - {}
  - { image: 7, minAge: 3, age: 3d }
  - { image: , minAge: }
  - docker.io/redis: 7
  - 7
  -
  - [docker.io/x]
  - docker.io
`
    expect(problems(text)).toEqual([
      '3 allow[0].image: "ghcr.io/x/y" begins with what is not under "upstreams"; add it there',
      '3 allow[0].minAge: "3 days" is not a duration; write for example 5m (units s, m, h, d)',
      '4 allow[1].image: is missing; write a pattern such as docker.io/library/*',
      '5 allow[2].image: is missing; write a pattern such as docker.io/library/*',
      '6 allow[3].image: found 7; write a pattern such as docker.io/library/*, in quotes where in doubt',
      '6 allow[3].minAge: found 3; write a duration such as 5m (units s, m, h, d)',
      '6 allow[3].age: is not a key; the keys here are image, minAge',
      '7 allow[4].image: found nothing; write a pattern such as docker.io/library/*, in quotes where in doubt',
      '7 allow[4].minAge: found nothing; write a duration such as 5m (units s, m, h, d)',
      `8 allow[5]: found a mapping; write ${LINE}`,
      `9 allow[6]: found 7; write ${LINE}`,
      `10 allow[7]: found nothing; write ${LINE}`,
      `11 allow[8]: found a list; write ${LINE}`,
      '12 allow[9]: "docker.io" names an upstream only; write docker.io/** for everything of it',
    ])
  })

  it('pins and denials have no age', () => {
    expect(problems(`${OK}deny: [{ image: docker.io/x, minAge: 3d }]`)).toEqual([
      '2 deny[0]: found a mapping; write a pattern such as docker.io/library/*, in quotes where in doubt',
    ])
  })
})

describe('anonymous', () => {
  it.each([
    ['', ['**']],
    ['anonymous: []', []],
    ['anonymous:', []],
    ['anonymous: [docker.io/redis, Quay.io/*]', ['docker.io/library/redis', 'quay.io/*']],
  ])('%j leaves to everybody %j', (line, patterns) => {
    expect(parse(`${OK}${line}\n`).anonymous).toEqual(patterns)
  })

  it('is about whole repositories that there are', () => {
    expect(problems(`${OK}anonymous: ['**:latest', quay.oi/x, docker.io]`)).toEqual([
      '2 anonymous[0]: "**:latest" has a tag, but rights are about whole repositories; write **',
      '2 anonymous[1]: "quay.oi/x" begins with what is not under "upstreams"; did you mean quay.io?',
      '2 anonymous[2]: "docker.io" names an upstream only; write docker.io/** for everything of it',
    ])
  })
})

describe('htpasswd', () => {
  it('is a file that can be read, whatever is in it', () => {
    const folder = folderWith({ users: 'alice:$2y$05$x\n' })
    const file = join(folder, 'mirrors.yml')
    expect(parse(`${OK}htpasswd: users`, { file }).htpasswd).toBe(join(folder, 'users'))
  })

  it('says why it cannot be used', () => {
    const folder = folderWith({})
    mkdirSync(join(folder, 'sub'))
    const file = join(folder, 'mirrors.yml')
    const problem = (name: string): string[] => problems(`${OK}htpasswd: ${name}`, { file })
    expect(problem('none')).toEqual([
      `2 htpasswd: "none" cannot be read: there is no such file (looked in ${folder})`,
    ])
    expect(problem('sub')).toEqual(['2 htpasswd: "sub" is not a regular file'])
    expect(problem('/dev/zero')).toEqual(['2 htpasswd: "/dev/zero" is not a regular file'])
    expect(problem('""')).toEqual(['2 htpasswd: "" is not the name of a file'])
  })

  it('a hash in its place is not repeated', () => {
    expect(problems(`${OK}htpasswd: "alice:$2y$05$abcdefghijklmnopqrstuv"`)).toEqual([
      '2 htpasswd: "alice:$2y$…" cannot be read: there is no such file (looked in /etc/entrepot)',
    ])
  })
})

describe('grants', () => {
  const folder = (): string => join(folderWith({ users: '' }), 'mirrors.yml')

  it('have every role, and patterns as they are compared', () => {
    const roles = ROLES.map((role) => `${role}: [docker.io/${role}, '**']`).join(', ')
    const text = `${OK}htpasswd: users\ngrants: { alice: { ${roles} }, b@c.d: {}, E-_.1: }\n`
    expect(parse(text, { file: folder() }).grants).toEqual(
      new Map([
        [
          'alice',
          ROLES.flatMap((role) => [
            { role, pattern: `docker.io/library/${role}` },
            { role, pattern: '**' },
          ]),
        ],
        ['b@c.d', []],
        ['E-_.1', []],
      ]),
    )
  })

  it('say what is wrong in its place', () => {
    const name = 'is not the name of a user; it has 1 to 64 letters, digits, dots, dashes'
    const text = `${OK}htpasswd: users
grants:
  a:b: { pull: ['**'] }
  ${'x'.repeat(65)}: {}
  -x: {}
  bob: [pull]
  alice:
    pull: [docker.io/x:1, 'ghcr.io/x/**', 7]
    Push: ['**']
    operate: '**'
`
    expect(problems(text, { file: folder() })).toEqual([
      expect.stringContaining(`4 grants.a:b: "a:b" ${name}`),
      expect.stringContaining(`5 grants.${'x'.repeat(65)}: "${'x'.repeat(65)}" ${name}`),
      expect.stringContaining(`6 grants.-x: "-x" ${name}`),
      '7 grants.bob: found a list; write a mapping of roles to patterns, such as { pull: [docker.io/library/*] }',
      '9 grants.alice.pull[2]: found 7; write a pattern such as docker.io/library/*, in quotes where in doubt',
      '9 grants.alice.pull[0]: "docker.io/x:1" has a tag, but rights are about whole repositories; write docker.io/x',
      '9 grants.alice.pull[1]: "ghcr.io/x/**" begins with what is not under "upstreams"; add it there',
      '10 grants.alice.Push: is not a key; did you mean push?',
      '11 grants.alice.operate: found "**"; write a list, each line of which is "- " and a pattern such as docker.io/library/*',
    ])
  })

  it('are about the users of a file, which must be named', () => {
    expect(problems(`${OK}grants: { alice: {} }`)).toEqual([
      '2 grants: is about users of the htpasswd file; add htpasswd, or remove it',
    ])
    expect(problems(`${OK}grants: { alice: {} }\nhtpasswd: 7`)).toEqual([
      '3 htpasswd: found 7; write the name of a file',
    ])
    expect(parse(`${OK}grants: {}`).grants.size).toBe(0)
  })
})

describe('keys', () => {
  it.each([
    [
      `${OK}allow: [{ image: docker.io/x, minage: 3d }]`,
      '2 allow[0].minage: is not a key; did you mean minAge?',
    ],
    [
      `${OK}allow: [{ path: docker.io/x }]`,
      '2 allow[0].path: is not a key; the keys here are image, minAge',
    ],
    [
      `${OK}grants: { webhook: { write: [] } }`,
      '2 grants.webhook.write: is not a key; the keys here are pull, push, operate, admin',
    ],
    [
      `${OK}grants: { a: { operator: [] } }`,
      '2 grants.a.operator: is not a key; did you mean operate?',
    ],
    [
      `${OK}webhook: { endpoint: x }`,
      '2 webhook.endpoint: is not a key here; it belongs under credentials',
    ],
    [`${OK}webhook: { uri: x }`, '2 webhook.uri: is not a key; did you mean url?'],
    [`${OK}minAge: 3d`, '2 minAge: is not a key here; it belongs under allow'],
  ])('%s', (text, problem) => {
    expect(problems(text)).toContain(problem)
  })
})

describe('parseRepositoryPattern', () => {
  it('gives what names are compared with', () => {
    const registry = fc.constantFrom(
      'docker.io',
      'index.docker.io',
      'Quay.io',
      'lan:443',
      '*',
      '*.io',
      '**',
    )
    const rest = fc.constantFrom('', '/*', '/**', '/redis', '/a/b', '/a**', '/*/b', '/**/b')
    fc.assert(
      fc.property(registry, rest, (host, path) => {
        fc.pre(path !== '' || host === '**')
        const written = host + path
        expect(parseRepositoryPattern(written, undefined)).toBe(readPattern(written).name)
      }),
    )
  })

  it('refuses what a rule may not be either', () => {
    expect(invalid(() => parseRepositoryPattern('docker.io/***', undefined))).toContain('stars')
  })
})
