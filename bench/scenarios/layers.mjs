// @ts-check
/** An image of many layers, pulled by several clients as container engines do: three layers at a time. */
import { GB, MB, MIRRORS, onFreshServers } from './scenario.mjs'

const CLIENTS = 8
const CONNECTIONS_EACH = 3
/** Milliseconds that the origin is away. */
const LATENCY = 20

/** @type {import('./scenario.mjs').Scenario} */
export const layers = {
  name: 'layers',
  title: (sizes) =>
    `Image of ${sizes.layers.length} layers, ${CLIENTS} clients with ${CONNECTIONS_EACH} connections each, origin ${sizes.originRate / MB} MB/s and ${LATENCY} ms away`,
  subjects: [...MIRRORS, 'nginx-static'],
  once: ['distribution'],
  columns: [
    { key: 'seconds', label: 'all done, s', digits: 2 },
    { key: 'rate', label: 'GB/s', digits: 2 },
    { key: 'cpu', label: 'CPU-s/GB delivered', digits: 2 },
    { key: 'amplification', label: 'upstream bytes ÷ image', digits: 2 },
    { key: 'requests', label: 'upstream requests', digits: 0 },
    { key: 'memory', label: 'peak MB so far', digits: 0 },
    { key: 'broken', label: 'broken bodies', digits: 0, isWorst: true },
  ],
  charts: ['seconds'],
  async open(bench) {
    const { image, origin, sizes } = bench
    const { byTag, blobs, size: manifest } = image.layered
    const size = blobs.reduce((sum, blob) => sum + blob.size, manifest)
    const job = {
      paths: [byTag, ...blobs.map(({ path }) => path)],
      connections: CLIENTS * CONNECTIONS_EACH,
      group: CONNECTIONS_EACH,
      seconds: sizes.deadline,
    }

    const everybody = async (/** @type {import('./scenario.mjs').Server} */ server) => {
      await origin.behave({ rate: sizes.originRate, latency: LATENCY })
      const { load, cpuSeconds } = await bench.measure(server, byTag, job)
      const upstream = await origin.counters()
      return {
        seconds: load.seconds,
        rate: load.bytes / load.seconds / GB,
        cpu: cpuSeconds / (load.bytes / GB),
        amplification: upstream.bodyBytes / size,
        requests: upstream.requests,
        memory: server.peakMemory() / MB,
        broken: load.broken + load.unfinished,
      }
    }

    return onFreshServers(bench, async (subject, server) => {
      await bench.pull(server, byTag)
      const isFileServer = subject === 'nginx-static'
      const cold = isFileServer ? [] : [{ shape: 'cold', subject, values: await everybody(server) }]
      for (const path of job.paths) await bench.pull(server, path)
      await server.settled()
      return [...cold, { shape: 'then hot', subject, values: await everybody(server) }]
    })
  },
}
