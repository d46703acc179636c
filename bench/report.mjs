// @ts-check
/** Medians over the rounds, as Markdown tables laid out as the formatter wants them. */
import { SUBJECTS } from './subjects.mjs'

/** @typedef {import('./scenarios/scenario.mjs').Column} Column */
/** @typedef {import('./scenarios/scenario.mjs').Measurement} Measurement */

/**
 * @param {readonly Column[]} columns
 * @param {readonly Measurement[]} measurements of all rounds
 * @returns {string}
 */
export function markdownTable(columns, measurements) {
  const hasShapes = measurements.some(({ shape }) => shape !== '')
  const header = ['server', ...columns.map(({ label }) => label)]
  const rows = group(measurements).map(({ shape, subject, rounds }) => {
    const cells = columns.map((column) => cell(column, rounds))
    return [...(hasShapes ? [shape] : []), SUBJECTS[subject]?.label ?? subject, ...cells]
  })
  return layOut([hasShapes ? ['', ...header] : header, ...rows], hasShapes ? 2 : 1)
}

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/**
 * The rounds of each shape and server together, shapes in the order in which they were measured.
 * @param {readonly Measurement[]} measurements
 */
function group(measurements) {
  const shapes = [...new Set(measurements.map(({ shape }) => shape))]
  const groups = shapes.flatMap((shape) =>
    Object.keys(SUBJECTS).map((subject) => ({
      shape,
      subject,
      rounds: measurements.filter((one) => one.shape === shape && one.subject === subject),
    })),
  )
  return groups.filter(({ rounds }) => rounds.length > 0)
}

/**
 * @param {Column} column
 * @param {readonly Measurement[]} rounds
 */
function cell({ key, digits }, rounds) {
  const value = median(rounds.map(({ values }) => values[key] ?? Number.NaN))
  return value.toLocaleString('en', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}

/**
 * @param {readonly (readonly string[])[]} rows the first one is the header
 * @param {number} leftAligned columns of words; those of numbers go to the right
 */
function layOut(rows, leftAligned) {
  const header = rows[0] ?? []
  const widths = header.map((_, at) => Math.max(3, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(' | ')} |`
  const padded = rows.map((row) =>
    line(
      row.map((text, at) =>
        at < leftAligned ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0),
      ),
    ),
  )
  const rule = line(
    widths.map((width, at) => (at < leftAligned ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)),
  )
  return [padded[0], rule, ...padded.slice(1)].join('\n')
}
