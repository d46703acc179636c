/** TOML: reading, and putting tables into a text without touching the rest. The only file that knows its library. */
import { parse, TomlError } from 'smol-toml'
import { FormatError } from './format-error.ts'
import { type Insertion, linesOf, markedText, mergeMarked } from './marked.ts'
import {
  Contradiction,
  includes,
  isSame,
  isTable,
  join,
  type Table,
  valueAt,
  without,
} from './same.ts'

type TomlValue = string | boolean | number | readonly string[]

interface TomlKey {
  readonly key: string
  readonly value: TomlValue
  /** Where the text has the key: its own values that may give way, or `keep` for all. */
  readonly yields?: 'keep' | readonly TomlValue[]
}

export interface TomlTable {
  /** Empty: the keys before all tables. */
  readonly path: readonly string[]
  /** One more of a list of tables: `[[registry]]`. */
  readonly listed?: boolean
  readonly keys: readonly TomlKey[]
}

export interface TomlPlace {
  /** Where tables go that the text does not have: behind all others, or before the first. */
  readonly where: 'last' | 'first'
  /** @throws {FormatError} for what stands in the way without being a contradiction */
  readonly check?: (theirs: Table) => void
}

/** @throws {FormatError} with its place, without quoting the text */
export function parseToml(text: string): Table {
  try {
    return plainTable(parse(text, { integersAsBigInt: 'asNeeded' }))
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    throw new FormatError('this is not valid TOML', { line: error.line, column: error.column })
  }
}

/** Tables as objects like all others: those of the library are of another kind. */
function plainTable(table: Table): Table {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, plain(value)]))
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  return isTable(value) ? plainTable(value) : value
}

/** The tables as the whole of a file. */
export function tomlText(tables: readonly TomlTable[]): string {
  return markedText(tableLines(tables))
}

/**
 * @returns the text with the tables in it, all else byte for byte as it was; itself where all is said already
 * @throws {FormatError} where it cannot be read, says otherwise, or leaves no place
 */
export function mergeToml(
  existing: string,
  tables: readonly TomlTable[],
  place: TomlPlace,
): string {
  return mergeMarked(existing, {
    parse: parseToml,
    plan: (text) => planned(text, tables, place),
  })
}

function planned(
  text: string,
  tables: readonly TomlTable[],
  place: TomlPlace,
): { insertions: readonly Insertion[]; value: unknown } {
  const theirs = parseToml(text)
  if (covers(theirs, tables)) return { insertions: [], value: theirs }
  place.check?.(theirs)
  const headers = headersOf(text)
  const missing = withKeys(tables, (table, key) => isMissing(theirs, table, key, headers))
  const replaced = missing.flatMap((table) => replacements(text, theirs, table, headers))
  const added = withKeys(
    missing,
    (table, key) => !replaced.some((one) => one.key === key && isSame(one.path, table.path)),
  )
  const remaining = replaced.reduce(
    (value, { path, key }) => without(value, [...path, key.key]),
    theirs,
  )
  return {
    insertions: [...replaced, ...additions(text, added, place, headers)],
    value: joinAt(headers, remaining, parseToml(tableLines(missing).join('\n'))),
  }
}

function covers(theirs: Table, tables: readonly TomlTable[]): boolean {
  const wanted = withKeys(tables, (table, { key, yields }) => {
    return yields !== 'keep' || valueAt(theirs, [...table.path, key]) === undefined
  })
  return includes(theirs, parseToml(tableLines(wanted).join('\n')))
}

/** Those that have any left: a list's tables go together with what they say. */
function withKeys(
  tables: readonly TomlTable[],
  keep: (table: TomlTable, key: TomlKey) => boolean,
): TomlTable[] {
  return tables
    .map((table) => ({
      ...table,
      keys: table.keys.filter((key) => table.listed || keep(table, key)),
    }))
    .filter(({ keys }) => keys.length > 0)
}

/** @throws {FormatError} */
function isMissing(
  theirs: Table,
  { path }: TomlTable,
  key: TomlKey,
  headers: readonly Header[],
): boolean {
  const current = valueAt(theirs, [...path, key.key])
  if (current === undefined) return true
  if (key.yields === 'keep' || isSame(current, key.value)) return false
  if (key.yields?.some((value) => isSame(value, current))) return true
  throw contradiction([...path, key.key], headers)
}

interface Header {
  readonly path: readonly string[]
  readonly line: number
  /** Of the line, and of the one that follows. */
  readonly at: number
  readonly next: number
  readonly indent: string
}

