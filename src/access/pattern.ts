/**
 * Name patterns: `*` stands for characters within a path component, `**` for any across components.
 * Ours, without regular expressions and without backtracking, so that no pattern and no name can
 * make it slow (CVE-2026-26996 and its kin in glob libraries).
 */

/** Visits each pair of positions in pattern and text at most once. */
export function matchesPattern(pattern: string, text: string): boolean {
  return walk(pattern, text)
}

/**
 * The pairs of positions that matching visits: what it costs, whatever the machine. At most
 * (pattern length + 1) × (text length + 1).
 */
export function matchingSteps(pattern: string, text: string): number {
  let steps = 0
  walk(pattern, text, (positions) => (steps += positions))
  return steps
}

/** @param visited told how many positions of the pattern are reachable at one of the text */
function walk(pattern: string, text: string, visited?: (positions: number) => void): boolean {
  const star = pattern.indexOf('*')
  if (star === -1) return pattern === text
  // Thousands of rules may lie below one folder; most of them differ from a name in what they spell out.
  if (!text.startsWith(pattern.slice(0, star))) return false
  if (!text.endsWith(pattern.slice(pattern.lastIndexOf('*') + 1))) return false
  let reachable = withStarsSkipped(pattern, new Set([star]))
  visited?.(reachable.size)
  for (const character of text.slice(star)) {
    const next = new Set<number>()
    for (const at of reachable) {
      if (pattern[at] === '*') {
        if (isDoubleStar(pattern, at) || !leavesComponent(character)) next.add(at)
      } else if (pattern[at] === character) next.add(at + 1)
    }
    if (next.size === 0) return false
    reachable = withStarsSkipped(pattern, next)
    visited?.(reachable.size)
  }
  return reachable.has(pattern.length)
}

/**
 * Whether the wide pattern surely matches all that the narrow one matches. It may say no where only an
 * enumeration would say yes, never the other way round.
 */
export function covers(wide: string, narrow: string): boolean {
  return matchesPattern(wide, narrow.replace(/\*\*/g, ANY_PATH).replace(/\*/g, ANY_COMPONENT))
}

/** Stand for stars of a narrower pattern: no name has them, so that only stars match them. */
const ANY_PATH = '\u0002'
const ANY_COMPONENT = '\u0001'

/** The whole components before the first star; every name that matches begins with them. */
export function literalComponents(pattern: string): string {
  const star = pattern.indexOf('*')
  if (star === -1) return pattern
  return pattern.slice(0, Math.max(0, pattern.lastIndexOf('/', star)))
}

/** A star may stand for nothing, so the position behind it is reachable too. */
function withStarsSkipped(pattern: string, positions: Set<number>): Set<number> {
  for (const at of positions) {
    if (pattern[at] === '*') positions.add(at + (isDoubleStar(pattern, at) ? 2 : 1))
  }
  return positions
}

function isDoubleStar(pattern: string, at: number): boolean {
  return pattern[at + 1] === '*'
}

function leavesComponent(character: string): boolean {
  return character === '/' || character === ANY_PATH
}
