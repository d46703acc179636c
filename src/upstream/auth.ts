/**
 * Requests that prove who we are where upstream asks for it: 401, then a token or Basic, then once
 * more. Credentials and tokens never leave the origin that they are for.
 */
import { LRUCache } from '../lru.ts'
import { loggableUrl } from '../log.ts'
import { discardBody } from './body.ts'
import { parseChallenges, type Challenge } from './challenge.ts'
import {
  basicAuthorization,
  renewIdentity,
  type Identity,
  type IdentitySource,
  type UserPassword,
} from './credential.ts'
import { isRealmAllowed, type RealmRule } from './realm.ts'
import { followRedirects } from './redirects.ts'
import type { HopResponse } from './response.ts'
import { ANONYMOUS, apiUrl, type Route } from './route.ts'
import type { TokenRequest } from './token-exchange.ts'
import type { Tokens } from './tokens.ts'
import type { HopRequest, RequestHeaders, Transport } from './transport.ts'
import { UpstreamError } from './upstream.ts'

export interface AuthenticatedRequest {
  readonly route: Route
  readonly method: 'GET' | 'HEAD'
  readonly url: URL
  readonly headers: Omit<RequestHeaders, 'authorization'>
  /** What a token is asked for where the challenge does not say. */
  readonly repository: string
  readonly signal: AbortSignal
}

export interface Authenticator {
  /** The last answer, redirects followed; 401 when every way of authenticating was refused. */
  send(request: AuthenticatedRequest): Promise<HopResponse>
}

export interface AuthOptions {
  readonly name: string
  readonly realms: readonly string[]
  readonly insecure: boolean
}

/** Who we are towards the server of one hop, and which realms it may name. */
interface Party {
  readonly origin: string
  readonly account: string
  readonly identities: IdentitySource | undefined
  readonly realmRule: RealmRule
  readonly repository: string
}

type Proof =
  | { readonly kind: 'basic'; readonly identity: UserPassword }
  | { readonly kind: 'bearer'; readonly request: TokenRequest; readonly token: string }

const MAX_REMEMBERED = 2000

