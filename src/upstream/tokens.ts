/**
 * Bearer tokens: asked for once however many wait, kept until shortly before they expire.
 * https://distribution.github.io/distribution/spec/auth/token/
 */
import { LRUCache } from '../lru.ts'
import { loggableUrl } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { untilAborted } from '../abort.ts'
import { discardBody, readBody } from './body.ts'
import { renewIdentity, type Identity } from './credential.ts'
import { isRealmAllowed } from './realm.ts'
import { followRedirects } from './redirects.ts'
import type { HopResponse } from './response.ts'
import { statusFailure } from './status-failure.ts'
import { parseToken, tokenExchange, type TokenRequest } from './token-exchange.ts'
import type { Transport } from './transport.ts'
import { UpstreamError } from './upstream.ts'

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
    const signal = AbortSignal.timeout(deadline)
    try {
      const identity = await request.identities?.get(signal)
      const askedAt = now()
      const response = await askAs(identity, request, signal)
      if (response.status !== 200) throw await refusal(response, request, identity)
      const body = await readBody(response, { maxBytes: TOKEN_BODY_MAX_BYTES, deadline })
      const { text, lifetime } = parseToken(body, request.realm)
      const token = { text, expiresAt: askedAt + lifetime * 1000 * USABLE_PART }
      tokens.set(keyOf(request), token)
      return token
    } catch (error) {
      throw signal.aborted ? tooSlow(request.realm, deadline) : error
    }
  }

  /** Once more as somebody else, where the identity was refused and has been replaced. */
  async function askAs(
    identity: Identity | undefined,
    request: TokenRequest,
    signal: AbortSignal,
  ): Promise<HopResponse> {
    const response = await askRealm(identity, request, signal)
    const { identities } = request
    if (response.status !== 401 || identity === undefined || identities === undefined) {
      return response
    }
    await discardBody(response)
    const fresh = await renewIdentity(identities, identity, signal)
    return fresh === undefined ? response : askRealm(fresh, request, signal)
  }

  /** Credentials go to the realm itself and along redirects on its origin; other hosts must be pinned, and get none. */
  async function askRealm(
    identity: Identity | undefined,
    request: TokenRequest,
    signal: AbortSignal,
  ): Promise<HopResponse> {
    const { realm, realmRule } = request
    metrics.tokenRequested(name)
    const { first, own, foreign } = tokenExchange(request, identity)
    return followRedirects(first, async (url, isOwn) => {
      if (!isOwn && !isRealmAllowed(url, realmRule)) throw redirectedAway(realm, url)
      return transport.request({ ...(isOwn ? own : foreign), url, signal })
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

/** Everything that decides what a token is good for and whose it is; the secret is left out on purpose. */
function keyOf({ origin, realm, service, scope, account }: TokenRequest): string {
  return JSON.stringify([origin, realm.href, service, scope, account])
}

async function refusal(
  response: HopResponse,
  { realm }: TokenRequest,
  identity: Identity | undefined,
): Promise<UpstreamError> {
  await discardBody(response)
  const place = loggableUrl(realm)
  const whose = identity === undefined ? 'an anonymous token' : 'the configured credentials'
  if (response.status === 401 || response.status === 403) {
    const reason = response.status === 401 ? 'unauthorized' : 'forbidden'
    return new UpstreamError(reason, `${place} refused ${whose} with ${response.status}.`)
  }
  if (response.status === 429) return statusFailure(response, place, realm.origin)
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
