/** What an operator gives is looked at as a whole: everything that is wrong is said at once, with its place. Pure. */
import { ROLES, type Grant } from '../access/principal.ts'
import { readPattern } from '../access/rule.ts'
import { OciError } from '../oci/error.ts'
import { parseImage, type Image } from '../routing/image.ts'
import type { RoutingTable } from '../routing/resolve.ts'
import type { ControlSettings } from './control.ts'
import { ControlError, type InvalidField } from './error.ts'
import { isUserName } from './user-name.ts'

interface InputCheck {
  complain(path: string, message: string): void
  /** @returns the pattern as it is kept */
  pattern(path: string, text: string): string
  /** @returns a reason or an owner; `undefined` where it says nothing */
  note(path: string, text: string | undefined): string | undefined
  expiry(path: string, at: number | undefined): number | undefined
  /** Of a user or a robot. */
  name(path: string, text: string): string
  /** @returns each right once, its pattern in canonical form */
  grants(path: string, grants: readonly Grant[]): readonly Grant[]
  /** @throws {ControlError} invalid, when there was anything to complain about */
  finish(): void
}

const LONGEST_PATTERN = 700
const LONGEST_NOTE = 500
const LONGEST_IMAGE = 1000
const MOST_GRANTS = 100
/** The end of the year 9999, the last that ISO 8601 writes with four digits. */
const LATEST_TIME = 253_402_300_799_999

/** Names that stand for something else where people read who did what. */
const RESERVED_NAMES = new Set(['anonymous', 'host', 'file', 'local', 'first-admin'])

/** Control characters, line breaks of any kind, halves of characters, and what turns the direction of text. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u

export function createInputCheck(
  { checkPattern }: Pick<ControlSettings, 'checkPattern'>,
  now: number,
): InputCheck {
  const fields: InvalidField[] = []
  const complain = (path: string, message: string) => {
    fields.push({ path, message })
  }

  function pattern(path: string, text: string): string {
    if (text.length > LONGEST_PATTERN || UNPRINTABLE.test(text)) {
      complain(
        path,
        `A pattern has ${LONGEST_PATTERN} characters at most, and no control characters.`,
      )
      return text
    }
    try {
      return checkPattern(text)
    } catch (error) {
      if (!(error instanceof Error)) throw error
      complain(path, sentence(`${text === '' ? '""' : text} ${error.message}`))
      return text
    }
  }

  function grant(path: string, { role, pattern: text }: Grant): Grant {
    if (!ROLES.includes(role)) {
      complain(`${path}.role`, `A role is one of ${ROLES.join(', ')}.`)
    }
    const known = fields.length
    const { name, tag } = readPattern(pattern(`${path}.pattern`, text))
    if (tag !== undefined && fields.length === known) {
      complain(
        `${path}.pattern`,
        `${text} has a tag; rights are given for whole repositories. Write ${name}.`,
      )
    }
    return { role, pattern: name }
  }

  return {
    complain,
    pattern,
    note(path, text) {
      if (text === undefined || text === '') return undefined
      if (text.length > LONGEST_NOTE || UNPRINTABLE.test(text)) {
        complain(
          path,
          `This is one line of ${LONGEST_NOTE} characters at most, without control characters.`,
        )
      }
      return text
    },
    expiry(path, at) {
      if (at === undefined) return undefined
      if (!Number.isSafeInteger(at) || at > LATEST_TIME) {
        complain(path, 'This is not a time before the year 10000.')
      } else if (at <= now) {
        complain(path, 'This time has passed; give one that is to come, or none at all.')
      }
      return at
    },
    name(path, text) {
      if (!isUserName(text)) {
        complain(
          path,
          'A name is 1 to 64 letters, digits, dots, underscores, dashes and @, and begins with a letter or a digit.',
        )
      } else if (RESERVED_NAMES.has(text.toLowerCase())) {
        complain(path, `The name ${text} is reserved; take another one.`)
      }
      return text
    },
    grants(path, grants) {
      if (grants.length === 0 || grants.length > MOST_GRANTS) {
        complain(
          path,
          `There is at least one right, such as pull on **, and ${MOST_GRANTS} at most.`,
        )
        return []
      }
      const checked = grants.map((given, place) => grant(`${path}[${place}]`, given))
      return [...new Map(checked.map((one) => [`${one.role} ${one.pattern}`, one])).values()]
    },
    finish() {
      if (fields.length > 0) throw invalid(fields)
    },
  }
}

/**
 * @param text as people write an image
 * @throws {ControlError} invalid
 */
export function readImage(routing: RoutingTable, text: string): Image {
  if (text.length > LONGEST_IMAGE || UNPRINTABLE.test(text)) {
    throw invalidImage(
      `An image has ${LONGEST_IMAGE} characters at most, and no control characters.`,
    )
  }
  try {
    return parseImage(routing, text)
  } catch (error) {
    if (error instanceof OciError) throw invalidImage(error.message)
    throw error
  }
}

export function invalidImage(message: string): ControlError {
  return invalid([{ path: 'image', message }])
}

function invalid(fields: readonly InvalidField[]): ControlError {
  return new ControlError(
    'invalid',
    fields.map(({ path, message }) => `${path}: ${message}`).join(' '),
    fields,
  )
}

/** What comes from outside, in a message: short, on one line, and without a token in the wrong place. */
export function shownText(text: string): string {
  return JSON.stringify(text.slice(0, 100).replace(/entp_\w*/g, 'entp_…'))
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}
