/** `--grant role=pattern`, and what is said of grants. Pure. */
import { quote } from '../config/problem.ts'
import type { Grant, Role } from '../operator.ts'
import { UsageError } from './command.ts'
import { safeText } from './text.ts'

export const GRANTS = { grant: 'strings' } as const

const ROLES = ['pull', 'push', 'operate', 'admin'] as const satisfies readonly Role[]

/** What somebody may do of whom nothing else is said. */
export const DEFAULT_GRANTS: readonly Grant[] = [{ role: 'pull', pattern: '**' }]

/** @throws {UsageError} */
export function readGrants(texts: readonly string[] | undefined): Grant[] | undefined {
  return texts?.map((text) => {
    const equals = text.indexOf('=')
    const role = ROLES.find((it) => it === text.slice(0, equals))
    if (equals === -1 || role === undefined) {
      throw new UsageError(
        `--grant ${quote(text)} is not a grant; write pull, push, operate or admin, and for what: pull=docker.io/**`,
      )
    }
    return { role, pattern: text.slice(equals + 1) }
  })
}

/** `pull docker.io/**, operate quay.io/**` */
export function grantsText(grants: readonly Grant[]): string {
  if (grants.length === 0) return 'nothing'
  return grants.map(({ role, pattern }) => `${role} ${safeText(pattern)}`).join(', ')
}
