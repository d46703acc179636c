/** What the API answers with. Times are ISO 8601; what is not known is left out. */
import { z } from '@hono/zod-openapi'
import { ROLES } from '../../access/principal.ts'

const time = z.iso.datetime().openapi({ example: '2026-01-31T12:00:00.000Z' })
const count = z.int().min(0)
const digest = z.string().openapi({ example: `sha256:${'0'.repeat(64)}` })

const Grant = z.object({ role: z.enum(ROLES), pattern: z.string() }).openapi('Grant')

export const Caller = z
  .object({
    kind: z.enum(['anonymous', 'user', 'robot', 'host']),
    name: z.string(),
    grants: z.array(Grant),
  })
  .openapi('Caller')

export const Rule = z
  .object({
    id: z.string(),
    effect: z.enum(['allow', 'deny']),
    pattern: z.string(),
    origin: z.enum(['file', 'operator']).openapi({
      description: 'Rules of the configuration file can only be changed there.',
    }),
    reason: z.string().optional(),
    owner: z.string().optional(),
    createdAt: time.optional(),
    expiresAt: time.optional(),
    minAgeSeconds: z.number().min(0),
  })
  .openapi('Rule')

export const ListedRule = Rule.extend({
  standing: z.enum(['in-force', 'expired', 'overridden']),
  overriddenBy: z.string().optional().openapi({ description: 'Id of the rule that wins.' }),
  decides: z.boolean().openapi({
    description: 'Of an image that was asked about: this rule decides.',
  }),
}).openapi('ListedRule')

export const AccessRequest = z
  .object({
    id: z.string(),
    user: z.string().optional(),
    address: z.string(),
    name: z.string(),
    tag: z.string().optional(),
    reason: z.enum(['rule', 'right']).openapi({
      description: 'What stood in the way: no rule admits it, or the caller has no right to it.',
    }),
    userAgent: z.string().optional(),
    count,
    firstAt: time,
    lastAt: time,
    state: z.enum(['open', 'approved', 'dismissed']),
  })
  .openapi('AccessRequest')

export const User = z
  .object({
    name: z.string(),
    origin: z.enum(['file', 'operator']),
    grants: z.array(Grant),
    createdAt: time.optional(),
  })
  .openapi('User')

export const Token = z
  .object({
    id: z.string(),
    name: z.string(),
    grants: z.array(Grant),
    owner: z.string(),
    createdAt: time,
    expiresAt: time.optional(),
  })
  .openapi('Token')

export const CreatedToken = Token.extend({
  token: z.string().openapi({ description: 'The secret. It is told this once.' }),
}).openapi('CreatedToken')

export const ContentApproval = z
  .object({
    upstream: z.string(),
    repository: z.string(),
    digest,
    owner: z.string(),
    reason: z.string().optional(),
    createdAt: time,
  })
  .openapi('ContentApproval')

export const FrozenTag = ContentApproval.extend({ tag: z.string() }).openapi('FrozenTag')

const Content = z
  .object({
    digest: digest.optional(),
    checkedAt: time.optional(),
    freshness: z.enum(['fresh', 'revalidate-behind', 'expired']).optional(),
    isStored: z.boolean(),
    blobs: z.object({ stored: count, missing: count, missingBytes: count }),
    firstSeenAt: time.optional(),
    upstream: z
      .object({
        offline: z.boolean(),
        endpoint: z.string().optional(),
        account: z.string().optional(),
        pullsLeft: z.number().optional(),
      })
      .optional(),
  })
  .openapi('Content')

export const Explanation = z
  .object({
    image: z.string(),
    upstream: z.string(),
    repository: z.string(),
    tag: z.string().optional(),
    digest: digest.optional(),
    allowed: z.boolean(),
    verdict: z.string(),
    rule: Rule.optional(),
    anonymous: z.boolean(),
    frozenTo: digest.optional(),
    probationEndsAt: time.optional(),
    content: Content,
    cost: z.object({ heads: count, pulls: count, bytes: count.optional() }),
  })
  .openapi('Explanation')

export const AuditEntry = z
  .object({
    sequence: z.int().min(1),
    at: time,
    actor: z.string(),
    address: z.string(),
    action: z.string(),
    subject: z.string(),
    before: z.unknown().optional(),
    after: z.unknown().optional(),
    previousHash: z.string(),
    hash: z.string(),
  })
  .openapi('AuditEntry')

/** RFC 9457. */
export const Problem = z
  .object({
    type: z.string().openapi({ example: 'urn:entrepot:invalid' }),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .openapi('Problem')
