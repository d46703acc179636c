import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compileRules,
  coversRule,
  createAllowlist,
  type Allowlist,
} from '../../src/access/allowlist.ts'
import { matchesPattern } from '../../src/access/pattern.ts'
import { fileRule, type Effect, type Rule } from '../../src/access/rule.ts'

/** A rule as it is written, and what it is about, so that the model has nothing to parse. */
interface WrittenRule {
  readonly text: string
  readonly name: string
  readonly tag: string | undefined
}

const registries = fc.constantFrom('docker.io', 'quay.io', 'registry.lan:5000')
const components = fc.constantFrom('a', 'b', 'ab', 'library', 'redis')
const repositories = pathOf(components)
const tags = fc.constantFrom('latest', 'nightly', '7.2', '7.2-alpine', '8')

const rules: fc.Arbitrary<WrittenRule> = fc
  .record({
    registry: fc.oneof(registries, fc.constantFrom('*', '*.io', 'registry.*', '**')),
    repository: pathOf(fc.oneof(components, fc.constantFrom('*', '**', 'a*'))),
    tag: fc.option(fc.constantFrom('latest', '7.*', '*', '*-alpine', '8'), { nil: undefined }),
  })
  .map(({ registry, repository, tag }) => {
    const isOfficial =
      registry === 'docker.io' && !repository.includes('/') && !repository.includes('**')
    return {
      text: `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}`,
      name: `${registry}/${isOfficial ? 'library/' : ''}${repository}`,
      tag,
    }
  })

const cases = fc.record({
  allow: fc.array(rules, { maxLength: 6 }),
  deny: fc.array(rules, { maxLength: 3 }),
  upstream: registries,
  repository: repositories,
  tag: tags,
})

describe('the allowlist', () => {
  it('admits a tag that an allow rule covers and no deny rule does', () => {
    fc.assert(
      fc.property(cases, ({ allow, deny, upstream, repository, tag }) => {
        const name = `${upstream}/${repository}`
        const covers = (rule: WrittenRule) =>
          matchesPattern(rule.name, name) && (!rule.tag || matchesPattern(rule.tag, tag))
        const verdict = compile(allow, deny).judge(upstream, repository)

        expect(verdict.admitsTag(tag)).toBe(allow.some(covers) && !deny.some(covers))
        expect(verdict.refusesTag(tag)).toBe(deny.some(covers))
      }),
      { numRuns: 3000 },
    )
  })

  it('says of a whole repository what its rules mean for any tag and digest', () => {
    fc.assert(
      fc.property(cases, ({ allow, deny, upstream, repository }) => {
        const isAbout = ({ name }: WrittenRule) => matchesPattern(name, `${upstream}/${repository}`)
        const isWhole = (rule: WrittenRule) => isAbout(rule) && rule.tag === undefined
        const refused = !allow.some(isAbout) || deny.some(isWhole)

        expect(compile(allow, deny).judge(upstream, repository)).toMatchObject({
          refused,
          admitsAnyDigest: !refused && allow.some(isWhole),
          refusesSomeTags: deny.some(isAbout),
        })
      }),
      { numRuns: 3000 },
    )
  })

  it('lets deny win over the same rule', () => {
    fc.assert(
      fc.property(cases, ({ allow, upstream, repository, tag }) => {
        const verdict = compile(allow, allow).judge(upstream, repository)

        expect(verdict.admitsTag(tag)).toBe(false)
        expect(verdict.admitsAnyDigest).toBe(false)
      }),
    )
  })

  it('admits nothing by default', () => {
    const verdict = createAllowlist([], []).judge('quay.io', 'a')

    expect(verdict).toMatchObject({ refused: true, admitsAnyDigest: false })
    expect(verdict.admitsTag('latest')).toBe(false)
  })

  it.each([
    ['docker.io/library/*', 'docker.io', 'library/nginx', true],
    ['docker.io/library/*', 'docker.io', 'evil/nginx', false],
    ['docker.io/library/*', 'quay.io', 'library/nginx', false],
    ['docker.io/*', 'docker.io', 'library/nginx', true],
    ['docker.io/*', 'docker.io', 'evil/nginx', false],
    ['docker.io/**', 'docker.io', 'evil/nginx', true],
    ['docker.io/redis', 'docker.io', 'library/redis', true],
    ['index.docker.io/redis', 'docker.io', 'library/redis', true],
    ['Quay.IO:443/coreos/**', 'quay.io', 'coreos/etcd', true],
    ['quay.io/redis', 'quay.io', 'library/redis', false],
    ['registry.lan:5000/team/app', 'registry.lan:5000', 'team/app', true],
    ['registry.lan:5000/team/app', 'registry.lan', 'team/app', false],
    ['**', 'registry.lan:5000', 'any/thing', true],
    ['quay.io', 'quay.io', 'coreos/etcd', false],
  ])('reads %s for %s/%s: %s', (rule, upstream, repository, admitted) => {
    expect(createAllowlist([rule], []).judge(upstream, repository).admitsTag('v1')).toBe(admitted)
    expect(createAllowlist(['**'], [rule]).judge(upstream, repository).refused).toBe(admitted)
  })

  it('takes what stands after the last colon for a tag, but not a port', () => {
    const allowlist = createAllowlist(['registry.lan:5000/app:7.*'], ['**:nightly'])
    const verdict = allowlist.judge('registry.lan:5000', 'app')
    const admitted = ['7.2', '8', '7.2-x', 'nightly'].filter((tag) => verdict.admitsTag(tag))

    expect(admitted).toEqual(['7.2', '7.2-x'])
    expect(verdict.admitsAnyDigest).toBe(false)
    expect(verdict.refusesSomeTags).toBe(true)
    expect(allowlist.judge('registry.lan:5000', 'other').refused).toBe(true)
  })

  it('judges by ten thousand rules as by ten', () => {
    const numbers = Array.from({ length: 10_000 }, (_, number) => number)
    const allow = numbers.map((number) => `docker.io/team-${number}/${number % 2 ? '*' : 'app'}`)
    const deny = numbers.filter((number) => number % 3 === 0).map((n) => `docker.io/team-${n}/app`)
    const allowlist = createAllowlist(allow, deny)

    for (const number of numbers) {
      const app = allowlist.judge('docker.io', `team-${number}/app`)
      const other = allowlist.judge('docker.io', `team-${number}/other`)
      expect([app.refused, other.refused]).toEqual([number % 3 === 0, number % 2 === 0])
    }
  })
})

