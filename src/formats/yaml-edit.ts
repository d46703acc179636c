/** Putting entries into a YAML text without touching the rest. */
import { FormatError } from './format-error.ts'
import { type Insertion, markedText, mergeMarked } from './marked.ts'
import { Contradiction, includes, isTable, join, type Table } from './same.ts'
import { isMap, isScalar, LineCounter, parseDocument, type YAMLMap } from './yaml.ts'
import { syntaxMistakes, whyUnparsable } from './yaml-text.ts'

export type YamlValue = string | boolean | readonly string[] | { readonly [key: string]: YamlValue }

type YamlDocument = ReturnType<typeof parseDocument>

/** @throws {FormatError} with its place, without quoting the text */
export function parseYaml(text: string): unknown {
  return valueOf(documentOf(text))
}

/** The value as the whole of a file. */
export function yamlText(value: Readonly<Record<string, YamlValue>>): string {
  return markedText(linesOfMap(value, ''))
}

/** The value alone, for files that are nobody else's. */
export function plainYaml(value: Readonly<Record<string, YamlValue>>): string {
  return `${linesOfMap(value, '').join('\n')}\n`
}

/**
 * @param part maps of the top level, with the entries that belong into each
 * @returns the text with the entries in it, all else byte for byte as it was; itself where they are there already
 * @throws {FormatError} where it cannot be read, says otherwise, or leaves no place
 */
export function mergeYaml(
  existing: string,
  part: Readonly<Record<string, Readonly<Record<string, YamlValue>>>>,
): string {
  return mergeMarked(existing, { parse: parseYaml, plan: (text) => planned(text, part) })
}

function planned(
  text: string,
  part: Readonly<Record<string, Readonly<Record<string, YamlValue>>>>,
): { insertions: readonly Insertion[]; value: unknown } {
  const lines = new LineCounter()
  const document = documentOf(text, lines)
  const theirs = valueOf(document) ?? {}
  if (!isTable(theirs))
    throw new FormatError('keys and values were expected here', { line: 1, column: 1 })
  const missing = missingOf(theirs, part)
  const insertions: Insertion[] = []
  const behind: string[] = []
  for (const [name, entries] of Object.entries(missing)) {
    if (Object.hasOwn(theirs, name))
      insertions.push(insertionInto(text, document, name, entries, lines))
    else behind.push(...linesOfMap({ [name]: entries }, ''))
  }
  if (behind.length > 0) insertions.push({ at: text.length, lines: behind })
  return {
    insertions,
    value: insertions.length === 0 ? parseYaml(text) : joined(theirs, missing, document, lines),
  }
}

/** Without the entries that the text has as they are. */
function missingOf(
  theirs: Table,
  part: Readonly<Record<string, Readonly<Record<string, YamlValue>>>>,
): Record<string, Record<string, YamlValue>> {
  const missing = Object.entries(part).map(([name, entries]) => {
    const there = theirs[name]
    const rest = Object.entries(entries).filter(([key, value]) => {
      return !(isTable(there) && Object.hasOwn(there, key) && includes(there[key], value))
    })
    return [name, Object.fromEntries(rest)] as const
  })
  return Object.fromEntries(missing.filter(([, entries]) => Object.keys(entries).length > 0))
}

function insertionInto(
  text: string,
  document: YamlDocument,
  name: string,
  entries: Readonly<Record<string, YamlValue>>,
  lines: LineCounter,
): Insertion {
  const pair = isMap(document.contents) ? pairOf(document.contents, name) : undefined
  const start = offsetOf(pair?.key)
  const value = pair?.value
  const end = text.indexOf('\n', start)
  const at = end === -1 ? text.length : end + 1
  if (isMap(value) && !value.flow) {
    const first = offsetOf(value.items[0]?.key)
    return { at, lines: linesOfMap(entries, ' '.repeat(lines.linePos(first).col - 1)) }
  }
  if (isScalar(value) && value.value === null) return { at, lines: linesOfMap(entries, '  ') }
  const place = lines.linePos(start)
  throw new FormatError(`${name} is not written one entry a line; add this by hand`, {
    line: place.line,
    column: place.col,
  })
}

function pairOf(map: YAMLMap, name: string): YAMLMap['items'][number] | undefined {
  return map.items.find(({ key }) => isScalar(key) && key.value === name)
}

function offsetOf(node: unknown): number {
  return isScalar(node) ? (node.range?.[0] ?? 0) : 0
}

function joined(theirs: Table, ours: Table, document: YamlDocument, lines: LineCounter): unknown {
  try {
    return join(theirs, ours)
  } catch (error) {
    if (!(error instanceof Contradiction)) throw error
    const place = placeOf(document, error.path, lines)
    throw new FormatError(
      `it says something of its own for ${error.path.join('.')}; take that out, or change it by hand`,
      place,
    )
  }
}

/** Of the last key on the path that the text has. */
function placeOf(
  document: YamlDocument,
  path: readonly string[],
  lines: LineCounter,
): { line: number; column: number } {
  let node: unknown = document.contents
  let offset = 0
  for (const name of path) {
    const pair = isMap(node) ? pairOf(node, name) : undefined
    if (pair === undefined) break
    offset = offsetOf(pair.key)
    node = pair.value
  }
  const { line, col } = lines.linePos(offset)
  return { line, column: col }
}

/** @throws {FormatError} for aliases of nothing, and for those that make a little text into too much */
function valueOf(document: YamlDocument): unknown {
  try {
    return document.toJS() as unknown
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error
    throw new FormatError('an alias (*) in it has no anchor (&), or there are too many')
  }
}

/** @throws {FormatError} */
function documentOf(text: string, lineCounter = new LineCounter()): YamlDocument {
  const refusal = whyUnparsable(text, 'configuration')
  if (refusal !== undefined) throw new FormatError(`this ${refusal}`)
  const document = parseDocument(text, { schema: 'core', lineCounter, prettyErrors: false })
  const [mistake] = syntaxMistakes(document.errors, lineCounter, 'configuration')
  if (mistake === undefined) return document
  const { message, ...place } = mistake
  throw new FormatError(message, place)
}

/** Text is always in double quotes: what JSON escapes, YAML escapes the same way. */
function linesOfMap(map: Readonly<Record<string, YamlValue>>, indent: string): string[] {
  return Object.entries(map).flatMap(([key, value]) => linesOf(`${keyText(key)}:`, value, indent))
}

function linesOf(label: string, value: YamlValue, indent: string): string[] {
  if (typeof value !== 'object') return [`${indent}${label} ${JSON.stringify(value)}`]
  const inner = `${indent}  `
  return [
    indent + label,
    ...(isList(value)
      ? value.map((item) => `${inner}- ${JSON.stringify(item)}`)
      : linesOfMap(value, inner)),
  ]
}

function isList(value: YamlValue): value is readonly string[] {
  return Array.isArray(value)
}

/** Plain where it cannot be taken for anything but text. */
function keyText(key: string): string {
  return /^[A-Za-z][\w-]*$/.test(key) && !/^(?:null|true|false|yes|no|on|off|y|n)$/i.test(key)
    ? key
    : JSON.stringify(key)
}
