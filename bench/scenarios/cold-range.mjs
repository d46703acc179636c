// @ts-check
/** One client asks for a part in the middle of a blob that is not here yet. */
import { binary, MB, MIRRORS, onFreshServers } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const coldRange = {
  name: 'cold-range',
  title: ({ rangeLength, rangeOffset, largeBlob, originRate }) =>
    `Cold range: ${rangeLength / MB} MB at ${rangeOffset / MB} MB of a blob of ${binary(largeBlob)}, origin ${originRate / MB} MB/s`,
  subjects: MIRRORS,
  columns: [
    { key: 'seconds', label: 'whole answer, s', digits: 3 },
    { key: 'firstByte', label: 'first byte, ms', digits: 1 },
    { key: 'amplification', label: 'upstream bytes ÷ blob', digits: 3 },
    { key: 'requests', label: 'upstream requests', digits: 0 },
    { key: 'later', label: 'for the whole blob afterwards', digits: 3 },
    { key: 'broken', label: 'broken or whole bodies', digits: 0, isWorst: true },
  ],
  charts: ['seconds'],
  async open(bench) {
    const { image, origin, sizes } = bench
    const { large } = image
    const last = sizes.rangeOffset + sizes.rangeLength - 1
    /** @type {readonly [number, number]} */
    const range = [sizes.rangeOffset, last]
    const job = { connections: 1, seconds: sizes.deadline }
    return onFreshServers(bench, async (subject, server) => {
      await bench.pull(server, image.byTag)
      await origin.behave({ rate: sizes.originRate })
      const { load } = await bench.measure(server, large.path, {
        ...job,
        range,
        expected: large.file,
      })
      const upstream = await origin.counters()
      // What was not fetched behind the range is fetched now.
      await bench.pull(server, large.path)
      const later = await origin.counters()
      const isRight = load.complete === 1
      const values = {
        seconds: isRight ? load.seconds : Number.NaN,
        firstByte: isRight ? load.firstByte.median * 1000 : Number.NaN,
        amplification: upstream.bodyBytes / large.size,
        requests: upstream.requests,
        later: (later.bodyBytes - upstream.bodyBytes) / large.size,
        broken: load.broken + load.unfinished,
      }
      return [{ shape: '', subject, values }]
    })
  },
}
