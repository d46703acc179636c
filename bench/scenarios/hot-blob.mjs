// @ts-check
/** Blobs that are here, again and again over connections that are kept alive. */
import { clients, GB, MB, mebibytes, onWarmServers } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const hotBlob = {
  name: 'hot-blob',
  title: () => 'Hot blobs',
  subjects: ['entrepot', 'distribution', 'nginx'],
  columns: [
    { key: 'rate', label: 'GB/s', digits: 2 },
    { key: 'cpu', label: 'CPU-s/GB', digits: 2 },
    { key: 'memory', label: 'peak MB so far', digits: 0 },
    { key: 'broken', label: 'broken bodies', digits: 0 },
  ],
  async open(bench) {
    const { small, medium, large } = bench.image
    const shapes = [
      { blob: small, connections: 8 },
      { blob: medium, connections: 8 },
      { blob: large, connections: 1 },
      { blob: large, connections: bench.sizes.crowd },
    ]
    return onWarmServers(bench, bench.subjects, async (subject, server) => {
      const measurements = []
      for (const { blob, connections } of shapes) {
        const { load, cpuSeconds } = await bench.measure(server, blob.path, {
          connections,
          repeat: true,
          seconds: bench.sizes.seconds,
        })
        const values = {
          rate: load.bytes / load.seconds / GB,
          cpu: cpuSeconds / (load.bytes / GB),
          memory: server.peakMemory() / MB,
          broken: load.broken,
        }
        const shape = `${mebibytes(blob.size)}, ${clients(connections)}`
        measurements.push({ shape, subject, values })
      }
      return measurements
    })
  },
}
