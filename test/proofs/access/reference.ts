/**
 * What the mirror promises of rights and rules, written once more without anything of the program: by
 * trying out and by enumerating, slow and plain.
 */

export type RoleName = 'pull' | 'push' | 'operate' | 'admin'

export interface Right {
  readonly role: RoleName
  /** In canonical form. */
  readonly pattern: string
}

/** Who has one of these roles may do what the role needs. */
const SUFFICE: Readonly<Record<RoleName, readonly RoleName[]>> = {
  pull: ['pull', 'push', 'operate', 'admin'],
  push: ['push', 'admin'],
  operate: ['operate', 'admin'],
  admin: ['admin'],
}

export const ALL_ROLES = Object.keys(SUFFICE) as RoleName[]

/** The patterns within which these rights are enough for the role. */
export function reachOf(rights: readonly Right[], role: RoleName): string[] {
  return rights.filter((right) => SUFFICE[role].includes(right.role)).map((right) => right.pattern)
}

/** @param name `<upstream>/<repository>` */
export function may(rights: readonly Right[], role: RoleName, name: string): boolean {
  return reachOf(rights, role).some((pattern) => matches(pattern, name))
}

/** `*` stands for anything within a component, `**` for anything. Tries every possibility. */
export function matches(pattern: string, text: string): boolean {
  if (pattern === '') return text === ''
  if (pattern.startsWith('**')) {
    return matches(pattern.slice(2), text) || (text !== '' && matches(pattern, text.slice(1)))
  }
  if (pattern.startsWith('*')) {
    const eats = text !== '' && !text.startsWith('/')
    return matches(pattern.slice(1), text) || (eats && matches(pattern, text.slice(1)))
  }
  return pattern[0] === text[0] && matches(pattern.slice(1), text.slice(1))
}

/** A pattern as people write it, in its parts; the name in canonical form. */
export function spelled(text: string): { readonly name: string; readonly tag: string | undefined } {
  const [, written = text, tag] = /^(.*):([^/:]*)$/s.exec(text) ?? []
  const [registry = '', ...components] = written.split('/')
  const hub = ['docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(
    registry.toLowerCase(),
  )
  if (components.length === 0) return { name: written, tag }
  const isOfficial = hub && components.length === 1 && !written.includes('**')
  const repository = [...(isOfficial ? ['library'] : []), ...components].join('/')
  return { name: `${hub ? 'docker.io' : registry.toLowerCase()}/${repository}`, tag }
}

export interface WrittenRule {
  readonly id: string
  readonly effect: 'allow' | 'deny'
  readonly pattern: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number | undefined
  /** Milliseconds. */
  readonly minAge: number
}

export interface Judgement {
  readonly refused: boolean
  readonly admitsAnyDigest: boolean
  readonly admitted: boolean
  readonly refusesTag: boolean
  readonly minAge: number
  readonly wholeMinAge: number
  /** Ids of those of which one decides about the tag, and about the repository without a tag. */
  readonly deciding: readonly string[]
  readonly wholeDeciding: readonly string[]
  readonly about: readonly string[]
}

/** What all the rules together say of an image at a moment: no by default, and no wins. */
export function judged(
  rules: readonly WrittenRule[],
  { name, tag, now }: { readonly name: string; readonly tag: string; readonly now: number },
): Judgement {
  const about = rules
    .filter(({ expiresAt }) => expiresAt === undefined || now < expiresAt)
    .map((rule) => ({ ...rule, ...spelled(rule.pattern), whole: !hasTag(rule.pattern) }))
    .filter((rule) => matches(rule.name, name))
  const allow = about.filter(({ effect }) => effect === 'allow')
  const deny = about.filter(({ effect }) => effect === 'deny')
  const ofTag = (rule: (typeof about)[number]) => rule.whole || matches(rule.tag ?? '', tag)
  const refused = allow.length === 0 || deny.some(({ whole }) => whole)
  const refusesTag = deny.some(ofTag)
  return {
    refused,
    admitsAnyDigest: !refused && allow.some(({ whole }) => whole),
    admitted: !refused && !refusesTag && allow.some(ofTag),
    refusesTag,
    minAge: longest(allow.filter(ofTag)),
    wholeMinAge: longest(allow.filter(({ whole }) => whole)),
    deciding: ids(refusesTag ? deny.filter(ofTag) : allow.filter(ofTag)),
    wholeDeciding: ids([deny, allow].map((of) => of.filter(({ whole }) => whole)).find(hasSome)),
    about: ids(about).toSorted(),
  }
}

function hasTag(pattern: string): boolean {
  return /:[^/:]*$/.test(pattern)
}

function longest(rules: readonly WrittenRule[]): number {
  return rules.reduce((most, { minAge }) => Math.max(most, minAge), 0)
}

function ids(rules: readonly WrittenRule[] = []): string[] {
  return rules.map(({ id }) => id)
}

function hasSome(list: readonly unknown[]): boolean {
  return list.length > 0
}
