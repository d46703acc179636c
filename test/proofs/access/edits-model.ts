/** What must stay as it is, whatever somebody of limited rights does. */
import type { AccessRequest, ControlState } from '../../../src/catalog/control-catalog.ts'
import { NAMES, TAGS } from './edits.ts'
import { ALL_ROLES, judged, may, matches, type Right, spelled } from './reference.ts'

export interface Everything extends ControlState {
  readonly requests: readonly AccessRequest[]
}

/**
 * All that does not lie wholly within the rights, as text: it may not change by them.
 * @param self a user whose password may change
 */
export function outside(rights: readonly Right[], state: Everything, self?: string): string[] {
  const operated = (pattern: string) => isWithin(rights, 'operate', pattern)
  const administered = ({ grants }: { readonly grants: readonly Right[] }) =>
    grants.every(({ pattern }) => isWithin(rights, 'admin', pattern))
  const nameOf = ({ upstream, repository }: { upstream: string; repository: string }) =>
    `${upstream}/${repository}`
  return [
    ...state.rules.filter(({ pattern }) => !operated(spelled(pattern).name)),
    ...state.users
      .filter((user) => !administered(user))
      .map((user) => (user.name === self ? { ...user, passwordHash: '', passwordSetAt: 0 } : user)),
    ...state.tokens.filter((token) => !administered(token)),
    ...state.approvals.filter((one) => !operated(nameOf(one))),
    ...state.frozenTags.filter((one) => !operated(nameOf(one))),
    ...state.requests.filter(({ name }) => !operated(name)),
  ].map((record) => JSON.stringify(record))
}

/** What the rules say of every image that is not theirs to decide about. */
export function verdictsOutside(rights: readonly Right[], { rules }: ControlState): string[] {
  return NAMES.filter((name) => !may(rights, 'operate', name)).flatMap((name) =>
    TAGS.map((tag) => {
      const file = { id: 'file', effect: 'allow', pattern: 'quay.io/**', minAge: 0 } as const
      const all = [{ ...file, expiresAt: undefined }, ...rules]
      return `${name}:${tag} ${judged(all, { name, tag, now: Date.now() }).admitted}`
    }),
  )
}

/** What the first rights allow and the second do not. */
export function beyond(rights: readonly Right[], limits: readonly Right[]): string[] {
  return ALL_ROLES.flatMap((role) =>
    NAMES.filter((name) => may(rights, role, name) && !may(limits, role, name)).map(
      (name) => `${role} ${name}`,
    ),
  )
}

/** Of all names that there are; a pattern that is about none of them is nobody's. */
function isWithin(rights: readonly Right[], role: 'operate' | 'admin', pattern: string): boolean {
  const meant = NAMES.filter((name) => matches(pattern, name))
  return meant.length > 0 && meant.every((name) => may(rights, role, name))
}
