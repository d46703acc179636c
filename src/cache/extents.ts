/** Which bytes of a sparse file are there. Ranges are half open: `end` is the first byte behind. */

export interface Extent {
  readonly first: number
  readonly end: number
}

export interface Extents {
  add(first: number, end: number): void
  /** The first byte from this one on that is missing. */
  missingFrom(position: number): number
  /** The first byte from this one on that is there; `Infinity` when none is. */
  presentFrom(position: number): number
  /** How many bytes are there. */
  total(): number
  /** In order, none touching another. */
  list(): readonly Extent[]
}

export function createExtents(initial: readonly Extent[] = []): Extents {
  let extents: readonly Extent[] = []
  const result: Extents = {
    add(first, end) {
      if (first < end) extents = merge(extents, { first, end })
    },
    missingFrom: (position) => around(extents, position)?.end ?? position,
    presentFrom(position) {
      if (around(extents, position)) return position
      return extents.find(({ first }) => first > position)?.first ?? Infinity
    },
    total: () => extents.reduce((sum, { first, end }) => sum + end - first, 0),
    list: () => extents,
  }
  for (const { first, end } of initial) result.add(first, end)
  return result
}

/** Downloads grow a few extents at their ends, so the lists stay short and are searched one by one. */
function around(extents: readonly Extent[], position: number): Extent | undefined {
  return extents.find(({ first, end }) => first <= position && position < end)
}

function merge(extents: readonly Extent[], added: Extent): Extent[] {
  const touches = ({ first, end }: Extent): boolean => first <= added.end && end >= added.first
  const touching = extents.filter(touches)
  const merged = {
    first: Math.min(added.first, ...touching.map(({ first }) => first)),
    end: Math.max(added.end, ...touching.map(({ end }) => end)),
  }
  return [
    ...extents.filter(({ end }) => end < merged.first),
    merged,
    ...extents.filter(({ first }) => first > merged.end),
  ]
}
