/** A token server as registries have beside them: its own host, anonymous or with Basic credentials. */
import { http } from 'msw'
import { type Content, errorResponse } from './answer.ts'
import { createFaultBook, type FaultHandle, type FaultRule } from './faults.ts'
import { answerWithFaults } from './faulty.ts'
import { type Served, type ServeOptions, serve } from './serve.ts'

export interface TokenServerOptions extends ServeOptions {
  /** Who gets tokens besides the anonymous. */
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Whether a request without credentials gets a token; `true` unless said otherwise. */
  readonly anonymous?: boolean | undefined
  /** What whoever gets no token is told: 401 mostly, 403 `DENIED` by ghcr.io. */
  readonly refusal?: 401 | 403 | undefined
  /** Docker Hub sends both, quay.io only `token`, Azure only `access_token`. */
  readonly tokenField?: 'token' | 'access_token' | 'both' | undefined
  /** Seconds that the answer promises; `undefined`: it says nothing of it. */
  readonly expiresIn?: number | undefined
}

/** What one token request asked for. */
interface TokenRequest {
  readonly method: string
  readonly service: string | undefined
  readonly scopes: readonly string[]
  /** Decoded `Authorization: Basic`, or `undefined` when none came. */
  readonly credentials: string | undefined
}

export interface GrantedToken {
  readonly username: string | undefined
  readonly scopes: readonly string[]
}

export interface FakeTokenServer extends Served {
  /** What a challenge names. */
  readonly realm: string
  /** A realm that refuses everybody: where nvcr.io sends the bearer of an expired token. */
  readonly refusingRealm: string
  readonly asked: readonly TokenRequest[]
  /** The grant behind a token that is still valid. */
  check(token: string): GrantedToken | undefined
  /** All tokens so far become invalid, whatever was promised. */
  revokeAll(): void
  /** Faults match `kind: 'token'`. */
  fault(rule: FaultRule): FaultHandle
  clearFaults(): void
}

export async function startTokenServer(options: TokenServerOptions = {}): Promise<FakeTokenServer> {
  const tokens = new Map<string, GrantedToken>()
  const asked: TokenRequest[] = []
  const faults = createFaultBook()
  let issued = 0

  const issue = (grant: GrantedToken): Content => {
    const token = `fake-token-${(issued += 1)}`
    tokens.set(token, grant)
    return tokenContent(token, options)
  }
  const served = await serve(
    [
      // Only GET: POST is answered 404, as by gcr.io, and quay.io knows nothing else either.
      http.get(/\/token$/, ({ request }) =>
        answerWithFaults(request, faults, { kind: 'token' }, () => {
          const tokenRequest = toTokenRequest(request)
          asked.push(tokenRequest)
          return admits(tokenRequest, options)
            ? issue({ username: usernameOf(tokenRequest), scopes: tokenRequest.scopes })
            : errorResponse(options.refusal ?? 401)
        }),
      ),
      http.all(/\/refusing$/, ({ request }) => {
        asked.push(toTokenRequest(request))
        return errorResponse(401)
      }),
    ],
    options,
  )

  return {
    ...served,
    realm: `${served.url}/token`,
    refusingRealm: `${served.url}/refusing`,
    asked,
    check: (token) => tokens.get(token),
    revokeAll: () => tokens.clear(),
    fault: (rule) => faults.add(rule),
    clearFaults: () => faults.clear(),
  }
}

/** `user:password` of a Basic `Authorization` header. */
export function basicCredentials(header: string | null | undefined): string | undefined {
  const encoded = /^Basic (.+)$/i.exec(header ?? '')?.[1]
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString()
}

function toTokenRequest({ method, url, headers }: Request): TokenRequest {
  const { searchParams } = new URL(url)
  return {
    method,
    service: searchParams.get('service') ?? undefined,
    scopes: searchParams.getAll('scope'),
    credentials: basicCredentials(headers.get('authorization')),
  }
}

function admits({ credentials }: TokenRequest, options: TokenServerOptions): boolean {
  const { username, password, anonymous = true } = options
  if (credentials === undefined) return anonymous
  return username !== undefined && credentials === `${username}:${password ?? ''}`
}

function usernameOf({ credentials }: TokenRequest): string | undefined {
  return credentials?.split(':', 1)[0]
}

function tokenContent(token: string, options: TokenServerOptions): Content {
  const { tokenField = 'both', expiresIn } = options
  const json = {
    ...(tokenField !== 'access_token' && { token }),
    ...(tokenField !== 'token' && { access_token: token }),
    ...(expiresIn !== undefined && { expires_in: expiresIn, issued_at: new Date().toISOString() }),
  }
  return { bytes: new TextEncoder().encode(JSON.stringify(json)), contentType: 'application/json' }
}
