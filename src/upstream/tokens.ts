/**
 * Bearer tokens: asked for once however many wait, kept until shortly before they expire.
 * https://distribution.github.io/distribution/spec/auth/token/
 */
import { LRUCache } from '../lru.ts'
import { loggableUrl } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { discardBody, readBody } from './body.ts'
import { isRealmAllowed, type RealmRule } from './realm.ts'
import { followRedirects } from './redirects.ts'
import type { HopResponse } from './response.ts'
import { basicAuthorization, type Credential } from './route.ts'
import { statusFailure } from './status-failure.ts'
import type { Transport } from './transport.ts'
import { UpstreamError } from './upstream.ts'

export interface TokenRequest {
  /** The only origin that the token will be sent to. */
  readonly origin: string
  readonly realm: URL
  readonly realmRule: RealmRule
  /** As the challenge says; none is invented where it says none. */
  readonly service: string | undefined
  readonly scope: string
  /** `undefined`: an anonymous token. */
  readonly credential: Credential | undefined
}

export interface Tokens {
  /** A token that has not expired. */
  cached(request: TokenRequest): string | undefined
  /**
   * A token, from memory or from the realm, which must have passed `isRealmAllowed`. A failure is
   * told to everybody who waits, and is not remembered.
   */
  obtain(request: TokenRequest, signal: AbortSignal): Promise<string>
  /** Drops a token that was refused, unless another has taken its place. */
  forget(request: TokenRequest, token: string): void
}

export interface TokensOptions {
  readonly name: string
  readonly timeouts: { readonly connect: number; readonly firstByte: number; readonly idle: number }
}

interface TokenDependencies {
  readonly transport: Transport
  readonly metrics: Pick<Metrics, 'tokenRequested'>
  /** Milliseconds of a monotonic clock; what upstream's clock says is not believed. */
  readonly now: () => number
}

interface Token {
  readonly text: string
  /** On our clock, already a little early. */
  readonly expiresAt: number
}

const MAX_TOKENS = 2000
const TOKEN_BODY_MAX_BYTES = 64 * 1024
/** Seconds: what the specification says where nothing is said, and the least that it allows. */
const DEFAULT_LIFETIME = 60
const MAX_LIFETIME = 24 * 60 * 60
/** A token is replaced when this part of its life is over. */
const USABLE_PART = 0.9

export function createTokens(
  { name, timeouts }: TokensOptions,
  { transport, metrics, now }: TokenDependencies,
): Tokens {
  const tokens = new LRUCache<string, Token>({ max: MAX_TOKENS })
  const running = new Map<string, Promise<Token>>()
  /** Nobody's signal ends a request that others share, so it has a deadline of its own. */
  const deadline = timeouts.connect + timeouts.firstByte + timeouts.idle

  function cached(request: TokenRequest): string | undefined {
    const token = tokens.get(keyOf(request))
    return token !== undefined && now() < token.expiresAt ? token.text : undefined
  }

  async function fetchToken(request: TokenRequest): Promise<Token> {
    metrics.tokenRequested(name)
    const signal = AbortSignal.timeout(deadline)
    const askedAt = now()
    try {
      const response = await askRealm(request, signal)
      if (response.status !== 200) throw await refusal(response, request)
      const body = await readBody(response, { maxBytes: TOKEN_BODY_MAX_BYTES, deadline })
      const { text, lifetime } = parseToken(body, request.realm)
      const token = { text, expiresAt: askedAt + lifetime * 1000 * USABLE_PART }
      tokens.set(keyOf(request), token)
      return token
    } catch (error) {
      throw signal.aborted ? tooSlow(request.realm, deadline) : error
    }
  }

  /** Credentials go to the realm itself and along redirects on its origin; other hosts must be pinned, and get none. */
  async function askRealm(request: TokenRequest, signal: AbortSignal): Promise<HopResponse> {
    const { credential, realmRule } = request
    return followRedirects(tokenUrl(request), async (url, isOwn) => {
      if (!isOwn && !isRealmAllowed(url, realmRule)) throw redirectedAway(request.realm, url)
      const authorization =
        isOwn && credential !== undefined ? basicAuthorization(credential) : undefined
      return transport.request({
        method: 'GET',
        url,
        headers: { accept: 'application/json', ...(authorization && { authorization }) },
        signal,
      })
    })
  }

  return {
    cached,

    async obtain(request, signal) {
      const known = cached(request)
      if (known !== undefined) return known
      const key = keyOf(request)
      let shared = running.get(key)
      if (shared === undefined) {
        shared = fetchToken(request).finally(() => running.delete(key))
        running.set(key, shared)
      }
      const { text } = await untilAborted(shared, signal)
      return text
    },

    forget(request, token) {
      const key = keyOf(request)
      if (tokens.get(key)?.text === token) tokens.delete(key)
    },
  }
}

/** Everything that decides what a token is good for and whose it is; the password is left out on purpose. */
function keyOf({ origin, realm, service, scope, credential }: TokenRequest): string {
  return JSON.stringify([origin, realm.href, service, scope, credential?.username])
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
function parseToken(body: Buffer, realm: URL): { text: string; lifetime: number } {
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

async function refusal(response: HopResponse, { realm, credential }: TokenRequest) {
  await discardBody(response)
  const place = loggableUrl(realm)
  const whose = credential === undefined ? 'an anonymous token' : 'the configured credentials'
  if (response.status === 401 || response.status === 403) {
    const reason = response.status === 401 ? 'unauthorized' : 'forbidden'
    return new UpstreamError(reason, `${place} refused ${whose} with ${response.status}.`)
  }
  if (response.status === 429) return statusFailure(response, place)
  return new UpstreamError('unavailable', `${place} gave no token: it answered ${response.status}.`)
}

function redirectedAway(realm: URL, target: URL): UpstreamError {
  return new UpstreamError(
    'unavailable',
    `${loggableUrl(realm)} redirects token requests to ${target.host}, so nothing was sent there. If that is meant, add "${target.host}" under "realms" of this upstream.`,
  )
}

function tooSlow(realm: URL, milliseconds: number): UpstreamError {
  return new UpstreamError(
    'unavailable',
    `${loggableUrl(realm)} gave no token in ${milliseconds} ms.`,
  )
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
