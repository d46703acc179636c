/** Who sent a request, and from where: found out once for each, and only where somebody wants to know. */
import type { Caller, Identity } from '../control/control.ts'
import type { HttpContext, HttpDependencies } from './context.ts'
import { forwardingOfRequest, type Forwarding } from './forwarded.ts'

export interface Identified {
  readonly caller: Caller
  readonly identity: Identity
}

/** As the client sees this server, and as it is seen. */
export function forwardingOf(
  c: HttpContext,
  { isTrustedProxy }: Pick<HttpDependencies, 'isTrustedProxy'>,
): Forwarding {
  const known = c.get('forwarding')
  if (known !== undefined) return known
  const forwarding = forwardingOfRequest(c.env.incoming, isTrustedProxy)
  c.set('forwarding', forwarding)
  return forwarding
}

/** What is wrong or foreign counts as nothing: its sender is nobody. */
export async function callerOf(
  c: HttpContext,
  dependencies: Pick<HttpDependencies, 'control' | 'isTrustedProxy'>,
): Promise<Identified> {
  const [known, caller] = [c.get('identity'), c.get('caller')]
  if (known !== undefined && caller !== undefined) return { caller, identity: known }
  const { control } = dependencies
  const { address } = forwardingOf(c, dependencies)
  const identity = await control.identify(c.env.incoming.headers.authorization, address)
  const principal =
    identity.credential === 'rejected' ? control.policy().anonymous : identity.principal
  return remember(c, { caller: { principal, address }, identity })
}

function remember(c: HttpContext, identified: Identified): Identified {
  const { kind, name } = identified.caller.principal
  if (kind !== 'anonymous') c.get('trace').user = name
  c.set('caller', identified.caller)
  c.set('identity', identified.identity)
  return identified
}
