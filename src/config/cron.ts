/** Whether a cron expression says a time. When that comes is reckoned in `warm/`. */
import { InvalidValue } from './problem.ts'

interface Field {
  readonly name: string
  readonly min: number
  readonly max: number
  /** In place of numbers, the first of which is `min`. */
  readonly words?: readonly string[]
}

const MONTHS = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ')
const DAYS = 'sun mon tue wed thu fri sat'.split(' ')

const FIELDS: readonly Field[] = [
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day of the month', min: 1, max: 31 },
  { name: 'month', min: 1, max: 12, words: MONTHS },
  // Sunday is 0 and 7.
  { name: 'day of the week', min: 0, max: 7, words: DAYS },
]

const NICKNAMES = ['@hourly', '@daily', '@weekly', '@monthly', '@yearly']

const RIGHT = `write minute, hour, day, month and day of the week, as in "0 3 * * *", or one of ${NICKNAMES.join(', ')}`

/**
 * @returns the expression as written
 * @throws {InvalidValue}
 */
export function parseCron(text: string): string {
  if (NICKNAMES.includes(text)) return text
  const parts = text.split(/[ \t]+/)
  if (parts.length !== FIELDS.length) {
    throw new InvalidValue(`is not a cron expression of five fields; ${RIGHT}`)
  }
  FIELDS.forEach((field, place) => {
    if (!(parts[place] ?? '').split(',').every((item) => isItem(item, field))) {
      throw new InvalidValue(`has no ${field.name} that there is; ${RIGHT}`)
    }
  })
  return text
}

/** An asterisk, a number or a range of two, and a step behind the first and the last. */
function isItem(item: string, field: Field): boolean {
  const [, range = '', step] = /^([^/]+)(?:\/(\d{1,2}))?$/.exec(item) ?? []
  if (step !== undefined && (Number(step) < 1 || Number(step) > field.max)) return false
  if (range === '*') return true
  const [first, last, ...more] = range.split('-').map((it) => valueOf(it, field))
  if (first === undefined || more.length > 0) return false
  if (!range.includes('-')) return step === undefined
  return last !== undefined && first <= last
}

function valueOf(text: string, { min, max, words }: Field): number | undefined {
  const word = words?.indexOf(text.toLowerCase()) ?? -1
  if (word !== -1) return min + word
  const value = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN
  return value >= min && value <= max ? value : undefined
}
