/** What operators may be told. */
import type {
  AccessRequest,
  ApprovalRecord,
  AuditEntry,
  CreatedToken,
  Explanation,
  FrozenTagRecord,
  ListedRule,
  ListedToken,
  ListedUser,
} from '../../src/operator.ts'
import { auditHash, NO_HASH } from '../../src/catalog/audit-chain.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseRepository, parseTag } from '../../src/oci/reference.ts'

export const DAY = 24 * 3600 * 1000
export const NOW = Date.UTC(2030, 0, 31, 12)
export const DIGEST = digestOf(Buffer.from('content'))

export const RULE: ListedRule = {
  id: 'a-x1y2z3',
  effect: 'allow',
  pattern: 'docker.io/library/*',
  origin: 'operator',
  reason: 'for the build',
  owner: 'alice',
  createdAt: NOW - DAY,
  expiresAt: NOW + 14 * DAY,
  minAge: 3 * DAY,
  standing: 'in-force',
  overriddenBy: undefined,
  decides: false,
}

export const FILE_RULE: ListedRule = {
  ...RULE,
  id: 'file:allow:0',
  pattern: 'quay.io/**',
  origin: 'file',
  reason: undefined,
  owner: undefined,
  createdAt: undefined,
  expiresAt: undefined,
  minAge: 0,
  standing: 'overridden',
  overriddenBy: 'd-q1w2e3',
}

export const REQUEST: AccessRequest = {
  id: 'r-7f3kq2m5xa',
  user: 'bob',
  address: '192.0.2.7',
  name: 'docker.io/library/redis',
  tag: '7',
  reason: 'rule',
  userAgent: 'containerd/2.0.1',
  count: 12,
  firstAt: NOW - 3 * DAY,
  lastAt: NOW - DAY / 8,
  state: 'open',
}

export const USER: ListedUser = {
  name: 'alice',
  origin: 'operator',
  grants: [
    { role: 'operate', pattern: 'docker.io/**' },
    { role: 'pull', pattern: '**' },
  ],
  createdAt: NOW - DAY,
}

export const TOKEN: ListedToken = {
  id: 't7f3k',
  name: 'ci',
  grants: [{ role: 'pull', pattern: '**' }],
  owner: 'alice',
  createdAt: NOW - DAY,
  expiresAt: NOW + 90 * DAY,
}

export const CREATED: CreatedToken = { ...TOKEN, token: 'entp_t7f3k_verysecret' }

export const APPROVAL: ApprovalRecord = {
  upstream: 'docker.io',
  repository: parseRepository('library/redis'),
  digest: DIGEST,
  owner: 'alice',
  reason: 'looked at',
  createdAt: NOW - DAY,
}

export const FROZEN: FrozenTagRecord = { ...APPROVAL, tag: parseTag('7'), reason: undefined }

const { standing: _, overriddenBy: _by, decides: _decides, ...PLAIN_RULE } = RULE

export const EXPLANATION: Explanation = {
  image: 'docker.io/library/redis:7',
  upstream: 'docker.io',
  repository: 'library/redis',
  tag: '7',
  digest: undefined,
  allowed: true,
  verdict: 'It is served from what is stored.',
  rule: PLAIN_RULE,
  anonymous: true,
  frozenTo: undefined,
  probationEndsAt: NOW + DAY,
  content: {
    digest: DIGEST,
    checkedAt: NOW - DAY / 8,
    freshness: 'expired',
    isStored: true,
    blobs: { stored: 5, missing: 2, missingBytes: 3 * 2 ** 20 },
    firstSeenAt: NOW - 5 * DAY,
    upstream: {
      offline: false,
      endpoint: 'https://registry-1.docker.io',
      account: 'credentials[0]',
      pullsLeft: 17,
    },
  },
  cost: { heads: 1, pulls: 0, bytes: 3 * 2 ** 20 },
}

/** A chain as it should be. */
export function auditChain(length: number): AuditEntry[] {
  const entries: AuditEntry[] = []
  for (let sequence = 1; sequence <= length; sequence += 1) {
    const entry = {
      sequence,
      at: NOW + sequence,
      actor: 'user:alice',
      address: '192.0.2.7',
      action: 'rule.add',
      subject: 'docker.io/library/*',
      before: undefined,
      after: { minAge: 0, reason: 'for the build' },
      previousHash: entries.at(-1)?.hash ?? NO_HASH,
    }
    entries.push({ ...entry, hash: auditHash(entry) })
  }
  return entries
}
