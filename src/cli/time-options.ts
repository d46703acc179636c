/** Times and durations as they are given in options. Pure. */
import { InvalidValue, quote } from '../config/problem.ts'
import { parseDuration } from '../config/units.ts'
import { UsageError } from './command.ts'

/** Of what ends by itself. */
export const EXPIRY = { for: 'string', until: 'string' } as const

/**
 * @returns milliseconds since the epoch at which it ends; `undefined`: never
 * @throws {UsageError}
 */
export function readExpiry(
  options: { readonly for?: string; readonly until?: string },
  now: number,
): number | undefined {
  if (options.for !== undefined && options.until !== undefined) {
    throw new UsageError('Say --for or --until, not both')
  }
  if (options.for !== undefined) return checkTime('for', now + readDuration('for', options.for))
  return options.until === undefined ? undefined : readTime('until', options.until)
}

/**
 * A time that has passed: as such, or how long ago it was.
 * @returns milliseconds since the epoch
 * @throws {UsageError}
 */
export function readSince(text: string, now: number): number {
  if (/^\d{4}-/.test(text)) return readTime('since', text)
  const since = now - readDuration('since', text, ', or a time such as 2030-01-31T12:00:00Z')
  return checkTime('since', since)
}

/**
 * @param alternative what else would be right
 * @returns milliseconds
 * @throws {UsageError}
 */
export function readDuration(option: string, text: string, alternative = ''): number {
  try {
    return parseDuration(text)
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error
    throw new UsageError(`--${option} ${quote(text)} ${error.message}${alternative}`, {
      cause: error,
    })
  }
}

/** A day, which begins in UTC, or a time with its zone: what it means may not depend on where it is said. */
const ISO = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/

function readTime(option: string, text: string): number {
  const [, day] = ISO.exec(text) ?? []
  // Of the 30th of February, Date makes the 2nd of March.
  const isDay = day !== undefined && isoDay(Date.parse(day)) === day
  const time = isDay ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) {
    throw new UsageError(
      `--${option} ${quote(text)} is not a time; write for example 2030-01-31 or 2030-01-31T12:00:00Z`,
    )
  }
  return time
}

function isoDay(time: number): string | undefined {
  return Number.isNaN(time) ? undefined : new Date(time).toISOString().slice(0, 10)
}

/** A Date cannot say all that is a number. */
function checkTime(option: string, time: number): number {
  if (Number.isNaN(new Date(time).getTime())) {
    throw new UsageError(`--${option} is too long; leave it out for all time`)
  }
  return time
}
