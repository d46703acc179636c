/**
 * Requests that prove who we are where upstream asks for it: 401, then a token or Basic, then once
 * more. Credentials and tokens never leave the origin that they are for.
 */
import { LRUCache } from '../lru.ts'
import { loggableUrl } from '../log.ts'
import { discardBody } from './body.ts'
import { parseChallenges, type Challenge } from './challenge.ts'
import { isRealmAllowed, type RealmRule } from './realm.ts'
import { followRedirects } from './redirects.ts'
import type { HopResponse } from './response.ts'
import { apiUrl, basicAuthorization, type Credential, type Route } from './route.ts'
import type { TokenRequest, Tokens } from './tokens.ts'
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
  readonly credential: Credential | undefined
  readonly realmRule: RealmRule
  readonly repository: string
}

type Proof =
  | { readonly kind: 'basic'; readonly credential: Credential }
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
            credential: isOwn ? route.credential : undefined,
            realmRule: { endpoint: isOwn ? route.endpoint : undefined, realms, insecure },
            repository,
          },
        ),
      )
    },
  }

  /** At most five requests: what was accepted before, bare, the missing challenge, new proof, wider proof. */
  async function exchange(hop: HopRequest, party: Party): Promise<HopResponse> {
    const remembered = recall(party)
    let response = await attempt(hop, remembered, party)
    if (response.status === 401 && remembered !== undefined) {
      // nvcr.io names another realm to an expired token, so the first challenge is asked for again.
      response = await attempt(hop, undefined, party)
    }
    if (response.status !== 401) return response

    const proof = await prove(await challengesOf(response, hop, party), party, hop.signal)
    if (proof === undefined) return response
    response = await attempt(hop, proof, party)

    const wider = response.status === 401 ? widen(proof, response) : undefined
    if (wider === undefined) return response
    const token = await tokens.obtain(wider, hop.signal)
    return attempt(hop, { kind: 'bearer', request: wider, token }, party)
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

  function recall(party: Party): Proof | undefined {
    const proof = accepted.get(proofKey(party, 'bearer')) ?? accepted.get(proofKey(party, 'basic'))
    if (proof?.kind !== 'bearer') return proof
    const token = tokens.cached(proof.request)
    return token === undefined ? undefined : { ...proof, token }
  }

  function forget(proof: Proof, party: Party): void {
    accepted.delete(proofKey(party, proof.kind))
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
    const { origin, realmRule, repository, credential } = party
    for (const { scheme, parameters } of challenges) {
      const realm = parameterOf(parameters, 'realm')
      if (scheme !== 'bearer' || realm === undefined) continue
      const request: TokenRequest = {
        origin,
        realm: checkedRealm(realm, party),
        realmRule,
        service: parameters.get('service'),
        scope: parameterOf(parameters, 'scope') ?? `repository:${repository}:pull`,
        credential,
      }
      return { kind: 'bearer', request, token: await tokens.obtain(request, signal) }
    }
    const wantsBasic = challenges.some(({ scheme }) => scheme === 'basic')
    return wantsBasic && credential !== undefined ? { kind: 'basic', credential } : undefined
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

/** The scope that was missing, when upstream names one that we have not asked for yet. */
function widen(proof: Proof, response: HopResponse): TokenRequest | undefined {
  if (proof.kind !== 'bearer') return undefined
  const challenge = parseChallenges(response.headers['www-authenticate']).find(
    ({ scheme, parameters }) =>
      scheme === 'bearer' && parameters.get('error')?.toLowerCase() === 'insufficient_scope',
  )
  const scope = challenge && parameterOf(challenge.parameters, 'scope')
  return scope === undefined || scope === proof.request.scope
    ? undefined
    : { ...proof.request, scope }
}

/** An empty parameter says as little as a missing one. */
function parameterOf(parameters: Challenge['parameters'], name: string): string | undefined {
  const value = parameters.get(name)
  return value === '' ? undefined : value
}

function authorizationOf(proof: Proof): string {
  return proof.kind === 'basic' ? basicAuthorization(proof.credential) : `Bearer ${proof.token}`
}

/** Basic holds for a whole server, a token for one repository. */
function proofKey({ origin, credential, repository }: Party, kind: Proof['kind']): string {
  return JSON.stringify([origin, credential?.username, kind, kind === 'bearer' && repository])
}
