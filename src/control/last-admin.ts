/** Somebody can always administer the mirror, and the token of the first start ends when somebody can. Pure. */
import type { Grant } from '../access/principal.ts'
import type { Change, ControlState, Decision } from '../catalog/control-catalog.ts'
import { auditRecord, type Author } from './audit-record.ts'
import { ControlError } from './error.ts'
import { countsAt } from './standing.ts'

/** Users of the htpasswd file and what they may do, by name. They come before operators' of the same name. */
export type FileUsers = ReadonlyMap<string, readonly Grant[]>

type Accounts = Pick<ControlState, 'users' | 'tokens'>

/** Whether a user or a robot has admin on everything; the token of the first start is not meant to stay. */
export function hasAdmin({ users, tokens }: Accounts, fileUsers: FileUsers, now: number): boolean {
  return (
    [...fileUsers.values()].some(isFull) ||
    users.some(({ name, grants }) => !fileUsers.has(name) && isFull(grants)) ||
    tokens.some((token) => !token.isFirst && countsAt(token, now) && isFull(token.grants))
  )
}

/**
 * @returns the decision, and with it the end of the tokens of the first start where there is an admin now
 * @throws {ControlError} last-admin
 */
export function keepingAnAdmin<T>(
  { author, fileUsers }: { readonly author: Author; readonly fileUsers: FileUsers },
  state: ControlState,
  decision: Decision<T>,
): Decision<T> {
  const after = applyToAccounts(state, decision.changes)
  if (!hasAdmin(after, fileUsers, author.now)) {
    if (!hasAdmin(state, fileUsers, author.now)) return decision
    throw new ControlError(
      'last-admin',
      'Nobody could administer this mirror after that. Give another user or robot the role admin on ** first.',
    )
  }
  const ended = after.tokens.filter(({ isFirst }) => isFirst)
  return {
    ...decision,
    changes: [
      ...decision.changes,
      ...ended.map(({ id }) => ({ kind: 'remove-token', id }) as const),
    ],
    audit: [
      ...decision.audit,
      ...ended.map(({ id, name }) =>
        auditRecord(author, 'token.remove', id, { before: { name, isFirst: true } }),
      ),
    ],
  }
}

function isFull(grants: readonly Grant[]): boolean {
  return grants.some(({ role, pattern }) => role === 'admin' && pattern === '**')
}

function applyToAccounts(state: Accounts, changes: readonly Change[]): Accounts {
  const users = new Map(state.users.map((user) => [user.name, user]))
  const tokens = new Map(state.tokens.map((token) => [token.id, token]))
  for (const change of changes) {
    if (change.kind === 'put-user') users.set(change.user.name, change.user)
    if (change.kind === 'remove-user') users.delete(change.name)
    if (change.kind === 'put-token') tokens.set(change.token.id, change.token)
    if (change.kind === 'remove-token') tokens.delete(change.id)
  }
  return { users: [...users.values()], tokens: [...tokens.values()] }
}
