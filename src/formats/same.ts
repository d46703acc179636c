/** Comparing and joining what texts say, whatever their format. */
import { isDeepStrictEqual } from 'node:util'

export type Table = Readonly<Record<string, unknown>>

/** Two texts say different things in one place. */
export class Contradiction extends Error {
  override readonly name = 'Contradiction'
  readonly path: readonly string[]

  constructor(path: readonly string[]) {
    super(path.join('.'))
    this.path = path
  }
}

export function isTable(value: unknown): value is Table {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
  )
}

export function isSame(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(a, b)
}

/**
 * Tables are joined key by key, lists of tables put one behind the other; all else must be the same.
 * @throws {Contradiction}
 */
export function join(theirs: unknown, ours: unknown, path: readonly string[] = []): unknown {
  if (theirs === undefined || theirs === null || isSame(theirs, ours)) return ours
  if (isTable(theirs) && isTable(ours)) return joinTables(theirs, ours, path)
  if (isListOfTables(theirs) && isListOfTables(ours)) {
    return [...theirs, ...ours]
  }
  throw new Contradiction(path)
}

function joinTables(theirs: Table, ours: Table, path: readonly string[]): Table {
  const joined = new Map(Object.entries(theirs))
  for (const [key, value] of Object.entries(ours)) {
    joined.set(key, join(joined.get(key), value, [...path, key]))
  }
  return Object.fromEntries(joined)
}

function isListOfTables(value: unknown): value is readonly Table[] {
  return Array.isArray(value) && value.every(isTable)
}

/** @returns what is at the path, `undefined` where nothing is */
export function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (isTable(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined),
    value,
  )
}

/** Whether the first says all that the second says. */
export function includes(theirs: unknown, ours: unknown): boolean {
  if (isTable(theirs) && isTable(ours)) {
    return Object.entries(ours).every(([key, value]) => includes(valueAt(theirs, [key]), value))
  }
  if (isListOfTables(theirs) && isListOfTables(ours)) {
    return ours.every((table) => theirs.some((other) => isSame(table, other)))
  }
  return isSame(theirs, ours)
}

/** @returns the value without what is at the path */
export function without(value: Table, [key = '', ...rest]: readonly string[]): Table {
  const entries = Object.entries(value)
  if (rest.length === 0) return Object.fromEntries(entries.filter(([name]) => name !== key))
  return Object.fromEntries(
    entries.map(([name, inner]) => [
      name,
      name === key && isTable(inner) ? without(inner, rest) : inner,
    ]),
  )
}
