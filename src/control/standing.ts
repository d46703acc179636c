/** Which rules count at a moment, and which of them have no effect because another denies it all. Pure. */
import { coversRule } from '../access/allowlist.ts'
import { literalComponents, matchesPattern } from '../access/pattern.ts'
import { readPattern, type Rule } from '../access/rule.ts'
import type { Tag } from '../oci/reference.ts'
import type { Target } from '../routing/resolve.ts'
import type { ListedRule } from './operator.ts'

type Standing = Pick<ListedRule, 'standing' | 'overriddenBy'>

/** @param now milliseconds since the epoch */
export function countsAt({ expiresAt }: Pick<Rule, 'expiresAt'>, now: number): boolean {
  return expiresAt === undefined || expiresAt > now
}

/** The file's first, as everywhere; operators' in the order of the catalog. */
export function rulesInForce(
  ofFile: readonly Rule[],
  ofOperators: readonly Rule[],
  now: number,
): Rule[] {
  return [...ofFile, ...ofOperators].filter((rule) => countsAt(rule, now))
}

/** One form for all spellings of the same pattern. */
export function canonicalPattern(text: string): string {
  const { name, tag } = readPattern(text)
  return tag === undefined ? name : `${name}:${tag}`
}

/** @param rules all that there are, those included that no longer count */
export function createStandings(rules: readonly Rule[], now: number): (rule: Rule) => Standing {
  const denying = createDenials(rules.filter((rule) => countsAt(rule, now)))
  return (rule) => {
    if (!countsAt(rule, now)) return { standing: 'expired', overriddenBy: undefined }
    const winner = rule.effect === 'allow' ? denying(rule.pattern) : undefined
    return { standing: winner ? 'overridden' : 'in-force', overriddenBy: winner?.id }
  }
}

/**
 * Finds the rule that denies all that a pattern is about.
 * @param rules that count
 */
export function createDenials(rules: readonly Rule[]): (pattern: string) => Rule | undefined {
  // By the literal components that they begin with: listing thousands of rules asks this of each one.
  const index = new Map<string, Rule[]>()
  for (const rule of rules) {
    if (rule.effect !== 'deny') continue
    const key = literalComponents(readPattern(rule.pattern).name)
    const sharing = index.get(key)
    if (sharing) sharing.push(rule)
    else index.set(key, [rule])
  }
  return (pattern) => {
    for (const start of startsOf(readPattern(pattern).name)) {
      const found = index.get(start)?.find((rule) => coversRule(rule.pattern, pattern))
      if (found) return found
    }
    return undefined
  }
}

/** Whether the rule says something of the image; without a tag: of any of its tags. */
export function isAbout(rule: Rule, { upstream, repository }: Target, tag?: Tag): boolean {
  const parts = readPattern(rule.pattern)
  return (
    matchesPattern(parts.name, `${upstream}/${repository}`) &&
    (tag === undefined || parts.tag === undefined || matchesPattern(parts.tag, tag))
  )
}

/** Nothing, then one component more each time: '', 'quay.io', 'quay.io/coreos' … */
function startsOf(name: string): string[] {
  const components = name.split('/')
  return ['', ...components.map((_, end) => components.slice(0, end + 1).join('/'))]
}
