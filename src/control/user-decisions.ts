/** What becomes of the users. Pure; the last admin is kept in all of it. */
import type { Grant } from '../access/principal.ts'
import type {
  ControlState,
  Decision,
  DecisionContext,
  UserRecord,
} from '../catalog/control-catalog.ts'
import { auditRecord, type Author } from './audit-record.ts'
import { ControlError } from './error.ts'
import { keepingAnAdmin, type FileUsers } from './last-admin.ts'
import type { ListedUser } from './operator.ts'
import { shownText } from './operator-input.ts'
import { administersAll } from './operator-rights.ts'

const MOST_USERS = 10_000

export interface AccountSituation {
  readonly author: Author
  readonly fileUsers: FileUsers
}

type Decide<T> = (context: DecisionContext) => Decision<T>

/** @param user whose rights the caller may give */
export function addUserDecision(
  situation: AccountSituation,
  user: Pick<UserRecord, 'name' | 'passwordHash' | 'grants'>,
): Decide<ListedUser> {
  const { author, fileUsers } = situation
  return ({ state }) => {
    if (fileUsers.has(user.name)) throw inFile(user.name)
    if (state.users.some(({ name }) => name === user.name)) {
      throw new ControlError(
        'conflict',
        `There is a user ${user.name} already. Change the password or the rights of that one, or take another name.`,
      )
    }
    if (state.users.length >= MOST_USERS) {
      throw new ControlError(
        'conflict',
        `There are ${MOST_USERS} users already. Remove some first.`,
      )
    }
    const added: UserRecord = { ...user, createdAt: author.now, passwordSetAt: author.now }
    return keepingAnAdmin(situation, state, {
      changes: [{ kind: 'put-user', user: added }],
      audit: [auditRecord(author, 'user.add', user.name, { after: { grants: user.grants } })],
      result: listedUser(added),
    })
  }
}

/** @param isOwn the caller is that user: nobody needs a right to change their own password */
export function setPasswordDecision(
  situation: AccountSituation,
  { name, passwordHash, isOwn }: { name: string; passwordHash: string; isOwn: boolean },
): Decide<ListedUser> {
  const { author } = situation
  return ({ state }) => {
    const user = changeableUser(situation, state, name, isOwn)
    // Tokens tell passwords apart by this time: it never stands still.
    const passwordSetAt = Math.max(author.now, user.passwordSetAt + 1)
    const changed: UserRecord = { ...user, passwordHash, passwordSetAt }
    return {
      changes: [{ kind: 'put-user', user: changed }],
      audit: [auditRecord(author, 'user.password', name)],
      result: listedUser(changed),
    }
  }
}

/** @param grants that the caller may give */
export function setGrantsDecision(
  situation: AccountSituation,
  name: string,
  grants: readonly Grant[],
): Decide<ListedUser> {
  return ({ state }) => {
    const user = changeableUser(situation, state, name, false)
    const changed: UserRecord = { ...user, grants }
    return keepingAnAdmin(situation, state, {
      changes: [{ kind: 'put-user', user: changed }],
      audit: [
        auditRecord(situation.author, 'user.grants', name, {
          before: { grants: user.grants },
          after: { grants },
        }),
      ],
      result: listedUser(changed),
    })
  }
}

export function removeUserDecision(situation: AccountSituation, name: string): Decide<ListedUser> {
  return ({ state }) => {
    // One of the same name in the file does not keep it from being removed here.
    const user = ownUser(situation, state, name) ?? missing(situation, name)
    return keepingAnAdmin(situation, state, {
      changes: [{ kind: 'remove-user', name }],
      audit: [
        auditRecord(situation.author, 'user.remove', name, { before: { grants: user.grants } }),
      ],
      result: listedUser(user),
    })
  }
}

export function listedUser({ name, grants, createdAt }: UserRecord): ListedUser {
  return { name, origin: 'operator', grants, createdAt }
}

function changeableUser(
  situation: AccountSituation,
  state: ControlState,
  name: string,
  isOwn: boolean,
): UserRecord {
  // The file's come first, so that a change here would be without effect.
  if (situation.fileUsers.has(name)) return missing(situation, name, isOwn)
  const user = isOwn
    ? state.users.find((one) => one.name === name)
    : ownUser(situation, state, name)
  return user ?? missing(situation, name)
}

function ownUser(
  { author }: AccountSituation,
  state: ControlState,
  name: string,
): UserRecord | undefined {
  return state.users.find(
    (user) => user.name === name && administersAll(author.caller.principal, user.grants),
  )
}

/** Whoever has rights that the caller does not administer is as good as not there. */
function missing({ author, fileUsers }: AccountSituation, name: string, isOwn = false): never {
  const ofFile = fileUsers.get(name)
  if (ofFile && (isOwn || administersAll(author.caller.principal, ofFile))) throw inFile(name)
  throw new ControlError(
    'not-found',
    `There is no user ${shownText(name)} among those that you administer. List the users to see their names.`,
  )
}

function inFile(name: string): ControlError {
  return new ControlError(
    'conflict',
    `${name} is in the htpasswd file; change the password there, and the rights under "grants" in mirrors.yml.`,
  )
}
