/**
 * Which repositories may come in: pure, and deny by default.
 * A rule is `<upstream>/<repository>[:<tag>]`, each part a pattern; a deny rule wins over any allow rule.
 */
import { LRUCache } from '../lru.ts'
import { canonicalRegistry, expandRepository } from '../oci/registry-name.ts'
import { literalComponents, matchesPattern } from './pattern.ts'

/** What the rules say of one repository. */
export interface RepositoryVerdict {
  /** No tag and no digest of this repository can be admitted. */
  readonly refused: boolean
  /** Digests are admitted even where no allowed tag leads to them. */
  readonly admitsAnyDigest: boolean
  /** Some tags are refused although others are admitted. */
  readonly refusesSomeTags: boolean
  admitsTag(tag: string): boolean
  /** A deny rule is about this tag. */
  refusesTag(tag: string): boolean
}

export interface Allowlist {
  judge(upstream: string, repository: string): RepositoryVerdict
}

interface Rule {
  readonly name: string
  /** `undefined`: the rule is about the whole repository. */
  readonly tag: string | undefined
}

const REMEMBERED_VERDICTS = 10_000

/** Compiles the rules; judging a name then looks only at those that share its leading components. */
export function createAllowlist(allow: readonly string[], deny: readonly string[]): Allowlist {
  const allowed = indexRules(allow)
  const denied = indexRules(deny)
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

function verdict(allow: readonly Rule[], deny: readonly Rule[]): RepositoryVerdict {
  const refused = allow.length === 0 || deny.some((rule) => rule.tag === undefined)
  const refusesTag = (tag: string) => deny.some((rule) => coversTag(rule, tag))
  return {
    refused,
    admitsAnyDigest: !refused && allow.some((rule) => rule.tag === undefined),
    refusesSomeTags: deny.length > 0,
    admitsTag: (tag) => !refused && allow.some((rule) => coversTag(rule, tag)) && !refusesTag(tag),
    refusesTag,
  }
}

function coversTag(rule: Rule, tag: string): boolean {
  return rule.tag === undefined || matchesPattern(rule.tag, tag)
}

/** Rules by the literal components that they begin with, so that ten thousand cost no more than ten. */
type RuleIndex = ReadonlyMap<string, readonly Rule[]>

function indexRules(texts: readonly string[]): RuleIndex {
  const index = new Map<string, Rule[]>()
  for (const rule of texts.map(parseRule)) {
    const key = literalComponents(rule.name)
    const rules = index.get(key)
    if (rules) rules.push(rule)
    else index.set(key, [rule])
  }
  return index
}

function rulesFor(index: RuleIndex, name: string): Rule[] {
  const found: Rule[] = []
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

/** The tag begins after the last colon that no slash follows: a registry's port is not a tag. */
function parseRule(text: string): Rule {
  const colon = text.lastIndexOf(':')
  const hasTag = colon > text.lastIndexOf('/')
  return {
    name: canonicalName(hasTag ? text.slice(0, colon) : text),
    tag: hasTag ? text.slice(colon + 1) : undefined,
  }
}

/** `docker.io/redis` means what it means to every client: `docker.io/library/redis`. */
function canonicalName(name: string): string {
  const slash = name.indexOf('/')
  if (slash === -1) return name
  const registry = canonicalRegistry(name.slice(0, slash))
  const repository = name.slice(slash + 1)
  return `${registry}/${repository.includes('**') ? repository : expandRepository(registry, repository)}`
}