export function createAuthenticator(
  { name, realms, insecure }: AuthOptions,
  { transport, tokens }: { transport: Transport; tokens: Tokens },
): Authenticator {
  /** What a server accepted last time; a token in it may have expired since. */
  const accepted = new LRUCache<string, Proof>({ max: MAX_REMEMBERED })

  return {
    send(request) {
      const { route, repository } = request
      return followRedirects(request.url, (url, isOwn) =>
        exchange(
          { method: request.method, url, headers: request.headers, signal: request.signal },
          {
            origin: url.origin,
            // Where a redirect led to another host we are nobody, and its realm must be pinned.
            account: isOwn ? route.account : ANONYMOUS,
            identities: isOwn ? route.identities : undefined,
            realmRule: { endpoint: isOwn ? route.endpoint : undefined, realms, insecure },
            repository,
          },
        ),
      )
    },
  }

  /** At most five requests: what was accepted before, bare, the missing challenge, new proof, better proof. */
  async function exchange(hop: HopRequest, party: Party): Promise<HopResponse> {
    const remembered = await recall(party, hop.signal)
    let response = await attempt(hop, remembered, party)
    if (response.status === 401 && remembered !== undefined) {
      // nvcr.io names another realm to an expired token, so the first challenge is asked for again.
      response = await attempt(hop, undefined, party)
    }
    if (response.status !== 401) return response

    const proof = await prove(await challengesOf(response, hop, party), party, hop.signal)
    if (proof === undefined) return response
    response = await attempt(hop, proof, party)
    if (response.status !== 401) return response
    const better =
      proof.kind === 'bearer'
        ? await widen(proof, response, hop.signal)
        : await renew(proof, remembered, party, hop.signal)
    return better === undefined ? response : attempt(hop, better, party)
  }

  /** One request. The body of a 401 is gone when it returns. */
  async function attempt(
    hop: HopRequest,
    proof: Proof | undefined,
    party: Party,
  ): Promise<HopResponse> {
    const authorization = proof === undefined ? {} : { authorization: authorizationOf(proof) }
    const response = await transport.request({
      ...hop,
      headers: { ...hop.headers, ...authorization },
    })
    if (response.status === 401) await discardBody(response)
    if (proof === undefined) return response
    if (response.status === 401) forget(proof, party)
    else accepted.set(proofKey(party, proof.kind), proof)
    return response
  }

  async function recall(party: Party, signal: AbortSignal): Promise<Proof | undefined> {
    const proof = accepted.get(proofKey(party, 'bearer')) ?? accepted.get(proofKey(party, 'basic'))
    if (proof === undefined) return undefined
    // A helper's credential may have been replaced since; ECR answers an old one 403, not 401.
    if (proof.kind === 'basic') return basicProof(party, signal)
    const token = tokens.cached(proof.request)
    return token === undefined ? undefined : { ...proof, token }
  }

  /** An identity token is no password, so there is no proof for it here. */
  async function basicProof(
    { identities }: Party,
    signal: AbortSignal,
  ): Promise<Proof | undefined> {
    const identity = await identities?.get(signal)
    return identity === undefined || !isUserPassword(identity)
      ? undefined
      : { kind: 'basic', identity }
  }

  function forget(proof: Proof, party: Party): void {
    accepted.delete(proofKey(party, proof.kind))
    if (proof.kind === 'basic') party.identities?.refused(proof.identity)
    if (proof.kind === 'bearer') tokens.forget(proof.request, proof.token)
  }

  /** gcr.io at times answers 401 without a challenge; its ping always has one. */
  async function challengesOf(
    response: HopResponse,
    hop: HopRequest,
    { realmRule: { endpoint } }: Party,
  ): Promise<Challenge[]> {
    const challenges = parseChallenges(response.headers['www-authenticate'])
    if (challenges.length > 0 || endpoint === undefined) return challenges
    const url = apiUrl({ endpoint }, '')
    const ping = await transport.request({ method: 'GET', url, headers: {}, signal: hop.signal })
    await discardBody(ping)
    return ping.status === 401 ? parseChallenges(ping.headers['www-authenticate']) : []
  }

  /** Bearer where a realm is named, else Basic where we are somebody. */
  async function prove(
    challenges: readonly Challenge[],
    party: Party,
    signal: AbortSignal,
  ): Promise<Proof | undefined> {
    const { origin, account, identities, realmRule, repository } = party
    for (const { scheme, parameters } of challenges) {
      const realm = parameterOf(parameters, 'realm')
      if (scheme !== 'bearer' || realm === undefined) continue
      const request: TokenRequest = {
        origin,
        realm: checkedRealm(realm, party),
        realmRule,
        service: parameters.get('service'),
        scope: parameterOf(parameters, 'scope') ?? `repository:${repository}:pull`,
        account,
        identities,
      }
      return { kind: 'bearer', request, token: await tokens.obtain(request, signal) }
    }
    const wantsBasic = challenges.some(({ scheme }) => scheme === 'basic')
    return wantsBasic ? basicProof(party, signal) : undefined
  }

  /** The scope that was missing, when upstream names one that we have not asked for yet. */
  async function widen(
    proof: Extract<Proof, { kind: 'bearer' }>,
    response: HopResponse,
    signal: AbortSignal,
  ): Promise<Proof | undefined> {
    const scope = missingScope(response)
    if (scope === undefined || scope === proof.request.scope) return undefined
    const request = { ...proof.request, scope }
    return { kind: 'bearer', request, token: await tokens.obtain(request, signal) }
  }

  /** What a helper says when it is asked once more; it was, where the remembered proof was one too. */
  async function renew(
    { identity }: Extract<Proof, { kind: 'basic' }>,
    remembered: Proof | undefined,
    { identities }: Party,
    signal: AbortSignal,
  ): Promise<Proof | undefined> {
    if (remembered?.kind === 'basic' || identities === undefined) return undefined
    const fresh = await renewIdentity(identities, identity, signal)
    return fresh !== undefined && isUserPassword(fresh)
      ? { kind: 'basic', identity: fresh }
      : undefined
  }

  /** Nothing at all is sent to a realm that is not allowed, not even without credentials (CVE-2026-33540). */
  function checkedRealm(text: string, { origin, realmRule }: Party): URL {
    const realm = URL.canParse(text) ? new URL(text) : undefined
    if (realm !== undefined && isRealmAllowed(realm, realmRule)) return realm
    throw new UpstreamError(
      'unavailable',
      `${origin} ${whyRefused(realm, insecure)}, so nothing was sent to it (upstream ${name}).`,
    )
  }
}

function whyRefused(realm: URL | undefined, insecure: boolean): string {
  if (realm === undefined) return 'names a token server that is not a URL'
  const names = `names the token server ${loggableUrl(realm)}`
  if (realm.username !== '' || realm.password !== '') return `${names} with credentials in its URL`
  if (realm.protocol !== 'https:' && !(insecure && realm.protocol === 'http:')) {
    return `${names}, which is not HTTPS`
  }
  return `${names}, which is not known to belong to it (if it does, add "${realm.host}" under "realms")`
}

function missingScope(response: HopResponse): string | undefined {
  const challenge = parseChallenges(response.headers['www-authenticate']).find(
    ({ scheme, parameters }) =>
      scheme === 'bearer' && parameters.get('error')?.toLowerCase() === 'insufficient_scope',
  )
  return challenge && parameterOf(challenge.parameters, 'scope')
}

function isUserPassword(identity: Identity): identity is UserPassword {
  return 'password' in identity
}

/** An empty parameter says as little as a missing one. */
function parameterOf(parameters: Challenge['parameters'], name: string): string | undefined {
  const value = parameters.get(name)
  return value === '' ? undefined : value
}

function authorizationOf(proof: Proof): string {
  return proof.kind === 'basic' ? basicAuthorization(proof.identity) : `Bearer ${proof.token}`
}

/** Basic holds for a whole server, a token for one repository. */
function proofKey({ origin, account, repository }: Party, kind: Proof['kind']): string {
  return JSON.stringify([origin, account, kind, kind === 'bearer' && repository])
}
