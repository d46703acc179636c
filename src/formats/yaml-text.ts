/** What is wrong with a text of YAML before anything in it is looked at. */
import { Lexer, type LineCounter, type YAMLParseError } from './yaml.ts'

const MAX_BYTES = 1024 * 1024
const MAX_DEPTH = 100
const MAX_SYNTAX_MISTAKES = 5

export interface SyntaxMistake {
  /** Counted from 1. */
  readonly line: number
  /** Likewise. */
  readonly column: number
  readonly message: string
}

/**
 * Deep nesting exhausts the parser's stack, and that ends the process: no exception can be caught.
 * @param what it is meant to be: `configuration`
 * @returns why it must not be parsed; `undefined`: it may be
 */
export function whyUnparsable(text: string, what: string): string | undefined {
  if (Buffer.byteLength(text) > MAX_BYTES) return `is larger than 1 MiB, which no ${what} is`
  const tooDeep = `is nested deeper than ${MAX_DEPTH} levels, which no ${what} is`
  if (/^[ \t?:-]{200}/m.test(text)) return tooDeep
  let depth = 0
  for (const lexeme of new Lexer().lex(text)) {
    if (lexeme === '[' || lexeme === '{') depth += 1
    if (lexeme === ']' || lexeme === '}') depth -= 1
    if (depth > MAX_DEPTH) return tooDeep
  }
  return undefined
}

/** One a line, and few: what follows the first is mostly its consequence. */
export function syntaxMistakes(
  errors: readonly Pick<YAMLParseError, 'code' | 'pos'>[],
  lines: LineCounter,
  what: string,
): SyntaxMistake[] {
  const byLine = new Map<number, SyntaxMistake>()
  for (const { code, pos } of errors) {
    const { line, col } = lines.linePos(pos[0])
    if (!byLine.has(line)) byLine.set(line, { line, column: col, message: messageOf(code, what) })
  }
  return [...byLine.values()].slice(0, MAX_SYNTAX_MISTAKES)
}

const MISPLACED =
  'this line is not what YAML expects here; check indentation, brackets and quotes from the line above on, and put text that holds ": " or " #" in quotes'

/** Our own sentences, because some of the library's quote the source, which may hold passwords. */
const SYNTAX_MESSAGES: ReadonlyMap<string, string> = new Map([
  ['TAB_AS_INDENT', 'this line is indented with a tab; YAML wants spaces'],
  ['BAD_SCALAR_START', 'a value that begins with @ or ` must be in quotes'],
  ['BAD_DQ_ESCAPE', 'an unknown \\ escape; text with backslashes goes into single quotes'],
  ['MISSING_CHAR', 'before this place a closing quote or bracket, a comma or a colon is missing'],
  ['BAD_INDENT', MISPLACED],
  ['BLOCK_AS_IMPLICIT_KEY', MISPLACED],
  ['MULTILINE_IMPLICIT_KEY', MISPLACED],
  ['UNEXPECTED_TOKEN', MISPLACED],
])

function messageOf(code: string, what: string): string {
  if (code === 'MULTIPLE_DOCS') {
    return `a second document (---) begins here; a ${what} is one document`
  }
  return SYNTAX_MESSAGES.get(code) ?? `this line is not valid YAML (${code})`
}
