/** Rules, and how long something lasts, for people. Pure. */
import type { ListedRule, Rule } from '../operator.ts'
import { durationText, safeText, timeText } from './text.ts'

/** What holds now that the rule was added. */
export function heldRuleText(rule: ListedRule, now: number): string {
  const { id, effect, pattern, minAge, expiresAt } = rule
  const age = minAge === 0 ? '' : `, for content that is known for ${durationText(minAge)}`
  const what = effect === 'allow' ? 'may come in' : 'is kept out'
  const end = lastsText(expiresAt, now)
  const lines = [`${safeText(pattern)} ${what}${age}, ${end} (rule ${safeText(id)}).`]
  if (rule.standing !== 'in-force') lines.push(`It has no effect: ${standingText(rule)}.`)
  return lines.join('\n')
}

/** `allow docker.io/** (rule a-x1y2z3)` */
export function ruleText({ id, effect, pattern }: Rule): string {
  return `${effect} ${safeText(pattern)} (rule ${safeText(id)})`
}

export function standingText({ standing, overriddenBy, decides }: ListedRule): string {
  switch (standing) {
    case 'expired':
      return 'expired'
    case 'overridden':
      return `overridden by ${safeText(overriddenBy ?? 'another rule')}`
    case 'in-force':
      return decides ? 'decides' : 'in force'
  }
}

/** `for ever`, `until 2030-01-31T12:00:00Z (14 days)` */
export function lastsText(expiresAt: number | undefined, now: number): string {
  return expiresAt === undefined ? 'for ever' : `until ${untilText(expiresAt, now)}`
}

/** For a cell: nothing where there is no end. */
export function untilText(expiresAt: number | undefined, now: number): string {
  if (expiresAt === undefined) return ''
  const left = expiresAt > now ? durationText(expiresAt - now) : 'over'
  return `${timeText(expiresAt)} (${left})`
}
