/** What is decided about rights and rules, against a model that enumerates and tries out. */
import { describe, expect, it } from 'vitest'
import { ACTIONS, authorize, type Action, type Resource } from '../../../src/access/authorize.ts'
import type { Principal } from '../../../src/access/principal.ts'
import { fileRule, type Rule } from '../../../src/access/rule.ts'
import type { ControlSettings } from '../../../src/control/control.ts'
import { momentOf } from '../../../src/control/policy.ts'
import { type Chance, LONG, openChance } from '../chance.ts'
import { createMatcher, NAMES, somePattern, someRulePattern, TAGS } from './names.ts'
import { ALL_ROLES, judged, may, reachOf, type Right, type RoleName, spelled } from './reference.ts'

const CASES = LONG ? 2_000_000 : 100_000
/** Different patterns of one run: each is enumerated once. */
const PATTERNS = 1500

/** `undefined`: for everybody. */
const NEEDS: Readonly<Record<Action, RoleName | undefined>> = {
  public: undefined,
  pull: 'pull',
  push: 'push',
  'rules.read': 'operate',
  'rules.write': 'operate',
  'requests.read': 'operate',
  'requests.decide': 'operate',
  'content.read': 'operate',
  'content.write': 'operate',
  explain: 'operate',
  observe: 'operate',
  'password.write': 'pull',
  'users.read': 'admin',
  'users.write': 'admin',
  'tokens.read': 'admin',
  'tokens.write': 'admin',
  warm: 'operate',
  'audit.read': 'admin',
  'log.level': 'admin',
}

describe('authorize', () => {
  it('knows no action that the model does not', () => {
    expect(Object.keys(ACTIONS).toSorted()).toEqual(Object.keys(NEEDS).toSorted())
  })

  it(`says of ${CASES} cases what the model says, and never yes where that says no`, () => {
    const chance = openChance('authorize')
    const matched = createMatcher()
    const patterns = Array.from({ length: PATTERNS }, () => somePattern(chance))
    const told = { yes: 0, no: 0, cautious: 0 }
    for (let left = CASES; left > 0; left -= 1) {
      const principal = somebody(chance, patterns)
      const action = chance.oneOf(Object.keys(NEEDS) as Action[])
      const resource = someResource(chance, patterns)
      const said = authorize(principal, action, resource)
      const right = isRight(principal.grants, NEEDS[action], resource, matched)
      const isExact = resource.kind === 'repository' || resource.kind === 'somewhere'
      if (said !== right && (said || isExact)) {
        throw new Error(`${said}: ${JSON.stringify({ principal, action, resource })}`)
      }
      told[said ? 'yes' : right ? 'cautious' : 'no'] += 1
    }
    process.stdout.write(`authorize: ${JSON.stringify(told)}\n`)
    expect(told.yes).toBeGreaterThan(CASES / 10)
    expect(told.no).toBeGreaterThan(CASES / 10)
  })
})

describe('the allowlist of a moment', () => {
  it(`says of ${CASES} images what a naive reading of all rules says`, () => {
    const chance = openChance('allowlist')
    const told = { admitted: 0, refused: 0, probation: 0 }
    const now = 1_000_000
    for (let left = CASES; left > 0;) {
      const rules = someRules(chance, now)
      const { allowlist } = momentWith(rules, now).policy
      for (let images = 10; images > 0 && left > 0; images -= 1, left -= 1) {
        const [name, tag] = [chance.oneOf(NAMES), chance.oneOf(TAGS)]
        const slash = name.indexOf('/')
        const verdict = allowlist.judge(name.slice(0, slash), name.slice(slash + 1))
        const model = judged(rules, { name, tag, now })
        const said = {
          refused: verdict.refused,
          admitsAnyDigest: verdict.admitsAnyDigest,
          admitted: verdict.admitsTag(tag),
          refusesTag: verdict.refusesTag(tag),
          minAge: verdict.minAge(tag),
          wholeMinAge: verdict.minAge(),
          about: verdict.rules.map(({ id }) => id).toSorted(),
        }
        const { deciding, wholeDeciding, ...rest } = model
        const isSame =
          JSON.stringify(said) === JSON.stringify(inOrderOf(said, rest)) &&
          decides(verdict.decidingRule(tag), deciding) &&
          decides(verdict.decidingRule(), wholeDeciding)
        if (!isSame) throw new Error(JSON.stringify({ rules, name, tag, said, model }))
        told[said.admitted ? 'admitted' : 'refused'] += 1
        if (said.minAge > 0) told.probation += 1
      }
    }
    process.stdout.write(`allowlist: ${JSON.stringify(told)}\n`)
    for (const count of Object.values(told)) expect(count).toBeGreaterThan(CASES / 20)
  })
})

