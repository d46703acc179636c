/** Logins by password and by API token: who it is, or how long until it is looked at again. */
import type { ApiTokenRecord } from '../catalog/control-catalog.ts'
import type { Metrics } from '../metrics.ts'
import { matchesSecret, type ApiTokenParts } from './api-token.ts'
import type { Directory, KnownUser } from './directory.ts'
import { createLoginGuard, type LoginAttempt } from './login-guard.ts'
import type { Passwords, PasswordVerdict } from './passwords.ts'
import { isUserName } from './user-name.ts'
import { createVerifiedLogins, type ShownPassword } from './verified-logins.ts'

/** For the audit. */
export interface RejectedLogin {
  /** Only a name that somebody has: any other may be a password in the wrong field. */
  readonly user: string | undefined
  readonly address: string
  /** It was not looked at, as too many had failed before. */
  readonly heldBack: boolean
}

export interface Login<Account> {
  /** `undefined`: nobody. */
  readonly account: Account | undefined
  /** Seconds until it is looked at again, where too many have failed or wait. */
  readonly retryAfter: number | undefined
}

export interface Logins {
  byPassword(user: string, password: string, address: string): Promise<Login<KnownUser>>
  byApiToken(token: ApiTokenParts, address: string): Login<ApiTokenRecord>
  /** A robot whose token has not expired. */
  robot(id: string): ApiTokenRecord | undefined
}

interface LoginDependencies {
  readonly directory: () => Directory
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly metrics: Pick<Metrics, 'loginSeen'>
  readonly onRejected: (login: RejectedLogin) => void
  readonly verifyPassword: Passwords['verifyPassword']
}

/** Seconds until those who wait for bcrypt now have had their turn. */
const BUSY_FOR = 1

export function createLogins(dependencies: LoginDependencies): Logins {
  const { directory, now, metrics, onRejected, verifyPassword } = dependencies
  const guard = createLoginGuard({ now })
  const verified = createVerifiedLogins({ now })

  async function byPassword(
    user: string,
    password: string,
    address: string,
  ): Promise<Login<KnownUser>> {
    // Names that nobody can have are foreign, so they need no slow answer and are no guess.
    if (!isUserName(user)) return refused()
    const login = { user, password, hash: directory().user(user)?.passwordHash }
    const verdict = verified.recall(login) ?? (await look(login, address))
    if (verdict === 'busy') return heldBack(BUSY_FOR)
    if (verdict === 'skipped') return tellHeldBack(user, address)
    // It may have been changed while bcrypt was at work.
    const account = directory().user(user)
    const isSame = account !== undefined && account.passwordHash === login.hash
    return verdict === 'matches' && isSame ? accepted(account) : refused()
  }

  async function look(login: ShownPassword, address: string): Promise<PasswordVerdict> {
    if (isHeldBack(login.user, address)) return 'skipped'
    return verified.verify(login, () => compare(login, address))
  }

  async function compare(login: ShownPassword, address: string): Promise<PasswordVerdict> {
    const { user, password, hash } = login
    const begun: LoginAttempt[] = []
    const verdict = await verifyPassword(password, hash, () => {
      if (isHeldBack(user, address)) return false
      begun.push(guard.attempt(user, address))
      return true
    })
    if (verdict === 'matches') for (const attempt of begun) attempt.succeeded()
    if (verdict === 'differs') tellFailed(knownName(user), address)
    return verdict
  }

  /** A right token is looked at whatever has failed before: 160 bits cannot be guessed. */
  function byApiToken({ id, secret }: ApiTokenParts, address: string): Login<ApiTokenRecord> {
    const account = robot(id)
    if (account && matchesSecret(account.secretHash, secret)) return accepted(account)
    const record = directory().robot(id)
    // No user can be called so.
    const shown = { user: `token ${id}`, password: secret, hash: record?.secretHash }
    if (verified.recall(shown) === 'differs') return refused()
    if (isHeldBack(undefined, address)) return tellHeldBack(undefined, address)
    guard.attempt(undefined, address)
    verified.remember(shown, 'differs')
    tellFailed(record?.name, address)
    return refused()
  }

  function robot(id: string): ApiTokenRecord | undefined {
    const record = directory().robot(id)
    return record !== undefined && now() < (record.expiresAt ?? Infinity) ? record : undefined
  }

  function isHeldBack(user: string | undefined, address: string): boolean {
    return guard.heldBackFor(user, address) !== undefined
  }

  function tellFailed(user: string | undefined, address: string): void {
    onRejected({ user, address, heldBack: false })
  }

  function tellHeldBack(user: string | undefined, address: string): Login<never> {
    const known = user === undefined ? undefined : knownName(user)
    onRejected({ user: known, address, heldBack: true })
    return heldBack(guard.heldBackFor(user, address) ?? BUSY_FOR)
  }

  function knownName(user: string): string | undefined {
    return directory().user(user)?.name
  }

  function accepted<Account>(account: Account): Login<Account> {
    metrics.loginSeen('accepted')
    return { account, retryAfter: undefined }
  }

  function refused(): Login<never> {
    metrics.loginSeen('rejected')
    return { account: undefined, retryAfter: undefined }
  }

  function heldBack(retryAfter: number): Login<never> {
    metrics.loginSeen('held-back')
    return { account: undefined, retryAfter }
  }

  return { byPassword, byApiToken, robot }
}
