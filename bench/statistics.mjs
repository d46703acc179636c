// @ts-check
/** What the rounds say together. */

/** @typedef {Readonly<Record<string, readonly import('./scenarios/scenario.mjs').Measurement[]>>} Results by scenario, of all rounds */
/**
 * @typedef {object} Run
 * @property {string} environment
 * @property {number} rounds
 * @property {import('./sizes.mjs').Sizes} sizes
 * @property {Readonly<Record<string, number>>} others cores that other programs used, by scenario
 * @property {Results} results
 */

/** @param {readonly number[]} values */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/**
 * @param {readonly import('./scenarios/scenario.mjs').Measurement[]} rounds of one shape and server
 * @param {string} key of a column
 * @returns {number} NaN where nothing was measured
 */
export function medianOf(rounds, key) {
  return median(rounds.map(({ values }) => values[key] ?? Number.NaN))
}

/**
 * @param {readonly import('./scenarios/scenario.mjs').Measurement[]} rounds of one shape and server
 * @param {Pick<import('./scenarios/scenario.mjs').Column, 'key' | 'isWorst'>} column
 */
export function figureOf(rounds, { key, isWorst = false }) {
  if (!isWorst) return medianOf(rounds, key)
  return Math.max(...rounds.map(({ values }) => values[key] ?? Number.NaN))
}

/**
 * The rounds of each shape and server together, shapes in the order in which they were measured.
 * @param {readonly import('./scenarios/scenario.mjs').Measurement[]} measurements
 * @param {readonly string[]} order of servers
 */
export function groupRounds(measurements, order) {
  const shapes = [...new Set(measurements.map(({ shape }) => shape))]
  const groups = shapes.flatMap((shape) =>
    order.map((subject) => ({
      shape,
      subject,
      rounds: measurements.filter((one) => one.shape === shape && one.subject === subject),
    })),
  )
  return groups.filter(({ rounds }) => rounds.length > 0)
}
