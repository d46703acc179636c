// @ts-check
/** Blobs that are here, again and again over connections that are kept alive. */
import { binary, clients, EVERYBODY, GB, MB, onWarmServers } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const hotBlob = {
  name: 'hot-blob',
  title: () => 'Hot blobs',
  // Its own files are all that distribution reads here, so its two modes are the same.
  subjects: EVERYBODY.filter((name) => name !== 'distribution-plain'),
  needsHuge: true,
  columns: [
    { key: 'rate', label: 'GB/s', digits: 2 },
    { key: 'cpu', label: 'CPU-s/GB', digits: 2 },
    { key: 'memory', label: 'peak MB so far', digits: 0 },
    { key: 'broken', label: 'broken bodies', digits: 0, isWorst: true },
  ],
  charts: ['rate', 'cpu'],
  async open(bench) {
    const { small, medium, large, huge } = bench.image
    const blobs = [small, medium, large, ...(huge ? [huge] : [])]
    const paths = blobs.map(({ path }) => path)
    return onWarmServers(bench, paths, async (subject, server, seconds) => {
      const measurements = []
      for (const { blob, connections } of shapes(blobs, bench.sizes.crowd)) {
        const job = { connections, repeat: true, seconds }
        const { load, cpuSeconds } = await bench.measure(server, blob.path, job)
        const values = {
          rate: load.bytes / load.seconds / GB,
          cpu: cpuSeconds / (load.bytes / GB),
          memory: server.peakMemory() / MB,
          broken: load.broken,
        }
        measurements.push({ shape: hotBlobShape(blob.size, connections), subject, values })
      }
      return measurements
    })
  },
}

/**
 * @param {number} size bytes
 * @param {number} connections
 */
export function hotBlobShape(size, connections) {
  return `${binary(size)}, ${clients(connections)}`
}

/**
 * @param {readonly import('../image.mjs').Blob[]} blobs
 * @param {number} crowd
 */
function shapes(blobs, crowd) {
  return blobs.flatMap((blob) =>
    [...new Set([1, 8, crowd])].map((connections) => ({ blob, connections })),
  )
}
