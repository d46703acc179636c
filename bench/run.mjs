// @ts-check
/** Measures the mirror beside others on the same origin; bench/README.md says what and how. */
import { readFile, writeFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { readArguments, UsageError, USAGE } from './arguments.mjs'
import { judgeAims } from './aims.mjs'
import { openBench } from './bench.mjs'
import { describeEnvironment } from './environment.mjs'
import { openEpoll } from './epoll.mjs'
import { cpuSecondsOfOthers } from './process-tree.mjs'
import { aimsTable, roundsOf, section } from './report.mjs'
import { saveRun, writeReadme } from './save.mjs'
import { catalog } from './scenarios/catalog.mjs'
import { coldRange } from './scenarios/cold-range.mjs'
import { coldSingle } from './scenarios/cold-single.mjs'
import { eventLoop } from './scenarios/event-loop.mjs'
import { herd } from './scenarios/herd.mjs'
import { hotBlob } from './scenarios/hot-blob.mjs'
import { hotManifest, hotTiny } from './scenarios/hot-small.mjs'
import { idle } from './scenarios/idle.mjs'
import { layers } from './scenarios/layers.mjs'
import { memory } from './scenarios/memory.mjs'
import { rules } from './scenarios/rules.mjs'
import { slowConnections } from './scenarios/slow-connections.mjs'
import { tls } from './scenarios/tls.mjs'
import { workers } from './scenarios/workers.mjs'
import { SUBJECTS } from './subjects.mjs'

const SCENARIOS = [
  hotManifest,
  hotTiny,
  hotBlob,
  herd,
  coldSingle,
  slowConnections,
  layers,
  coldRange,
  idle,
  catalog,
  tls,
  workers,
  memory,
  eventLoop,
  rules,
]

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
async function main(options) {
  if (options.help) return print(USAGE)
  if (options.list) return print(namesOfAll())
  const scenarios = chooseScenarios(options.scenarios)
  const run = options.from ? await readRuns(options.from) : await measure(scenarios, options)
  if (options.out) await writeFile(options.out, JSON.stringify(run, null, 2))
  const judged = judgeAims(run.results, run.sizes)
  const aims = aimsTable(judged)
  if (judged.length > 0) print(`\n### Aims\n\n${aims}`)
  if (options.save || options.readme) await saveRun(SCENARIOS, run)
  if (options.readme) await writeReadme(aims, SCENARIOS, run)
}

/**
 * @param {readonly Scenario[]} scenarios
 * @param {ReturnType<typeof readArguments>} options
 * @returns {Promise<import('./statistics.mjs').Run>}
 */
async function measure(scenarios, { build, before, rounds, sizes, ...options }) {
  const subjects = chooseSubjects(options.subjects, { build, before })
  const environment = `${describeEnvironment(subjects)}; ${await clientEngine()}`
  print(`${environment}\n${roundsOf(rounds)}`)
  const hasHuge = scenarios.some(({ needsHuge }) => needsHuge === true)
  const bench = await openBench({ sizes, subjects, build, before, hasHuge })
  /** @type {Record<string, Measurement[]>} */
  const results = {}
  /** @type {Record<string, number>} */
  const others = {}
  try {
    for (const scenario of scenarios) {
      const { name } = scenario
      const watched = watchOthers()
      try {
        results[name] = await runScenario(scenario, bench, rounds)
      } catch (error) {
        // What took minutes is not lost to what comes after it.
        process.stderr.write(`\n${name} failed: ${inspect(error)}\n`)
        process.exitCode = 1
        continue
      }
      others[name] = watched()
      print(`\n${section(scenario, sizes, results[name], others[name])}`)
    }
  } finally {
    await bench.close()
  }
  return { environment, rounds, sizes, others, results }
}

/**
 * @param {string} files with commas; of the same scenario the last one counts
 * @returns {Promise<import('./statistics.mjs').Run>}
 */
async function readRuns(files) {
  const runs = []
  for (const file of files.split(',')) {
    /** @type {import('./statistics.mjs').Run} */
    const run = JSON.parse(await readFile(file, 'utf8'))
    runs.push(run)
  }
  const results = Object.assign({}, ...runs.map((run) => run.results))
  const [first] = runs
  if (first === undefined) throw new UsageError('--from takes files that --out has written.')
  const others = Object.assign({}, ...runs.map((run) => run.others))
  return { ...first, others, results }
}

/** @returns {() => number} cores that other programs have used on average since now */
function watchOthers() {
  const started = performance.now()
  const before = cpuSecondsOfOthers(process.pid)
  return () => {
    const seconds = (performance.now() - started) / 1000
    return Math.max(0, (cpuSecondsOfOthers(process.pid) - before) / seconds)
  }
}

/** By what the clients read where nobody has to see the bytes. */
async function clientEngine() {
  const epoll = await openEpoll()
  return epoll ? 'clients drop bodies in the kernel' : 'clients copy bodies: install koffi'
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
      const turns = [...subjects.slice(first), ...subjects.slice(0, first)]
      const order = turns.filter((name) => round === 0 || !scenario.once?.includes(name))
      measurements.push(...(await running.round(order)))
    }
    return measurements
  } finally {
    await running.close()
  }
}

/**
 * @param {readonly string[] | undefined} asked
 * @param {{ build: string, before: string | undefined }} builds
 */
function chooseSubjects(asked = Object.keys(SUBJECTS), builds) {
  const unknown = asked.find((name) => !(name in SUBJECTS))
  if (unknown !== undefined) throw new UsageError(`There is no server "${unknown}" to measure.`)
  if (asked.includes('entrepot') && !SUBJECTS['entrepot']?.isAvailable(builds)) {
    throw new UsageError(`${builds.build}/main.js is missing: run "npm run build" first.`)
  }
  const wanted = asked.filter((name) => name !== 'before' || builds.before !== undefined)
  return wanted.filter((name) => {
    const isAvailable = SUBJECTS[name]?.isAvailable(builds)
    if (!isAvailable) print(`${name} is not installed: left out.`)
    return isAvailable
  })
}

function namesOfAll() {
  const scenarios = SCENARIOS.map(({ name }) => name).join(' ')
  return `scenarios: ${scenarios}\nservers: ${Object.keys(SUBJECTS).join(' ')}`
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
