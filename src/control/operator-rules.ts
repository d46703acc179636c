/** Rules of operators, beside those of the file. */
import { randomBytes } from 'node:crypto'
import { authorize, SOMEWHERE } from '../access/authorize.ts'
import { compileRules } from '../access/allowlist.ts'
import type { Effect, Rule } from '../access/rule.ts'
import type { Image } from '../routing/image.ts'
import type { ListedRule, NewRule, Operator } from './operator.ts'
import { authorNow, type OperatorContext } from './operator-context.ts'
import { createInputCheck, readImage } from './operator-input.ts'
import { requireRight } from './operator-rights.ts'
import { addRuleDecision, removeRuleDecision, type CheckedRule } from './rule-decisions.ts'
import { countsAt, createStandings, isAbout } from './standing.ts'

export function createRuleUseCases(
  context: OperatorContext,
): Pick<Operator, 'rules' | 'addRule' | 'removeRule'> {
  const { catalog, settings, caller, now } = context
  const { principal } = caller

  return {
    async rules({ effect, image }) {
      requireRight(principal, 'rules.read', SOMEWHERE)
      const about = image === undefined ? undefined : readImage(settings().routing, image)
      const state = await catalog.state()
      const all = [...settings().rules, ...state.rules]
      return listRules(all, about, now()).filter(
        (rule) =>
          (effect === undefined || rule.effect === effect) &&
          authorize(principal, 'rules.read', { kind: 'pattern', pattern: rule.pattern }),
      )
    },

    async addRule(given) {
      requireRight(principal, 'rules.write', SOMEWHERE)
      const author = authorNow(context)
      const rule = checkedRule(context, given, author.now)
      requireRight(principal, 'rules.write', { kind: 'pattern', pattern: rule.pattern })
      const situation = { author, fileRules: settings().rules }
      return catalog.change(addRuleDecision(situation, rule, ruleIds(rule.effect)))
    },

    async removeRule(id, effect) {
      requireRight(principal, 'rules.write', SOMEWHERE)
      const situation = { author: authorNow(context), fileRules: settings().rules }
      return catalog.change(removeRuleDecision(situation, id, effect))
    },
  }
}

/** Several to choose from: two of them are the same once in some ten thousand rules. */
export function ruleIds(effect: Effect): string[] {
  return Array.from({ length: 4 }, () => `${effect === 'allow' ? 'a' : 'd'}-${randomText(6)}`)
}

/** @param about only rules that say something of it; which of them decides is marked */
function listRules(all: readonly Rule[], about: Image | undefined, now: number): ListedRule[] {
  const standingOf = createStandings(all, now)
  const { target, tag } = about ?? {}
  const listed = target === undefined ? all : all.filter((rule) => isAbout(rule, target, tag))
  const deciding =
    target &&
    compileRules(listed.filter((rule) => countsAt(rule, now)))
      .judge(target.upstream, target.repository)
      .decidingRule(tag)
  return listed.map((rule) => ({
    ...rule,
    ...standingOf(rule),
    decides: deciding !== undefined && rule.id === deciding.id,
  }))
}

function checkedRule(
  { settings, caller }: OperatorContext,
  given: NewRule,
  now: number,
): CheckedRule {
  const check = createInputCheck(settings(), now)
  const { effect, minAge = 0 } = given
  const rule: CheckedRule = {
    effect,
    pattern: check.pattern('pattern', given.pattern),
    reason: check.note('reason', given.reason),
    owner: check.note('owner', given.owner) ?? caller.principal.name,
    expiresAt: check.expiry('expiresAt', given.expiresAt),
    minAge,
  }
  if (!Number.isSafeInteger(minAge) || minAge < 0) {
    check.complain('minAge', 'The least age is a whole number of milliseconds, 0 or more.')
  } else if (effect === 'deny' && minAge > 0) {
    check.complain('minAge', 'Only an allow rule has a least age: a deny rule refuses at any age.')
  }
  check.finish()
  return rule
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

function randomText(length: number): string {
  return Array.from(randomBytes(length), (byte) => BASE32.charAt(byte % BASE32.length)).join('')
}