/** Of names that can be counted: no pattern reaches further than all names that it matches. */
function isRight(
  rights: readonly Right[],
  role: RoleName | undefined,
  resource: Resource,
  matched: (pattern: string) => ReadonlySet<number>,
): boolean {
  if (role === undefined) return true
  const reach = reachOf(rights, role)
  switch (resource.kind) {
    case 'somewhere':
      return reach.length > 0
    case 'repository':
      return may(rights, role, resource.name)
    case 'everywhere':
      return NAMES.every((_, place) => reach.some((pattern) => matched(pattern).has(place)))
    case 'pattern': {
      const places = [...matched(spelled(resource.pattern).name)]
      return places.every((place) => reach.some((pattern) => matched(pattern).has(place)))
    }
  }
}

function somebody(chance: Chance, patterns: readonly string[]): Principal {
  const grants = Array.from({ length: chance.between(0, 4) }, () => ({
    role: chance.oneOf(ALL_ROLES),
    pattern: spelled(chance.oneOf(patterns)).name,
  }))
  return { kind: 'user', name: 'somebody', grants }
}

function someResource(chance: Chance, patterns: readonly string[]): Resource {
  const kind = chance.next()
  if (kind < 0.05) return { kind: 'somewhere' }
  if (kind < 0.1) return { kind: 'everywhere' }
  if (kind < 0.5) return { kind: 'repository', name: chance.oneOf(NAMES) }
  const tag = chance.next() < 0.3 ? ':a*' : ''
  return { kind: 'pattern', pattern: chance.oneOf(patterns) + tag }
}

/** Of the file and of operators; some of those have expired, one at this very moment. */
function someRules(chance: Chance, now: number): Rule[] {
  return Array.from({ length: chance.between(1, 12) }, (_, place): Rule => {
    const effect = chance.next() < 0.75 ? 'allow' : 'deny'
    const minAge = effect === 'allow' && chance.next() < 0.4 ? chance.between(1, 1000) : 0
    const rule = fileRule(effect, someRulePattern(chance), { place, minAge })
    if (chance.next() < 0.5) return rule
    const expiresAt = chance.oneOf([undefined, now - 1, now, now + 1, now + 1000])
    return { ...rule, id: `a-${place}`, origin: 'operator', createdAt: now, expiresAt }
  })
}

function momentWith(rules: readonly Rule[], now: number) {
  const settings: ControlSettings = {
    routing: { upstreams: new Set(), hosts: new Map(), defaultUpstream: undefined },
    rules: rules.filter(({ origin }) => origin === 'file'),
    anonymous: [],
    htpasswd: undefined,
    fileGrants: new Map(),
    anonymousStatus: false,
    webhook: undefined,
    checkPattern: (text) => text,
  }
  const ofOperators = rules.filter(({ origin }) => origin === 'operator')
  const none = { users: [], tokens: [], approvals: [], frozenTags: [] }
  return momentOf(settings, { ...none, rules: ofOperators }, new Map(), now)
}

function decides(rule: Rule | undefined, candidates: readonly string[]): boolean {
  return rule === undefined ? candidates.length === 0 : candidates.includes(rule.id)
}

/** The same fields in the order of the first. */
function inOrderOf(order: object, value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.keys(order).map((key) => [key, value[key]]))
}
