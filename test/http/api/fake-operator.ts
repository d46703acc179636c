/** An operator who remembers what was asked, and answers with the same things always. */
import type { Grant } from '../../../src/access/principal.ts'
import type {
  CreatedToken,
  ListedRule,
  ListedToken,
  ListedUser,
  Operator,
} from '../../../src/control/operator.ts'
import type { Explanation } from '../../../src/control/explain.ts'
import type { Repository, Tag } from '../../../src/oci/reference.ts'
import type { Digest } from '../../../src/oci/digest.ts'

export const CREATED_AT = Date.UTC(2026, 0, 31, 12)
export const EXPIRES_AT = Date.UTC(2026, 1, 14, 12)
export const DIGEST = `sha256:${'a'.repeat(64)}` as Digest

type Item<Method extends 'requests' | 'approvals' | 'frozenTags'> = Awaited<
  ReturnType<Operator[Method]>
>[number]
type AuditEntry = ReturnType<Operator['audit']> extends AsyncIterable<infer Entry> ? Entry : never

const GRANTS: readonly Grant[] = [{ role: 'pull', pattern: 'docker.io/**' }]

export const RULE: ListedRule = {
  id: '7',
  effect: 'allow',
  pattern: 'docker.io/library/redis',
  origin: 'operator',
  reason: 'The shop runs on it.',
  owner: 'alice',
  createdAt: CREATED_AT,
  expiresAt: EXPIRES_AT,
  minAge: 259_200_000,
  standing: 'overridden',
  overriddenBy: 'file:deny:0',
  decides: false,
}

const REQUEST: Item<'requests'> = {
  id: 'r-7f3kabcdef',
  user: undefined,
  address: '192.0.2.1',
  name: 'docker.io/library/redis',
  tag: '7',
  reason: 'rule',
  userAgent: 'containerd/2.0',
  count: 3,
  firstAt: CREATED_AT,
  lastAt: EXPIRES_AT,
  state: 'open',
}

export const USER: ListedUser = {
  name: 'alice',
  origin: 'operator',
  grants: GRANTS,
  createdAt: CREATED_AT,
}

export const TOKEN: ListedToken = {
  id: 't1',
  name: 'ci',
  grants: GRANTS,
  owner: 'alice',
  createdAt: CREATED_AT,
  expiresAt: undefined,
}

export const CREATED_TOKEN: CreatedToken = { ...TOKEN, token: 'entp_t1_secret' }

const APPROVAL: Item<'approvals'> = {
  upstream: 'docker.io',
  repository: 'library/redis' as Repository,
  digest: DIGEST,
  owner: 'alice',
  reason: undefined,
  createdAt: CREATED_AT,
}

const FROZEN: Item<'frozenTags'> = { ...APPROVAL, tag: '7' as Tag, reason: 'Tested.' }

export const EXPLANATION: Explanation = {
  image: 'docker.io/library/redis:7',
  upstream: 'docker.io',
  repository: 'library/redis',
  tag: '7',
  digest: undefined,
  allowed: true,
  verdict: 'It would be pulled.',
  rule: RULE,
  anonymous: true,
  frozenTo: undefined,
  probationEndsAt: EXPIRES_AT,
  content: {
    digest: DIGEST,
    checkedAt: CREATED_AT,
    freshness: 'fresh',
    isStored: true,
    blobs: { stored: 1, missing: 2, missingBytes: 3 },
    firstSeenAt: CREATED_AT,
    upstream: { offline: false, endpoint: undefined, account: undefined, pullsLeft: 90 },
  },
  cost: { heads: 1, pulls: 0, bytes: undefined },
}

export function auditEntry(sequence: number): AuditEntry {
  return {
    sequence,
    at: CREATED_AT,
    actor: 'user:alice',
    address: '192.0.2.1',
    action: 'rule.add',
    subject: 'docker.io/library/redis',
    before: undefined,
    after: { minAge: 0 },
    previousHash: '0'.repeat(64),
    hash: 'f'.repeat(64),
  }
}

export interface FakeOperator extends Operator {
  /** Names of the methods with what they were given. */
  readonly calls: readonly (readonly unknown[])[]
}

/** @param overrides methods that do something else */
export function createFakeOperator(overrides: Partial<Operator> = {}): FakeOperator {
  const calls: unknown[][] = []
  const giving =
    <T>(name: string, value: T) =>
    async (...given: unknown[]): Promise<T> => {
      calls.push([name, ...given])
      return value
    }
  return {
    calls,
    whoami: giving('whoami', { kind: 'user' as const, name: 'alice', grants: GRANTS }),
    rules: giving('rules', [RULE]),
    addRule: giving('addRule', RULE),
    removeRule: giving('removeRule', RULE),
    requests: giving('requests', [REQUEST]),
    approveRequest: giving('approveRequest', RULE),
    dismissRequest: giving('dismissRequest', REQUEST),
    explain: giving('explain', EXPLANATION),
    users: giving('users', [USER]),
    addUser: giving('addUser', USER),
    setPassword: giving('setPassword', USER),
    setGrants: giving('setGrants', USER),
    removeUser: giving('removeUser', USER),
    tokens: giving('tokens', [TOKEN]),
    addToken: giving('addToken', CREATED_TOKEN),
    removeToken: giving('removeToken', TOKEN),
    approvals: giving('approvals', [APPROVAL]),
    approveDigest: giving('approveDigest', APPROVAL),
    withdrawApproval: giving('withdrawApproval', APPROVAL),
    frozenTags: giving('frozenTags', [FROZEN]),
    freezeTag: giving('freezeTag', FROZEN),
    unfreezeTag: giving('unfreezeTag', FROZEN),
    async *audit(filter) {
      calls.push(['audit', filter])
      yield auditEntry(1)
      yield auditEntry(2)
    },
    ...overrides,
  }
}
