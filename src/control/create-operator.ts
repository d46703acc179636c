/** The operators' use-cases for one caller. */
import { EVERYWHERE } from '../access/authorize.ts'
import type { Caller } from './control.ts'
import type { Operator } from './operator.ts'
import { createContentUseCases } from './operator-content.ts'
import type { OperatorContext, OperatorDependencies } from './operator-context.ts'
import { requireRight } from './operator-rights.ts'
import { createRequestUseCases } from './operator-requests.ts'
import { createRuleUseCases } from './operator-rules.ts'
import { createTokenUseCases } from './operator-tokens.ts'
import { createUserUseCases } from './operator-users.ts'

/** Cheap enough to be made for each request. */
export function createOperator(dependencies: OperatorDependencies, caller: Caller): Operator {
  const context: OperatorContext = { ...dependencies, caller }
  const { kind, name, grants } = caller.principal
  return {
    // For everybody: it says no more than what the caller may find out by asking for it.
    whoami: async () => ({ kind, name, grants }),
    ...createRuleUseCases(context),
    ...createRequestUseCases(context),
    ...createContentUseCases(context),
    ...createUserUseCases(context),
    ...createTokenUseCases(context),
    // Refuses when it is called, not when the first entry is read: an answer may have begun by then.
    audit({ since }) {
      requireRight(caller.principal, 'audit.read', EVERYWHERE)
      return dependencies.catalog.audit(since === undefined ? {} : { since })
    },
  }
}
