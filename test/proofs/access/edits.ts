/** Edits of the API by chance: sensible ones, and those that reach for what is not theirs. */
import type { ControlState } from '../../../src/catalog/control-catalog.ts'
import type { Chance } from '../chance.ts'
import { ALL_ROLES, type Right } from './reference.ts'
import type { Asked } from './world.ts'

/** Within the scope, wider than it, beside it, and in spellings that look like it. */
const PATTERNS = [
  'quay.io/team/app',
  'quay.io/team/*',
  'quay.io/team/**',
  'quay.io/team/a*',
  'QUAY.IO/team/app',
  'quay.io/team*/**',
  'quay.io/team**',
  'quay.io/*/app',
  'quay.io/**/app',
  'quay.io/**',
  'quay.io/other/app',
  'quay.io/other/**',
  '*/team/**',
  '**/team/app',
  'docker.io/redis',
  'docker.io/library/*',
  'docker.io/team/**',
  '**',
]

export const NAMES = [
  'quay.io/team/app',
  'quay.io/team/web',
  'quay.io/team/sub/app',
  'quay.io/teams/app',
  'quay.io/other/app',
  'docker.io/library/redis',
  'docker.io/team/app',
]

export const TAGS = ['1', '2']
/** In hex, so that few are met often. */
const DIGESTS = ['a', 'b', 'c'].map((digit) => `sha256:${digit.repeat(64)}`)
export const PASSWORD = 'given by an admin'

/** What can be named: all that there is, whoever may see it, and the name of whoever asks. */
export interface Known extends Omit<ControlState, 'approvals' | 'frozenTags'> {
  readonly requests: readonly { readonly id: string }[]
  readonly self: string
}

export type Edit = Omit<Asked, 'authorization'>

export function someEdit(chance: Chance, known: Known): Edit {
  const kinds: readonly (() => Edit)[] = [
    () => write('POST', '/rules', someRule(chance)),
    () => remove('/rules', someRuleId(chance, known)),
    () => write('POST', `/requests/${idOf(chance, known.requests)}/approve`, someApproval(chance)),
    () => write('POST', `/requests/${idOf(chance, known.requests)}/dismiss`, {}),
    () => write('POST', '/approvals', { image: `${chance.oneOf(NAMES)}@${chance.oneOf(DIGESTS)}` }),
    () => ({
      method: 'DELETE',
      path: `/api/v1/approvals?image=${chance.oneOf(NAMES)}@${chance.oneOf(DIGESTS)}`,
    }),
    () => write('POST', '/frozen-tags', { image: `${someImage(chance)}@${chance.oneOf(DIGESTS)}` }),
    () => ({ method: 'DELETE', path: `/api/v1/frozen-tags?image=${someImage(chance)}` }),
    () =>
      write('POST', '/users', {
        name: someName(chance),
        password: PASSWORD,
        grants: someRights(chance),
      }),
    () => write('PUT', `/users/${someUser(chance, known)}/grants`, { grants: someRights(chance) }),
    () => write('PUT', `/users/${someUser(chance, known)}/password`, { password: PASSWORD }),
    () => remove('/users', someUser(chance, known)),
    () => write('POST', '/tokens', { name: someName(chance), grants: someRights(chance) }),
    () => remove('/tokens', idOf(chance, known.tokens)),
  ]
  return chance.oneOf(kinds)()
}

function someRule(chance: Chance) {
  const tag = chance.next() < 0.4 ? `:${chance.oneOf(['1', '2', '*'])}` : ''
  const pattern = chance.oneOf(PATTERNS) + tag
  const effect = chance.oneOf(['allow', 'deny'])
  return { effect, pattern, owner: chance.oneOf(['root', 'lead']) }
}

function someApproval(chance: Chance) {
  const as = chance.oneOf(['exact', 'repository', 'pattern', 'pattern'])
  return { as, ...(as === 'pattern' && { pattern: chance.oneOf(PATTERNS) }) }
}

/** By its id, or by its pattern. */
function someRuleId(chance: Chance, { rules }: Known): string {
  if (rules.length === 0) return 'a-none'
  const { id, pattern } = chance.oneOf(rules)
  return /[/*]/.test(pattern) || chance.next() < 0.8 ? id : pattern
}

function someRights(chance: Chance): Right[] {
  return Array.from({ length: chance.between(1, 4) }, () => ({
    role: chance.oneOf(ALL_ROLES),
    // Half of them within the scope, or nothing would ever be granted.
    pattern: chance.next() < 0.5 ? chance.oneOf(PATTERNS.slice(0, 5)) : chance.oneOf(PATTERNS),
  }))
}

function someName(chance: Chance): string {
  return chance.oneOf(['anna', 'ben', 'root', 'lead', 'outsider', 'mixed'])
}

function someUser(chance: Chance, { users, self }: Known): string {
  if (chance.next() < 0.25) return self
  return users.length === 0 || chance.next() < 0.2 ? someName(chance) : chance.oneOf(users).name
}

function someImage(chance: Chance): string {
  return `${chance.oneOf(NAMES)}:${chance.oneOf(TAGS)}`
}

function idOf(chance: Chance, records: readonly { readonly id: string }[]): string {
  return records.length === 0 ? 'none' : chance.oneOf(records).id
}

function write(method: string, path: string, json: unknown): Edit {
  return { method, path: `/api/v1${path}`, json }
}

function remove(path: string, id: string): Edit {
  return { method: 'DELETE', path: `/api/v1${path}/${id}` }
}
