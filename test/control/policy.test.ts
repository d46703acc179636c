import { describe, expect, it } from 'vitest'
import { authorize } from '../../src/access/authorize.ts'
import { fileRule, type Rule } from '../../src/access/rule.ts'
import type { ApiTokenRecord, ControlState, UserRecord } from '../../src/catalog/control-catalog.ts'
import type { ControlSettings } from '../../src/control/control.ts'
import { momentOf } from '../../src/control/policy.ts'
import { parseDigest } from '../../src/oci/digest.ts'
import { parseRepository, parseTag } from '../../src/oci/reference.ts'
import { EMPTY, SETTINGS } from './empty-control.ts'

const ALICE: UserRecord = {
  name: 'alice',
  passwordHash: '$2b$05$ours',
  grants: [{ role: 'admin', pattern: '**' }],
  createdAt: 1,
  passwordSetAt: 5,
}
const ROBOT: ApiTokenRecord = {
  id: 'abc',
  name: 'ci',
  secretHash: '',
  grants: [],
  owner: 'alice',
  createdAt: 1,
  expiresAt: 50,
  isFirst: false,
}

describe('a moment', () => {
  it('has the rules of the file and of operators, and a deny wins whoever wrote it', () => {
    const rules = [rule('deny', 'docker.io/library/redis')]
    const settings = { ...SETTINGS, rules: [fileRule('allow', 'docker.io/**', { place: 0 })] }
    const { allowlist } = at(10, { settings, state: { rules } }).policy
    expect(allowlist.judge('docker.io', 'library/nginx').refused).toBe(false)
    expect(allowlist.judge('docker.io', 'library/redis').refused).toBe(true)
  })

  it('leaves out what has expired, and ends with what expires next', () => {
    const rules = [rule('allow', 'docker.io/a', 10), rule('allow', 'docker.io/b', 30)]
    const moment = at(10, { state: { rules, tokens: [ROBOT] } })
    expect(moment.policy.allowlist.judge('docker.io', 'library/a').refused).toBe(true)
    expect(moment.policy.allowlist.judge('docker.io', 'library/b').refused).toBe(false)
    expect(moment.endsAt).toBe(30)
    expect(at(10).endsAt).toBe(Infinity)
  })

  it('asks for a login when anybody has one, or not everything is public', () => {
    expect(at(10).policy.asksForLogin).toBe(false)
    expect(at(10, { state: { users: [ALICE] } }).policy.asksForLogin).toBe(true)
    expect(at(10, { fileUsers: new Map([['bob', 'x']]) }).policy.asksForLogin).toBe(true)
    expect(at(10, { state: { tokens: [ROBOT] } }).policy.asksForLogin).toBe(true)
    const first = { ...ROBOT, isFirst: true }
    expect(at(10, { state: { tokens: [first] } }).policy.asksForLogin).toBe(false)
    const settings = { ...SETTINGS, anonymous: ['docker.io/**'] }
    expect(at(10, { settings }).policy.asksForLogin).toBe(true)
  })

  it('lets the users of the file pull, or what the configuration grants them', () => {
    const fileGrants = new Map([['bob', [{ role: 'operate' as const, pattern: 'quay.io/**' }]]])
    const fileUsers = new Map([
      ['bob', 'hash of bob'],
      ['carol', 'hash of carol'],
    ])
    const moment = at(10, { settings: { ...SETTINGS, fileGrants }, fileUsers })
    expect(moment.user('bob')?.grants).toEqual([{ role: 'operate', pattern: 'quay.io/**' }])
    expect(moment.user('carol')?.grants).toEqual([{ role: 'pull', pattern: '**' }])
    expect(moment.user('dave')).toBeUndefined()
  })

  it('believes the file where a name is in both', () => {
    const fileUsers = new Map([['alice', 'hash of the file']])
    const moment = at(10, { state: { users: [ALICE] }, fileUsers })
    expect(moment.user('alice')).toMatchObject({
      origin: 'file',
      passwordHash: 'hash of the file',
      grants: [{ role: 'pull', pattern: '**' }],
    })
  })

  it('has another version of a user after each new password', () => {
    const later = { ...ALICE, passwordSetAt: 6 }
    const versionOf = (user: UserRecord) =>
      at(10, { state: { users: [user] } }).user('alice')?.version
    expect(versionOf(ALICE)).not.toBe(versionOf(later))
  })

  it('grants nobody what is public, and no more', () => {
    const settings = { ...SETTINGS, anonymous: ['docker.io/library/*'] }
    const { anonymous } = at(10, { settings }).policy
    const may = (name: string) => authorize(anonymous, 'pull', { kind: 'repository', name })
    expect(may('docker.io/library/redis')).toBe(true)
    expect(may('docker.io/bitnami/redis')).toBe(false)
    expect(authorize(anonymous, 'observe', { kind: 'somewhere' })).toBe(false)
  })

  it('knows approved digests and frozen tags by repository', () => {
    const digest = parseDigest(`sha256:${'a'.repeat(64)}`)
    const key = { upstream: 'docker.io', repository: parseRepository('library/redis') }
    const other = { ...key, repository: parseRepository('library/nginx') }
    const common = { ...key, digest, owner: 'alice', reason: undefined, createdAt: 1 }
    const tag = parseTag('7')
    const { policy } = at(10, { state: { approvals: [common], frozenTags: [{ ...common, tag }] } })
    expect(policy.isApproved(key, digest)).toBe(true)
    expect(policy.isApproved(other, digest)).toBe(false)
    expect(policy.frozenTo(key, tag)).toBe(digest)
    expect(policy.frozenTo(other, tag)).toBeUndefined()
    expect(policy.frozenTo(key, parseTag('8'))).toBeUndefined()
  })
})

interface Situation {
  readonly settings?: ControlSettings
  readonly state?: Partial<ControlState>
  readonly fileUsers?: ReadonlyMap<string, string>
}

function at(now: number, { settings = SETTINGS, state, fileUsers = new Map() }: Situation = {}) {
  return momentOf(settings, { ...EMPTY, ...state }, fileUsers, now)
}

function rule(effect: Rule['effect'], pattern: string, expiresAt?: number): Rule {
  return { ...fileRule(effect, pattern, { place: 0 }), id: pattern, origin: 'operator', expiresAt }
}
