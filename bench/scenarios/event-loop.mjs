// @ts-check
/** How late the server's event loop comes round while a crowd of slow readers and some fast ones read. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { clients, GB, MB, binary, onFreshServers } from './scenario.mjs'

/** Bytes per second that each of the crowd takes: a slow line rather than a slow disk. */
const SLOW_RATE = 50e3
/** Milliseconds that the figures may be in coming. */
const DEADLINE = 5000

/** @type {import('./scenario.mjs').Scenario} */
export const eventLoop = {
  name: 'event-loop',
  title: ({ slowReaders, fastReaders, largeBlob }) =>
    `Event loop: ${clients(slowReaders)} at ${SLOW_RATE / MB} MB/s and ${fastReaders} fast, one blob of ${binary(largeBlob)}`,
  subjects: ['entrepot', 'before'],
  columns: [
    { key: 'p50', label: 'delay, median ms', digits: 1 },
    { key: 'p99', label: 'p99 ms', digits: 1 },
    { key: 'max', label: 'max ms', digits: 1 },
    { key: 'rate', label: 'fast clients, GB/s', digits: 2 },
    { key: 'memory', label: 'peak MB so far', digits: 0 },
    { key: 'broken', label: 'broken bodies', digits: 0, isWorst: true },
  ],
  charts: [],
  async open(bench) {
    const { image, sizes } = bench
    const { path } = image.large
    const file = join(bench.temp, 'event-loop.json')
    const preload = new URL('../event-loop-delay.mjs', import.meta.url)
    preload.searchParams.set('file', file)

    const loaded = async (/** @type {import('./scenario.mjs').Server} */ server) => {
      await lateness(server, file)
      const crowd = { connections: sizes.slowReaders, bytesPerSecond: SLOW_RATE }
      const { fastReaders: connections, eventLoopSeconds: seconds } = sizes
      const [slow, fast] = await Promise.all([
        bench.measure(server, path, { ...crowd, seconds }),
        bench.measure(server, path, { connections, seconds, repeat: true }),
      ])
      return {
        ...(await lateness(server, file)),
        rate: fast.load.bytes / fast.load.seconds / GB,
        memory: server.peakMemory() / MB,
        broken: slow.load.broken + fast.load.broken,
      }
    }

    const variation = { nodeOptions: ['--import', preload.href] }
    const measured = async (
      /** @type {string} */ subject,
      /** @type {import('./scenario.mjs').Server} */ server,
    ) => {
      await bench.pull(server, image.byTag)
      await bench.origin.behave({ rate: sizes.originRate })
      const cold = { shape: 'cold', subject, values: await loaded(server) }
      await bench.pull(server, path)
      const hot = { shape: 'then hot', subject, values: await loaded(server) }
      return [cold, hot]
    }
    return onFreshServers(bench, measured, variation)
  },
}

/**
 * What the server has seen since the last time.
 * @param {import('./scenario.mjs').Server} server
 * @param {string} file
 * @returns {Promise<{ p50: number, p99: number, max: number }>} milliseconds
 */
async function lateness(server, file) {
  await rm(file, { force: true })
  server.signal('SIGUSR2')
  const deadline = Date.now() + DEADLINE
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => undefined)
    if (text !== undefined) return JSON.parse(text)
    if (Date.now() > deadline) throw new Error('The server does not tell how late its loop was.')
    await delay(20)
  }
}
