/** Durations and sizes as people write them. */
import { InvalidValue } from './problem.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const DAY = 86_400 * SECOND

const DURATION_UNITS = new Map([
  ['s', SECOND],
  ['m', MINUTE],
  ['h', 3600 * SECOND],
  ['d', DAY],
])

const SIZE_UNITS = new Map([
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
])

/** Bytes per second; slower than this, a piece of a file would take minutes. */
const MIN_RATE = 64 * 2 ** 10

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
 * As a duration, or `unlimited`: `Infinity`.
 * @throws {InvalidValue}
 */
export function parseDurationOrUnlimited(text: string): number {
  if (text === 'unlimited') return Number.POSITIVE_INFINITY
  const milliseconds = measure(text, DURATION_UNITS)
  if (milliseconds === undefined) {
    throw new InvalidValue(
      'is not a duration; write for example 7d (units s, m, h, d), or unlimited',
    )
  }
  return milliseconds
}

/**
 * A duration after which something goes that nobody used.
 * @throws {InvalidValue}
 */
export function parseAge(text: string): number {
  const milliseconds = parseDuration(text)
  if (milliseconds < MINUTE) {
    throw new InvalidValue(
      'is too short for anything to be pulled twice; write at least 1m, or leave the key out for never',
    )
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
  return bytes
}

/**
 * A size that is not nothing, because that is easily read as no limit.
 * @throws {InvalidValue}
 */
export function parseBudget(text: string): number {
  const bytes = parseSize(text)
  if (bytes === 0) throw new InvalidValue('is nothing; leave the key out for no limit')
  return bytes
}

/**
 * `8MiB`, meant for each second, in bytes; `off` is 0.
 * @throws {InvalidValue}
 */
export function parseRate(text: string): number {
  if (text === 'off') return 0
  const bytes = measure(text, SIZE_UNITS)
  if (bytes === undefined) {
    throw new InvalidValue(
      'is not a rate; write how much is checked in a second, for example 8MiB, or off',
    )
  }
  if (bytes < MIN_RATE) {
    throw new InvalidValue('is too slow to get anywhere; write at least 64KiB, or off')
  }
  return bytes
}

/** As `parseDurationOrUnlimited` reads it. @param milliseconds whole */
export function writeDuration(milliseconds: number): string {
  return Number.isFinite(milliseconds) ? written(milliseconds, DURATION_UNITS) : 'unlimited'
}

/** As `parseSize` reads it. @param bytes whole; below a kibibyte it is rounded */
export function writeSize(bytes: number): string {
  return written(bytes, SIZE_UNITS)
}

/** In the largest unit of which it is an amount that can be written, so that it is read as the same. */
function written(value: number, units: ReadonlyMap<string, number>): string {
  const [smallest = ''] = units.keys()
  const fitting = [...units].findLast(([, size]) => value >= size && isExact(value, size))
  const [unit, size] = fitting ?? [smallest, units.get(smallest) ?? 1]
  return `${Number((value / size).toFixed(3))}${unit}`
}

function isExact(value: number, size: number): boolean {
  return Math.round(Number((value / size).toFixed(3)) * size) === value
}

/** The nearest whole number; `undefined` when malformed, or too large to be counted exactly. */
function measure(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const [, amount = '', unit = ''] = /^(\d{1,15}(?:\.\d{1,3})?)([A-Za-z]+)$/.exec(text) ?? []
  const value = Math.round(Number(amount) * (units.get(unit) ?? Number.NaN))
  return Number.isSafeInteger(value) ? value : undefined
}
