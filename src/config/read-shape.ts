/** Plain data → what of it has the shape of a configuration. */
import { nearest } from './nearest.ts'
import type { Path } from './problem.ts'
import type { Report } from './report.ts'
import { ALLOW_LINE, type FileShape, fileShape, MAPPINGS } from './shape.ts'

/** What of the value has the right shape; the rest is reported and left out. */
export function readShape(value: unknown, report: Report): FileShape {
  let rest = value
  for (;;) {
    const parsed = fileShape.safeParse(rest)
    if (parsed.success) return parsed.data
    for (const issue of parsed.error.issues) rest = withoutIssue(rest, issue, report)
  }
}

/** What of zod's issues is looked at. */
interface Issue {
  readonly code?: string | undefined
  readonly path: readonly PropertyKey[]
  readonly message: string
  /** Of `unrecognized_keys`. */
  readonly keys?: readonly string[]
  /** Of `invalid_union`: what is wrong with the value as one or the other, with paths from the value on. */
  readonly errors?: readonly (readonly Issue[])[]
}

function withoutIssue(root: unknown, issue: Issue, report: Report): unknown {
  const path = issue.path as Path
  const value = valueAt(root, path)
  // Of a mapping it is no news that it is no text.
  const inner = isMapping(value) ? (issue.errors ?? []).flat().filter(isInside) : []
  if (inner.length > 0) {
    return inner.reduce(
      (rest, it) => withoutIssue(rest, { ...it, path: [...path, ...it.path] }, report),
      root,
    )
  }
  const { keys = [] } = issue
  if (keys.length > 0 && !isPatternAsKey(path, keys)) {
    return keys.reduce((rest, key) => withoutUnknownKey(rest, [...path, key], report), root)
  }
  report.addMismatch(path, value, keys.length > 0 ? ALLOW_LINE : issue.message)
  return without(root, path)
}

function isMapping(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Not about the kind of the value itself. */
function isInside({ path, keys }: Issue): boolean {
  return path.length > 0 || keys !== undefined
}

/** `- docker.io/bitnami/redis: 7.*` is a mapping, because of the space. */
function isPatternAsKey(path: Path, keys: readonly string[]): boolean {
  return path[0] === 'allow' && keys.some((key) => key.includes('/'))
}

function withoutUnknownKey(root: unknown, path: Path, report: Report): unknown {
  report.add(path, unknownKeyMessage(path.slice(0, -1), String(path.at(-1))))
  return without(root, path)
}

function unknownKeyMessage(path: Path, key: string): string {
  const place = placeOf(path)
  const keys = MAPPINGS.find((mapping) => mapping.place === place)?.keys ?? []
  const meant = nearest(key, keys)
  if (meant !== undefined) return `is not a key; did you mean ${meant}?`
  const home = MAPPINGS.find((mapping) => mapping.keys.includes(key))
  if (home !== undefined) return `is not a key here; it belongs under ${home.place}`
  return `is not a key; the keys here are ${keys.join(', ')}`
}

/** As `MAPPINGS` calls it. Names of upstreams and users may be those of keys. */
function placeOf(path: Path): string {
  if (path.length === 0) return 'the top level'
  if (path[0] === 'upstreams' && path.length === 2) return 'upstreams.<name>'
  if (path[0] === 'grants') return 'grants.<user>'
  return String(path.findLast((step) => typeof step === 'string'))
}

function valueAt(root: unknown, path: Path): unknown {
  return path.reduce((value, step) => (value as Record<Path[number], unknown>)[step], root)
}

/** The data without one part; items of a list keep their numbers. */
function without(root: unknown, path: Path): unknown {
  const last = path.at(-1)
  if (last === undefined) return {}
  const parent = valueAt(root, path.slice(0, -1)) as Record<Path[number], unknown>
  // An upstream without a usable value is still an upstream that rules may name.
  const isUpstream = path[0] === 'upstreams' && path.length === 2
  if (isUpstream || Array.isArray(parent)) parent[last] = undefined
  else delete parent[last]
  return root
}
