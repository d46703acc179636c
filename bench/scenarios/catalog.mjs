// @ts-check
/** Small hot answers beside many blobs in the catalog. */
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { runLoad } from '../processes.mjs'
import { askForSmall } from './hot-small.mjs'
import { binary, onWarmServers } from './scenario.mjs'

const FILL = fileURLToPath(new URL('../fill-catalog.mjs', import.meta.url))

/** @type {import('./scenario.mjs').Scenario} */
export const catalog = {
  name: 'catalog',
  title: () => 'Hot small answers by blobs in the catalog',
  subjects: ['entrepot'],
  columns: [
    { key: 'rate', label: 'requests/s', digits: 0 },
    { key: 'cpu', label: 'CPU ms/1,000', digits: 1 },
    { key: 'p99', label: 'p99 ms', digits: 2 },
    { key: 'broken', label: 'broken answers', digits: 0, isWorst: true },
  ],
  charts: ['rate'],
  async open(bench) {
    const running = []
    try {
      for (const count of bench.sizes.catalogs) running.push(await openWith(bench, count))
    } catch (error) {
      await Promise.all(running.map((each) => each.close()))
      throw error
    }
    return {
      async round(subjects) {
        const measurements = []
        for (const each of running) measurements.push(...(await each.round(subjects)))
        return measurements.toSorted((a, b) => thing(a).localeCompare(thing(b)))
      },
      close: async () => void (await Promise.all(running.map((each) => each.close()))),
    }
  },
}

/** Nothing reads the files of the blobs: there are none. */
const VARIATION = { config: { scrub: 'off' } }

/**
 * Rows are added while the mirror runs: at its start it would look for their files, and remove them.
 * @param {import('./scenario.mjs').Bench} bench
 * @param {number} count
 */
function openWith(bench, count) {
  const { byTag, tiny } = bench.image
  let isFilled = false
  return onWarmServers(
    bench,
    [byTag, tiny.path],
    async (subject, server, seconds) => {
      if (!isFilled) {
        const file = join(server.folder, 'data', 'catalog.sqlite')
        await runLoad([process.execPath, FILL, file, String(count)])
        await server.settled()
        isFilled = true
      }
      const measurements = []
      for (const { thing, path, connections } of [
        { thing: 'manifest by tag', path: byTag, connections: 32 },
        { thing: binary(tiny.size), path: tiny.path, connections: 64 },
      ]) {
        const values = await askForSmall(bench, server, path, { connections, seconds })
        measurements.push({ shape: catalogShape(thing, count), subject, values })
      }
      return measurements
    },
    VARIATION,
  )
}

/**
 * @param {string} thing
 * @param {number} count
 */
export function catalogShape(thing, count) {
  return `${thing}, ${count.toLocaleString('en')} ${count === 1 ? 'blob' : 'blobs'}`
}

/** @param {import('./scenario.mjs').Measurement} measurement */
function thing({ shape }) {
  return shape.split(',', 1)[0] ?? ''
}
