// @ts-check
/** What a run leaves in the project: every round, the charts, and the tables in README.md. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { barChart } from './chart.mjs'
import { figure, roundsOf, section } from './report.mjs'
import { groupRounds, medianOf } from './statistics.mjs'
import { SUBJECTS } from './subjects.mjs'

const FOLDER = new URL('results/', import.meta.url)
const README = new URL('README.md', import.meta.url)
const BEGIN = '<!-- results: written by the bench -->'
const END = '<!-- end of results -->'

/** @typedef {import('./statistics.mjs').Run} Run */
/** @typedef {import('./scenarios/scenario.mjs').Scenario} Scenario */
/** @typedef {import('./scenarios/scenario.mjs').Measurement} Measurement */

/**
 * @param {readonly Scenario[]} scenarios all that there are
 * @param {Run} run
 */
export async function saveRun(scenarios, { results, ...head }) {
  await mkdir(FOLDER, { recursive: true })
  for (const scenario of scenarios) {
    for (const key of scenario.charts) {
      const chart = chartOf(scenario, key, results[scenario.name] ?? [], head.sizes)
      const file = new URL(fileName(scenario, key), FOLDER)
      if (chart === undefined) await rm(file, { force: true })
      else await writeFile(file, barChart(chart))
    }
  }
  // A line that describes the run, then one for each measurement.
  const measured = Object.entries(results).flatMap(([scenario, measurements]) =>
    measurements.map((measurement) => ({ scenario, ...measurement })),
  )
  const lines = [head, ...measured].map((line) => `${JSON.stringify(line)}\n`)
  await writeFile(new URL('rounds.jsonl', FOLDER), lines.join(''))
}

/**
 * @param {string} aims Markdown
 * @param {readonly Scenario[]} scenarios all that there are
 * @param {Run} run
 */
export async function writeReadme(
  aims,
  scenarios,
  { environment, rounds, sizes, others, results },
) {
  const readme = await readFile(README, 'utf8')
  const [before, rest] = readme.split(BEGIN)
  const after = rest?.split(END)[1]
  if (before === undefined || after === undefined) {
    throw new Error(`bench/README.md has no "${BEGIN}" … "${END}" to write between.`)
  }
  const measured = scenarios.filter(({ name }) => results[name] !== undefined)
  const sections = measured.map((scenario) => {
    const measurements = results[scenario.name] ?? []
    const charts = scenario.charts
      .filter((key) => chartOf(scenario, key, measurements, sizes) !== undefined)
      .map((key) => `![${labelOf(scenario, key)}](results/${fileName(scenario, key)})`)
    return section(scenario, sizes, measurements, others[scenario.name], charts)
  })
  const head = `${environment}; ${roundsOf(rounds)}.`
  const parts = [BEGIN, head, `### Aims\n\n${aims}`, ...sections, END]
  await writeFile(README, before + parts.join('\n\n') + after)
}

/**
 * @param {Scenario} scenario
 * @param {string} key
 */
function fileName({ name }, key) {
  return `${name}-${key}.svg`
}

/**
 * @param {Scenario} scenario
 * @param {string} key
 */
function labelOf({ columns }, key) {
  return columns.find((column) => column.key === key)?.label ?? key
}

/**
 * @param {Scenario} scenario
 * @param {string} key
 * @param {readonly Measurement[]} measurements
 * @param {import('./sizes.mjs').Sizes} sizes
 * @returns {import('./chart.mjs').Chart | undefined} nothing where there is nothing to compare
 */
function chartOf(scenario, key, measurements, sizes) {
  const digits = scenario.columns.find((column) => column.key === key)?.digits ?? 2
  const rows = groupRounds(measurements, Object.keys(SUBJECTS)).flatMap(
    ({ shape, subject, rounds }) => {
      const value = medianOf(rounds, key)
      const kind = SUBJECTS[subject]
      if (!Number.isFinite(value) || kind === undefined) return []
      const { label, color } = kind
      return [{ shape, bar: { label, color, value, text: figure(value, digits) } }]
    },
  )
  if (rows.length < 2) return undefined
  const shapes = [...new Set(rows.map(({ shape }) => shape))]
  const groups = shapes.map((shape) => ({
    label: shape,
    bars: rows.filter((row) => row.shape === shape).map(({ bar }) => bar),
  }))
  return { title: scenario.title(sizes), measure: labelOf(scenario, key), groups }
}
