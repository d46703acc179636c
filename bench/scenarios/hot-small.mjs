// @ts-check
/** Small answers from a warm cache: a manifest within the time to live of its tag, and a tiny blob. */
import { binary, clients, EVERYBODY, onWarmServers } from './scenario.mjs'

const MANIFEST_CLIENTS = 32
const BLOB_CLIENTS = 64

/** @type {import('./scenario.mjs').Scenario['columns']} */
const COLUMNS = [
  { key: 'rate', label: 'requests/s', digits: 0 },
  { key: 'cpu', label: 'CPU ms/1,000', digits: 1 },
  { key: 'median', label: 'median ms', digits: 2 },
  { key: 'p99', label: 'p99 ms', digits: 2 },
  { key: 'upstream', label: 'upstream requests each', digits: 2 },
  { key: 'broken', label: 'broken answers', digits: 0, isWorst: true },
]
const subjects = EVERYBODY.filter((name) => name !== 'entrepot-portable')

/** @type {import('./scenario.mjs').Scenario} */
export const hotManifest = {
  name: 'hot-manifest',
  title: () => `Hot manifest, ${clients(MANIFEST_CLIENTS)}`,
  subjects,
  columns: COLUMNS,
  charts: ['rate', 'cpu'],
  async open(bench) {
    const { byTag, byDigest } = bench.image
    return onWarmServers(bench, [byDigest], async (subject, server, seconds) => {
      const measurements = []
      for (const { shape, method, path } of [
        { shape: 'GET by tag', method: /** @type {const} */ ('GET'), path: byTag },
        { shape: 'GET by digest', method: /** @type {const} */ ('GET'), path: byDigest },
        { shape: 'HEAD by tag', method: /** @type {const} */ ('HEAD'), path: byTag },
      ]) {
        const job = { method, connections: MANIFEST_CLIENTS, seconds }
        measurements.push({ shape, subject, values: await askForSmall(bench, server, path, job) })
      }
      return measurements
    })
  },
}

/** @type {import('./scenario.mjs').Scenario} */
export const hotTiny = {
  name: 'hot-tiny',
  title: ({ tinyBlob }) => `Hot blob of ${binary(tinyBlob)}, ${clients(BLOB_CLIENTS)}`,
  subjects,
  columns: COLUMNS,
  charts: ['rate', 'cpu'],
  async open(bench) {
    const { path } = bench.image.tiny
    return onWarmServers(bench, [path], async (subject, server, seconds) => {
      const job = { connections: BLOB_CLIENTS, seconds }
      return [{ shape: '', subject, values: await askForSmall(bench, server, path, job) }]
    })
  },
}

/**
 * @param {import('../bench.mjs').Bench} bench
 * @param {import('../processes.mjs').Server} server
 * @param {string} path
 * @param {{ method?: 'GET' | 'HEAD', connections: number, seconds: number }} job
 */
export async function askForSmall(bench, server, path, job) {
  await bench.origin.behave()
  const { load, cpuSeconds } = await bench.measure(server, path, { ...job, repeat: true })
  return {
    rate: load.complete / load.seconds,
    cpu: (cpuSeconds * 1000) / (load.complete / 1000),
    median: load.firstByte.median * 1000,
    p99: load.firstByte.p99 * 1000,
    upstream: (await bench.origin.counters()).requests / load.complete,
    broken: load.broken,
  }
}
