// @ts-check
/** A manifest that is here, within the time to live of its tag. */
import { clients, onWarmServers } from './scenario.mjs'

const CONNECTIONS = 32

/** @type {import('./scenario.mjs').Scenario} */
export const hotManifest = {
  name: 'hot-manifest',
  title: () => `Hot manifest, ${clients(CONNECTIONS)}`,
  subjects: ['entrepot', 'distribution', 'nginx'],
  columns: [
    { key: 'rate', label: 'requests/s', digits: 0 },
    { key: 'cpu', label: 'CPU ms/1,000', digits: 1 },
    { key: 'median', label: 'median ms', digits: 2 },
    { key: 'p99', label: 'p99 ms', digits: 2 },
    { key: 'upstream', label: 'upstream requests each', digits: 2 },
    { key: 'broken', label: 'broken answers', digits: 0 },
  ],
  async open(bench) {
    const { byTag, byDigest } = bench.image
    const shapes = /** @type {const} */ ([
      { shape: 'GET by tag', method: 'GET', path: byTag },
      { shape: 'GET by digest', method: 'GET', path: byDigest },
      { shape: 'HEAD by tag', method: 'HEAD', path: byTag },
    ])
    return onWarmServers(bench, bench.subjects, async (subject, server) => {
      const measurements = []
      for (const { shape, method, path } of shapes) {
        await bench.origin.reset()
        const { load, cpuSeconds } = await bench.measure(server, path, {
          method,
          connections: CONNECTIONS,
          repeat: true,
          seconds: bench.sizes.seconds,
        })
        const values = {
          rate: load.complete / load.seconds,
          cpu: (cpuSeconds * 1000) / (load.complete / 1000),
          median: load.firstByte.median * 1000,
          p99: load.firstByte.p99 * 1000,
          upstream: (await bench.origin.counters()).requests / load.complete,
          broken: load.broken,
        }
        measurements.push({ shape, subject, values })
      }
      return measurements
    })
  },
}
