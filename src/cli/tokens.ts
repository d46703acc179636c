/** entrepot tokens: keys for robots. */
import type { ListedToken, OpenOperator } from '../operator.ts'
import { createdTokenJson, tokenJson } from './api-json.ts'
import type { Command } from './command.ts'
import { DEFAULT_GRANTS, GRANTS, grantsText, readGrants } from './grant-options.ts'
import { createAction, createOperatorCommands } from './operator-command.ts'
import { lastsText, untilText } from './rule-text.ts'
import { safeText, tableText, timeText } from './text.ts'
import { EXPIRY, readExpiry } from './time-options.ts'

export function createTokens(openOperator: OpenOperator): Command {
  const actions = new Map([
    ['list', list],
    ['add', add],
    ['remove', remove],
  ])
  return createOperatorCommands('tokens', actions, openOperator)
}

const list = createAction({
  operands: [],
  options: {},
  prepare({ now, print }) {
    return async (operator) => {
      const tokens = await operator.tokens()
      print({ tokens: tokens.map(tokenJson) }, () => listText(tokens, now))
    }
  },
})

const add = createAction({
  operands: ['NAME'],
  options: { ...GRANTS, ...EXPIRY },
  prepare({ operands: [name = ''], options, io, now, print }) {
    const grants = readGrants(options.grant) ?? DEFAULT_GRANTS
    const expiresAt = readExpiry(options, now)
    return async (operator) => {
      const created = await operator.addToken({ name, grants, expiresAt })
      // Alone on standard output, so that a script can keep it.
      print(createdTokenJson(created), () => {
        io.error(`${addedText(created, now)} The token is told this once:`)
        return safeText(created.token)
      })
    }
  },
})

const remove = createAction({
  operands: ['ID'],
  options: {},
  prepare({ operands: [id = ''], print }) {
    return async (operator) => {
      const token = await operator.removeToken(id)
      print(
        tokenJson(token),
        () => `Gone: the token ${safeText(token.id)} of ${safeText(token.name)} no longer counts.`,
      )
    }
  },
})

function addedText({ id, name, grants, expiresAt }: ListedToken, now: number): string {
  const who = `${safeText(name)} (token ${safeText(id)})`
  return `${who} may: ${grantsText(grants)}, ${lastsText(expiresAt, now)}.`
}

function listText(tokens: readonly ListedToken[], now: number): string {
  if (tokens.length === 0) return 'There are no tokens.'
  const rows = tokens.map(({ id, name, grants, owner, createdAt, expiresAt }) => [
    safeText(id),
    safeText(name),
    safeText(owner),
    timeText(createdAt),
    untilText(expiresAt, now),
    grantsText(grants),
  ])
  return tableText([['ID', 'NAME', 'OWNER', 'SINCE', 'UNTIL', 'MAY'], ...rows])
}
