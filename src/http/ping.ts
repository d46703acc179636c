/** `/v2/`, `/quay.io/v2/` and `/v2/quay.io/`: never depends on an upstream (dockerd waits 15 s at most). */
import { OciError } from '../oci/error.ts'
import { canonicalRegistry } from '../oci/registry-name.ts'
import type { RequestPath } from '../routing/request-path.ts'
import { respond } from './answer.ts'
import { callerOf } from './caller.ts'
import { challenge } from './challenge.ts'
import type { HttpContext, HttpDependencies } from './context.ts'

export async function ping(
  c: HttpContext,
  dependencies: HttpDependencies,
  path: RequestPath,
): Promise<Response> {
  const { routing, asksForLogin } = dependencies.control.policy()
  const named = path.prefix ?? path.name[0]
  if (named !== undefined && !routing.upstreams.has(canonicalRegistry(named))) {
    throw new OciError('NAME_UNKNOWN', `${named.slice(0, 255)} is not mirrored here.`)
  }
  if (asksForLogin) await requireCredential(c, dependencies)
  return respond(c, '{}', { 'Content-Type': 'application/json' })
}

/**
 * dockerd, podman and crane ask here, once, whether they need a token at all; who is content with being
 * nobody gets one for nobody at the token endpoint.
 */
async function requireCredential(c: HttpContext, dependencies: HttpDependencies): Promise<void> {
  const { identity } = await callerOf(c, dependencies)
  if (identity.credential === 'accepted') return
  const message =
    identity.credential === 'none'
      ? 'Get a token first.'
      : 'This password or token is not accepted here, or no longer.'
  throw new OciError('UNAUTHORIZED', message, { challenge: challenge(c, dependencies, identity) })
}
