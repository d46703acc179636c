/**
 * Which tags of a repository are meant. Expressions come from lists of images, so a bad one must hold up
 * nothing: what backtracks without end is cut off by time, as there is no linear matcher in Node.
 */
import { Script } from 'node:vm'
import semver from 'semver'
import type { TagSource } from './sources.ts'

/** An expression or range that cannot be used; the message ends the sentence "…: ". */
export class TagFilterError extends Error {
  override readonly name = 'TagFilterError'
}

/** Characters. */
const MAX_LENGTH = 512
/** Milliseconds that one expression may take for all tags of a repository. */
const MATCHED_WITHIN = 250
/** Tags between two looks at the clock. */
const LOOK_AT_CLOCK_EVERY = 100

/**
 * @returns those of the tags that are meant, in their order
 * @throws {TagFilterError} when it cannot be used, and the returned function when it takes too long
 */
export function createTagFilter({
  matching,
  semver: range,
}: Omit<TagSource, 'repository'>): (tags: readonly string[]) => string[] {
  if (matching !== undefined) {
    const pattern = compile(matching)
    return (tags) => matchedBy(pattern, tags)
  }
  if (range === undefined) return (tags) => [...tags]
  const wanted = readRange(range)
  return (tags) => withinRange(tags, wanted)
}

/**
 * Go's expressions, which skopeo reads, in the words of JavaScript. What means something else there, or
 * what Go has not, is refused rather than guessed.
 */
function compile(text: string): RegExp {
  refuseLength(text)
  const [, flags = '', rest = ''] = /^(?:\(\?([ims]+)\))?(.*)$/s.exec(text) ?? []
  if (/\(\?(?:[=!]|<[=!])|\\[1-9]|\\k</.test(rest)) {
    throw new TagFilterError('looks around or back in the tag, which is not supported here')
  }
  if (/\(\?[a-zA-Z-]+[):]/.test(rest)) {
    throw new TagFilterError('has flags inside; write them at the beginning, as in (?i)^v1')
  }
  if (/\[:\w+:\]/.test(rest)) {
    throw new TagFilterError('has a class such as [:alpha:]; write its characters, as in [a-z]')
  }
  try {
    return new RegExp(inJavaScript(rest), `u${[...new Set(flags)].join('')}`)
  } catch (error) {
    const [, why = 'it cannot be read'] = /: ([^:]+)$/.exec((error as Error).message) ?? []
    throw new TagFilterError(`is not a regular expression: ${why}`, { cause: error })
  }
}

/** Escapes that only one of both knows; all others mean the same. */
function inJavaScript(text: string): string {
  return text
    .replaceAll('(?P<', '(?<')
    .replace(/\\(.)/gs, (escape, character: string) => ESCAPES.get(character) ?? escape)
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['A', '^'],
  ['z', '$'],
  ['-', '\\x2d'],
  ...Array.from('_!"#%&\',:;<=>@`~ ', (it) => [it, it] as const),
])

const FILTER = new Script('tags.filter((tag) => pattern.test(tag))')

function matchedBy(pattern: RegExp, tags: readonly string[]): string[] {
  try {
    const found: unknown = FILTER.runInNewContext({ pattern, tags }, { timeout: MATCHED_WITHIN })
    return [...(found as string[])]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    throw tooSlow({ cause: error })
  }
}

function tooSlow(options?: ErrorOptions): TagFilterError {
  return new TagFilterError(
    `takes longer than ${MATCHED_WITHIN} ms for the tags of this repository; write a simpler one`,
    options,
  )
}

function readRange(text: string): semver.Range {
  refuseLength(text)
  // As Masterminds/semver reads it, which skopeo uses: a comma joins like a space.
  const range = text.replaceAll(',', ' ')
  if (text.trim() === '' || semver.validRange(range) === null) {
    throw new TagFilterError('is not a range of versions; write for example ">= 3.12.0, < 4"')
  }
  return new semver.Range(range)
}

/** A range of many alternatives takes its time as well. */
function withinRange(tags: readonly string[], range: semver.Range): string[] {
  const end = performance.now() + MATCHED_WITHIN
  return tags.filter((tag, index) => {
    if (index % LOOK_AT_CLOCK_EVERY === 0 && performance.now() > end) throw tooSlow()
    return isWithin(tag, range)
  })
}

/** Tags are versions with fewer parts as well: `v1.25`, `3`. */
function isWithin(tag: string, range: semver.Range): boolean {
  const [, major, minor = '0', patch = '0', rest = ''] =
    /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(-[\w.-]+)?$/.exec(tag) ?? []
  return major !== undefined && range.test(`${major}.${minor}.${patch}${rest}`)
}

function refuseLength(text: string): void {
  if (text.length > MAX_LENGTH) {
    throw new TagFilterError(`is longer than ${MAX_LENGTH} characters`)
  }
}
