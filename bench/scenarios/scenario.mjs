// @ts-check
/** What a scenario is, and what they share. */

/**
 * @typedef {object} Measurement one server, once
 * @property {string} shape of the work
 * @property {string} subject
 * @property {Readonly<Record<string, number>>} values by the key of a column
 *
 * @typedef {object} Column
 * @property {string} key
 * @property {string} label with its unit
 * @property {number} digits after the point
 *
 * @typedef {object} Scenario
 * @property {string} name
 * @property {(sizes: import('../arguments.mjs').Sizes) => string} title
 * @property {readonly Column[]} columns
 * @property {readonly string[]} subjects those that it makes sense for
 * @property {(bench: import('../bench.mjs').Bench) => Promise<OpenScenario>} open
 *
 * @typedef {object} OpenScenario
 * @property {(subjects: readonly string[]) => Promise<Measurement[]>} round measures each subject once, in this order
 * @property {() => Promise<void>} close
 */

export const MIRRORS = ['entrepot', 'distribution']
/** 1 GB is 10⁹ bytes, 1 MB is 10⁶. */
export const GB = 1e9
export const MB = 1e6

/** @param {number} bytes */
export function mebibytes(bytes) {
  return `${bytes / 1024 / 1024} MiB`
}

/** @param {number} count */
export function clients(count) {
  return count === 1 ? '1 client' : `${count} clients`
}

/**
 * For what can be measured on a cold cache only: each measurement gets a server that was just started.
 * @param {import('../bench.mjs').Bench} bench
 * @param {(subject: string, server: import('../processes.mjs').Server) => Promise<Measurement[]>} measure
 * @returns {OpenScenario}
 */
export function onFreshServers(bench, measure) {
  return {
    async round(subjects) {
      const measurements = []
      for (const subject of subjects) {
        const server = await bench.start(subject)
        try {
          measurements.push(...(await measure(subject, server)))
        } finally {
          await server.stop()
        }
      }
      return measurements
    },
    close: async () => undefined,
  }
}

/**
 * For hot caches: the servers live through all rounds, and each has been warmed and exercised before
 * the first.
 * @param {import('../bench.mjs').Bench} bench
 * @param {readonly string[]} subjects
 * @param {(subject: string, server: import('../processes.mjs').Server) => Promise<Measurement[]>} measure
 * @returns {Promise<OpenScenario>}
 */
export async function onWarmServers(bench, subjects, measure) {
  /** @type {Map<string, import('../processes.mjs').Server>} */
  const servers = new Map()
  const close = async () => void (await Promise.all([...servers.values()].map((it) => it.stop())))
  const run = async (/** @type {readonly string[]} */ names) => {
    const measurements = []
    for (const name of names) {
      const server = servers.get(name)
      if (server) measurements.push(...(await measure(name, server)))
    }
    return measurements
  }
  try {
    for (const name of subjects) {
      const server = await bench.start(name)
      servers.set(name, server)
      const { byTag, byDigest, small, medium, large } = bench.image
      for (const path of [byTag, byDigest, small.path, medium.path, large.path]) {
        await bench.pull(server, path)
      }
      await server.settled()
    }
    await run(subjects)
    return { round: run, close }
  } catch (error) {
    await close()
    throw error
  }
}
