/**
 * Lines of ours in a text that is somebody else's, between two comments that say so. Taken out again, the text is
 * what it was, byte for byte: no blank lines come with them, and what they stand in for is kept in a comment.
 */
import { FormatError } from './format-error.ts'
import { isSame } from './same.ts'

const BEGIN = '# entrepot: begin'
const END = '# entrepot: end'
/** Followed by a whole line, as it was before one of ours took its place. */
const WAS = '# entrepot: was '

const BYTE_ORDER_MARK = '\uFEFF'

export interface Insertion {
  /** Where a line begins, or the end of the text. */
  readonly at: number
  /** Without line ends. */
  readonly lines: readonly string[]
  /** Characters from `at` on that give way: one whole line with its end. */
  readonly replaced?: number
}

/** The lines alone, as the whole of a file. */
export function markedText(lines: readonly string[]): string {
  return [BEGIN, ...lines, END, ''].join('\n')
}

/** Puts all of them in; their places are those of the text as it is given, and those of one place stay in order. */
function insertMarked(text: string, insertions: readonly Insertion[]): string {
  const eol = lineEnd(text)
  const replacing = insertions.filter(({ replaced }) => replaced !== undefined)
  const adding = insertions.filter(({ replaced }) => replaced === undefined)
  const joined = [...new Set(adding.map(({ at }) => at))].map((place) => ({
    at: place,
    lines: adding.filter(({ at }) => at === place).flatMap(({ lines }) => lines),
  }))
  return [...replacing, ...joined]
    .toSorted((a, b) => b.at - a.at)
    .reduce((result, insertion) => insertOne(result, insertion, eol), text)
}

function insertOne(text: string, { at, lines, replaced = 0 }: Insertion, eol: string): string {
  const before = text.slice(0, at)
  const was = text.slice(at, at + replaced)
  const after = text.slice(at + replaced)
  const wasEnd = /\r?\n$/.exec(was)?.[0] ?? ''
  const indent = /^[ \t]*/.exec(lines[0] ?? '')?.[0] ?? ''
  const block = [indent + BEGIN, ...lines, indent + END].join(eol)
  const kept = was === '' ? '' : WAS + was + (wasEnd === '' ? eol : '')
  const lead = before === '' || before.endsWith('\n') ? '' : eol
  // A text without a line end at its end has none there afterwards: by this it is known again.
  const inside = after !== '' || before.endsWith('\n')
  const end = was === '' ? (inside ? eol : '') : wasEnd
  const first = indent.length + BEGIN.length + eol.length
  return before + lead + block.slice(0, first) + kept + block.slice(first) + end + after
}

/** @throws {FormatError} where a mark has lost its other half */
function withoutMarked(text: string): string {
  const kept: string[] = []
  let begin: number | undefined
  for (const [index, line] of linesOf(text).entries()) {
    const mark = line.trim()
    if (begin === undefined) {
      if (mark === END) throw unpaired(index + 1, BEGIN)
      if (mark === BEGIN) begin = index + 1
      else kept.push(line)
    } else if (mark === END) {
      begin = undefined
      if (!line.endsWith('\n')) kept.push((kept.pop() ?? '').replace(/\r?\n$/, ''))
    } else if (mark === BEGIN) {
      throw unpaired(begin, END)
    } else if (line.startsWith(WAS)) {
      kept.push(line.slice(WAS.length))
    }
  }
  if (begin !== undefined) throw unpaired(begin, END)
  return kept.join('')
}

function unpaired(line: number, missing: string): FormatError {
  return new FormatError(`this mark has lost its other half, "${missing}"; put it back`, { line })
}

/** With their ends. */
export function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? []
}

/** What the text ends its lines with. */
export function lineEnd(text: string): '\n' | '\r\n' {
  return /\r?\n/.exec(text)?.[0] === '\r\n' ? '\r\n' : '\n'
}

/** @returns the byte order mark, if there is one, and the rest */
export function splitMark(text: string): [mark: string, rest: string] {
  return text.startsWith(BYTE_ORDER_MARK) ? [BYTE_ORDER_MARK, text.slice(1)] : ['', text]
}

/** How one format has our lines put into it. */
export interface MarkedFormat {
  /** @throws {FormatError} where it cannot be read */
  parse(text: string): unknown
  /**
   * @param text without lines of ours
   * @returns where they go, none where all of it is said already, and what the text says then
   * @throws {FormatError} where the text says otherwise
   */
  plan(text: string): { readonly insertions: readonly Insertion[]; readonly value: unknown }
}

/**
 * Brings our lines up to date in a text, and proves that nothing else has changed.
 * @throws {FormatError} where that cannot be done
 */
export function mergeMarked(existing: string, format: MarkedFormat): string {
  const [mark, text] = splitMark(existing)
  const base = withoutMarked(text)
  const { insertions, value } = format.plan(base)
  const inserted = insertMarked(base, insertions)
  // A file of ours alone ends as we have made it.
  const result = isOursAlone(existing) ? `${inserted}\n` : inserted
  if (withoutMarked(result) !== base || !isSame(parsed(format, result), value)) throw unfit()
  return mark + result
}

function parsed(format: MarkedFormat, text: string): unknown {
  try {
    return format.parse(text)
  } catch {
    throw unfit()
  }
}

function unfit(): FormatError {
  return new FormatError('it is written in a way that leaves no place for this; add it by hand')
}

/**
 * @returns the text without our lines; `undefined`: it was made of them alone
 * @throws {FormatError} where a mark has lost its other half
 */
export function removeMarked(existing: string): string | undefined {
  const [mark, text] = splitMark(existing)
  return isOursAlone(existing) ? undefined : mark + withoutMarked(text)
}

/** In what was empty before us there is no line end at the end. */
function isOursAlone(text: string): boolean {
  return text !== '' && text.endsWith('\n') && withoutMarked(text) === ''
}
