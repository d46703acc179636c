// @ts-check
/** What the mirror adds for the first client of a large blob, beside a pull straight from the origin. */
import { GB, MB, mebibytes, MIRRORS, onFreshServers } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const coldSingle = {
  name: 'cold-single',
  title: ({ largeBlob, originRate }) =>
    `Cold, one client, one blob of ${mebibytes(largeBlob)}, origin ${originRate / MB} MB/s`,
  subjects: MIRRORS,
  columns: [
    { key: 'seconds', label: 's', digits: 2 },
    { key: 'ratio', label: 'time ÷ direct', digits: 2 },
    { key: 'firstByte', label: 'first byte, ms', digits: 1 },
    { key: 'cpu', label: 'CPU-s/GB', digits: 2 },
    { key: 'amplification', label: 'upstream bytes ÷ blob', digits: 2 },
    { key: 'broken', label: 'broken bodies', digits: 0 },
  ],
  async open(bench) {
    const { image, origin, sizes } = bench
    const { large } = image
    const job = { connections: 1, expected: large.file, seconds: sizes.deadline }
    return onFreshServers(bench, async (subject, server) => {
      const direct = await bench.measure(origin, large.path, job)
      if (direct.load.complete !== 1) throw new Error('The origin does not answer as it should.')
      await bench.pull(server, image.byTag)
      await origin.reset()
      const { load, cpuSeconds } = await bench.measure(server, large.path, job)
      const upstream = await origin.counters()
      const values = {
        seconds: load.seconds,
        ratio: load.seconds / direct.load.seconds,
        firstByte: load.firstByte.median * 1000,
        cpu: cpuSeconds / (large.size / GB),
        amplification: upstream.bodyBytes / large.size,
        broken: load.broken + load.unfinished,
      }
      return [{ shape: '', subject, values }]
    })
  },
}
