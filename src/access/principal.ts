/** Who asks, and what was granted to them. Pure. */

export const ROLES = ['pull', 'push', 'operate', 'admin'] as const

export type Role = (typeof ROLES)[number]

/** A role within the repositories that a pattern covers. */
export interface Grant {
  readonly role: Role
  /** `<upstream>/<repository>` with stars, and no tag. */
  readonly pattern: string
}

/**
 * `anonymous` nobody said who; `user` by password; `robot` by an API token; `host` whoever may write the
 * data folder, by commands on the machine itself.
 */
export type PrincipalKind = 'anonymous' | 'user' | 'robot' | 'host'

export interface Principal {
  readonly kind: PrincipalKind
  /** As people know them; `anonymous` for the first kind. */
  readonly name: string
  readonly grants: readonly Grant[]
}
