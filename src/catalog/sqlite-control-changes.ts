/** Writes decisions into the tables of `control.sqlite`. */
import type { Database } from 'better-sqlite3'
import type { Grant } from '../access/principal.ts'
import type { Change, ContentKey, RuleRecord } from './control-catalog.ts'

/** @returns writes one change; to be called inside a transaction */
export function createChanges(sql: Database): (change: Change) => void {
  const statements = createStatements(sql)
  return (change) => {
    switch (change.kind) {
      case 'put-rule':
        return void statements.putRule.run(ruleRow(change.rule))
      case 'remove-rule':
        return void statements.removeRule.run(change.id)
      case 'put-user':
        return void statements.putUser.run(withGrants(change.user))
      case 'remove-user':
        return void statements.removeUser.run(change.name)
      case 'put-token': {
        const { expiresAt = null, isFirst, ...token } = withGrants(change.token)
        return void statements.putToken.run({ ...token, expiresAt, isFirst: isFirst ? 1 : 0 })
      }
      case 'remove-token':
        return void statements.removeToken.run(change.id)
      case 'put-approval':
        return void statements.putApproval.run(withReason(change.approval))
      case 'remove-approval':
        return void statements.removeApproval.run({ ...keyOf(change), digest: change.digest })
      case 'put-frozen-tag':
        return void statements.putFrozenTag.run(withReason(change.frozen))
      case 'remove-frozen-tag':
        return void statements.removeFrozenTag.run({ ...keyOf(change), tag: change.tag })
      case 'settle-request':
        return void statements.settleRequest.run(change.state, change.at, change.id)
    }
  }
}

function createStatements(sql: Database) {
  return {
    // A rule that replaces another keeps its place.
    putRule: sql.prepare<[object]>(
      `INSERT INTO rule (id, effect, pattern, reason, owner, created_at, expires_at, min_age)
       VALUES (@id, @effect, @pattern, @reason, @owner, @createdAt, @expiresAt, @minAge)
       ON CONFLICT (id) DO UPDATE SET effect = excluded.effect, pattern = excluded.pattern,
         reason = excluded.reason, owner = excluded.owner, created_at = excluded.created_at,
         expires_at = excluded.expires_at, min_age = excluded.min_age`,
    ),
    removeRule: sql.prepare<[string]>('DELETE FROM rule WHERE id = ?'),
    putUser: sql.prepare<[object]>(
      `INSERT OR REPLACE INTO user (name, password_hash, grants, created_at, password_set_at)
       VALUES (@name, @passwordHash, @grants, @createdAt, @passwordSetAt)`,
    ),
    removeUser: sql.prepare<[string]>('DELETE FROM user WHERE name = ?'),
    putToken: sql.prepare<[object]>(
      `INSERT OR REPLACE INTO api_token
         (id, name, secret_hash, grants, owner, created_at, expires_at, is_first)
       VALUES (@id, @name, @secretHash, @grants, @owner, @createdAt, @expiresAt, @isFirst)`,
    ),
    removeToken: sql.prepare<[string]>('DELETE FROM api_token WHERE id = ?'),
    putApproval: sql.prepare<[object]>(
      `INSERT OR REPLACE INTO approval (upstream, repository, digest, owner, reason, created_at)
       VALUES (@upstream, @repository, @digest, @owner, @reason, @createdAt)`,
    ),
    removeApproval: sql.prepare<[object]>(
      `DELETE FROM approval
       WHERE upstream = @upstream AND repository = @repository AND digest = @digest`,
    ),
    putFrozenTag: sql.prepare<[object]>(
      `INSERT OR REPLACE INTO frozen_tag
         (upstream, repository, tag, digest, owner, reason, created_at)
       VALUES (@upstream, @repository, @tag, @digest, @owner, @reason, @createdAt)`,
    ),
    removeFrozenTag: sql.prepare<[object]>(
      `DELETE FROM frozen_tag
       WHERE upstream = @upstream AND repository = @repository AND tag = @tag`,
    ),
    settleRequest: sql.prepare<[string, number, string]>(
      'UPDATE request SET state = ?, settled_at = ? WHERE id = ?',
    ),
  }
}

function ruleRow(rule: RuleRecord): object {
  const { reason = null, owner = null, createdAt = null, expiresAt = null, ...rest } = rule
  return { ...rest, reason, owner, createdAt, expiresAt }
}

function withGrants<T extends { readonly grants: readonly Grant[] }>(
  record: T,
): Omit<T, 'grants'> & { grants: string } {
  const grants = record.grants.map(({ role, pattern }) => ({ role, pattern }))
  return { ...record, grants: JSON.stringify(grants) }
}

function withReason<T extends { readonly reason: string | undefined }>(
  record: T,
): Omit<T, 'reason'> & { reason: string | null } {
  return { ...record, reason: record.reason ?? null }
}

function keyOf({ upstream, repository }: ContentKey): ContentKey {
  return { upstream, repository }
}
