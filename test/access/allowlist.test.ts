import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAllowlist, type Allowlist } from '../../src/access/allowlist.ts'
import { matchesPattern } from '../../src/access/pattern.ts'

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

function pathOf(parts: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.array(parts, { minLength: 1, maxLength: 3 }).map((path) => path.join('/'))
}

function compile(allow: readonly WrittenRule[], deny: readonly WrittenRule[]): Allowlist {
  return createAllowlist(
    allow.map(({ text }) => text),
    deny.map(({ text }) => text),
  )
}
