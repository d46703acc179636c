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
 * @property {boolean} [isWorst] the greatest of all rounds counts, not the median: one broken body is one too many
 *
 * @typedef {object} Scenario
 * @property {string} name
 * @property {(sizes: Sizes) => string} title
 * @property {readonly Column[]} columns
 * @property {readonly string[]} charts keys of the columns that are drawn
 * @property {readonly string[]} subjects those that it makes sense for
 * @property {readonly string[]} [once] those that take so long that they are measured in the first round only
 * @property {boolean} [needsHuge] whether it pulls the largest blob
 * @property {(bench: Bench) => Promise<OpenScenario>} open
 *
 * @typedef {object} OpenScenario
 * @property {(subjects: readonly string[]) => Promise<Measurement[]>} round measures each subject once, in this order
 * @property {() => Promise<void>} close
 *
 * @typedef {import('../sizes.mjs').Sizes} Sizes
 * @typedef {import('../bench.mjs').Bench} Bench
 * @typedef {Awaited<ReturnType<Bench['start']>>} Server
 * @typedef {import('../subjects.mjs').Variation} Variation
 */

export const MIRRORS = ['entrepot', 'before', 'nginx-cache', 'distribution']
export const EVERYBODY = [...MIRRORS, 'entrepot-portable', 'distribution-plain', 'nginx-static']
/** 1 GB is 10⁹ bytes, 1 MB is 10⁶. */
export const GB = 1e9
export const MB = 1e6
/** Seconds for which a server is exercised before it is measured. */
const EXERCISE = 0.3

/** @param {number} bytes */
export function binary(bytes) {
  if (bytes >= 2 ** 30) return `${bytes / 2 ** 30} GiB`
  return bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MiB` : `${bytes / 2 ** 10} KiB`
}

/** @param {number} count */
export function clients(count) {
  return count === 1 ? '1 client' : `${count} clients`
}

/**
 * For what can be measured on a cold cache only: each measurement gets a server that was just started.
 * @param {Bench} bench
 * @param {(subject: string, server: Server) => Promise<Measurement[]>} measure
 * @param {Variation} [variation]
 * @returns {OpenScenario}
 */
export function onFreshServers(bench, measure, variation) {
  return {
    async round(subjects) {
      const measurements = []
      for (const subject of subjects) {
        const server = await bench.start(subject, variation)
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
 * For hot caches: the servers live through all rounds. Before the first, each has been warmed with
 * bodies whose digests were compared, and exercised.
 * @param {Bench} bench
 * @param {readonly string[]} paths to be warmed
 * @param {(subject: string, server: Server, seconds: number) => Promise<Measurement[]>} measure
 * @param {Variation} [variation]
 * @returns {Promise<OpenScenario>}
 */
export async function onWarmServers(bench, paths, measure, variation) {
  /** @type {Map<string, Server>} */
  const servers = new Map()
  const close = async () => void (await Promise.all([...servers.values()].map((it) => it.stop())))
  const run = async (/** @type {readonly string[]} */ names, /** @type {number} */ seconds) => {
    const measurements = []
    for (const name of names) {
      const server = servers.get(name)
      if (server) measurements.push(...(await measure(name, server, seconds)))
    }
    return measurements
  }
  try {
    await bench.origin.behave()
    for (const name of bench.subjects) {
      const server = await bench.start(name, variation)
      servers.set(name, server)
      for (const path of [bench.image.byTag, ...paths]) await bench.pull(server, path)
      await server.settled()
    }
    await run(bench.subjects, Math.min(EXERCISE, bench.sizes.seconds))
    return { round: (names) => run(names, bench.sizes.seconds), close }
  } catch (error) {
    await close()
    throw error
  }
}
