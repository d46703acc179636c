/** Durations and sizes as people write them. */
import { InvalidValue } from './problem.ts'

const SECOND = 1000
const DAY = 86_400 * SECOND

const DURATION_UNITS = new Map([
  ['s', SECOND],
  ['m', 60 * SECOND],
  ['h', 3600 * SECOND],
  ['d', DAY],
])

const SIZE_UNITS = new Map([
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
])

/**
 * `5s`, `1.5m`, `2h`, `7d` in milliseconds.
 * @throws {InvalidValue}
 */
export function parseDuration(text: string): number {
  const milliseconds = measure(text, DURATION_UNITS)
  if (milliseconds === undefined) {
    throw new InvalidValue('is not a duration; write for example 5m (units s, m, h, d)')
  }
  return milliseconds
}

/**
 * A duration that a timer can wait for: timers overflow after 24 days, and then fire at once.
 * @throws {InvalidValue}
 */
export function parseTimeout(text: string): number {
  const milliseconds = parseDuration(text)
  if (milliseconds === 0 || milliseconds > DAY) {
    throw new InvalidValue('is no usable timeout; write more than 0s and at most 1d')
  }
  return milliseconds
}

/**
 * `200GiB` in bytes.
 * @throws {InvalidValue}
 */
export function parseSize(text: string): number {
  const bytes = measure(text, SIZE_UNITS)
  if (bytes === undefined) {
    throw new InvalidValue('is not a size; write for example 200GiB (units KiB, MiB, GiB, TiB)')
  }
  if (bytes === 0) throw new InvalidValue('is nothing; leave the key out for no limit')
  return bytes
}

/** The nearest whole number; `undefined` when malformed, or too large to be counted exactly. */
function measure(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const [, amount = '', unit = ''] = /^(\d{1,15}(?:\.\d{1,3})?)([A-Za-z]+)$/.exec(text) ?? []
  const value = Math.round(Number(amount) * (units.get(unit) ?? Number.NaN))
  return Number.isSafeInteger(value) ? value : undefined
}
