// @ts-check
/** Many connections that have asked once and are kept alive. */
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { startLoad } from '../processes.mjs'
import { MB, MIRRORS, onWarmServers } from './scenario.mjs'

const CLIENTS = fileURLToPath(new URL('../idle-clients.mjs', import.meta.url))
const KB = 1e3

/** @type {import('./scenario.mjs').Scenario} */
export const idle = {
  name: 'idle',
  title: ({ idleConnections }) =>
    `${idleConnections.toLocaleString('en')} idle connections, after a manifest on each`,
  subjects: [...MIRRORS, 'nginx-static'],
  columns: [
    { key: 'each', label: 'kB each', digits: 1 },
    { key: 'cpu', label: 'CPU while idle, % of a core', digits: 1 },
    { key: 'before', label: 'MB before', digits: 0 },
    { key: 'after', label: 'MB with them', digits: 0 },
    { key: 'memory', label: 'peak MB so far', digits: 0 },
    { key: 'lost', label: 'connections lost', digits: 0, isWorst: true },
  ],
  charts: ['each'],
  async open(bench) {
    const { image, sizes } = bench
    const { idleConnections: connections, idleSeconds } = sizes
    return onWarmServers(bench, [image.byDigest], async (subject, server, seconds) => {
      // The memory that any work takes is no memory of these connections.
      await bench.measure(server, image.byDigest, { connections: 32, repeat: true, seconds })
      await server.settled()
      const before = server.memory()
      const crowd = startLoad([
        process.execPath,
        CLIENTS,
        server.url,
        image.byDigest,
        String(connections),
      ])
      await crowd.ready()
      await server.settled()
      const after = server.memory()
      const cpu = server.cpuSeconds()
      await delay(idleSeconds * 1000)
      const idleCpu = server.cpuSeconds() - cpu
      const { open } = JSON.parse(await crowd.finish())
      const values = {
        each: Math.max(0, after - before) / connections / KB,
        cpu: (idleCpu / idleSeconds) * 100,
        before: before / MB,
        after: after / MB,
        memory: server.peakMemory() / MB,
        lost: connections - open,
      }
      return [{ shape: '', subject, values }]
    })
  },
}
