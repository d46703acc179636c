/** An identifier among people who can be changed, with a clock in the test's hand. */
import type { Principal } from '../../src/access/principal.ts'
import type { ApiTokenRecord } from '../../src/catalog/control-catalog.ts'
import { createApiToken } from '../../src/control/api-token.ts'
import type { KnownUser } from '../../src/control/directory.ts'
import { createIdentifier } from '../../src/control/identify.ts'
import type { RejectedLogin } from '../../src/control/logins.ts'
import { createPasswords, type Passwords } from '../../src/control/passwords.ts'
import type { LoginResult } from '../../src/metrics.ts'

export const START = Date.UTC(2026, 10, 21, 22)
export const KEY = Buffer.alloc(32, 7)
export const HOME = '192.0.2.1'

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

/** No bcrypt: looks like a hash, and is the same for the same password. */
export function quickHash(password: string, cost = '10'): string {
  const text = Buffer.from(password).toString('hex').slice(0, 53).padEnd(53, '0')
  return `$2b$${cost}$${text}`
}

/** Counts what bcrypt would have done. */
export function createQuickPasswords() {
  const compared: string[] = []
  const passwords = createPasswords({
    hash: (password) => Promise.resolve(quickHash(password)),
    compare(password, hash) {
      compared.push(hash)
      return Promise.resolve(quickHash(password, hash.slice(4, 6)) === hash)
    },
  })
  return { ...passwords, compared }
}

export function createClock() {
  let time = START
  return { now: () => time, advance: (ms: number) => void (time += ms) }
}

export function user(name: string, password: string, changes: Partial<KnownUser> = {}): KnownUser {
  const passwordHash = quickHash(password)
  const grants = [{ role: 'pull', pattern: '**' }] as const
  return { name, passwordHash, grants, version: passwordHash, origin: 'operator', ...changes }
}

export function robot(name: string, changes: Partial<ApiTokenRecord> = {}) {
  const { id, token, secretHash } = createApiToken()
  const record: ApiTokenRecord = {
    id,
    name,
    secretHash,
    grants: [{ role: 'pull', pattern: '**' }],
    owner: 'alice',
    createdAt: START,
    expiresAt: undefined,
    isFirst: false,
    ...changes,
  }
  return { record, token }
}

interface TestOptions {
  readonly users?: readonly KnownUser[]
  readonly robots?: readonly ApiTokenRecord[]
  readonly verifyPassword?: Passwords['verifyPassword']
}

export function createTestIdentifier({
  users = [],
  robots = [],
  verifyPassword,
}: TestOptions = {}) {
  const anonymous: Principal = { kind: 'anonymous', name: 'anonymous', grants: [] }
  const known = new Map(users.map((it) => [it.name, it]))
  const machines = new Map(robots.map((it) => [it.id, it]))
  const clock = createClock()
  const passwords = createQuickPasswords()
  const seen: LoginResult[] = []
  const rejected: RejectedLogin[] = []
  const identifier = createIdentifier({
    directory: () => ({
      user: (name) => known.get(name),
      robot: (id) => machines.get(id),
      anonymous,
    }),
    bearerKey: KEY,
    now: clock.now,
    metrics: { loginSeen: (result) => void seen.push(result) },
    onRejected: (login) => void rejected.push(login),
    verifyPassword: verifyPassword ?? passwords.verifyPassword,
  })
  return {
    issueToken: (principal: Principal) => identifier.issueToken(principal),
    identify: (authorization: string | undefined, address = HOME) =>
      identifier.identify(authorization, address),
    anonymous,
    clock,
    users: known,
    robots: machines,
    seen,
    rejected,
    compared: passwords.compared,
  }
}
