/**
 * Which repositories may come in: pure, and deny by default.
 * A rule is `<upstream>/<repository>[:<tag>]`, each part a pattern; a deny rule wins over any allow rule.
 */
import { LRUCache } from '../lru.ts'
import { subjectOfTag } from '../oci/digest-tag.ts'
import { covers, literalComponents, matchesPattern } from './pattern.ts'
import { fileRule, readPattern, type Rule } from './rule.ts'

/** What the rules say of one repository. */
export interface RepositoryVerdict {
  /** No tag and no digest of this repository can be admitted. */
  readonly refused: boolean
  /** Digests are admitted even where no allowed tag leads to them. */
  readonly admitsAnyDigest: boolean
  /** Some tags are refused although others are admitted. */
  readonly refusesSomeTags: boolean
  /** Some rule wants content to have been upstream for a while. */
  readonly hasProbation: boolean
  admitsTag(tag: string): boolean
  /** A deny rule is about this tag. */
  refusesTag(tag: string): boolean
  /**
   * Milliseconds that a digest must have been known upstream: the longest that a rule about the tag
   * wants. Without a tag: the longest that a rule about the whole repository wants. 0 for signatures and
   * lists of referrers: they are first asked for when their image has come of age.
   */
  minAge(tag?: string): number
  /**
   * A rule that decides about the tag, or about the repository: one that denies, else one that allows; `undefined` where none is about it.
   */
  decidingRule(tag?: string): Rule | undefined
  /** Every rule that is about the repository, or some of its tags. */
  readonly rules: readonly Rule[]
}

export interface Allowlist {
  judge(upstream: string, repository: string): RepositoryVerdict
}

interface CompiledRule {
  readonly name: string
  /** `undefined`: the rule is about the whole repository. */
  readonly tag: string | undefined
  readonly rule: Rule
}

const REMEMBERED_VERDICTS = 10_000

/** @param allow patterns without anything else to them, and `deny` likewise */
export function createAllowlist(allow: readonly string[], deny: readonly string[]): Allowlist {
  return compileRules([
    ...allow.map((pattern, place) => fileRule('allow', pattern, { place })),
    ...deny.map((pattern, place) => fileRule('deny', pattern, { place })),
  ])
}

/**
 * Compiles the rules; judging a name then looks only at those that share its leading components.
 * @param rules that count now
 */
export function compileRules(rules: readonly Rule[]): Allowlist {
  const allowed = indexRules(rules.filter(({ effect }) => effect === 'allow'))
  const denied = indexRules(rules.filter(({ effect }) => effect === 'deny'))
  // The rules of one allowlist never change, so neither does what they say of a name.
  const verdicts = new LRUCache<string, RepositoryVerdict>({ max: REMEMBERED_VERDICTS })
  return {
    judge(upstream, repository) {
      const name = `${upstream}/${repository}`
      const known = verdicts.get(name)
      if (known) return known
      const made = verdict(rulesFor(allowed, name), rulesFor(denied, name))
      verdicts.set(name, made)
      return made
    },
  }
}

/** Whether the first rule is about all images that the second is about. */
export function coversRule(wide: string, narrow: string): boolean {
  const [outer, inner] = [readPattern(wide), readPattern(narrow)]
  const coversTags =
    outer.tag === undefined || (inner.tag !== undefined && covers(outer.tag, inner.tag))
  return coversTags && covers(outer.name, inner.name)
}

function verdict(allow: readonly CompiledRule[], deny: readonly CompiledRule[]): RepositoryVerdict {
  const refused = allow.length === 0 || deny.some((rule) => rule.tag === undefined)
  const refusesTag = (tag: string) => deny.some((rule) => coversTag(rule, tag))
  const isAbout = (tag: string | undefined) => (rule: CompiledRule) =>
    tag === undefined ? rule.tag === undefined : coversTag(rule, tag)
  return {
    refused,
    admitsAnyDigest: !refused && allow.some((rule) => rule.tag === undefined),
    refusesSomeTags: deny.length > 0,
    hasProbation: allow.some(({ rule }) => rule.minAge > 0),
    admitsTag: (tag) => !refused && allow.some((rule) => coversTag(rule, tag)) && !refusesTag(tag),
    refusesTag,
    minAge: (tag) =>
      isAboutImage(tag)
        ? 0
        : Math.max(0, ...allow.filter(isAbout(tag)).map(({ rule }) => rule.minAge)),
    decidingRule: (tag) => (deny.find(isAbout(tag)) ?? allow.find(isAbout(tag)))?.rule,
    rules: [...deny, ...allow].map(({ rule }) => rule),
  }
}

function isAboutImage(tag: string | undefined): boolean {
  return tag !== undefined && subjectOfTag(tag) !== undefined
}

function coversTag(rule: CompiledRule, tag: string): boolean {
  return rule.tag === undefined || matchesPattern(rule.tag, tag)
}

/** Rules by the literal components that they begin with, so that ten thousand cost no more than ten. */
type RuleIndex = ReadonlyMap<string, readonly CompiledRule[]>

function indexRules(rules: readonly Rule[]): RuleIndex {
  const index = new Map<string, CompiledRule[]>()
  for (const rule of rules) {
    const compiled = { ...readPattern(rule.pattern), rule }
    const key = literalComponents(compiled.name)
    const sharing = index.get(key)
    if (sharing) sharing.push(compiled)
    else index.set(key, [compiled])
  }
  return index
}

function rulesFor(index: RuleIndex, name: string): CompiledRule[] {
  const found: CompiledRule[] = []
  for (let end = 0; end !== -1; end = end === name.length ? -1 : nextEnd(name, end)) {
    const rules = index.get(name.slice(0, end)) ?? []
    found.push(...rules.filter((rule) => matchesPattern(rule.name, name)))
  }
  return found
}

function nextEnd(name: string, from: number): number {
  const slash = name.indexOf('/', from + 1)
  return slash === -1 ? name.length : slash
}
