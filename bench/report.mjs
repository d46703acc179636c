// @ts-check
/** Medians over the rounds, as Markdown tables laid out as the formatter wants them. */
import { figureOf, groupRounds } from './statistics.mjs'
import { SUBJECTS } from './subjects.mjs'

/** @typedef {import('./scenarios/scenario.mjs').Column} Column */
/** @typedef {import('./scenarios/scenario.mjs').Measurement} Measurement */

/**
 * @param {import('./scenarios/scenario.mjs').Scenario} scenario
 * @param {import('./sizes.mjs').Sizes} sizes
 * @param {readonly Measurement[]} measurements of all rounds
 * @param {number} [others] cores that other programs used meanwhile
 * @param {readonly string[]} [charts] Markdown
 */
export function section({ columns, title }, sizes, measurements, others = 0, charts = []) {
  // Noise is part of the figures: nobody should have to guess at it.
  const noise = `Other programs used ${figure(others, 2)} cores meanwhile.`
  const table = resultsTable(columns, measurements)
  return [`### ${title(sizes)}`, ...charts, table, noise].join('\n\n')
}

/**
 * @param {readonly Column[]} columns
 * @param {readonly Measurement[]} measurements of all rounds
 * @returns {string}
 */
function resultsTable(columns, measurements) {
  const hasShapes = measurements.some(({ shape }) => shape !== '')
  const header = ['server', ...columns.map(({ label }) => label)]
  const rows = groupRounds(measurements, Object.keys(SUBJECTS)).map(
    ({ shape, subject, rounds }) => {
      const cells = columns.map((column) => figure(figureOf(rounds, column), column.digits))
      return [...(hasShapes ? [shape] : []), SUBJECTS[subject]?.label ?? subject, ...cells]
    },
  )
  return layOut([hasShapes ? ['', ...header] : header, ...rows], hasShapes ? 2 : 1)
}

/** @param {readonly import('./aims.mjs').Aim[]} aims */
export function aimsTable(aims) {
  const rows = aims.map(({ what, isAtMost, aim, first, value, digits, verdict }) => {
    const sign = isAtMost ? '≤' : '≥'
    const bound = (/** @type {number} */ limit) => `${sign} ${figure(limit, digits)}`
    const bounds = first === undefined ? bound(aim) : `${bound(first)}, then ${bound(aim)}`
    return [what, bounds, verdict, figure(value, digits)]
  })
  return layOut([['', 'aim', 'reached', 'measured'], ...rows], 3)
}

/** @param {number} rounds */
export function roundsOf(rounds) {
  return rounds === 1 ? 'one round' : `medians of ${rounds} rounds`
}

/**
 * @param {number} value
 * @param {number} digits after the point
 */
export function figure(value, digits) {
  if (!Number.isFinite(value)) return '–'
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
