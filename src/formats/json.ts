/** JSON: reading, and putting entries into a text without touching the rest. The only file that knows its library. */
import { type Node, type ParseError, parseTree } from 'jsonc-parser'
import { FormatError } from './format-error.ts'
import { type JsonLayout, type JsonValue, layoutOf, leadOf, rendered } from './json-layout.ts'
export type { JsonValue } from './json-layout.ts'
import { splitMark } from './marked.ts'
import { isSame } from './same.ts'

/** A member of an object, or the entry of a list that has this value for a key. */
type JsonStep = string | { readonly key: string; readonly is: string }

/** One entry of ours: the first of a list, or a member of an object. */
export interface JsonEntry {
  /** To the list or object; what is missing on the way is made. */
  readonly path: readonly JsonStep[]
  /** Its name in an object; without, it is an entry of a list. */
  readonly member?: string
  readonly value: JsonValue
}

/** Where entries of ours may be, also from when they were others, and how they are told from all else. */
interface JsonTrace {
  /** To the list or object; `*`: any entry or member. */
  readonly path: readonly string[]
  /** @param member the name, in an object */
  isOurs(value: unknown, member: string | undefined): boolean
  /** Whether it must be written as we write it, too: others may say the same. */
  readonly verbatim?: boolean
}

export interface JsonPart {
  readonly entries: readonly JsonEntry[]
  readonly traces: readonly JsonTrace[]
}

/** @throws {FormatError} with its place, without quoting the text */
export function parseJson(text: string): unknown {
  return valueOf(rootOf(splitMark(text)[1]))
}

/** Of a file that we make. */
const FRESH: JsonLayout = { eol: '\n', unit: '  ' }
const EMPTY = '{\n}\n'

/** The entries as the whole of a file. */
export function jsonText(part: JsonPart): string {
  return withEntries(EMPTY, part, FRESH)
}

/**
 * @returns the text with the entries in it, all else byte for byte as it was; itself where they are there already
 * @throws {FormatError} where it cannot be read, or says something else in their place
 */
export function mergeJson(existing: string, part: JsonPart): string {
  const [mark, text] = splitMark(existing)
  const { rest, found } = withoutOurs(text, part)
  if (found === part.entries.length && part.entries.every((entry) => isThere(text, entry)))
    return existing
  const layout = isOursAlone(text, rest) ? FRESH : layoutOf(rest, rootOf(rest))
  const result = withEntries(rest, part, layout)
  if (withoutOurs(result, part).rest !== rest) {
    throw new FormatError('it is written in a way that leaves no place for this; add it by hand')
  }
  return mark + result
}

/**
 * @returns the text without entries of ours; `undefined`: it was made of them alone
 * @throws {FormatError} where it cannot be read
 */
export function removeJson(existing: string, part: JsonPart): string | undefined {
  const [mark, text] = splitMark(existing)
  const { rest, found } = withoutOurs(text, part)
  return found > 0 && isOursAlone(text, rest) ? undefined : mark + rest
}

