/** What becomes of the rules, decided on the state inside the transaction. Pure. */
import { authorize } from '../access/authorize.ts'
import type { Effect, Rule } from '../access/rule.ts'
import type { Change, ControlState, Decision, DecisionContext } from '../catalog/control-catalog.ts'
import { auditedRule, auditRecord, type Author } from './audit-record.ts'
import { ControlError } from './error.ts'
import type { ListedRule } from './operator.ts'
import { shownText } from './operator-input.ts'
import {
  canonicalPattern,
  countsAt,
  createDenials,
  createStandings,
  rulesInForce,
} from './standing.ts'

const MOST_RULES = 20_000

/** A rule that is to be, checked as far as that goes without knowing the others. */
export type CheckedRule = Pick<
  Rule,
  'effect' | 'pattern' | 'reason' | 'owner' | 'expiresAt' | 'minAge'
>

export interface RuleSituation {
  readonly author: Author
  /** Those of the file. */
  readonly fileRules: readonly Rule[]
}

/** @param ids to choose from: one that is free is taken */
export function addRuleDecision(
  situation: RuleSituation,
  rule: CheckedRule,
  ids: readonly string[],
): (context: DecisionContext) => Decision<ListedRule> {
  return ({ state }) => {
    const same = findSame(state.rules, rule)
    if (same && countsAt(same, situation.author.now)) throw alreadyThere(same)
    refuseDenied(situation, state, rule, rule.pattern)
    return replacing(situation, state, same, newRule(situation, state, rule, ids))
  }
}

/**
 * One that no longer counts makes room for its successor.
 * @param same with the same effect and pattern
 */
export function replacing(
  { author }: RuleSituation,
  state: ControlState,
  same: Rule | undefined,
  rule: Rule,
): Decision<ListedRule> {
  if (same === undefined && state.rules.length >= MOST_RULES) throw tooMany()
  const changes: Change[] = [{ kind: 'put-rule', rule }]
  const audit = [auditRecord(author, 'rule.add', rule.pattern, { after: auditedRule(rule) })]
  if (same) {
    changes.unshift({ kind: 'remove-rule', id: same.id })
    audit.unshift(auditRecord(author, 'rule.remove', same.pattern, { before: auditedRule(same) }))
  }
  return { changes, audit, result: inForce(rule) }
}

/** An operator's rule of the same effect and pattern, however it is spelled. */
export function findSame(
  rules: readonly Rule[],
  { effect, pattern }: Pick<Rule, 'effect' | 'pattern'>,
): Rule | undefined {
  const wanted = canonicalPattern(pattern)
  return rules.find((rule) => rule.effect === effect && canonicalPattern(rule.pattern) === wanted)
}

/** @throws {ControlError} conflict, when an allow rule would let nothing of this in */
export function refuseDenied(
  { author, fileRules }: RuleSituation,
  state: ControlState,
  { effect }: Pick<Rule, 'effect'>,
  pattern: string,
): void {
  if (effect === 'deny') return
  const denial = createDenials(rulesInForce(fileRules, state.rules, author.now))(pattern)
  if (denial === undefined) return
  throw new ControlError(
    'conflict',
    `The deny rule ${denial.id} (${denial.pattern}) refuses all of ${pattern}, and deny wins. ${removalHint(denial)} first.`,
  )
}

/** @param ids to choose from */
export function newRule(
  { author }: RuleSituation,
  state: ControlState,
  rule: CheckedRule,
  ids: readonly string[],
): Rule {
  const taken = new Set(state.rules.map(({ id }) => id))
  const id = ids.find((one) => !taken.has(one))
  if (id === undefined) {
    throw new ControlError('conflict', 'No free id was found for the rule. Try once more.')
  }
  return { ...rule, id, origin: 'operator', createdAt: author.now }
}

/** @param given the id of the rule, or its pattern */
export function removeRuleDecision(
  { author, fileRules }: RuleSituation,
  given: string,
  effect: Effect | undefined,
): (context: DecisionContext) => Decision<ListedRule> {
  return ({ state }) => {
    const meant = [...fileRules, ...state.rules].filter(
      (rule) =>
        isMeant(rule, given) &&
        (effect === undefined || rule.effect === effect) &&
        mayWrite(author, rule),
    )
    const rule = theOne(meant, given, effect)
    const standings = createStandings([...fileRules, ...state.rules], author.now)
    return {
      changes: [{ kind: 'remove-rule', id: rule.id }],
      audit: [auditRecord(author, 'rule.remove', rule.pattern, { before: auditedRule(rule) })],
      result: { ...rule, ...standings(rule), decides: false },
    }
  }
}

/** Rules whose pattern is out of the caller's reach are as good as not there. */
function mayWrite({ caller }: Author, { pattern }: Rule): boolean {
  return authorize(caller.principal, 'rules.write', { kind: 'pattern', pattern })
}

function isMeant(rule: Rule, given: string): boolean {
  return rule.id === given || canonicalPattern(rule.pattern) === canonicalPattern(given)
}

function theOne(meant: readonly Rule[], given: string, effect: Effect | undefined): Rule {
  const [rule, another] = meant.filter(({ origin }) => origin === 'operator')
  if (rule && another) {
    throw new ControlError(
      'conflict',
      `${shownText(given)} is both allowed (${idOf('allow', meant)}) and denied (${idOf('deny', meant)}). Say which of the two by its id.`,
    )
  }
  if (rule) return rule
  const [ofFile] = meant
  if (ofFile) {
    throw new ControlError(
      'conflict',
      `${ofFile.id} (${ofFile.effect} ${ofFile.pattern}) is in mirrors.yml; remove it there.`,
    )
  }
  throw new ControlError(
    'not-found',
    `There is no ${effect === undefined ? '' : `${effect} `}rule ${shownText(given)} among those that you may change. List the rules to see their ids.`,
  )
}

function idOf(effect: Effect, rules: readonly Rule[]): string {
  return rules.find((rule) => rule.origin === 'operator' && rule.effect === effect)?.id ?? ''
}

function alreadyThere({ id, effect, pattern, expiresAt }: Rule): ControlError {
  const until = expiresAt === undefined ? '' : ` until ${new Date(expiresAt).toISOString()}`
  return new ControlError(
    'conflict',
    `The rule ${id} says this already: ${effect} ${pattern}${until}. To change it, remove ${id} and add it anew.`,
  )
}

function removalHint({ id, origin }: Rule): string {
  return origin === 'file' ? 'Remove it in mirrors.yml' : `Remove ${id}`
}

function tooMany(): ControlError {
  return new ControlError(
    'conflict',
    `There are ${MOST_RULES} rules already. Remove some that no longer count, or write a wider pattern.`,
  )
}

function inForce(rule: Rule): ListedRule {
  return { ...rule, standing: 'in-force', overriddenBy: undefined, decides: false }
}
