/**
 * May this principal do this to that? The one place that says so; pure, and no by default. What the
 * rules of the allowlist say of a repository comes on top of it, for everybody alike.
 */
import { covers, matchesPattern } from './pattern.ts'
import type { Grant, Principal, Role } from './principal.ts'
import { readPattern } from './rule.ts'

/** What can be done. Each route declares one of these. */
export const ACTIONS = {
  /** For everybody: probes, the token endpoint, and the version check, which answers with a challenge. */
  public: undefined,
  pull: 'pull',
  push: 'push',
  'rules.read': 'operate',
  'rules.write': 'operate',
  'requests.read': 'operate',
  'requests.decide': 'operate',
  'content.read': 'operate',
  'content.write': 'operate',
  explain: 'operate',
  /** Fetches before anybody pulls; of what may be explained. */
  warm: 'operate',
  /** Figures of the whole mirror: metrics and status. */
  observe: 'operate',
  /** For a user's own as well, which the use-case looks at. */
  'password.write': 'pull',
  'users.read': 'admin',
  'users.write': 'admin',
  'tokens.read': 'admin',
  'tokens.write': 'admin',
  'audit.read': 'admin',
  /** Of the whole mirror. */
  'log.level': 'admin',
} as const satisfies Record<string, Role | undefined>

export type Action = keyof typeof ACTIONS

/**
 * `somewhere`: at least one pattern, where the answer is filtered afterwards. `everywhere`: no less than
 * all. `repository`: `<upstream>/<repository>`. `pattern`: all that it covers, its tag left out.
 */
export type Resource =
  | { readonly kind: 'somewhere' }
  | { readonly kind: 'everywhere' }
  | { readonly kind: 'repository'; readonly name: string }
  | { readonly kind: 'pattern'; readonly pattern: string }

export const SOMEWHERE: Resource = { kind: 'somewhere' }
export const EVERYWHERE: Resource = { kind: 'everywhere' }

/** Who has the role on the left may also do what the roles on the right may. */
const INCLUDES: Readonly<Record<Role, readonly Role[]>> = {
  pull: ['pull'],
  push: ['push', 'pull'],
  operate: ['operate', 'pull'],
  admin: ['admin', 'operate', 'push', 'pull'],
}

export function authorize(principal: Principal, action: Action, resource: Resource): boolean {
  const role = ACTIONS[action]
  if (role === undefined) return true
  return principal.grants.some(
    (grant) => INCLUDES[grant.role].includes(role) && reaches(grant, resource),
  )
}

/** May this principal hand out the grant: only what they administer themselves. */
export function mayGrant(principal: Principal, { pattern }: Grant): boolean {
  return authorize(principal, 'users.write', { kind: 'pattern', pattern })
}

/** @param grant of a pattern in canonical form, see `readPattern` */
function reaches({ pattern }: Grant, resource: Resource): boolean {
  if (pattern === '**') return true
  switch (resource.kind) {
    case 'somewhere':
      return true
    case 'everywhere':
      return false
    case 'repository':
      return matchesPattern(pattern, resource.name)
    case 'pattern':
      return covers(pattern, readPattern(resource.pattern).name)
  }
}
