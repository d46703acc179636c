// @ts-check
/**
 * A process of its own that judges names and tells who asks, as the mirror does before it answers, and
 * writes the microseconds of CPU that each took to its standard output, as JSON.
 *
 *   node bench/rules.mjs '{"build":"…","folder":"…","rules":[10,1000],"milliseconds":500}'
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** @type {RulesJob} */
const job = JSON.parse(process.argv[2] ?? '{}')
/** Of the program as it was built, typed as in its source. */
const load = (/** @type {string} */ file) => import(pathToFileURL(join(job.build, file)).href)
/** @type {typeof import('../src/access/rule.ts')} */
const { fileRule } = await load('access/rule.js')
/** @type {typeof import('../src/access/allowlist.ts')} */
const { compileRules } = await load('access/allowlist.js')
/** @type {typeof import('../src/catalog/sqlite-control.ts')} */
const { openControlCatalog } = await load('catalog/sqlite-control.js')
/** @type {typeof import('../src/control/create-control.ts')} */
const { createControl } = await load('control/create-control.js')
/** @type {typeof import('../src/log.ts')} */
const { createLog } = await load('log.js')
/** @type {typeof import('../src/metrics.ts')} */
const { createMetrics } = await load('metrics.js')

/**
 * @typedef {object} RulesJob
 * @property {string} build folder of the built mirror
 * @property {string} folder for the file of what operators decided
 * @property {readonly number[]} rules how many there are
 * @property {number} milliseconds that each measurement takes
 *
 * @typedef {Readonly<Record<string, number>>} RulesResult microseconds by what was done
 */

const ADDRESS = '192.0.2.1'
const PASSWORD = 'correct horse battery'
/** @type {readonly import('../src/access/principal.ts').Grant[]} */
const EVERYTHING = [{ role: 'admin', pattern: '**' }]
/** Turns between two looks at the clock. */
const BATCH = 64

await main(job)

/** @param {RulesJob} job */
async function main({ folder, rules, milliseconds }) {
  /** @type {Record<string, number>} */
  const result = {}
  for (const count of rules) {
    const figure = count.toLocaleString('en')
    const spread = (/** @type {number} */ n) => `docker.io/team-${n}/*`
    const below = (/** @type {number} */ n) => `docker.io/team/app-${n}-*`
    const inTeam = (/** @type {number} */ n) => `team-${n % count}/app-${n}`
    const inFolder = (/** @type {number} */ n) => `team/app-${n % count}-${n}`
    const [wide, deep] = [allowlist(count, spread), allowlist(count, below)]
    const known = inTeam(1)
    let turn = 0
    result[`${figure} rules, a new name`] = await measure(milliseconds, () => {
      wide.judge('docker.io', inTeam((turn += 1)))
    })
    result[`${figure} rules below one folder, a new name`] = await measure(milliseconds, () => {
      deep.judge('docker.io', inFolder((turn += 1)))
    })
    result[`${figure} rules, a name seen before`] = await measure(milliseconds, () => {
      wide.judge('docker.io', known)
    })
  }
  Object.assign(result, await measureCallers(folder, milliseconds))
  process.stdout.write(JSON.stringify(result))
}

/**
 * What each request costs before it is judged, with a real file of what operators decided.
 * @param {string} folder
 * @param {number} milliseconds
 */
async function measureCallers(folder, milliseconds) {
  const control = await createControl({
    catalog: openControlCatalog(join(folder, `control-${process.pid}.sqlite`)),
    settings: {
      routing: {
        upstreams: new Set(['docker.io']),
        hosts: new Map(),
        defaultUpstream: 'docker.io',
      },
      rules: [rule('docker.io/library/*', 0)],
      anonymous: ['**'],
      htpasswd: undefined,
      fileGrants: new Map(),
      anonymousStatus: true,
      webhook: undefined,
      checkPattern: (text) => text,
    },
    content: {
      describe: () => Promise.reject(new Error('Nothing is described here.')),
      tagsLeadingTo: () => Promise.resolve([]),
    },
    metrics: createMetrics(),
    log: createLog({ write: () => undefined }, 'fatal'),
  })
  try {
    /** @type {import('../src/access/principal.ts').Principal} */
    const host = { kind: 'host', name: 'bench', grants: EVERYTHING }
    const operator = control.operator({ principal: host, address: 'local' })
    await operator.addUser({ name: 'alice', password: PASSWORD, grants: EVERYTHING })
    const { token } = await operator.addToken({ name: 'ci', grants: EVERYTHING })
    await control.refresh()
    const password = basic('alice', PASSWORD)
    const { principal } = await control.identify(password, ADDRESS)
    const { token: bearer } = await control.issueToken(principal)
    const ask = (/** @type {string | undefined} */ shown) => async () => {
      await control.refresh()
      await control.identify(shown, ADDRESS)
    }
    return {
      'who asks, nothing shown': await measure(milliseconds, ask(undefined)),
      'who asks, a bearer token': await measure(milliseconds, ask(`Bearer ${bearer}`)),
      'who asks, an API token': await measure(milliseconds, ask(`Bearer ${token}`)),
      'who asks, a password verified before': await measure(milliseconds, ask(password)),
      'who asks, a bearer token of that moment': await measure(milliseconds, async () => {
        const { token: fresh } = await control.issueToken(principal)
        await ask(`Bearer ${fresh}`)()
      }),
      'who asks, a wrong password that is held back': await measure(milliseconds, () =>
        ask(basic('alice', randomBytes(8).toString('hex')))(),
      ),
    }
  } finally {
    await control.close()
  }
}

/**
 * Microseconds of CPU that one turn takes, of this process and all of its threads; warmed up before.
 * @param {number} milliseconds
 * @param {() => void | Promise<void>} turn
 */
async function measure(milliseconds, turn) {
  await repeat(milliseconds / 4, turn)
  const before = process.cpuUsage()
  const turns = await repeat(milliseconds, turn)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / turns
}

/**
 * @param {number} milliseconds
 * @param {() => void | Promise<void>} turn
 */
async function repeat(milliseconds, turn) {
  const end = performance.now() + milliseconds
  let turns = 0
  do {
    for (let left = BATCH; left > 0; left -= 1) {
      const running = turn()
      if (running !== undefined) await running
    }
    turns += BATCH
  } while (performance.now() < end)
  return turns
}

/**
 * @param {number} count
 * @param {(n: number) => string} pattern
 */
function allowlist(count, pattern) {
  return compileRules(Array.from({ length: count }, (_, n) => rule(pattern(n), n)))
}

/**
 * @param {string} pattern
 * @param {number} place
 */
function rule(pattern, place) {
  return fileRule('allow', pattern, { place })
}

/**
 * @param {string} user
 * @param {string} password
 */
function basic(user, password) {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}
