/**
 * GET /token: a token that says who its bearer is, for clients that speak Bearer alone. What they may do is
 * looked up with each request, so whatever scope they ask for changes nothing about the token.
 * https://distribution.github.io/distribution/spec/auth/token/
 */
import { authorize } from '../access/authorize.ts'
import type { Policy } from '../control/control.ts'
import { OciError } from '../oci/error.ts'
import { resolve } from '../routing/resolve.ts'
import { respond } from './answer.ts'
import { callerOf } from './caller.ts'
import type { HttpContext, HttpDependencies } from './context.ts'
import { errorResponse } from './on-error.ts'
import { heldBack } from './require-action.ts'

export const TOKEN_PATH = '/token'

/** More than any client asks for; what lies beyond is not looked at. */
const MAX_SCOPES = 64

export function createTokenEndpoint(dependencies: HttpDependencies) {
  const { control } = dependencies
  return async function tokenEndpoint(c: HttpContext): Promise<Response> {
    c.get('trace').kind = 'token'
    const { method } = c.env.incoming
    if (method !== 'GET') return refuseMethod(c, method)
    await control.refresh()
    const { caller, identity } = await callerOf(c, dependencies)
    if (identity.credential === 'rejected' && !mayBeNobody(c, control.policy())) {
      throw identity.retryAfter === undefined ? notAccepted() : heldBack(identity.retryAfter)
    }
    const { token, expiresIn, issuedAt } = await control.issueToken(caller.principal)
    const body = {
      token,
      access_token: token,
      expires_in: expiresIn,
      issued_at: issuedAt.toISOString().replace(/\.\d+Z$/, 'Z'),
    }
    return respond(c, JSON.stringify(body), {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
    })
  }
}

/** On 404 all clients that POST first go on with GET (protocol D.3). */
function refuseMethod(c: HttpContext, method: string | undefined): Response {
  if (method === 'POST') {
    throw new OciError('NAME_UNKNOWN', 'Tokens are given to GET requests only.')
  }
  const error = new OciError('UNSUPPORTED', 'Tokens are given to GET requests only.')
  c.get('trace').failure = error
  return errorResponse(error, { Allow: 'GET' })
}

/**
 * Clients show the credentials of other registries: containerd the pull secret of the image, dockerd what
 * it has for Docker Hub. Neither may break a pull that needs none (protocol E-31). One name is enough, as
 * containerd asks for several spellings of one, and a token of nobody opens nothing. A login asks for no
 * repository, and has to fail.
 */
function mayBeNobody(c: HttpContext, policy: Policy): boolean {
  if (!policy.asksForLogin) return true
  return repositoriesOf(scopesOf(c)).some((name) => isForEverybody(c, policy, name))
}

function scopesOf(c: HttpContext): string[] {
  const { url = '' } = c.env.incoming
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1 || url.length))
  const scopes = query.getAll('scope').flatMap((value) => value.split(' '))
  return scopes.filter(Boolean).slice(0, MAX_SCOPES)
}

/** `repository:<name>:<actions>`; the name may hold the port of a registry. */
function repositoriesOf(scopes: readonly string[]): string[] {
  return scopes.flatMap((scope) => {
    const [, name] = /^repository(?:\([^():]*\))?:(.+):[^:]*$/s.exec(scope) ?? []
    return name === undefined ? [] : [name]
  })
}

/** Names are understood as in paths. */
function isForEverybody(c: HttpContext, policy: Policy, scoped: string): boolean {
  try {
    const { upstream, repository } = resolve(policy.routing, {
      prefix: undefined,
      name: scoped.split('/'),
      namespaces: [],
      host: c.env.incoming.headers.host,
    })
    const name = `${upstream}/${repository}`
    return authorize(policy.anonymous, 'pull', { kind: 'repository', name })
  } catch (error) {
    if (error instanceof OciError) return false
    throw error
  }
}

function notAccepted(): OciError {
  return new OciError('UNAUTHORIZED', 'User and password, or the token, are not accepted here.', {
    challenge: 'Basic realm="entrepot"',
  })
}
