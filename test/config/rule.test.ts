import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchesPattern } from '../../src/access/pattern.ts'
import { InvalidValue } from '../../src/config/problem.ts'
import { parseRule, parseUpstreamName } from '../../src/config/rule.ts'
import { invalid } from './fixtures.ts'

const UPSTREAMS = new Set(['docker.io', 'quay.io', 'localhost:5000', 'lan'])

function objection(text: string, upstreams: ReadonlySet<string> = UPSTREAMS): string {
  return invalid(() => parseRule(text, upstreams))
}

describe('parseRule', () => {
  it.each([
    '**',
    '**:nightly',
    '**:*-rc*',
    '**/redis',
    '*/library/redis',
    '*.io/**',
    'docker.io/**',
    'docker.io/*',
    'docker.io/redis',
    'docker.io/library/*',
    'docker.io/library/redis:7.*',
    'docker.io/bitnami/redis-*:7',
    'docker.io/**/redis',
    'docker.io/a__b/c-d/e.f_g---h',
    'index.docker.io/library/redis',
    'registry-1.docker.io/redis',
    'registry.hub.docker.com/redis',
    'Docker.io/redis',
    'quay.io/coreos**',
    'localhost:5000/redis',
    'localhost:5000/redis:Tag_1.0-x',
    'localhost:*/redis',
    'lan/redis',
  ])('takes %s as it is written', (text) => {
    expect(parseRule(text, UPSTREAMS)).toBe(text)
  })

  it.each([
    ['https://docker.io/redis', 'has a scheme; write <upstream>/<repository>[:<tag>] without it'],
    [
      `docker.io/redis@sha256:${'a'.repeat(64)}`,
      'names a digest; rules are about repositories and tags, and admit the digests that belong to them',
    ],
    ['docker.io/***', 'has three stars in a row; write * or **'],
    ['docker.io', 'names an upstream only; write docker.io/** for everything of it'],
    [
      'localhost:5000',
      'is not <upstream>/<repository>[:<tag>]; write for example docker.io/library/redis, or "**" for everything',
    ],
    ['lan:5000', 'names an upstream only; write lan/** for everything of it'],
    [
      'redis',
      'is not <upstream>/<repository>[:<tag>]; write for example docker.io/library/redis, or "**" for everything',
    ],
    [
      '*',
      'is not <upstream>/<repository>[:<tag>]; write for example docker.io/library/redis, or "**" for everything',
    ],
    [
      '*:nightly',
      'is not <upstream>/<repository>[:<tag>]; write for example docker.io/library/redis, or "**" for everything',
    ],
    ['library/redis', 'does not begin with an upstream; write for example docker.io/library/redis'],
    ['dokcer.io/redis', 'begins with what is not under "upstreams"; did you mean docker.io?'],
    ['ghcr.io/x/y', 'begins with what is not under "upstreams"; add it there'],
    ['localhost/x', 'begins with what is not under "upstreams"; add it there'],
    ['docker.io/Redis', 'has upper case in the repository, where only lower case is legal'],
  ])('refuses %s: it %s', (text, message) => {
    expect(objection(text)).toBe(message)
  })

  it.each([
    '',
    '/',
    'docker.io/',
    '/docker.io/redis',
    'docker.io//redis',
    'docker.io/redis/:7',
    ':7',
  ])('refuses the empty part in %j', (text) => {
    expect(objection(text)).toContain('has an empty part')
  })

  it.each([
    'docker.io/re dis',
    'docker.io/re..dis',
    'docker.io/.redis',
    'docker.io/redis-',
    'docker.io/a___b',
    'docker.io/[ab]',
    'docker.io/{a,b}',
    'docker.io/red?s',
    'docker.io/!redis',
    'docker.io/réd',
    'docker.io/a:b/c',
    `docker.io/${'a'.repeat(256)}`,
  ])('refuses the repository in %j', (text) => {
    expect(objection(text)).toContain('has no legal repository')
  })

  it.each([
    'docker.io/redis:',
    'docker.io/redis:a b',
    'docker.io/redis:-x',
    'docker.io/redis:.*',
    '**:a+b',
  ])('refuses the tag in %j', (text) => {
    expect(objection(text)).toContain('has no legal tag')
  })

  it.each(['.io/x', '*_/x', 'docker io/x', '**$', '*:/x'])('refuses the upstream in %j', (text) => {
    expect(objection(text)).toBe('does not begin with the name of an upstream, such as docker.io')
  })

  it('suggests an upstream that is there', () => {
    expect(objection('library/redis', new Set(['quay.io']))).toContain('write for example quay.io/')
    expect(objection('library/redis', new Set())).toContain('write for example docker.io/')
  })

  it('calls no upstream wrong when the file does not tell them', () => {
    expect(parseRule('anything.example/x', undefined)).toBe('anything.example/x')
    expect(invalid(() => parseRule('docker.io', undefined))).toContain('is not <upstream>')
  })

  it('takes every rule that some legal name matches', () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?$/)
    const name = fc
      .array(component, { minLength: 1, maxLength: 4 })
      .map((components) => `docker.io/${components.join('/')}`)
    fc.assert(
      fc.property(name, fc.nat(), fc.nat(), fc.constantFrom('*', '**'), (full, a, b, star) => {
        const from = 'docker.io/'.length + (a % (full.length - 'docker.io/'.length))
        const to = from + (b % (full.length - from + 1))
        const pattern = full.slice(0, from) + star + full.slice(to)
        fc.pre(matchesPattern(pattern, full))
        expect(parseRule(pattern, UPSTREAMS)).toBe(pattern)
      }),
    )
  })

  it('ends in a sentence for any other text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const outcome = (): string => {
          try {
            return parseRule(text, UPSTREAMS)
          } catch (error) {
            return error instanceof InvalidValue ? text : String(error)
          }
        }
        expect(outcome()).toBe(text)
      }),
    )
  })
})

describe('parseUpstreamName', () => {
  it('folds the names of Docker Hub, and case', () => {
    expect(parseUpstreamName('index.docker.io', UPSTREAMS)).toBe('docker.io')
    expect(parseUpstreamName('QUAY.io', UPSTREAMS)).toBe('quay.io')
  })

  it('refuses what is not configured', () => {
    expect(invalid(() => parseUpstreamName('quay.oi', UPSTREAMS))).toBe(
      'is not under "upstreams"; did you mean quay.io?',
    )
    expect(invalid(() => parseUpstreamName('ghcr.io', UPSTREAMS))).toBe(
      'is not under "upstreams"; add it there',
    )
  })

  it('refuses nothing when the file does not tell', () => {
    expect(parseUpstreamName('ghcr.io', undefined)).toBe('ghcr.io')
  })
})
