// @ts-check
/** Measures the mirror beside others on the same origin; bench/README.md says what and how. */
import { writeFile } from 'node:fs/promises'
import { readArguments, UsageError, USAGE } from './arguments.mjs'
import { openBench } from './bench.mjs'
import { describeEnvironment } from './environment.mjs'
import { markdownTable } from './report.mjs'
import { coldSingle } from './scenarios/cold-single.mjs'
import { eventLoop } from './scenarios/event-loop.mjs'
import { herd } from './scenarios/herd.mjs'
import { hotBlob } from './scenarios/hot-blob.mjs'
import { hotManifest } from './scenarios/hot-manifest.mjs'
import { memory } from './scenarios/memory.mjs'
import { rules } from './scenarios/rules.mjs'
import { SUBJECTS } from './subjects.mjs'

const SCENARIOS = [herd, coldSingle, hotBlob, hotManifest, memory, eventLoop, rules]

/** @typedef {import('./scenarios/scenario.mjs').Scenario} Scenario */
/** @typedef {import('./scenarios/scenario.mjs').Measurement} Measurement */

// An exit, so that processes.mjs ends what was started.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130))

try {
  await main(readArguments(process.argv.slice(2)))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}

/** @param {ReturnType<typeof readArguments>} options */
async function main({ help, list, rounds, sizes, out, ...chosen }) {
  if (help) return print(USAGE)
  if (list) return print(SCENARIOS.map(({ name }) => name).join('\n'))
  const subjects = chooseSubjects(chosen.subjects)
  const scenarios = chooseScenarios(chosen.scenarios)
  const environment = describeEnvironment(subjects)
  print(`${environment}\nmedians of ${rounds} rounds`)
  const bench = await openBench(sizes, subjects)
  /** @type {Record<string, Measurement[]>} */
  const results = {}
  try {
    for (const scenario of scenarios) {
      const measurements = await runScenario(scenario, bench, rounds)
      results[scenario.name] = measurements
      print(`\n### ${scenario.title(sizes)}\n`)
      print(markdownTable(scenario.columns, measurements))
    }
  } finally {
    await bench.close()
    if (out) await writeFile(out, JSON.stringify({ environment, rounds, sizes, results }, null, 2))
  }
}

/**
 * All servers are measured within each round, in turns as to who begins, so that a change of the
 * machine's mood meets all of them.
 * @param {Scenario} scenario
 * @param {import('./bench.mjs').Bench} bench
 * @param {number} rounds
 */
async function runScenario(scenario, bench, rounds) {
  const subjects = bench.subjects.filter((name) => scenario.subjects.includes(name))
  const running = await scenario.open({ ...bench, subjects })
  try {
    const measurements = []
    for (let round = 0; round < rounds; round += 1) {
      const first = round % subjects.length
      const order = [...subjects.slice(first), ...subjects.slice(0, first)]
      measurements.push(...(await running.round(order)))
    }
    return measurements
  } finally {
    await running.close()
  }
}

/** @param {readonly string[]} [asked] */
function chooseSubjects(asked = Object.keys(SUBJECTS)) {
  const unknown = asked.find((name) => !(name in SUBJECTS))
  if (unknown !== undefined) throw new UsageError(`There is no server "${unknown}" to measure.`)
  if (asked.includes('entrepot') && !SUBJECTS['entrepot']?.isAvailable()) {
    throw new UsageError('dist/main.js is missing: run "npm run build" first.')
  }
  return asked.filter((name) => {
    const isAvailable = SUBJECTS[name]?.isAvailable()
    if (!isAvailable) print(`${name} is not installed: left out.`)
    return isAvailable
  })
}

/** @param {readonly string[]} asked */
function chooseScenarios(asked) {
  const unknown = asked.find((name) => !SCENARIOS.some((scenario) => scenario.name === name))
  if (unknown !== undefined) throw new UsageError(`There is no scenario "${unknown}".`)
  return SCENARIOS.filter(({ name }) => asked.length === 0 || asked.includes(name))
}

/** @param {string} line */
function print(line) {
  process.stdout.write(`${line}\n`)
}
