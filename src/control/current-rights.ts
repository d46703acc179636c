/**
 * The rights with which a change was begun, at the moment when it is made: a body may be long in coming, and
 * a hash in the making, and whoever was removed meanwhile must not add somebody in their place. Pure.
 */
import type { Grant, Principal } from '../access/principal.ts'
import type { ControlCatalog, ControlState } from '../catalog/control-catalog.ts'
import { ControlError } from './error.ts'

/** Names and grants of the users of the file. */
type FileUsers = ReadonlyMap<string, readonly Grant[]>

interface Situation {
  readonly principal: Principal
  readonly fileUsers: () => FileUsers
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** The same catalog, for a caller who may have lost the rights of the call. */
export function withCurrentRights(
  catalog: ControlCatalog,
  { principal, fileUsers, now }: Situation,
): ControlCatalog {
  return {
    ...catalog,
    change: (decide) =>
      catalog.change((context) => {
        if (!hasStill(principal, context.state, fileUsers(), now())) {
          throw new ControlError('forbidden', 'Your rights were changed meanwhile. Try again.')
        }
        return decide(context)
      }),
  }
}

function hasStill(
  { kind, name, grants }: Principal,
  { users, tokens }: ControlState,
  fileUsers: FileUsers,
  now: number,
): boolean {
  if (kind === 'host' || kind === 'anonymous') return true
  const granted =
    kind === 'user'
      ? [fileUsers.get(name) ?? users.find((user) => user.name === name)?.grants]
      : tokens
          .filter((token) => token.name === name && now < (token.expiresAt ?? Infinity))
          .map((token) => token.grants)
  return granted.some((it) => JSON.stringify(it) === JSON.stringify(grants))
}
