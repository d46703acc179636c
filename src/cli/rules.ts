/** entrepot allow|deny: the rules of who may bring in what, those of the file and those of operators. */
import type { Effect, ListedRule, OpenOperator } from '../operator.ts'
import { ruleJson } from './api-json.ts'
import type { Command } from './command.ts'
import { createAction, createOperatorCommands, type Action } from './operator-command.ts'
import { heldRuleText, standingText, untilText } from './rule-text.ts'
import { durationText, safeText, tableText } from './text.ts'
import { EXPIRY, readDuration, readExpiry } from './time-options.ts'

export function createAllow(openOperator: OpenOperator): Command {
  return createOperatorCommands('allow', actions('allow', allowAdd), openOperator)
}

export function createDeny(openOperator: OpenOperator): Command {
  return createOperatorCommands('deny', actions('deny', denyAdd), openOperator)
}

const NOTES = { reason: 'string', owner: 'string' } as const

const allowAdd = createAction({
  operands: ['PATTERN'],
  options: { ...NOTES, ...EXPIRY, 'min-age': 'string' },
  prepare({ operands: [pattern = ''], options, now, print }) {
    const { reason, owner, 'min-age': age } = options
    const expiresAt = readExpiry(options, now)
    const minAge = age === undefined ? undefined : readDuration('min-age', age)
    return async (operator) => {
      const rule = await operator.addRule({
        effect: 'allow',
        pattern,
        reason,
        owner,
        expiresAt,
        minAge,
      })
      print(ruleJson(rule), () => heldRuleText(rule, now))
    }
  },
})

const denyAdd = createAction({
  operands: ['PATTERN'],
  options: { ...NOTES, ...EXPIRY },
  prepare({ operands: [pattern = ''], options, now, print }) {
    const { reason, owner } = options
    const expiresAt = readExpiry(options, now)
    return async (operator) => {
      const rule = await operator.addRule({ effect: 'deny', pattern, reason, owner, expiresAt })
      print(ruleJson(rule), () => heldRuleText(rule, now))
    }
  },
})

function actions(effect: Effect, add: Action): ReadonlyMap<string, Action> {
  return new Map([
    ['add', add],
    ['remove', createRemove(effect)],
    ['list', createList(effect)],
  ])
}

function createRemove(effect: Effect): Action {
  return createAction({
    operands: ['PATTERN|ID'],
    options: {},
    prepare({ operands: [id = ''], print }) {
      return async (operator) => {
        const rule = await operator.removeRule(id, effect)
        print(
          ruleJson(rule),
          () => `Gone: ${effect} ${safeText(rule.pattern)} (rule ${safeText(rule.id)}).`,
        )
      }
    },
  })
}

function createList(effect: Effect): Action {
  return createAction({
    operands: ['[IMAGE]'],
    options: {},
    prepare({ operands: [image], now, print }) {
      return async (operator) => {
        const rules = await operator.rules({ effect, image })
        print({ rules: rules.map(ruleJson) }, () => listText(rules, { effect, image, now }))
      }
    },
  })
}

interface Listing {
  readonly effect: Effect
  readonly image: string | undefined
  readonly now: number
}

function listText(rules: readonly ListedRule[], { effect, image, now }: Listing): string {
  if (rules.length === 0) {
    const about = image === undefined ? '' : ` about ${safeText(image)}`
    return `There is no ${effect} rule${about}.`
  }
  const rows = rules.map((rule) => [
    safeText(rule.id),
    safeText(rule.pattern),
    standingText(rule),
    untilText(rule.expiresAt, now),
    ...(effect === 'allow' ? [rule.minAge === 0 ? '' : durationText(rule.minAge)] : []),
    rule.origin === 'file' ? 'mirrors.yml' : safeText(rule.owner),
    safeText(rule.reason),
  ])
  const age = effect === 'allow' ? ['MIN AGE'] : []
  return tableText([['ID', 'PATTERN', 'STANDING', 'UNTIL', ...age, 'OWNER', 'REASON'], ...rows])
}
