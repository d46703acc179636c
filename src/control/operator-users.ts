/** Users of operators, beside those of the htpasswd file. */
import { SOMEWHERE } from '../access/authorize.ts'
import type { ListedUser, Operator } from './operator.ts'
import { authorNow, type OperatorContext } from './operator-context.ts'
import { createInputCheck } from './operator-input.ts'
import { administersAll, requireGrantable, requireRight } from './operator-rights.ts'
import {
  addUserDecision,
  listedUser,
  removeUserDecision,
  setGrantsDecision,
  setPasswordDecision,
  type AccountSituation,
} from './user-decisions.ts'

export function createUserUseCases(
  context: OperatorContext,
): Pick<Operator, 'users' | 'addUser' | 'setPassword' | 'setGrants' | 'removeUser'> {
  const { catalog, settings, fileUsers, hashPassword, problemOfPassword, caller, now } = context
  const { principal } = caller

  const situation = (): AccountSituation => ({ author: authorNow(context), fileUsers: fileUsers() })

  return {
    async users() {
      requireRight(principal, 'users.read', SOMEWHERE)
      const { users } = await catalog.state()
      const ofFile = [...fileUsers()].map(([name, grants]): ListedUser => ({
        name,
        origin: 'file',
        grants,
        createdAt: undefined,
      }))
      return [...ofFile, ...users.map(listedUser)]
        .filter(({ grants }) => administersAll(principal, grants))
        .toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)))
    },

    async addUser({ name, password, grants: given }) {
      requireRight(principal, 'users.write', SOMEWHERE)
      const check = createInputCheck(settings(), now())
      check.name('name', name)
      const grants = check.grants('grants', given)
      const problem = problemOfPassword(password)
      if (problem !== undefined) check.complain('password', problem)
      check.finish()
      requireGrantable(principal, grants)
      const passwordHash = await hashPassword(password)
      return catalog.change(addUserDecision(situation(), { name, passwordHash, grants }))
    },

    async setPassword(name, password) {
      const isOwn = principal.kind === 'user' && principal.name === name
      if (!isOwn) requireRight(principal, 'users.write', SOMEWHERE)
      const check = createInputCheck(settings(), now())
      const problem = problemOfPassword(password)
      if (problem !== undefined) check.complain('password', problem)
      check.finish()
      const passwordHash = await hashPassword(password)
      return catalog.change(setPasswordDecision(situation(), { name, passwordHash, isOwn }))
    },

    async setGrants(name, given) {
      requireRight(principal, 'users.write', SOMEWHERE)
      const check = createInputCheck(settings(), now())
      const grants = check.grants('grants', given)
      check.finish()
      requireGrantable(principal, grants)
      return catalog.change(setGrantsDecision(situation(), name, grants))
    },

    async removeUser(name) {
      requireRight(principal, 'users.write', SOMEWHERE)
      return catalog.change(removeUserDecision(situation(), name))
    },
  }
}
