/** What the use-cases give, as the API says it: times as ISO 8601, ages in seconds. Pure. */
import type { z } from '@hono/zod-openapi'
import type { Grant } from '../../access/principal.ts'
import type { Rule as AccessRule } from '../../access/rule.ts'
import type { Explanation as ControlExplanation } from '../../control/explain.ts'
import type * as Operators from '../../control/operator.ts'
import type * as Resources from './resources.ts'

type Json<Schema extends z.ZodType> = z.infer<Schema>
type Given<Method extends keyof Operators.Operator> = Operators.Operator[Method] extends (
  ...parameters: never[]
) => Promise<infer Result>
  ? Result
  : never
type Listed<Method extends keyof Operators.Operator> =
  Given<Method> extends readonly (infer Item)[] ? Item : never
type AuditEntry =
  ReturnType<Operators.Operator['audit']> extends AsyncIterable<infer Entry> ? Entry : never

function ruleJson(rule: AccessRule): Json<typeof Resources.Rule> {
  const { id, effect, pattern, origin, reason, owner, createdAt, expiresAt, minAge } = rule
  return {
    id,
    effect,
    pattern,
    origin,
    reason,
    owner,
    createdAt: maybeIso(createdAt),
    expiresAt: maybeIso(expiresAt),
    minAgeSeconds: minAge / 1000,
  }
}

export function listedRuleJson(rule: Operators.ListedRule): Json<typeof Resources.ListedRule> {
  const { standing, overriddenBy, decides } = rule
  return { ...ruleJson(rule), standing, overriddenBy, decides }
}

export function requestJson(request: Listed<'requests'>): Json<typeof Resources.AccessRequest> {
  return { ...request, firstAt: iso(request.firstAt), lastAt: iso(request.lastAt) }
}

/** Field by field, here and for tokens: what is kept of them has hashes, and none may slip through (R37). */
export function userJson(user: Operators.ListedUser): Json<typeof Resources.User> {
  const { name, origin, grants, createdAt } = user
  return { name, origin, grants: grants.map(grantJson), createdAt: maybeIso(createdAt) }
}

export function tokenJson(token: Operators.ListedToken): Json<typeof Resources.Token> {
  const { id, name, grants, owner, createdAt, expiresAt } = token
  return {
    id,
    name,
    grants: grants.map(grantJson),
    owner,
    createdAt: iso(createdAt),
    expiresAt: maybeIso(expiresAt),
  }
}

export function createdTokenJson({
  token,
  ...listed
}: Operators.CreatedToken): Json<typeof Resources.CreatedToken> {
  return { ...tokenJson(listed), token }
}

export function approvalJson(
  approval: Listed<'approvals'>,
): Json<typeof Resources.ContentApproval> {
  return { ...approval, createdAt: iso(approval.createdAt) }
}

export function frozenTagJson(frozen: Listed<'frozenTags'>): Json<typeof Resources.FrozenTag> {
  return { ...frozen, createdAt: iso(frozen.createdAt) }
}

export function explanationJson(
  explanation: ControlExplanation,
): Json<typeof Resources.Explanation> {
  const { rule, probationEndsAt, content } = explanation
  return {
    ...explanation,
    rule: rule && ruleJson(rule),
    probationEndsAt: maybeIso(probationEndsAt),
    content: {
      ...content,
      checkedAt: maybeIso(content.checkedAt),
      firstSeenAt: maybeIso(content.firstSeenAt),
    },
  }
}

export function auditJson(entry: AuditEntry): Json<typeof Resources.AuditEntry> {
  return { ...entry, at: iso(entry.at) }
}

export function grantJson({ role, pattern }: Grant): Grant {
  return { role, pattern }
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}

function maybeIso(milliseconds: number | undefined): string | undefined {
  return milliseconds === undefined ? undefined : iso(milliseconds)
}
