// @ts-check
/** Many clients ask at once for one large blob that is not here yet. */
import { binary, clients, GB, MB, MIRRORS, onFreshServers } from './scenario.mjs'

/** Clients of the pass in which every byte is compared, which takes no part in the figures. */
const COMPARING = 8

/** @type {import('./scenario.mjs').Scenario} */
export const herd = {
  name: 'herd',
  title: ({ herd: count, largeBlob, originRate }) =>
    `Cold herd: ${clients(count)}, one blob of ${binary(largeBlob)}, origin ${originRate / MB} MB/s`,
  subjects: MIRRORS,
  once: ['distribution'],
  columns: [
    { key: 'amplification', label: 'upstream bytes ÷ blob', digits: 2 },
    { key: 'requests', label: 'upstream requests', digits: 0 },
    { key: 'firstByte', label: 'first byte, median s', digits: 2 },
    { key: 'firstByteMax', label: 'first byte, max s', digits: 2 },
    { key: 'seconds', label: 'all done, s', digits: 2 },
    { key: 'cpu', label: 'CPU-s/GB delivered', digits: 2 },
    { key: 'memory', label: 'peak MB', digits: 0 },
    { key: 'broken', label: 'broken bodies', digits: 0, isWorst: true },
  ],
  charts: ['seconds', 'firstByte', 'amplification'],
  async open(bench) {
    const compared = await compareBytes(bench, { connections: COMPARING })
    return onFreshServers(bench, async (subject, server) => {
      const values = await sendHerd(bench, server)
      const broken = values.broken + (compared.get(subject) ?? 0)
      return [{ shape: '', subject, values: { ...values, broken } }]
    })
  },
}

/**
 * @param {import('./scenario.mjs').Bench} bench
 * @param {import('./scenario.mjs').Server} server with an empty cache
 */
export async function sendHerd({ image, origin, sizes, pull, measure }, server) {
  const { large } = image
  await pull(server, image.byTag)
  await origin.behave({ rate: sizes.originRate })
  const { load, cpuSeconds } = await measure(server, large.path, {
    connections: sizes.herd,
    seconds: sizes.deadline,
  })
  const upstream = await origin.counters()
  return {
    amplification: upstream.bodyBytes / large.size,
    requests: upstream.requests,
    firstByte: load.firstByte.median,
    firstByteMax: load.firstByte.max,
    seconds: load.seconds,
    cpu: cpuSeconds / (load.bytes / GB),
    memory: server.peakMemory() / MB,
    // A body that came whole was counted byte by byte, one that is short was not.
    broken: load.broken + load.unfinished,
  }
}

/**
 * The clients that are measured drop what they get; these compare it with the original.
 * @param {import('./scenario.mjs').Bench} bench
 * @param {{ connections: number, behaviour?: Parameters<import('../bench.mjs').Origin['behave']>[0] }} crowd
 * @param {import('./scenario.mjs').Variation} [variation]
 * @returns {Promise<Map<string, number>>} broken bodies of each server
 */
export async function compareBytes(bench, { connections, behaviour }, variation) {
  const { image, origin, sizes } = bench
  const { path, file: expected } = image.large
  const broken = new Map()
  for (const subject of bench.subjects) {
    const server = await bench.start(subject, variation)
    try {
      await bench.pull(server, image.byTag)
      await origin.behave(behaviour)
      const job = { connections, expected, seconds: sizes.deadline }
      const { load } = await bench.measure(server, path, job)
      broken.set(subject, load.broken + load.unfinished)
    } finally {
      await server.stop()
    }
  }
  return broken
}
