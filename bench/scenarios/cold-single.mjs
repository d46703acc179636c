// @ts-check
/** What the mirror adds for the first client, beside a pull straight from a distant origin. */
import { binary, GB, MB, MIRRORS, onFreshServers } from './scenario.mjs'

/** Milliseconds that the origin is away. */
const LATENCY = 50

/** @type {import('./scenario.mjs').Scenario} */
export const coldSingle = {
  name: 'cold-single',
  title: ({ originRate }) =>
    `Cold, one client, origin ${originRate / MB} MB/s and ${LATENCY} ms away`,
  subjects: MIRRORS,
  columns: [
    { key: 'seconds', label: 's', digits: 3 },
    { key: 'ratio', label: 'time ÷ direct', digits: 2 },
    { key: 'firstByte', label: 'first byte, ms', digits: 1 },
    { key: 'firstByteRatio', label: 'first byte ÷ direct', digits: 2 },
    { key: 'cpu', label: 'CPU-s/GB', digits: 2 },
    { key: 'requests', label: 'upstream requests', digits: 0 },
    { key: 'amplification', label: 'upstream bytes ÷ blob', digits: 2 },
    { key: 'broken', label: 'broken bodies', digits: 0, isWorst: true },
  ],
  charts: ['ratio', 'firstByte'],
  async open(bench) {
    const { image, origin, sizes } = bench
    const blobs = [image.tiny, image.small, image.medium, image.large]
    const things = [
      { shape: 'manifest by tag', path: image.byTag, size: image.size },
      ...blobs.map(({ path, size }) => ({ shape: binary(size), path, size })),
    ]
    const job = { connections: 1, seconds: sizes.deadline }
    return onFreshServers(bench, async (subject, server) => {
      const measurements = []
      for (const { shape, path, size } of things) {
        await origin.behave({ rate: sizes.originRate, latency: LATENCY })
        const direct = await bench.measure(origin, path, job)
        await origin.behave({ rate: sizes.originRate, latency: LATENCY })
        const { load, cpuSeconds } = await bench.measure(server, path, job)
        const upstream = await origin.counters()
        const values = {
          seconds: load.seconds,
          ratio: load.seconds / direct.load.seconds,
          firstByte: load.firstByte.median * 1000,
          firstByteRatio: load.firstByte.median / direct.load.firstByte.median,
          cpu: cpuSeconds / (size / GB),
          requests: upstream.requests,
          amplification: upstream.bodyBytes / size,
          broken: load.broken + load.unfinished,
        }
        measurements.push({ shape, subject, values })
      }
      return measurements
    })
  },
}
