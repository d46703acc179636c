/**
 * What commands print for programs, and send to a mirror: as its API has it, so times are ISO 8601, and
 * ages are seconds. What is not known is left out. Pure.
 */
import type {
  AccessRequest,
  Approval,
  ApprovalRecord,
  AuditEntry,
  CreatedToken,
  Explanation,
  FrozenTagRecord,
  ListedRule,
  ListedToken,
  ListedUser,
  NewRule,
  NewToken,
  Rule,
} from '../operator.ts'

export function ruleJson(rule: Rule | ListedRule): object {
  const { minAge, createdAt, expiresAt, ...rest } = rule
  return {
    ...rest,
    createdAt: iso(createdAt),
    expiresAt: iso(expiresAt),
    minAgeSeconds: seconds(minAge),
  }
}

export function newRuleJson({ minAge, expiresAt, ...rest }: NewRule): object {
  return {
    ...rest,
    expiresAt: iso(expiresAt),
    ...(minAge !== undefined && { minAgeSeconds: seconds(minAge) }),
  }
}

export function approvalJson({ expiresAt, ...rest }: Approval): object {
  return { ...rest, expiresAt: iso(expiresAt) }
}

export function requestJson({ firstAt, lastAt, ...rest }: AccessRequest): object {
  return { ...rest, firstAt: iso(firstAt), lastAt: iso(lastAt) }
}

export function explanationJson(explanation: Explanation): object {
  const { rule, probationEndsAt, content, ...rest } = explanation
  const { checkedAt, firstSeenAt, ...contentRest } = content
  return {
    ...rest,
    rule: rule && ruleJson(rule),
    probationEndsAt: iso(probationEndsAt),
    content: { ...contentRest, checkedAt: iso(checkedAt), firstSeenAt: iso(firstSeenAt) },
  }
}

/** Member by member, as for tokens: what is kept of them has hashes, and none may slip through. */
export function userJson({ name, origin, grants, createdAt }: ListedUser): object {
  return { name, origin, grants, createdAt: iso(createdAt) }
}

export function tokenJson(token: ListedToken): object {
  const { id, name, grants, owner, createdAt, expiresAt } = token
  return { id, name, grants, owner, createdAt: iso(createdAt), expiresAt: iso(expiresAt) }
}

export function createdTokenJson({ token, ...listed }: CreatedToken): object {
  return { ...tokenJson(listed), token }
}

export function newTokenJson({ expiresAt, ...rest }: NewToken): object {
  return { ...rest, expiresAt: iso(expiresAt) }
}

/** An approved digest, or a tag that was frozen. */
export function contentJson({ createdAt, ...rest }: ApprovalRecord | FrozenTagRecord): object {
  return { ...rest, createdAt: iso(createdAt) }
}

export function auditJson({ at, ...rest }: AuditEntry): object {
  return { ...rest, at: iso(at) }
}

function iso(milliseconds: number | undefined): string | undefined {
  return milliseconds === undefined ? undefined : new Date(milliseconds).toISOString()
}

function seconds(milliseconds: number): number {
  return milliseconds / 1000
}
