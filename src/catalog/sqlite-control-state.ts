/** Everything that decides about requests, out of the tables and into them. */
import type { Database } from 'better-sqlite3'
import type { Effect } from '../access/rule.ts'
import type {
  ApiTokenRecord,
  ApprovalRecord,
  ControlState,
  FrozenTagRecord,
  RuleRecord,
  UserRecord,
} from './control-catalog.ts'
import { oneOf, optional, toDigest, toGrants, toRepository, toTag } from './sqlite-control-rows.ts'

const EFFECTS: readonly Effect[] = ['allow', 'deny']

interface RuleRow {
  readonly id: string
  readonly effect: string
  readonly pattern: string
  readonly reason: string | null
  readonly owner: string | null
  readonly createdAt: number | null
  readonly expiresAt: number | null
  readonly minAge: number
}

type UserRow = Omit<UserRecord, 'grants'> & { readonly grants: string }

type TokenRow = Omit<ApiTokenRecord, 'grants' | 'expiresAt' | 'isFirst'> & {
  readonly grants: string
  readonly expiresAt: number | null
  readonly isFirst: number
}

interface ContentRow {
  readonly upstream: string
  readonly repository: string
  readonly digest: string
  readonly owner: string
  readonly reason: string | null
  readonly createdAt: number
}

/** @returns reads all of it; to be called inside a transaction */
export function createStateReader(sql: Database): () => ControlState {
  const rules = sql.prepare<[], RuleRow>(
    `SELECT id, effect, pattern, reason, owner, created_at AS createdAt, expires_at AS expiresAt,
       min_age AS minAge FROM rule ORDER BY place`,
  )
  const users = sql.prepare<[], UserRow>(
    `SELECT name, password_hash AS passwordHash, grants, created_at AS createdAt,
       password_set_at AS passwordSetAt FROM user ORDER BY name`,
  )
  const tokens = sql.prepare<[], TokenRow>(
    `SELECT id, name, secret_hash AS secretHash, grants, owner, created_at AS createdAt,
       expires_at AS expiresAt, is_first AS isFirst FROM api_token ORDER BY created_at, id`,
  )
  const approvals = sql.prepare<[], ContentRow>(
    `SELECT upstream, repository, digest, owner, reason, created_at AS createdAt FROM approval
     ORDER BY upstream, repository, digest`,
  )
  const frozenTags = sql.prepare<[], ContentRow & { readonly tag: string }>(
    `SELECT upstream, repository, tag, digest, owner, reason, created_at AS createdAt
     FROM frozen_tag ORDER BY upstream, repository, tag`,
  )
  return () => ({
    rules: rules.all().map(toRule),
    users: users.all().map((row) => ({ ...row, grants: toGrants(row.grants) })),
    tokens: tokens.all().map(toToken),
    approvals: approvals.all().map(toContent),
    frozenTags: frozenTags.all().map(toFrozenTag),
  })
}

function toRule(row: RuleRow): RuleRecord {
  return {
    ...row,
    effect: oneOf(EFFECTS, row.effect),
    origin: 'operator',
    reason: optional(row.reason),
    owner: optional(row.owner),
    createdAt: optional(row.createdAt),
    expiresAt: optional(row.expiresAt),
  }
}

function toToken(row: TokenRow): ApiTokenRecord {
  return {
    ...row,
    grants: toGrants(row.grants),
    expiresAt: optional(row.expiresAt),
    isFirst: row.isFirst === 1,
  }
}

function toContent(row: ContentRow): ApprovalRecord {
  return {
    ...row,
    repository: toRepository(row.repository),
    digest: toDigest(row.digest),
    reason: optional(row.reason),
  }
}

function toFrozenTag({ tag, ...row }: ContentRow & { readonly tag: string }): FrozenTagRecord {
  return { ...toContent(row), tag: toTag(tag) }
}
