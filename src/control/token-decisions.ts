/** What becomes of the API tokens. Pure; their secrets never get here. */
import type {
  ApiTokenRecord,
  ControlState,
  Decision,
  DecisionContext,
} from '../catalog/control-catalog.ts'
import { auditRecord, type Author } from './audit-record.ts'
import type { Caller } from './control.ts'
import { ControlError } from './error.ts'
import { hasAdmin, keepingAnAdmin, type FileUsers } from './last-admin.ts'
import type { ListedToken } from './operator.ts'
import { shownText } from './operator-input.ts'
import { administersAll } from './operator-rights.ts'
import type { AccountSituation } from './user-decisions.ts'

const MOST_TOKENS = 10_000
const FIRST_ADMIN = 'first-admin'
/** Milliseconds in which somebody must have made an admin. */
const FIRST_ADMIN_LIFETIME = 24 * 60 * 60 * 1000

type Decide<T> = (context: DecisionContext) => Decision<T>

/** @param token whose rights the caller may give */
export function addTokenDecision(
  situation: AccountSituation,
  token: Pick<ApiTokenRecord, 'id' | 'name' | 'secretHash' | 'grants' | 'expiresAt'>,
): Decide<ListedToken> {
  const { author } = situation
  return ({ state }) => {
    if (state.tokens.some(({ id }) => id === token.id)) {
      throw new ControlError('conflict', 'No free id was found for the token. Try once more.')
    }
    if (state.tokens.length >= MOST_TOKENS) {
      throw new ControlError(
        'conflict',
        `There are ${MOST_TOKENS} tokens already. Remove some first.`,
      )
    }
    const added: ApiTokenRecord = {
      ...token,
      owner: author.caller.principal.name,
      createdAt: author.now,
      isFirst: false,
    }
    return keepingAnAdmin(situation, state, {
      changes: [{ kind: 'put-token', token: added }],
      audit: [auditRecord(author, 'token.add', token.id, { after: auditedToken(added) })],
      result: listedToken(added),
    })
  }
}

/** A token with rights that the caller does not administer is as good as not there. */
export function removeTokenDecision(situation: AccountSituation, id: string): Decide<ListedToken> {
  const { author } = situation
  return ({ state }) => {
    const token = state.tokens.find(
      (one) => one.id === id && administersAll(author.caller.principal, one.grants),
    )
    if (token === undefined) {
      throw new ControlError(
        'not-found',
        `There is no token ${shownText(id)} among those that you administer. List the tokens to see their ids; it is not the token itself.`,
      )
    }
    return keepingAnAdmin(situation, state, {
      changes: [{ kind: 'remove-token', id }],
      audit: [auditRecord(author, 'token.remove', id, { before: auditedToken(token) })],
      result: listedToken(token),
    })
  }
}

/**
 * A token for whoever makes the first admin, in place of those made before.
 * @param now milliseconds since the epoch
 * @returns whether it was taken: not where there is an admin
 */
export function firstAdminDecision(
  state: ControlState,
  fileUsers: FileUsers,
  { id, secretHash }: Pick<ApiTokenRecord, 'id' | 'secretHash'>,
  now: number,
): Decision<boolean> {
  if (hasAdmin(state, fileUsers, now)) return { changes: [], audit: [], result: false }
  const author: Author = { caller: ITSELF, now }
  const token: ApiTokenRecord = {
    id,
    name: FIRST_ADMIN,
    secretHash,
    grants: [{ role: 'admin', pattern: '**' }],
    owner: ITSELF.principal.name,
    createdAt: now,
    expiresAt: now + FIRST_ADMIN_LIFETIME,
    isFirst: true,
  }
  const ended = state.tokens.filter(({ isFirst }) => isFirst)
  return {
    changes: [
      ...ended.map((one) => ({ kind: 'remove-token', id: one.id }) as const),
      { kind: 'put-token', token },
    ],
    audit: [
      ...ended.map((one) =>
        auditRecord(author, 'token.remove', one.id, { before: auditedToken(one) }),
      ),
      auditRecord(author, 'token.add', id, { after: auditedToken(token) }),
    ],
    result: true,
  }
}

/** The mirror, when it starts. */
const ITSELF: Caller = {
  principal: { kind: 'host', name: 'entrepot', grants: [] },
  address: 'local',
}

export function listedToken(token: ApiTokenRecord): ListedToken {
  const { id, name, grants, owner, createdAt, expiresAt } = token
  return { id, name, grants, owner, createdAt, expiresAt }
}

function auditedToken({ name, grants, expiresAt, isFirst }: ApiTokenRecord): unknown {
  return { name, grants, expiresAt, ...(isFirst && { isFirst }) }
}
