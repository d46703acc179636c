/** API tokens of robots. */
import { SOMEWHERE } from '../access/authorize.ts'
import type { Operator } from './operator.ts'
import { authorNow, type OperatorContext } from './operator-context.ts'
import { createInputCheck } from './operator-input.ts'
import { administersAll, requireGrantable, requireRight } from './operator-rights.ts'
import { addTokenDecision, listedToken, removeTokenDecision } from './token-decisions.ts'
import type { AccountSituation } from './user-decisions.ts'

export function createTokenUseCases(
  context: OperatorContext,
): Pick<Operator, 'tokens' | 'addToken' | 'removeToken'> {
  const { catalog, settings, fileUsers, createApiToken, caller, now } = context
  const { principal } = caller

  const situation = (): AccountSituation => ({ author: authorNow(context), fileUsers: fileUsers() })

  return {
    async tokens() {
      requireRight(principal, 'tokens.read', SOMEWHERE)
      const { tokens } = await catalog.state()
      return tokens.map(listedToken).filter(({ grants }) => administersAll(principal, grants))
    },

    async addToken({ name, grants: given, expiresAt }) {
      requireRight(principal, 'tokens.write', SOMEWHERE)
      const check = createInputCheck(settings(), now())
      check.name('name', name)
      const grants = check.grants('grants', given)
      check.expiry('expiresAt', expiresAt)
      check.finish()
      requireGrantable(principal, grants)
      const { id, secretHash, token } = createApiToken()
      const record = { id, name, secretHash, grants, expiresAt }
      return { ...(await catalog.change(addTokenDecision(situation(), record))), token }
    },

    async removeToken(id) {
      requireRight(principal, 'tokens.write', SOMEWHERE)
      return catalog.change(removeTokenDecision(situation(), id))
    },
  }
}
