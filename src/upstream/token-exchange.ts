/**
 * One exchange with a token server: what is asked, and what is read from the answer. PURE.
 * https://distribution.github.io/distribution/spec/auth/token/ and .../oauth/
 */
import { loggableUrl } from '../log.ts'
import { basicAuthorization, type Identity, type IdentitySource } from './credential.ts'
import type { RealmRule } from './realm.ts'
import type { HopRequest } from './transport.ts'
import { UpstreamError } from './upstream.ts'

export interface TokenRequest {
  /** The only origin that the token will be sent to. */
  readonly origin: string
  readonly realm: URL
  readonly realmRule: RealmRule
  /** As the challenge says; none is invented where it says none. */
  readonly service: string | undefined
  readonly scope: string
  /** Whose the token is; names the account among all of this upstream. */
  readonly account: string
  /** `undefined`: an anonymous token. */
  readonly identities: IdentitySource | undefined
}

/** Without `url` and `signal`. */
type TokenHop = Pick<HopRequest, 'method' | 'headers' | 'body'>

interface TokenExchange {
  /** Where it begins. */
  readonly first: URL
  /** To the realm's own origin, with what proves who we are. */
  readonly own: TokenHop
  /** To another host, along a redirect: without that. */
  readonly foreign: TokenHop
}

/** Seconds: what the specification says where nothing is said, and the least that it allows. */
const DEFAULT_LIFETIME = 60
const MAX_LIFETIME = 24 * 60 * 60

export function tokenExchange(
  request: TokenRequest,
  identity: Identity | undefined,
): TokenExchange {
  const headers = { accept: 'application/json' }
  const foreign: TokenHop = { method: 'GET', headers }
  if (identity === undefined) return { first: tokenUrl(request), own: foreign, foreign }
  if ('identityToken' in identity) {
    const first = new URL(request.realm)
    first.hash = ''
    return { first, own: refresh(request, identity.identityToken), foreign }
  }
  const authorization = basicAuthorization(identity)
  const own: TokenHop = { method: 'GET', headers: { ...headers, authorization } }
  return { first: tokenUrl(request), own, foreign }
}

/** An identity token is an OAuth 2 refresh token, so it goes into a body and never into a URL. */
function refresh({ service, scope }: TokenRequest, identityToken: string): TokenHop {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    ...(service !== undefined && { service }),
    client_id: 'entrepot',
    scope,
    refresh_token: identityToken,
  })
  const type = 'application/x-www-form-urlencoded'
  return {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': type },
    body: form.toString(),
  }
}

/** One scope in each request: some registries look at the first only, Docker Hub refuses several. */
function tokenUrl({ realm, service, scope }: TokenRequest): URL {
  const url = new URL(realm)
  url.hash = ''
  if (service !== undefined) url.searchParams.set('service', service)
  url.searchParams.set('scope', scope)
  return url
}

/** JSON whatever the content type says: nvcr.io sends text/plain. Either name of the token may be used. */
export function parseToken(body: Buffer, realm: URL): { text: string; lifetime: number } {
  const json = parseJsonObject(body)
  const text = [json['token'], json['access_token']].find(isUsableToken)
  if (text === undefined) {
    throw new UpstreamError('unavailable', `${loggableUrl(realm)} answered without a usable token.`)
  }
  const expiresIn = Number(json['expires_in'] ?? DEFAULT_LIFETIME)
  const lifetime = Number.isFinite(expiresIn) ? expiresIn : DEFAULT_LIFETIME
  return { text, lifetime: Math.min(Math.max(lifetime, DEFAULT_LIFETIME), MAX_LIFETIME) }
}

function parseJsonObject(body: Buffer): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(body.toString('utf8'))
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {}
  } catch {
    // The error would quote the text, which may hold a token.
    return {}
  }
}

/** It becomes part of a header, so it must be one word of visible ASCII. */
function isUsableToken(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value)
}
