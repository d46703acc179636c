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

export function ruleJson({ minAge, ...rule }: Rule | ListedRule): object {
  const { createdAt, expiresAt } = rule
  return {
    ...rule,
    createdAt: iso(createdAt),
    expiresAt: iso(expiresAt),
    minAgeSeconds: seconds(minAge),
  }
}

export function newRuleJson({ minAge, ...rule }: NewRule): object {
  return {
    ...rule,
    expiresAt: iso(rule.expiresAt),
    ...(minAge !== undefined && { minAgeSeconds: seconds(minAge) }),
  }
}

export function approvalJson(approval: Approval): object {
  return { ...approval, expiresAt: iso(approval.expiresAt) }
}

export function requestJson(request: AccessRequest): object {
  return { ...request, firstAt: iso(request.firstAt), lastAt: iso(request.lastAt) }
}

export function explanationJson(explanation: Explanation): object {
  const { rule, probationEndsAt, content } = explanation
  return {
    ...explanation,
    rule: rule && ruleJson(rule),
    probationEndsAt: iso(probationEndsAt),
    content: {
      ...content,
      checkedAt: iso(content.checkedAt),
      firstSeenAt: iso(content.firstSeenAt),
    },
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

export function newTokenJson(token: NewToken): object {
  return { ...token, expiresAt: iso(token.expiresAt) }
}

/** An approved digest, or a tag that was frozen. */
export function contentJson(record: ApprovalRecord | FrozenTagRecord): object {
  return { ...record, createdAt: iso(record.createdAt) }
}

export function auditJson(entry: AuditEntry): object {
  return { ...entry, at: iso(entry.at) }
}

function iso(milliseconds: number | undefined): string | undefined {
  return milliseconds === undefined ? undefined : new Date(milliseconds).toISOString()
}

function seconds(milliseconds: number): number {
  return milliseconds / 1000
}
