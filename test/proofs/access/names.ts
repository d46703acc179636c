/** A small world of names, and patterns by chance that often say something of them. */
import type { Chance } from '../chance.ts'
import { matches } from './reference.ts'

const COMPONENTS = ['a', 'b', 'ab', 'ba', 'library']
const REGISTRIES = ['docker.io', 'q.io', 'qa.io']

/** All that there is, in canonical form. */
export const NAMES: readonly string[] = REGISTRIES.flatMap((registry) =>
  repositories(3)
    // A name of one component is one of `library/` there.
    .filter((repository) => registry !== 'docker.io' || repository.includes('/'))
    .map((repository) => `${registry}/${repository}`),
)

export const TAGS = ['a', 'b', 'ab', '7', '7.1', 'aab']

const WRITTEN_REGISTRIES = [
  ...REGISTRIES,
  'index.docker.io',
  'Docker.io',
  '*',
  '*.io',
  'q*',
  'q*.io',
  '**',
  'q**',
]
const PIECES = ['a', 'b', 'ab', 'ba', 'library', '*', '**', 'a*', '*b', 'a**', '**b', '*a*', 'l*y']
const TAG_PIECES = ['a', 'b', '7', '*', 'a*', '*b', '7*', '**', '*a*']

/** `<upstream>/<repository>`, as people write it. */
export function somePattern(chance: Chance): string {
  if (chance.next() < 0.06) return '**'
  const pieces = Array.from({ length: chance.between(1, 4) }, () => chance.oneOf(PIECES))
  return [chance.oneOf(WRITTEN_REGISTRIES), ...pieces].join('/')
}

/** One in two has a tag. */
export function someRulePattern(chance: Chance): string {
  const name = somePattern(chance)
  return chance.next() < 0.5 ? name : `${name}:${chance.oneOf(TAG_PIECES)}`
}

/** The places in `NAMES` that a pattern in canonical form matches; remembered. */
export function createMatcher(): (pattern: string) => ReadonlySet<number> {
  const known = new Map<string, ReadonlySet<number>>()
  return (pattern) => {
    const found =
      known.get(pattern) ??
      new Set(NAMES.flatMap((name, place) => (matches(pattern, name) ? [place] : [])))
    known.set(pattern, found)
    return found
  }
}

function repositories(depth: number): string[] {
  if (depth === 0) return []
  const shorter = repositories(depth - 1)
  const below = shorter.length === 0 ? [] : shorter
  return [
    ...COMPONENTS,
    ...below.flatMap((rest) => COMPONENTS.map((component) => `${component}/${rest}`)),
  ]
}