describe('the rule that decides', () => {
  const rules = [
    ...allowRules('quay.io/**', 'quay.io/team/app:7.*', 'quay.io/team/*'),
    ...denyRules('quay.io/team/app:nightly', 'quay.io/team/app:*-rc', 'quay.io/secret/**'),
  ]

  it.each([
    ['team/app', '7.2', 'file:allow:0'],
    ['team/app', 'nightly', 'file:deny:0'],
    ['team/app', '7.2-rc', 'file:deny:1'],
    ['team/app', undefined, 'file:allow:0'],
    ['secret/app', 'v1', 'file:deny:2'],
    ['secret/app', undefined, 'file:deny:2'],
  ])('about %s:%s is %s', (repository, tag, id) => {
    const verdict = compileRules(rules).judge('quay.io', repository)

    expect(verdict.decidingRule(tag)?.id).toBe(id)
  })

  it('is none where no rule is about it', () => {
    const allowlist = compileRules([
      ...allowRules('quay.io/team/app:7.*'),
      ...denyRules('quay.io/team/app:nightly'),
    ])
    const verdict = allowlist.judge('quay.io', 'team/app')

    expect(verdict.decidingRule('8')).toBeUndefined()
    expect(verdict.decidingRule()).toBeUndefined()
    expect(allowlist.judge('docker.io', 'team/app').decidingRule('7.2')).toBeUndefined()
  })

  it('agrees with what is admitted, whatever the rules', () => {
    fc.assert(
      fc.property(cases, ({ allow, deny, upstream, repository, tag }) => {
        const verdict = compile(allow, deny).judge(upstream, repository)
        const rule = verdict.decidingRule(tag)

        expect(verdict.admitsTag(tag)).toBe(rule?.effect === 'allow')
        expect(verdict.rules.filter(({ id }) => id === rule?.id)).toHaveLength(rule ? 1 : 0)
      }),
      { numRuns: 2000 },
    )
  })

  it('is found among all rules that are about some of it, those that deny first', () => {
    const verdict = compileRules(rules).judge('quay.io', 'team/app')

    expect(verdict.rules.map(({ id }) => id).toSorted()).toEqual([
      'file:allow:0',
      'file:allow:1',
      'file:allow:2',
      'file:deny:0',
      'file:deny:1',
    ])
    expect(verdict.rules.map(({ effect }) => effect)).toEqual([
      'deny',
      'deny',
      'allow',
      'allow',
      'allow',
    ])
  })
})

