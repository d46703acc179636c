/** entrepot requests: who asked in vain for what; let it in, or dismiss it. */
import type { AccessRequest, Approval, OpenOperator } from '../operator.ts'
import { requestJson, ruleJson } from './api-json.ts'
import type { Command } from './command.ts'
import { createAction, createOperatorCommands } from './operator-command.ts'
import { heldRuleText } from './rule-text.ts'
import { agoText, safeText, tableText } from './text.ts'
import { EXPIRY, readExpiry } from './time-options.ts'

export function createRequests(openOperator: OpenOperator): Command {
  const actions = new Map([
    ['list', list],
    ['approve', approve],
    ['dismiss', dismiss],
  ])
  return createOperatorCommands('requests', actions, openOperator, 'list')
}

const list = createAction({
  operands: [],
  options: { all: 'boolean' },
  prepare({ options, now, print }) {
    return async (operator) => {
      const requests = await operator.requests({ state: options.all === true ? 'all' : 'open' })
      print({ requests: requests.map(requestJson) }, () => listText(requests, now))
    }
  },
})

const approve = createAction({
  operands: ['ID'],
  options: { ...EXPIRY, as: 'string', reason: 'string' },
  prepare({ operands: [id = ''], options, now, print }) {
    const { reason } = options
    const approval = { ...readScope(options.as), expiresAt: readExpiry(options, now), reason }
    return async (operator) => {
      const rule = await operator.approveRequest(id, approval)
      print(ruleJson(rule), () => heldRuleText(rule, now))
    }
  },
})

const dismiss = createAction({
  operands: ['ID'],
  options: { reason: 'string' },
  prepare({ operands: [id = ''], options, print }) {
    return async (operator) => {
      const request = await operator.dismissRequest(id, options.reason)
      print(
        requestJson(request),
        () =>
          `Dismissed: ${imageText(request)} for ${whoText(request)}. It is still refused, and no longer listed.`,
      )
    }
  },
})

/** Without it, no more than was asked for. */
function readScope(text = 'exact'): Pick<Approval, 'as' | 'pattern'> {
  return text === 'exact' || text === 'repository' ? { as: text } : { as: 'pattern', pattern: text }
}

function listText(requests: readonly AccessRequest[], now: number): string {
  if (requests.length === 0) return 'Nobody asks for anything.'
  const rows = requests.map((request) => [
    safeText(request.id),
    imageText(request),
    whoText(request),
    REASONS[request.reason],
    String(request.count),
    agoText(request.firstAt, now),
    agoText(request.lastAt, now),
    request.state,
    safeText(request.userAgent, 60),
  ])
  const head = ['ID', 'IMAGE', 'WHO', 'WHY', 'TIMES', 'FIRST', 'LAST', 'STATE', 'CLIENT']
  return tableText([head, ...rows])
}

const REASONS: Readonly<Record<AccessRequest['reason'], string>> = {
  rule: 'no rule admits it',
  right: 'no right to it',
}

function imageText({ name, tag }: AccessRequest): string {
  return safeText(tag === undefined ? name : `${name}:${tag}`, 512)
}

function whoText({ user, address }: AccessRequest): string {
  return safeText(user === undefined ? address : `${user} at ${address}`)
}
