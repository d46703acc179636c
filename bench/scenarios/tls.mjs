// @ts-check
/** Hot content for clients that speak TLS, which is what the kernel does not send by itself. */
import { isInstalled } from '../processes.mjs'
import { makeCertificate } from '../subjects.mjs'
import { askForSmall } from './hot-small.mjs'
import { binary, clients, GB, onWarmServers } from './scenario.mjs'

const SMALL_CLIENTS = 32
const LARGE_CLIENTS = 8

/** @type {import('./scenario.mjs').Scenario} */
export const tls = {
  name: 'tls',
  title: () => 'Hot over TLS 1.3',
  subjects: ['entrepot', 'before', 'nginx-static'],
  columns: [
    { key: 'rate', label: 'requests/s', digits: 0 },
    { key: 'cpu', label: 'CPU ms/1,000', digits: 1 },
    { key: 'bandwidth', label: 'GB/s', digits: 2 },
    { key: 'cpuOfBytes', label: 'CPU-s/GB', digits: 2 },
    { key: 'broken', label: 'broken answers', digits: 0, isWorst: true },
  ],
  charts: ['cpu'],
  async open(bench) {
    if (!isInstalled('openssl')) throw new Error('The scenario tls needs openssl.')
    const { byTag, medium } = bench.image
    const certificate = makeCertificate(bench.temp)
    const measure = async (
      /** @type {string} */ subject,
      /** @type {import('./scenario.mjs').Server} */ server,
      /** @type {number} */ seconds,
    ) => {
      const job = { connections: SMALL_CLIENTS, seconds }
      const small = await askForSmall(bench, server, byTag, job)
      const large = await bench.measure(server, medium.path, {
        connections: LARGE_CLIENTS,
        repeat: true,
        seconds,
      })
      const { bytes, seconds: taken, broken } = large.load
      return [
        { shape: `manifest by tag, ${clients(SMALL_CLIENTS)}`, subject, values: small },
        {
          shape: `${binary(medium.size)}, ${clients(LARGE_CLIENTS)}`,
          subject,
          values: {
            bandwidth: bytes / taken / GB,
            cpuOfBytes: large.cpuSeconds / (bytes / GB),
            broken,
          },
        },
      ]
    }
    return onWarmServers(bench, [byTag, medium.path], measure, { tls: certificate })
  },
}
