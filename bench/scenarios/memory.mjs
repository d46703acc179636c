// @ts-check
/** Resident memory under a crowd on a large blob: it must not grow with the blob or with the clients. */
import { clients, MB, binary, MIRRORS, onFreshServers } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const memory = {
  name: 'memory',
  title: ({ crowd, largeBlob }) =>
    `Peak resident memory: ${clients(crowd)} on one blob of ${binary(largeBlob)}`,
  subjects: MIRRORS,
  once: ['distribution'],
  columns: [
    { key: 'idle', label: 'after the start, MB', digits: 0 },
    { key: 'coldSlow', label: 'cold, slow readers', digits: 0 },
    { key: 'hotSlow', label: 'then hot, slow readers', digits: 0 },
    { key: 'cold', label: 'cold', digits: 0 },
    { key: 'hot', label: 'then hot', digits: 0 },
  ],
  charts: ['hot'],
  async open(bench) {
    const { image, sizes } = bench
    const crowd = { connections: sizes.crowd, seconds: sizes.memorySeconds }
    const slowCrowd = { ...crowd, bytesPerSecond: sizes.slowReader }

    /** Each reads a cold blob, then a hot one; what is told is the most memory until then. */
    const twice = async (
      /** @type {import('../processes.mjs').Server} */ server,
      /** @type {typeof crowd} */ job,
    ) => {
      await bench.pull(server, image.byTag)
      await bench.origin.behave({ rate: sizes.originRate })
      await bench.measure(server, image.large.path, job)
      const cold = server.peakMemory() / MB
      await bench.pull(server, image.large.path)
      await bench.measure(server, image.large.path, job)
      return { cold, hot: server.peakMemory() / MB }
    }

    return onFreshServers(bench, async (subject, server) => {
      const idle = server.peakMemory() / MB
      const slow = await twice(server, slowCrowd)
      await server.stop()
      const another = await bench.start(subject)
      try {
        const fast = await twice(another, crowd)
        const values = { idle, coldSlow: slow.cold, hotSlow: slow.hot, ...fast }
        return [{ shape: '', subject, values }]
      } finally {
        await another.stop()
      }
    })
  },
}