describe('probation', () => {
  it('lasts as long as the strictest rule about the tag says', () => {
    const verdict = compileRules([
      aged('quay.io/**', 1000),
      aged('quay.io/team/app:7.*', 5000),
      aged('quay.io/team/app:nightly', 2000),
      aged('quay.io/team/*', 0),
      aged('quay.io/other/*', 9000),
    ]).judge('quay.io', 'team/app')

    expect(verdict.hasProbation).toBe(true)
    expect([verdict.minAge('7.2'), verdict.minAge('nightly'), verdict.minAge('8')]).toEqual([
      5000, 2000, 1000,
    ])
    expect(verdict.minAge()).toBe(1000)
  })

  it('is nothing where no rule asks for it', () => {
    const allowlist = compileRules([aged('quay.io/a', 0), aged('quay.io/b:7', 5000)])

    expect(allowlist.judge('quay.io', 'a')).toMatchObject({ hasProbation: false })
    expect(allowlist.judge('quay.io', 'a').minAge('7')).toBe(0)
    expect(allowlist.judge('quay.io', 'b')).toMatchObject({ hasProbation: true })
    expect(allowlist.judge('quay.io', 'b').minAge()).toBe(0)
    expect(allowlist.judge('quay.io', 'b').minAge('8')).toBe(0)
    expect(allowlist.judge('docker.io', 'a').minAge('7')).toBe(0)
  })
})

describe('a rule covers another', () => {
  it.each([
    ['quay.io/**', 'quay.io/team/app', true],
    ['quay.io/**', 'quay.io/team/app:7.*', true],
    ['quay.io/team/app:7.*', 'quay.io/team/app', false],
    ['quay.io/team/app:7.*', 'quay.io/team/app:7.2', true],
    ['quay.io/team/app:7.2', 'quay.io/team/app:7.*', false],
    ['quay.io/team/app:*', 'quay.io/team/app:7.*', true],
    ['quay.io/team/app:*', 'quay.io/team/app', false],
    ['docker.io/redis', 'index.docker.io/library/redis:7', true],
    ['quay.io/team/*:7', 'quay.io/**:7', false],
  ])('%s is about all of %s: %s', (wide, narrow, expected) => {
    expect(coversRule(wide, narrow)).toBe(expected)
  })

  it('only where it is about each image that the other is about', () => {
    let yes = 0
    fc.assert(
      fc.property(rules, rules, repositories, tags, (wide, narrow, repository, tag) => {
        fc.pre(coversRule(wide.text, narrow.text))
        yes += 1
        for (const upstream of ['docker.io', 'quay.io', 'registry.lan:5000']) {
          const inner = compile([narrow], []).judge(upstream, repository)
          const outer = compile([wide], []).judge(upstream, repository)

          expect(outer.admitsTag(tag) || !inner.admitsTag(tag)).toBe(true)
          expect(outer.admitsAnyDigest || !inner.admitsAnyDigest).toBe(true)
        }
      }),
      { numRuns: 1000 },
    )
    expect(yes).toBeGreaterThan(100)
  })
})

function allowRules(...patterns: readonly string[]): Rule[] {
  return placed('allow', patterns)
}

function denyRules(...patterns: readonly string[]): Rule[] {
  return placed('deny', patterns)
}

function placed(effect: Effect, patterns: readonly string[]): Rule[] {
  return patterns.map((pattern, place) => fileRule(effect, pattern, { place }))
}

function aged(pattern: string, minAge: number): Rule {
  return fileRule('allow', pattern, { place: 0, minAge })
}

function pathOf(parts: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.array(parts, { minLength: 1, maxLength: 3 }).map((path) => path.join('/'))
}

function compile(allow: readonly WrittenRule[], deny: readonly WrittenRule[]): Allowlist {
  return createAllowlist(
    allow.map(({ text }) => text),
    deny.map(({ text }) => text),
  )
}
