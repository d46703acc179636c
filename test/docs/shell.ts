/** Commands in blocks of shell, as words; enough of the language for what stands on the pages. */

export interface ShellCommand {
  /** Of its first word, as an editor counts. */
  readonly line: number
  /** Without quotes; what the shell would put in for `$…` is left as it is. */
  readonly words: readonly string[]
  /** `NAME=value` before the command. */
  readonly env: Readonly<Record<string, string>>
  /** A file that it reads by `<`. */
  readonly input: string | undefined
}

interface Token {
  readonly kind: 'word' | 'operator'
  readonly text: string
  readonly line: number
}

/** In this order: what is skipped, operators, then parts of words. */
const SKIPPED = /(?:[ \t]|\\\n|(?<=^|\s)#.*)+/y
const OPERATOR = /&&|\|\||[|;&\n]|[<>]+&?/y
const PART = /'[^']*'|"(?:\\.|[^"\\])*"|\$\((?:[^()]|\([^()]*\))*\)|\\.|[^\s'"\\|;&<>]/y

const ASSIGNMENT = /^(?<name>[A-Za-z_]\w*)=(?<value>.*)$/s

/** @param line of the first line of the text */
export function commandsIn(text: string, line = 1): ShellCommand[] {
  const commands: ShellCommand[] = []
  let words: Token[] = []
  let input: string | undefined
  const end = (): void => {
    if (words.length > 0) commands.push(commandOf(words, input))
    words = []
    input = undefined
  }
  const tokens = tokensOf(text, line)
  for (const token of tokens) {
    if (token.kind === 'word') words.push(token)
    else if (/^[<>]/.test(token.text)) {
      const file = tokens.next().value
      if (token.text === '<') input = file?.text
    } else end()
  }
  end()
  return commands
}

function commandOf(tokens: readonly Token[], input: string | undefined): ShellCommand {
  const texts = tokens.map(({ text }) => text)
  const first = texts.findIndex((text) => !ASSIGNMENT.test(text))
  const assigned = first === -1 ? texts : texts.slice(0, first)
  const pairs = assigned.map((text) => {
    const { name = '', value = '' } = ASSIGNMENT.exec(text)?.groups ?? {}
    return [name, value] as const
  })
  return {
    line: tokens[0]?.line ?? 0,
    words: texts.slice(assigned.length),
    env: Object.fromEntries(pairs),
    input,
  }
}

function* tokensOf(text: string, firstLine: number): Generator<Token, undefined> {
  let at = 0
  let line = firstLine
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at
    const [found = ''] = pattern.exec(text) ?? []
    at += found.length
    line += found.split('\n').length - 1
    return found
  }
  while (at < text.length) {
    take(SKIPPED)
    const began = line
    const operator = take(OPERATOR)
    if (operator !== '') {
      yield { kind: 'operator', text: operator, line: began }
      continue
    }
    let word = ''
    let isWord = false
    for (let part = take(PART); part !== ''; part = take(PART)) {
      isWord = true
      word += unquoted(part)
    }
    if (isWord) yield { kind: 'word', text: word, line: began }
    else if (at < text.length) {
      throw new Error(`line ${line}: this is more of the shell than is understood here`)
    }
  }
  return undefined
}

function unquoted(part: string): string {
  if (part.startsWith("'")) return part.slice(1, -1)
  if (part.startsWith('"')) return part.slice(1, -1).replace(/\\([$`"\\])/g, '$1')
  return part.startsWith('\\') ? part.slice(1) : part
}
