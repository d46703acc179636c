/** The answers of a mirror's API, as the operators' use-cases have them. Pure; all throw ForeignAnswer. */
import { parseDigest } from '../oci/digest.ts'
import { parseRepository, parseTag } from '../oci/reference.ts'
import type {
  AccessRequest,
  ApprovalRecord,
  AuditEntry,
  CreatedToken,
  Explanation,
  FrozenTagRecord,
  Grant,
  ListedRule,
  ListedToken,
  ListedUser,
  PrincipalKind,
  Rule,
} from '../operator.ts'
import { ForeignAnswer, readObject, type JsonObject } from './json-object.ts'

export function readRule(json: unknown): ListedRule {
  const rule = readObject(json)
  return {
    ...plainRule(rule),
    standing: rule.oneOf('standing', ['in-force', 'expired', 'overridden']),
    overriddenBy: rule.maybeText('overriddenBy'),
    decides: rule.flag('decides'),
  }
}

export function readRequest(json: unknown): AccessRequest {
  const request = readObject(json)
  return {
    id: request.text('id'),
    user: request.maybeText('user'),
    address: request.text('address'),
    name: request.text('name'),
    tag: request.maybeText('tag'),
    reason: request.oneOf('reason', ['rule', 'right']),
    userAgent: request.maybeText('userAgent'),
    count: request.number('count'),
    firstAt: request.time('firstAt'),
    lastAt: request.time('lastAt'),
    state: request.oneOf('state', ['open', 'approved', 'dismissed']),
  }
}

export function readExplanation(json: unknown): Explanation {
  const explanation = readObject(json)
  const rule = explanation.maybeObject('rule')
  const cost = explanation.object('cost')
  return {
    image: explanation.text('image'),
    upstream: explanation.text('upstream'),
    repository: explanation.text('repository'),
    tag: explanation.maybeText('tag'),
    digest: explanation.maybeText('digest'),
    allowed: explanation.flag('allowed'),
    verdict: explanation.text('verdict'),
    rule: rule && plainRule(rule),
    anonymous: explanation.flag('anonymous'),
    frozenTo: explanation.maybeText('frozenTo'),
    probationEndsAt: explanation.maybeTime('probationEndsAt'),
    content: readContent(explanation.object('content')),
    cost: {
      heads: cost.number('heads'),
      pulls: cost.number('pulls'),
      bytes: cost.maybeNumber('bytes'),
    },
  }
}

function readContent(content: JsonObject): Explanation['content'] {
  const blobs = content.object('blobs')
  const upstream = content.maybeObject('upstream')
  return {
    digest: content.maybeText('digest') === undefined ? undefined : digest(content, 'digest'),
    checkedAt: content.maybeTime('checkedAt'),
    freshness:
      content.maybeText('freshness') === undefined
        ? undefined
        : content.oneOf('freshness', FRESHNESS),
    isStored: content.flag('isStored'),
    blobs: {
      stored: blobs.number('stored'),
      missing: blobs.number('missing'),
      missingBytes: blobs.number('missingBytes'),
    },
    firstSeenAt: content.maybeTime('firstSeenAt'),
    upstream: upstream && {
      offline: upstream.flag('offline'),
      endpoint: upstream.maybeText('endpoint'),
      account: upstream.maybeText('account'),
      pullsLeft: upstream.maybeNumber('pullsLeft'),
    },
  }
}

const FRESHNESS = ['fresh', 'revalidate-behind', 'expired'] as const

export function readUser(json: unknown): ListedUser {
  const user = readObject(json)
  return {
    name: user.text('name'),
    origin: user.oneOf('origin', ['file', 'operator']),
    grants: user.list('grants', readGrant),
    createdAt: user.maybeTime('createdAt'),
  }
}

export function readPrincipal(json: unknown): {
  kind: PrincipalKind
  name: string
  grants: Grant[]
} {
  const principal = readObject(json)
  return {
    kind: principal.oneOf('kind', ['anonymous', 'user', 'robot', 'host']),
    name: principal.text('name'),
    grants: principal.list('grants', readGrant),
  }
}

export function readToken(json: unknown): ListedToken {
  const token = readObject(json)
  return {
    id: token.text('id'),
    name: token.text('name'),
    grants: token.list('grants', readGrant),
    owner: token.text('owner'),
    createdAt: token.time('createdAt'),
    expiresAt: token.maybeTime('expiresAt'),
  }
}

export function readCreatedToken(json: unknown): CreatedToken {
  return { ...readToken(json), token: readObject(json).text('token') }
}

export function readApproval(json: unknown): ApprovalRecord {
  const approval = readObject(json)
  return { ...content(approval), digest: digest(approval, 'digest') }
}

export function readFrozenTag(json: unknown): FrozenTagRecord {
  const frozen = readObject(json)
  const tag = parsed('tag', () => parseTag(frozen.text('tag')))
  return { ...content(frozen), tag, digest: digest(frozen, 'digest') }
}

export function readAuditEntry(json: unknown): AuditEntry {
  const entry = readObject(json)
  return {
    sequence: entry.number('sequence'),
    at: entry.time('at'),
    actor: entry.text('actor'),
    address: entry.text('address'),
    action: entry.text('action'),
    subject: entry.text('subject'),
    before: entry.value('before'),
    after: entry.value('after'),
    previousHash: entry.text('previousHash'),
    hash: entry.text('hash'),
  }
}

/** Without what only a list can say of it. */
function plainRule(rule: JsonObject): Rule {
  return {
    id: rule.text('id'),
    effect: rule.oneOf('effect', ['allow', 'deny']),
    pattern: rule.text('pattern'),
    origin: rule.oneOf('origin', ['file', 'operator']),
    reason: rule.maybeText('reason'),
    owner: rule.maybeText('owner'),
    createdAt: rule.maybeTime('createdAt'),
    expiresAt: rule.maybeTime('expiresAt'),
    minAge: Math.round((rule.maybeNumber('minAgeSeconds') ?? 0) * 1000),
  }
}

function readGrant(json: unknown): Grant {
  const grant = readObject(json)
  return {
    role: grant.oneOf('role', ['pull', 'push', 'operate', 'admin']),
    pattern: grant.text('pattern'),
  }
}

function content(record: JsonObject): Omit<ApprovalRecord, 'digest'> {
  return {
    upstream: record.text('upstream'),
    repository: parsed('repository', () => parseRepository(record.text('repository'))),
    owner: record.text('owner'),
    reason: record.maybeText('reason'),
    createdAt: record.time('createdAt'),
  }
}

function digest(record: JsonObject, key: string): ApprovalRecord['digest'] {
  return parsed(key, () => parseDigest(record.text(key)))
}

function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse()
  } catch {
    throw new ForeignAnswer(what)
  }
}
