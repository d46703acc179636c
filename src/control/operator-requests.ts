/** Who asked in vain, and what becomes of it. */
import { authorize, SOMEWHERE } from '../access/authorize.ts'
import type { Operator } from './operator.ts'
import { authorNow, type OperatorContext } from './operator-context.ts'
import { createInputCheck } from './operator-input.ts'
import { requireRight } from './operator-rights.ts'
import { ruleIds } from './operator-rules.ts'
import { approveRequestDecision, dismissRequestDecision } from './request-decisions.ts'

export function createRequestUseCases(
  context: OperatorContext,
): Pick<Operator, 'requests' | 'approveRequest' | 'dismissRequest'> {
  const { catalog, settings, caller } = context
  const { principal } = caller

  return {
    async requests({ state = 'open' }) {
      requireRight(principal, 'requests.read', SOMEWHERE)
      const found = await catalog.requests(state === 'all' ? {} : { state })
      return found.filter(({ name }) =>
        authorize(principal, 'requests.read', { kind: 'repository', name }),
      )
    },

    async approveRequest(id, { as, pattern, expiresAt, reason }) {
      requireRight(principal, 'requests.decide', SOMEWHERE)
      const author = authorNow(context)
      const { rules: fileRules, checkPattern } = settings()
      const check = createInputCheck({ checkPattern }, author.now)
      const approval = {
        as,
        pattern,
        expiresAt: check.expiry('expiresAt', expiresAt),
        reason: check.note('reason', reason),
        owner: principal.name,
      }
      check.finish()
      const situation = { author, fileRules, checkPattern }
      return catalog.change(approveRequestDecision(situation, id, approval, ruleIds('allow')))
    },

    async dismissRequest(id, reason) {
      requireRight(principal, 'requests.decide', SOMEWHERE)
      const author = authorNow(context)
      const check = createInputCheck(settings(), author.now)
      const note = check.note('reason', reason)
      check.finish()
      return catalog.change(dismissRequestDecision({ author }, id, note))
    },
  }
}
