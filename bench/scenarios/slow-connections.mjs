// @ts-check
/** An origin that lets each connection have only so much: several are faster than one. */
import { compareBytes } from './herd.mjs'
import { binary, GB, MB, MIRRORS, onFreshServers } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const slowConnections = {
  name: 'slow-connections',
  title: ({ largeBlob, connectionRate }) =>
    `Cold, one client, one blob of ${binary(largeBlob)}, origin ${connectionRate / MB} MB/s on each connection`,
  subjects: MIRRORS,
  once: ['distribution'],
  columns: [
    { key: 'seconds', label: 's', digits: 2 },
    { key: 'ratio', label: 'time ÷ direct', digits: 2 },
    { key: 'firstByte', label: 'first byte, ms', digits: 1 },
    { key: 'cpu', label: 'CPU-s/GB', digits: 2 },
    { key: 'requests', label: 'upstream requests', digits: 0 },
    { key: 'amplification', label: 'upstream bytes ÷ blob', digits: 2 },
    { key: 'broken', label: 'broken bodies', digits: 0, isWorst: true },
  ],
  charts: ['ratio'],
  async open(bench) {
    const { image, origin, sizes } = bench
    const { large } = image
    const behaviour = { connectionRate: sizes.connectionRate }
    const compared = await compareBytes(bench, { connections: 1, behaviour })
    const job = { connections: 1, seconds: sizes.deadline }
    return onFreshServers(bench, async (subject, server) => {
      await origin.behave(behaviour)
      const direct = await bench.measure(origin, large.path, job)
      await bench.pull(server, image.byTag)
      await origin.behave(behaviour)
      const { load, cpuSeconds } = await bench.measure(server, large.path, job)
      const upstream = await origin.counters()
      const values = {
        seconds: load.seconds,
        ratio: load.seconds / direct.load.seconds,
        firstByte: load.firstByte.median * 1000,
        cpu: cpuSeconds / (large.size / GB),
        requests: upstream.requests,
        amplification: upstream.bodyBytes / large.size,
        broken: load.broken + load.unfinished + (compared.get(subject) ?? 0),
      }
      return [{ shape: '', subject, values }]
    })
  },
}
