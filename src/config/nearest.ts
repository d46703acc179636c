/** The candidate that a misspelt word most likely means, if any comes near: one slip in three letters. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const bare = bareForm(word)
  let best: string | undefined
  let bestDistance = Math.floor(bare.length / 3) + 1
  for (const candidate of candidates) {
    const distance = editDistance(bare, bareForm(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `public_url`, `public-url` and `publicurl` are the same slip. */
function bareForm(word: string): string {
  return word.toLowerCase().replace(/[-_\s]/g, '')
}

/** Insertions, deletions and substitutions that lead from one to the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= to.length; j += 1) {
      const substitution = at(row, j - 1) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, at(row, j) + 1, at(next, j - 1) + 1))
    }
    row = next
  }
  return at(row, to.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] as number
}
