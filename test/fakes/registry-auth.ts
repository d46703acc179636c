/** What a registry demands before it answers, in the dialects that real ones speak. */
import { errorResponse } from './answer.ts'
import { basicCredentials, type FakeTokenServer, type GrantedToken } from './token-server.ts'
import { onWire } from './wire.ts'

export type RegistryAuth = NoAuth | BasicAuth | TokenAuth

interface NoAuth {
  readonly kind: 'none'
}

interface BasicAuth {
  readonly kind: 'basic'
  readonly username: string
  readonly password: string
}

export interface TokenAuth {
  readonly kind: 'token'
  /** Without it the registry starts one of its own, and closes it. */
  readonly tokenServer?: FakeTokenServer
  /** Who gets a token from a token server of its own, besides the anonymous. */
  readonly username?: string
  readonly password?: string
  readonly anonymous?: boolean
  readonly tokenField?: 'token' | 'access_token' | 'both'
  readonly expiresIn?: number
  /** What the challenge says, instead of the token server's own: hostile, mistyped, on another host. */
  readonly realm?: string
  /** No `service` in the challenge (nvcr.io). */
  readonly omitService?: boolean
  /** No `scope` in the challenge: the client must know by itself what to ask for (Artifact Registry). */
  readonly omitScope?: boolean
  /** One scope for everything (`aws`, by public.ecr.aws). */
  readonly scope?: string
  /** Repositories that only a user may see. */
  readonly privateRepositories?: readonly string[]
  /** Everybody gets a token, and who lacks rights learns it from a second 401, as at Docker Hub. */
  readonly hubStyle?: boolean
  /** A token that is no longer valid is answered with a challenge to a realm that refuses (nvcr.io). */
  readonly changingRealm?: boolean
  /** The `WWW-Authenticate` that is really sent, in one line or several, made from the one that would be. */
  readonly challenge?: (standard: string) => string | readonly string[]
}

export interface Visit {
  readonly request: Request
  /** `undefined` at the ping. */
  readonly repository: string | undefined
  /** Whether the registry has this repository. */
  readonly exists: boolean
}

/** The refusal, or `undefined` for whoever may pass. */
export function refusal(
  visit: Visit,
  auth: RegistryAuth,
  tokenServer: FakeTokenServer | undefined,
): Response | undefined {
  if (auth.kind === 'none') return undefined
  if (auth.kind === 'basic') return refuseBasic(visit, auth)
  return tokenServer && refuseToken(visit, auth, tokenServer)
}

function refuseBasic({ request }: Visit, { username, password }: BasicAuth): Response | undefined {
  const credentials = basicCredentials(request.headers.get('authorization'))
  return credentials === `${username}:${password}`
    ? undefined
    : unauthorized('Basic realm="fake registry"')
}

function refuseToken(
  visit: Visit,
  auth: TokenAuth,
  tokenServer: FakeTokenServer,
): Response | undefined {
  const presented = /^Bearer (.+)$/i.exec(visit.request.headers.get('authorization') ?? '')?.[1]
  const { challenge = (standard: string) => standard } = auth
  const refuse = (error?: string, realm?: string): Response =>
    unauthorized(challenge(standardChallenge(visit, auth, realm ?? tokenServer.realm, error)))

  if (presented === undefined) return refuse()
  const token = tokenServer.check(presented)
  if (!token) {
    return refuse(
      'invalid_token',
      auth.changingRealm === true ? tokenServer.refusingRealm : undefined,
    )
  }
  if (!covers(token, visit, auth)) return refuse('insufficient_scope')
  if (isHidden(token, visit, auth)) {
    return auth.hubStyle === true ? refuse('insufficient_scope') : errorResponse(403)
  }
  return auth.hubStyle === true && visit.repository !== undefined && !visit.exists
    ? refuse('insufficient_scope')
    : undefined
}

function standardChallenge(
  visit: Visit,
  auth: TokenAuth,
  realm: string,
  error: string | undefined,
): string {
  const scope = scopeOf(visit, auth)
  const parameters = {
    realm: auth.realm ?? realm,
    ...(auth.omitService !== true && { service: 'fake registry' }),
    ...(auth.omitScope !== true && scope !== undefined && { scope }),
    ...(error !== undefined && { error }),
  }
  const pairs = Object.entries(parameters).map(([name, value]) => `${name}="${value}"`)
  return `Bearer ${pairs.join(',')}`
}

function scopeOf({ repository }: Visit, { scope }: TokenAuth): string | undefined {
  if (scope !== undefined || repository === undefined) return scope
  return `repository:${repository}:pull`
}

/** A token must have been asked for this very repository; one scope parameter may hold several. */
function covers({ scopes }: GrantedToken, visit: Visit, auth: TokenAuth): boolean {
  const needed = scopeOf(visit, auth)
  return needed === undefined || scopes.flatMap((scope) => scope.split(' ')).includes(needed)
}

function isHidden({ username }: GrantedToken, { repository }: Visit, auth: TokenAuth): boolean {
  return (
    username === undefined &&
    repository !== undefined &&
    (auth.privateRepositories ?? []).includes(repository)
  )
}

function unauthorized(challenge: string | readonly string[]): Response {
  const lines = [challenge].flat()
  return onWire(errorResponse(401), {
    headerLines: lines.map((line) => ['www-authenticate', line] as const),
  })
}
