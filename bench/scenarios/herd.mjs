// @ts-check
/** Many clients ask at once for one large blob that is not here yet. */
import { clients, GB, MB, mebibytes, MIRRORS, onFreshServers } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const herd = {
  name: 'herd',
  title: ({ herd: count, largeBlob, originRate }) =>
    `Cold herd: ${clients(count)}, one blob of ${mebibytes(largeBlob)}, origin ${originRate / MB} MB/s`,
  subjects: MIRRORS,
  columns: [
    { key: 'amplification', label: 'upstream bytes ÷ blob', digits: 2 },
    { key: 'requests', label: 'upstream requests', digits: 0 },
    { key: 'firstByte', label: 'first byte, median s', digits: 2 },
    { key: 'firstByteMax', label: 'first byte, max s', digits: 2 },
    { key: 'seconds', label: 'all done, s', digits: 1 },
    { key: 'cpu', label: 'CPU-s/GB delivered', digits: 2 },
    { key: 'memory', label: 'peak MB', digits: 0 },
    { key: 'broken', label: 'broken bodies', digits: 0 },
  ],
  async open(bench) {
    const { image, origin, sizes } = bench
    const { large } = image
    return onFreshServers(bench, async (subject, server) => {
      await bench.pull(server, image.byTag)
      await origin.reset()
      const { load, cpuSeconds } = await bench.measure(server, large.path, {
        connections: sizes.herd,
        expected: large.file,
        seconds: sizes.deadline,
      })
      const upstream = await origin.counters()
      const values = {
        amplification: upstream.bodyBytes / large.size,
        requests: upstream.requests,
        firstByte: load.firstByte.median,
        firstByteMax: load.firstByte.max,
        seconds: load.seconds,
        cpu: cpuSeconds / (load.bytes / GB),
        memory: server.peakMemory() / MB,
        broken: load.broken + load.unfinished,
      }
      return [{ shape: '', subject, values }]
    })
  },
}