/** The lines that begin a table, or one of a list. */
function headersOf(text: string): Header[] {
  const headers: Header[] = []
  let at = 0
  for (const [index, line] of linesOf(text).entries()) {
    const path = /^[ \t]*\[/.test(line) ? headerPath(line) : undefined
    const next = at + line.length
    // Inside of a string or an array nothing that ends here would be whole.
    if (path !== undefined && isWhole(text.slice(0, at))) {
      headers.push({ path, line: index + 1, at, next, indent: /^[ \t]*/.exec(line)?.[0] ?? '' })
    }
    at = next
  }
  return headers
}

function headerPath(line: string): string[] | undefined {
  if (!isWhole(line)) return undefined
  const path: string[] = []
  let inner: unknown = parseToml(line)
  while (isTable(inner)) {
    const [entry] = Object.entries(inner)
    if (entry === undefined) break
    path.push(entry[0])
    inner = entry[1]
  }
  return path
}

function isWhole(text: string): boolean {
  try {
    parseToml(text)
    return true
  } catch {
    return false
  }
}

type Replacement = Insertion & { readonly path: readonly string[]; readonly key: TomlKey }

/** Keys of the text that give way, each with its line. */
function replacements(
  text: string,
  theirs: Table,
  { path, keys }: TomlTable,
  headers: readonly Header[],
): Replacement[] {
  return keys
    .filter((key) => valueAt(theirs, [...path, key.key]) !== undefined)
    .map((key) => {
      const line = keyLine(text, path, key.key, headers)
      if (line === undefined) throw contradiction([...path, key.key], headers)
      const indent = /^[ \t]*/.exec(line.text)?.[0] ?? ''
      return { path, key, at: line.at, replaced: line.text.length, lines: [indent + keyText(key)] }
    })
}

function keyLine(
  text: string,
  path: readonly string[],
  key: string,
  headers: readonly Header[],
): { at: number; text: string } | undefined {
  const index = headers.findIndex((header) => isSame(header.path, path))
  if (path.length > 0 && index === -1) return undefined
  let at = headers[index]?.next ?? 0
  const end = headers[index + 1]?.at ?? text.length
  for (const line of linesOf(text.slice(at, end))) {
    const [, name] = /^[ \t]*["']?([\w-]+)["']?[ \t]*=/.exec(line) ?? []
    // Inside of a string nothing that ends here would be whole.
    if (name === key && isWhole(text.slice(0, at))) return { at, text: line }
    at += line.length
  }
  return undefined
}

/** Into the tables that are there, and all others in one place. */
function additions(
  text: string,
  tables: readonly TomlTable[],
  { where }: TomlPlace,
  headers: readonly Header[],
): Insertion[] {
  const into: Insertion[] = []
  const rest: TomlTable[] = []
  for (const table of tables) {
    const header = table.listed ? undefined : headers.find(({ path }) => isSame(path, table.path))
    if (header === undefined) rest.push(table)
    else into.push(insertionBelow(header, table))
  }
  if (rest.length === 0) return into
  const at = where === 'first' ? (headers[0]?.at ?? text.length) : text.length
  return [...into, { at, lines: tableLines(rest) }]
}

function insertionBelow(header: Header, { keys }: TomlTable): Insertion {
  const indent = header.indent === '' ? '' : `${header.indent}  `
  return { at: header.next, lines: keys.map((key) => indent + keyText(key)) }
}

function tableLines(tables: readonly TomlTable[]): string[] {
  return tables.flatMap(({ path, listed, keys }) => {
    const name = path.map(tomlKey).join('.')
    const header = listed ? `[[${name}]]` : `[${name}]`
    return path.length === 0
      ? keys.map(keyText)
      : [header, ...keys.map((key) => `  ${keyText(key)}`)]
  })
}

function keyText({ key, value }: TomlKey): string {
  return `${tomlKey(key)} = ${tomlValue(value)}`
}

function tomlKey(key: string): string {
  return /^[\w-]+$/.test(key) ? key : tomlString(key)
}

function tomlValue(value: TomlValue): string {
  if (typeof value === 'boolean' || typeof value === 'number') return String(value)
  return typeof value === 'string' ? tomlString(value) : `[${value.map(tomlString).join(', ')}]`
}

/** What JSON escapes, TOML escapes the same way; it wants U+007F escaped besides. */
function tomlString(text: string): string {
  return JSON.stringify(text).replaceAll('\u007F', String.raw`\u007F`)
}

/** @throws {FormatError} in place of {@link Contradiction}, with the line of the table */
function joinAt(headers: readonly Header[], theirs: Table, ours: Table): unknown {
  try {
    return join(theirs, ours)
  } catch (error) {
    if (error instanceof Contradiction) throw contradiction(error.path, headers)
    throw error
  }
}

function contradiction(path: readonly string[], headers: readonly Header[]): FormatError {
  const table = headers.findLast((header) => isSame(header.path, path.slice(0, header.path.length)))
  return new FormatError(
    `it says something of its own for ${path.map(tomlKey).join('.')}; take that out, or change it by hand`,
    table === undefined ? {} : { line: table.line },
  )
}
