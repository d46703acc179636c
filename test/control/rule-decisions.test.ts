import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileRules, coversRule } from '../../src/access/allowlist.ts'
import type { Rule } from '../../src/access/rule.ts'
import { addRuleDecision } from '../../src/control/rule-decisions.ts'
import { canonicalPattern, countsAt, createStandings, isAbout } from '../../src/control/standing.ts'
import { parseImage } from '../../src/routing/image.ts'
import { createOperators, DAY, refused, settingsWith, START, user } from './operator-under-test.ts'

const author = { caller: { principal: user('alice', 'operate **'), address: 'local' }, now: START }
const wish = {
  effect: 'allow',
  pattern: 'quay.io/new',
  reason: undefined,
  owner: 'alice',
  expiresAt: undefined,
  minAge: 0,
} as const

const rules: fc.Arbitrary<Rule[]> = fc
  .array(
    fc.record({
      effect: fc.constantFrom('allow', 'deny'),
      pattern: fc
        .tuple(
          fc.constantFrom('docker.io', 'quay.io', '*', '*.io', '**'),
          fc.constantFrom('a', 'a/b', 'library/a', 'a*', '*', '**', 'a/**', '**/b', '*/b'),
          fc.constantFrom('', '', ':7', ':7*', ':*'),
        )
        .map(([registry, repository, tag]) => `${registry}/${repository}${tag}`),
      expiresAt: fc.constantFrom(undefined, undefined, START - 1, START, START + 1),
    }),
    { maxLength: 8 },
  )
  .map((all) =>
    all.map((rule, place) => ({
      ...wish,
      ...rule,
      id: `${rule.effect}${place}`,
      origin: 'operator',
      createdAt: START,
    })),
  )

describe('the standing of a rule', () => {
  it('is that of each rule looked at beside each other one', () => {
    fc.assert(
      fc.property(rules, (all) => {
        const standingOf = createStandings(all, START)
        const counts = (rule: Rule) => rule.expiresAt === undefined || rule.expiresAt > START
        const denials = all.filter((rule) => rule.effect === 'deny' && counts(rule))
        for (const rule of all) {
          const winners = denials.filter((denial) => coversRule(denial.pattern, rule.pattern))
          const isOverridden = rule.effect === 'allow' && winners.length > 0
          const { standing, overriddenBy } = standingOf(rule)
          const counting = isOverridden ? 'overridden' : 'in-force'

          expect(standing).toBe(counts(rule) ? counting : 'expired')
          const named = standing === 'overridden' ? winners.map(({ id }) => id) : [undefined]
          expect(named).toContain(overriddenBy)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('marks of an image the rule that the mirror goes by', async () => {
    await fc.assert(
      fc.asyncProperty(
        rules,
        fc.constantFrom('docker.io/a', 'docker.io/a:7', 'quay.io/a/b:78', 'quay.io/a/b', 'b/a:1'),
        async (all, text) => {
          const { host } = createOperators({ rules: all })
          const { target, tag } = parseImage(settingsWith({}).routing, text)
          const verdict = compileRules(all.filter((rule) => countsAt(rule, START))).judge(
            target.upstream,
            target.repository,
          )
          const listed = await host().rules({ image: text })

          expect(listed.find(({ decides }) => decides)?.id).toBe(verdict.decidingRule(tag)?.id)
          expect(listed.map(({ id }) => id)).toEqual(
            all.filter((rule) => isAbout(rule, target, tag)).map(({ id }) => id),
          )
          const counting = listed.filter(({ standing }) => standing !== 'expired')
          const about = verdict.rules.filter((rule) => isAbout(rule, target, tag))
          expect(about.map(({ id }) => id).toSorted()).toEqual(
            counting.map(({ id }) => id).toSorted(),
          )
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('compares patterns in one form', () => {
    expect(canonicalPattern('registry-1.docker.io/redis:7')).toBe('docker.io/library/redis:7')
    expect(canonicalPattern('quay.io:443/a')).toBe('quay.io/a')
    expect(canonicalPattern('**')).toBe('**')
  })
})

describe('adding a rule', () => {
  const state = { rules: [], users: [], tokens: [], approvals: [], frozenTags: [] }
  const present = (id: string, more: Partial<Rule> = {}): Rule => ({
    ...wish,
    pattern: `quay.io/${id}`,
    id,
    origin: 'operator',
    createdAt: START,
    ...more,
  })
  const decide = (present: readonly Rule[], ids: readonly string[]) =>
    addRuleDecision(
      { author, fileRules: [] },
      wish,
      ids,
    )({
      state: { ...state, rules: present },
      request: () => undefined,
    })

  it('takes an id that is free', async () => {
    expect(decide([present('a-1')], ['a-1', 'a-2']).result.id).toBe('a-2')
    const attempt = async () => decide([present('a-1')], ['a-1'])
    expect(await refused(attempt())).toMatchObject({ code: 'conflict' })
  })

  it('stops at the limit, where only one in the place of another is taken', async () => {
    const full = Array.from({ length: 20_000 }, (_, place) => present(`r${place}`))
    const ended = present('a-old', { pattern: wish.pattern, expiresAt: START })
    const attempt = async () => decide(full, ['a-1'])

    expect(await refused(attempt())).toMatchObject({ code: 'conflict' })
    expect(decide(full.slice(1), ['a-1']).result.id).toBe('a-1')
    expect(decide([...full.slice(1), ended], ['a-1']).changes).toMatchObject([
      { kind: 'remove-rule', id: 'a-old' },
      { kind: 'put-rule' },
    ])
  })

  it('lists thousands of rules beside thousands that deny', async () => {
    const allowed = Array.from({ length: 5000 }, (_, place) =>
      present(`allow${place}`, { pattern: `quay.io/team${place}/app`, expiresAt: START + DAY }),
    )
    const denied = allowed.map((rule) => ({
      ...rule,
      id: `no-${rule.id}`,
      effect: 'deny' as const,
    }))
    const { host } = createOperators({ rules: [...allowed, ...denied] })
    const listed = await host().rules({ effect: 'allow' })

    expect(listed.every(({ id, overriddenBy }) => overriddenBy === `no-${id}`)).toBe(true)
  })
})
