/** Which images must stay, whatever the budget. */
import { createAllowlist } from './allowlist.ts'

interface RepositoryName {
  readonly upstream: string
  readonly repository: string
}

/** @param patterns as in `allow`, checked by the configuration */
export function createPins(
  patterns: readonly string[],
): (name: RepositoryName, tag: string) => boolean {
  const pins = createAllowlist(patterns, [])
  return ({ upstream, repository }, tag) => pins.judge(upstream, repository).admitsTag(tag)
}
