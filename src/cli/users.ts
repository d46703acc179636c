/** entrepot users: who may log in with a password, and what they may do. */
import type { ListedUser, OpenOperator } from '../operator.ts'
import { userJson } from './api-json.ts'
import { UsageError, type Command } from './command.ts'
import { DEFAULT_GRANTS, GRANTS, grantsText, readGrants } from './grant-options.ts'
import { createAction, createOperatorCommands } from './operator-command.ts'
import { PASSWORD, readPassword } from './password.ts'
import { safeText, tableText, timeText } from './text.ts'

export function createUsers(openOperator: OpenOperator): Command {
  const actions = new Map([
    ['list', list],
    ['add', add],
    ['passwd', setPassword],
    ['grant', grant],
    ['remove', remove],
  ])
  return createOperatorCommands('users', actions, openOperator)
}

const list = createAction({
  operands: [],
  options: {},
  prepare({ print }) {
    return async (operator) => {
      const users = await operator.users()
      print({ users: users.map(userJson) }, () => listText(users))
    }
  },
})

const add = createAction({
  operands: ['NAME'],
  options: { ...GRANTS, ...PASSWORD },
  async prepare({ operands: [name = ''], options, io, signal, print }) {
    const grants = readGrants(options.grant) ?? DEFAULT_GRANTS
    const password = await readPassword(io, name, options['password-stdin'] === true, signal)
    return async (operator) => {
      const user = await operator.addUser({ name, password, grants })
      print(userJson(user), () => `Added. ${rightsText(user)}`)
    }
  },
})

const setPassword = createAction({
  operands: ['NAME'],
  options: PASSWORD,
  async prepare({ operands: [name = ''], options, io, signal, print }) {
    const password = await readPassword(io, name, options['password-stdin'] === true, signal)
    return async (operator) => {
      const user = await operator.setPassword(name, password)
      print(
        userJson(user),
        () => `The password of ${safeText(user.name)} is set; the old one no longer counts.`,
      )
    }
  },
})

const grant = createAction({
  operands: ['NAME'],
  options: GRANTS,
  prepare({ operands: [name = ''], options, print }) {
    const grants = readGrants(options.grant)
    if (grants === undefined) {
      throw new UsageError('Say all that the user may do: --grant role=pattern, as often as needed')
    }
    return async (operator) => {
      const user = await operator.setGrants(name, grants)
      print(userJson(user), () => rightsText(user))
    }
  },
})

const remove = createAction({
  operands: ['NAME'],
  options: {},
  prepare({ operands: [name = ''], print }) {
    return async (operator) => {
      const user = await operator.removeUser(name)
      print(userJson(user), () => `Gone: ${safeText(user.name)} can no longer log in.`)
    }
  },
})

function rightsText({ name, grants }: ListedUser): string {
  return `${safeText(name)} may: ${grantsText(grants)}.`
}

function listText(users: readonly ListedUser[]): string {
  if (users.length === 0) return 'There are no users.'
  const rows = users.map(({ name, origin, grants, createdAt }) => [
    safeText(name),
    origin === 'file' ? 'htpasswd' : '',
    createdAt === undefined ? '' : timeText(createdAt),
    grantsText(grants),
  ])
  return tableText([['NAME', 'FILE', 'SINCE', 'MAY'], ...rows])
}
