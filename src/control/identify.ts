/**
 * Who sends a request. Whoever a credential names is looked up in what is known at this moment: who was
 * removed, or has another password now, is nobody at once (security rule R20).
 */
import { createHmac } from 'node:crypto'
import type { Principal } from '../access/principal.ts'
import type { ApiTokenRecord } from '../catalog/control-catalog.ts'
import type { Metrics } from '../metrics.ts'
import { readAuthorization } from './authorization-header.ts'
import { createBearerTokens, type Subject } from './bearer-token.ts'
import type { BearerToken, Identity } from './control.ts'
import type { Directory, KnownUser } from './directory.ts'
import { createLogins, type Login, type RejectedLogin } from './logins.ts'
import { verifyPassword, type Passwords } from './passwords.ts'

export interface Identifier {
  /**
   * @param authorization the header as sent; it may hold anything
   * @returns principals that stay the same objects while nothing about them is changed
   */
  identify(authorization: string | undefined, address: string): Promise<Identity>
  /** @throws {TypeError} for a principal that `identify` did not give, unless it is anonymous */
  issueToken(principal: Principal): Promise<BearerToken>
}

interface IdentifierDependencies {
  readonly directory: () => Directory
  /** Signs the tokens; 32 bytes. */
  readonly bearerKey: Buffer
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly metrics: Pick<Metrics, 'loginSeen'>
  /** Told of each login that is held back or fails; of what is shown again within a minute, once. */
  readonly onRejected: (login: RejectedLogin) => void
  readonly verifyPassword?: Passwords['verifyPassword']
}

/** Somebody who is known, and what a token says of them. */
interface NamedCaller {
  readonly principal: Principal
  readonly subject: Subject
}

const NOBODY: Subject = { kind: 'anonymous', name: 'anonymous', version: '' }

export function createIdentifier(dependencies: IdentifierDependencies): Identifier {
  const { directory, bearerKey, now } = dependencies
  const logins = createLogins({ verifyPassword, ...dependencies })
  const tokens = createBearerTokens({ key: bearerKey, now })
  const callers = new WeakMap<KnownUser | ApiTokenRecord, NamedCaller>()
  /** What was proven when the principal was identified: a password may have been changed since. */
  const subjects = new WeakMap<Principal, Subject>()

  async function identify(authorization: string | undefined, address: string): Promise<Identity> {
    const shown = readAuthorization(authorization)
    switch (shown.kind) {
      case 'none':
        return nobody()
      case 'password':
        return byLogin(await logins.byPassword(shown.user, shown.password, address), callerOfUser)
      case 'api-token':
        return byLogin(logins.byApiToken(shown, address), callerOfRobot)
      case 'bearer':
        return byBearer(shown.token)
      case 'unusable':
        return rejected()
    }
  }

  function byLogin<Account>(
    { account, retryAfter }: Login<Account>,
    callerOf: (account: Account) => NamedCaller,
  ): Identity {
    return account === undefined ? rejected(retryAfter) : accepted(callerOf(account).principal)
  }

  async function byBearer(token: string): Promise<Identity> {
    const read = await tokens.read(token)
    const caller = read && callerNow(read.subject)
    if (read === undefined || caller?.subject.version !== read.subject.version) return rejected()
    return accepted(caller.principal, read.expiresAt)
  }

  function callerNow({ kind, name }: Subject): NamedCaller | undefined {
    if (kind === 'anonymous') return { principal: directory().anonymous, subject: NOBODY }
    if (kind === 'user') {
      const user = directory().user(name)
      return user && callerOfUser(user)
    }
    const robot = logins.robot(name)
    return robot && callerOfRobot(robot)
  }

  function callerOfUser(user: KnownUser): NamedCaller {
    const { name, grants, version } = user
    return keep(user, {
      principal: { kind: 'user', name, grants },
      subject: { kind: 'user', name, version },
    })
  }

  function callerOfRobot(robot: ApiTokenRecord): NamedCaller {
    const { id, name, grants, secretHash } = robot
    return keep(robot, {
      principal: { kind: 'robot', name, grants },
      subject: { kind: 'robot', name: id, version: secretHash },
    })
  }

  function keep(
    account: KnownUser | ApiTokenRecord,
    { principal, subject }: NamedCaller,
  ): NamedCaller {
    const known = callers.get(account)
    if (known) return known
    const caller = { principal, subject: { ...subject, version: fingerprint(subject) } }
    callers.set(account, caller)
    subjects.set(principal, caller.subject)
    return caller
  }

  /** Everybody can read what a token says, and the version may be the hash of a password. */
  function fingerprint({ kind, name, version }: Subject): string {
    const text = JSON.stringify(['version', kind, name, version])
    return createHmac('sha256', bearerKey).update(text).digest('base64url')
  }

  function nobody(): Identity {
    const principal = directory().anonymous
    return { principal, credential: 'none', retryAfter: undefined, validUntil: Infinity }
  }

  /** Passwords and API tokens end with the moment that knows them. */
  function accepted(principal: Principal, validUntil = Infinity): Identity {
    return { principal, credential: 'accepted', retryAfter: undefined, validUntil }
  }

  /** What is wrong is looked at each time, as that is what holds guesses back. */
  function rejected(retryAfter?: number): Identity {
    const principal = directory().anonymous
    return { principal, credential: 'rejected', retryAfter, validUntil: 0 }
  }

  return {
    identify,
    async issueToken(principal) {
      const subject = principal.kind === 'anonymous' ? NOBODY : subjects.get(principal)
      if (subject === undefined) throw new TypeError(`There is no token for ${principal.name}.`)
      return tokens.issue(subject)
    },
  }
}
