/** A line of the allowlist, from `mirrors.yml` or from an operator. Pure. */
import { canonicalRegistry, expandRepository } from '../oci/registry-name.ts'

export type Effect = 'allow' | 'deny'

export interface Rule {
  /** Unique among all rules of this moment; those of the file are called by their place in it. */
  readonly id: string
  readonly effect: Effect
  /** `<upstream>/<repository>[:<tag>]`, `*` within a component, `**` across. */
  readonly pattern: string
  /** The file's can only be changed there. */
  readonly origin: 'file' | 'operator'
  /** Why it is there, for people. */
  readonly reason: string | undefined
  /** Who added it, or whom to ask about it. */
  readonly owner: string | undefined
  /** Milliseconds since the epoch; `undefined` for those of the file. */
  readonly createdAt: number | undefined
  /** Milliseconds since the epoch from which it no longer counts. */
  readonly expiresAt: number | undefined
  /** Milliseconds that must have passed since a digest was first seen upstream; 0: none. */
  readonly minAge: number
}

/** The parts of a pattern, as they are compared. */
export interface PatternParts {
  readonly name: string
  /** `undefined`: about the whole repository. */
  readonly tag: string | undefined
}

/**
 * The tag begins after the last colon that no slash follows: a registry's port is not a tag.
 * `docker.io/redis` means what it means to every client: `docker.io/library/redis`.
 */
export function readPattern(text: string): PatternParts {
  const colon = text.lastIndexOf(':')
  const hasTag = colon > text.lastIndexOf('/')
  return {
    name: canonicalName(hasTag ? text.slice(0, colon) : text),
    tag: hasTag ? text.slice(colon + 1) : undefined,
  }
}

function canonicalName(name: string): string {
  const slash = name.indexOf('/')
  if (slash === -1) return name
  const registry = canonicalRegistry(name.slice(0, slash))
  const repository = name.slice(slash + 1)
  return `${registry}/${repository.includes('**') ? repository : expandRepository(registry, repository)}`
}

/** A line of the file. */
export function fileRule(
  effect: Effect,
  pattern: string,
  { place, minAge = 0 }: { place: number; minAge?: number },
): Rule {
  return {
    id: `file:${effect}:${place}`,
    effect,
    pattern,
    origin: 'file',
    reason: undefined,
    owner: undefined,
    createdAt: undefined,
    expiresAt: undefined,
    minAge,
  }
}
