// @ts-check
/** Several processes of the mirror on all cores, which they share with the clients here. */
import { CORES } from '../processes.mjs'
import { compareBytes, sendHerd } from './herd.mjs'
import { binary, clients, GB, MB, onWarmServers } from './scenario.mjs'

const COMPARING = 8
/** One process uses a second core too, as its threads read and send files. */
export const ONE = {
  label: '1 worker on 1 core',
  workers: 1,
  server: CORES.server,
  load: CORES.load,
}
const ONE_FREE = { label: '1 worker on 2 cores', workers: 1, server: CORES.all, load: CORES.all }
export const TWO = { label: '2 workers on 2 cores', workers: 2, server: CORES.all, load: CORES.all }
export const WORKERS_HERD = `cold herd, ${TWO.label}`

/** @typedef {typeof ONE} Arrangement */

/** @type {import('./scenario.mjs').Scenario} */
export const workers = {
  name: 'workers',
  title: () => 'Several workers, on two cores that they share with the clients',
  subjects: ['entrepot'],
  columns: [
    { key: 'rate', label: 'GB/s', digits: 2 },
    { key: 'cpu', label: 'CPU-s/GB', digits: 2 },
    { key: 'clientCpu', label: 'the clients’ CPU-s/GB', digits: 2 },
    { key: 'amplification', label: 'upstream bytes ÷ blob', digits: 2 },
    { key: 'requests', label: 'upstream requests', digits: 0 },
    { key: 'memory', label: 'peak MB, all processes', digits: 0 },
    { key: 'broken', label: 'broken bodies', digits: 0, isWorst: true },
  ],
  charts: ['rate'],
  async open(bench) {
    const compared = await compareBytes(bench, { connections: COMPARING }, variation(TWO))
    /** @type {import('./scenario.mjs').OpenScenario[]} */
    const hot = []
    const close = async () => void (await Promise.all(hot.map((each) => each.close())))
    try {
      for (const each of [ONE, ONE_FREE, TWO]) hot.push(await openHot(bench, each))
    } catch (error) {
      await close()
      throw error
    }
    return {
      async round(subjects) {
        const measurements = []
        for (const each of hot) measurements.push(...(await each.round(subjects)))
        for (const subject of subjects) {
          const server = await bench.start(subject, variation(TWO))
          try {
            const values = await sendHerd(bench, server)
            const broken = values.broken + (compared.get(subject) ?? 0)
            const rate = (bench.image.large.size * bench.sizes.herd) / values.seconds / GB
            measurements.push({ shape: WORKERS_HERD, subject, values: { ...values, rate, broken } })
          } finally {
            await server.stop()
          }
        }
        return measurements
      },
      close,
    }
  },
}

/**
 * @param {import('./scenario.mjs').Bench} bench
 * @param {Arrangement} arrangement
 */
function openHot(bench, arrangement) {
  const { medium, large } = bench.image
  const shapes = [
    { blob: medium, connections: 8 },
    { blob: large, connections: bench.sizes.crowd },
  ]
  const paths = shapes.map(({ blob }) => blob.path)
  const measure = async (
    /** @type {string} */ subject,
    /** @type {import('./scenario.mjs').Server} */ server,
    /** @type {number} */ seconds,
  ) => {
    const measurements = []
    for (const { blob, connections } of shapes) {
      const job = { connections, repeat: true, seconds }
      const { load, cpuSeconds } = await bench.measure(server, blob.path, job, arrangement.load)
      const values = {
        rate: load.bytes / load.seconds / GB,
        cpu: cpuSeconds / (load.bytes / GB),
        clientCpu: load.cpuSeconds / (load.bytes / GB),
        memory: server.peakMemory() / MB,
        broken: load.broken,
      }
      measurements.push({
        shape: workersShape(blob.size, connections, arrangement),
        subject,
        values,
      })
    }
    return measurements
  }
  return onWarmServers(bench, paths, measure, variation(arrangement))
}

/**
 * @param {number} size bytes
 * @param {number} connections
 * @param {Arrangement} arrangement
 */
export function workersShape(size, connections, { label }) {
  return `hot ${binary(size)}, ${clients(connections)}, ${label}`
}

/**
 * @param {Arrangement} arrangement
 * @returns {import('./scenario.mjs').Variation}
 */
function variation({ workers: count, server: core }) {
  return { core, config: { workers: count } }
}
