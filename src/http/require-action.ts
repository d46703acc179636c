/** Each route says what is done by it; who may not do that gets no further (CVE-2025-59345: no route is forgotten). */
import type { Handler, MiddlewareHandler } from 'hono'
import { authorize, EVERYWHERE, SOMEWHERE, type Action } from '../access/authorize.ts'
import type { Principal } from '../access/principal.ts'
import { ControlError } from '../control/error.ts'
import type { Identity } from '../control/control.ts'
import { OciError } from '../oci/error.ts'
import type { ResourceKind } from '../routing/request-path.ts'
import { callerOf } from './caller.ts'
import type { HttpDependencies, HttpEnvironment } from './context.ts'

/** One action, or where a route tells the resources apart by itself, that of each. */
export type DeclaredAction = Action | Readonly<Record<ResourceKind, Action>>

/** What is of no repository: figures, and what is written to the log. */
const OF_THE_WHOLE: ReadonlySet<Action> = new Set(['observe', 'log.level'])

const declared = new WeakMap<object, DeclaredAction>()

/** For a handler that needs no guard, or is its own. */
export function declareAction<T extends Handler<HttpEnvironment>>(
  action: DeclaredAction,
  handler: T,
): T {
  declared.set(handler, action)
  return handler
}

/** @returns `undefined` for what only runs before or behind others */
export function actionOf(handler: object): DeclaredAction | undefined {
  return declared.get(handler)
}

/**
 * Lets those pass who may do this anywhere at all; on what exactly is for the handler to say. Sets
 * `caller` for whoever comes behind it.
 */
export function requireAction(
  action: Action,
  dependencies: Pick<HttpDependencies, 'control' | 'isTrustedProxy'>,
): MiddlewareHandler<HttpEnvironment> {
  const { control } = dependencies
  return declareAction(action, async (c, next) => {
    // Scrapers need neither a name nor a catalog that can be read.
    if (action !== 'observe' || !control.policy().anonymousStatus) {
      await control.refresh()
      const { caller, identity } = await callerOf(c, dependencies)
      if (action !== 'public') refuseUnidentified(identity, caller.principal)
      // What else is read or changed is looked at by who does it.
      const where = OF_THE_WHOLE.has(action) ? EVERYWHERE : SOMEWHERE
      if (!authorize(caller.principal, action, where)) throw forbidden(caller.principal)
    }
    await next()
  })
}

/**
 * A wrong password is never taken for none: whoever shows one wants to be known. That everybody may
 * pull lets nobody in here without a name.
 */
function refuseUnidentified({ credential, retryAfter }: Identity, { kind }: Principal): void {
  if (retryAfter !== undefined) throw heldBack(retryAfter)
  if (credential === 'rejected') {
    throw new ControlError(
      'unauthenticated',
      'This password or token is not one of this mirror, or no longer.',
    )
  }
  if (kind === 'anonymous') {
    throw new ControlError('unauthenticated', 'This needs a user of this mirror, or an API token.')
  }
}

/** @param retryAfter seconds */
export function heldBack(retryAfter: number): OciError {
  return new OciError(
    'TOOMANYREQUESTS',
    `Too many logins from here, or for this user, have failed. Try again in ${Math.ceil(retryAfter)} seconds.`,
    { retryAfter },
  )
}

function forbidden({ name }: Principal): ControlError {
  return new ControlError('forbidden', `${name} may not do this. Ask an admin of this mirror.`)
}
