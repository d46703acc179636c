/**
 * `WWW-Authenticate`, RFC 9110 section 11.6.1. PURE.
 *
 * Read character by character, never by splitting at commas: a quoted realm may hold commas, and a
 * parser that can be talked into seeing another realm sends credentials there (security rule R2).
 */

export interface Challenge {
  /** Lower case, e.g. `bearer`. */
  readonly scheme: string
  /** The single opaque value that some schemes have instead of parameters. */
  readonly token68: string | undefined
  /** Names in lower case, values without quotes and escapes. A repeated name keeps its first value. */
  readonly parameters: ReadonlyMap<string, string>
}

/** Longest header read, in characters, all lines together; what lies beyond is ignored line by line. */
export const CHALLENGE_MAX_LENGTH = 4096
/** More challenges than any registry sends; further ones are ignored. */
export const CHALLENGE_MAX_COUNT = 8

/**
 * Every challenge that is well formed, in order. A malformed one is left out, and with it the rest
 * of its line, because nothing tells where the next one begins. Never throws.
 */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  const challenges: Challenge[] = []
  let length = 0
  for (const line of typeof header === 'string' ? [header] : (header ?? [])) {
    length += line.length
    if (length > CHALLENGE_MAX_LENGTH) break
    challenges.push(...parseLine(line))
  }
  return challenges.slice(0, CHALLENGE_MAX_COUNT)
}

interface OpenChallenge {
  readonly scheme: string
  token68: string | undefined
  readonly parameters: Map<string, string>
}

interface Scanned {
  readonly value: string
  /** Index of the first character after it. */
  readonly end: number
}

const SPACE = /[ \t]/
const SPACE_OR_COMMA = /[ \t,]/
const TOKEN_CHARACTER = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/
const TOKEN68_CHARACTER = /[A-Za-z0-9\-._~+/]/
/** Unquoted values are meant to be tokens; URLs without quotes are seen in the wild. */
const UNQUOTED_CHARACTER = /[!#-+\--~]/
/** RFC 9110 section 5.6.4: tab, space, visible ASCII and obs-text. */
const QUOTED_CHARACTER = /[\t \x21-\x7e\x80-\xff]/

function parseLine(line: string): Challenge[] {
  const challenges: OpenChallenge[] = []
  let position = skip(line, 0, SPACE_OR_COMMA)
  while (position < line.length) {
    const name = take(line, position, TOKEN_CHARACTER)
    if (name.value === '') return challenges.slice(0, -1)
    const next = skip(line, name.end, SPACE)
    const current = challenges.at(-1)
    if (line[next] === '=') {
      const value = takeValue(line, skip(line, next + 1, SPACE))
      if (current === undefined || value === undefined) return challenges.slice(0, -1)
      const key = name.value.toLowerCase()
      if (!current.parameters.has(key)) current.parameters.set(key, value.value)
      position = value.end
    } else {
      const token68 = next > name.end ? takeToken68(line, next) : undefined
      challenges.push({
        scheme: name.value.toLowerCase(),
        token68: token68?.value,
        parameters: new Map(),
      })
      position = token68?.end ?? next
    }
    position = skip(line, position, SPACE_OR_COMMA)
  }
  return challenges
}

/** A parameter's value; `undefined` where a quoted string does not end or holds control characters. */
function takeValue(line: string, start: number): Scanned | undefined {
  return line[start] === '"' ? takeQuoted(line, start + 1) : take(line, start, UNQUOTED_CHARACTER)
}

function takeQuoted(line: string, start: number): Scanned | undefined {
  let value = ''
  for (let index = start; index < line.length; index++) {
    if (line[index] === '"') return { value, end: index + 1 }
    if (line[index] === '\\') index++
    const character = line[index] ?? ''
    if (!QUOTED_CHARACTER.test(character)) return undefined
    value += character
  }
  return undefined
}

/** Only what stands alone up to the next comma is a token68; `name=value` is a parameter. */
function takeToken68(line: string, start: number): Scanned | undefined {
  const { value, end } = take(line, start, TOKEN68_CHARACTER)
  const padded = skip(line, end, /=/)
  const next = skip(line, padded, SPACE)
  const standsAlone = next === line.length || line[next] === ','
  return value !== '' && standsAlone ? { value: line.slice(start, padded), end: padded } : undefined
}

function take(line: string, start: number, character: RegExp): Scanned {
  const end = skip(line, start, character)
  return { value: line.slice(start, end), end }
}

function skip(line: string, start: number, character: RegExp): number {
  let end = start
  while (end < line.length && character.test(line.charAt(end))) end++
  return end
}