/** In what was empty before us, our entries stand on the line of the brace. */
function isOursAlone(text: string, rest: string): boolean {
  return rest === EMPTY && text !== rest && /^\{\n {2}\S/.test(text)
}

/** The last one first, since each becomes the first. */
function withEntries(text: string, { entries }: JsonPart, layout: JsonLayout | undefined): string {
  return entries.toReversed().reduce((sofar, entry) => insert(sofar, entry, layout), text)
}

function rootOf(text: string): Node {
  const errors: ParseError[] = []
  const root = parseOrRefuse(text, errors)
  const [error] = errors
  if (error !== undefined || root === undefined) {
    throw new FormatError('this is not valid JSON', placeOf(text, error?.offset ?? 0))
  }
  return root
}

/** Deep nesting exhausts the parser's stack. */
function parseOrRefuse(text: string, errors: ParseError[]): Node | undefined {
  try {
    return parseTree(text, errors, { allowTrailingComma: false, disallowComments: false })
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new FormatError('this is nested deeper than any configuration')
  }
}

function placeOf(text: string, offset: number): { line: number; column: number } {
  const lines = text.slice(0, offset).split('\n')
  return { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 }
}

/** @throws {FormatError} */
function insert(
  text: string,
  { path, member, value }: JsonEntry,
  layout: JsonLayout | undefined,
): string {
  let node = rootOf(text)
  for (const [depth, step] of path.entries()) {
    const next = child(text, node, step)
    if (next === undefined) {
      return insertNested(text, node, {
        steps: path.slice(depth),
        member,
        value,
        depth: depth + 1,
        layout,
      })
    }
    node = next
  }
  return insertNested(text, node, { steps: [], member, value, depth: path.length + 1, layout })
}

interface Nested {
  readonly steps: readonly JsonStep[]
  readonly member: string | undefined
  readonly value: JsonValue
  readonly depth: number
  readonly layout: JsonLayout | undefined
}

function insertNested(text: string, node: Node, nested: Nested): string {
  const { steps, member, value, depth, layout } = nested
  const [made] = Object.entries(wrapped(steps, member, value))
  if (made === undefined) return text
  const [name, content] = made
  const isList = steps.length === 0 ? member === undefined : typeof steps[0] !== 'string'
  expectKind(text, node, isList ? 'array' : 'object')
  const there = isList ? undefined : child(text, node, name)
  if (there !== undefined) {
    if (isSame(valueOf(there), content)) return text
    throw refusal(text, there, `it says something of its own for ${JSON.stringify(name)}`)
  }
  const label = isList ? '' : `${JSON.stringify(name)}: `
  const lead = leadOf(text, node, depth, layout)
  const first = node.children?.length ? ',' : ''
  const at = node.offset + 1
  return (
    text.slice(0, at) + lead + label + rendered(content, depth, layout) + first + text.slice(at)
  )
}

/** What has to be made: the entry, in the lists and objects that lead to it. */
function wrapped(
  [step, ...rest]: readonly JsonStep[],
  member: string | undefined,
  value: JsonValue,
): readonly JsonValue[] | { readonly [key: string]: JsonValue } {
  if (step === undefined) return member === undefined ? [value] : { [member]: value }
  const inner = wrapped(rest, member, value)
  if (typeof step === 'string') return { [step]: inner }
  return [Object.fromEntries([[step.key, step.is], ...Object.entries(inner)])]
}

/** @throws {FormatError} where the text has another kind of value there, or two of them */
function child(text: string, node: Node, step: JsonStep): Node | undefined {
  if (typeof step === 'string') {
    expectKind(text, node, 'object')
    const [first, second] = (node.children ?? []).filter(
      ({ children }) => children?.[0]?.value === step,
    )
    if (second !== undefined) throw refusal(text, second, `${JSON.stringify(step)} is there twice`)
    return first?.children?.[1]
  }
  expectKind(text, node, 'array')
  return node.children?.find((entry) => {
    return entry.type === 'object' && child(text, entry, step.key)?.value === step.is
  })
}

function expectKind(text: string, node: Node, kind: 'array' | 'object'): void {
  if (node.type === kind) return
  throw refusal(
    text,
    node,
    kind === 'array' ? 'a list was expected here' : 'an object was expected here',
  )
}

function refusal(text: string, { offset }: Node, message: string): FormatError {
  return new FormatError(`${message}; change it by hand`, placeOf(text, offset))
}

function isThere(text: string, { path, member, value }: JsonEntry): boolean {
  const container = path.reduce<Node | undefined>(
    (node, step) => node && child(text, node, step),
    rootOf(text),
  )
  if (container === undefined) return false
  if (member === undefined)
    return container.children?.some((entry) => isSame(valueOf(entry), value)) ?? false
  return isSame(valueOf(child(text, container, member)), value)
}

function valueOf(node: Node | undefined): unknown {
  const children = node?.children ?? []
  if (node?.type === 'array') return children.map(valueOf)
  if (node?.type !== 'object') return node?.value as unknown
  return Object.fromEntries(
    children.map(({ children: [name, value] = [] }) => [String(name?.value), valueOf(value)]),
  )
}

/** One after the other, the newest first: each stands before those that were there when it came. */
function withoutOurs(text: string, { traces }: JsonPart): { rest: string; found: number } {
  let rest = text
  for (let found = 0; ; found += 1) {
    const root = rootOf(rest)
    const layout = layoutOf(rest, root)
    const now = rest
    const ours = traces.flatMap((trace) => [...nodesOf(now, root, trace, layout)]).at(0)
    if (ours === undefined) return { rest, found }
    rest = withoutNode(now, ours, layout)
  }
}

/** Values of ours in the tree, in the order of the text. */
function* nodesOf(
  text: string,
  root: Node,
  trace: JsonTrace,
  layout: JsonLayout | undefined,
): Generator<Node> {
  for (const container of containersAt(root, trace.path)) {
    for (const entry of container.children ?? []) {
      const [name, value] = entry.type === 'property' ? (entry.children ?? []) : [undefined, entry]
      if (value === undefined || !trace.isOurs(valueOf(value), name?.value as string | undefined))
        continue
      const written = rendered(valueOf(value) as JsonValue, trace.path.length + 1, layout)
      if (!trace.verbatim || rawOf(text, value) === written) yield value
    }
  }
}

function containersAt(node: Node, [step, ...rest]: readonly string[]): Node[] {
  if (step === undefined) return node.type === 'array' || node.type === 'object' ? [node] : []
  const inner = (node.children ?? []).flatMap((entry) => {
    if (entry.type !== 'property') return node.type === 'array' && step === '*' ? [entry] : []
    const [name, value] = entry.children ?? []
    return value !== undefined && (step === '*' || name?.value === step) ? [value] : []
  })
  return inner.flatMap((entry) => containersAt(entry, rest))
}

function rawOf(text: string, { offset, length }: Node): string {
  return text.slice(offset, offset + length)
}

/** With all that was made for it alone. */
function withoutNode(text: string, node: Node, layout: JsonLayout | undefined): string {
  const entry = node.parent?.type === 'property' ? node.parent : node
  const container = entry.parent
  if (container === undefined) return text
  return container.parent !== undefined && isMadeByUs(text, container, entry, layout)
    ? withoutNode(text, container, layout)
    : withoutEntry(text, container, entry)
}

/** We write a list or object in one way, and only with the entry that we need it for. */
function isMadeByUs(
  text: string,
  container: Node,
  entry: Node,
  layout: JsonLayout | undefined,
): boolean {
  const children = container.children ?? []
  const named = container.parent?.type === 'array' && children.length === 2 && children[1] === entry
  if (children.length !== 1 && !named) return false
  return (
    rawOf(text, container) === rendered(valueOf(container) as JsonValue, depthOf(container), layout)
  )
}

function depthOf(node: Node): number {
  let depth = 0
  for (let up = node.parent; up !== undefined; up = up.parent)
    if (up.type !== 'property') depth += 1
  return depth
}

function withoutEntry(text: string, container: Node, entry: Node): string {
  const children = container.children ?? []
  const before = children[children.indexOf(entry) - 1]
  const end = entry.offset + entry.length
  if (before !== undefined) return text.slice(0, before.offset + before.length) + text.slice(end)
  const comma = children.length > 1 ? /^\s*,/.exec(text.slice(end)) : ['']
  if (comma === null)
    throw refusal(text, entry, 'there is a comment within what is to be taken out')
  return text.slice(0, container.offset + 1) + text.slice(end + (comma[0]?.length ?? 0))
}
