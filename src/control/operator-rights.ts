/** What a caller may not do ends here, with a sentence that says which right is missing. Pure. */
import { ACTIONS, authorize, mayGrant, type Action, type Resource } from '../access/authorize.ts'
import type { Grant, Principal } from '../access/principal.ts'
import { ControlError } from './error.ts'

/** @throws {ControlError} unauthenticated, forbidden */
export function requireRight(principal: Principal, action: Action, resource: Resource): void {
  if (authorize(principal, action, resource)) return
  if (principal.kind === 'anonymous') throw unauthenticated()
  throw forbidden(principal, `the role ${ACTIONS[action] ?? 'of a user'} on ${shown(resource)}`)
}

/**
 * Nobody hands out, or takes away, what they do not administer themselves.
 * @throws {ControlError} forbidden
 */
export function requireGrantable(principal: Principal, grants: readonly Grant[]): void {
  const missing = grants.find((grant) => !mayGrant(principal, grant))
  if (missing) {
    throw forbidden(
      principal,
      `the role admin on ${missing.pattern}, of which it gives rights away,`,
    )
  }
}

/** Whether all of these rights are the caller's to give, to change, and to be told of. */
export function administersAll(principal: Principal, grants: readonly Grant[]): boolean {
  return (
    authorize(principal, 'users.read', { kind: 'somewhere' }) &&
    grants.every((grant) => mayGrant(principal, grant))
  )
}

function unauthenticated(): ControlError {
  return new ControlError(
    'unauthenticated',
    'This is for operators of this mirror only: log in as a user, or show an API token.',
  )
}

function forbidden({ name }: Principal, right: string): ControlError {
  return new ControlError(
    'forbidden',
    `This needs ${right} which ${name} does not have. Ask an administrator of this mirror for it.`,
  )
}

function shown(resource: Resource): string {
  switch (resource.kind) {
    case 'somewhere':
      return 'some repositories at least,'
    case 'everywhere':
      return '** (everything),'
    case 'repository':
      return `${resource.name},`
    case 'pattern':
      return `all of ${resource.pattern},`
  }
}
