// @ts-check
/**
 * Clients that ask once and stay, a process of its own:
 *
 *   node idle-clients.mjs URL PATH CONNECTIONS
 *
 * writes a line when all have their answers; once its input ends, another one says how many of the
 * connections were still there.
 */
import { once } from 'node:events'
import { Agent, get } from 'node:http'

/** Requests at a time: no server has so large a queue for those who knock. */
const AT_ONCE = 100

const [url = '', path = '', count = ''] = process.argv.slice(2)
let open = 0

for (let left = Number(count); left > 0; left -= AT_ONCE) {
  await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, askOnce))
}
process.stdout.write('\n')
process.stdin.resume()
await once(process.stdin, 'end')
process.stdout.write(JSON.stringify({ open }), () => process.exit())

/** @returns {Promise<void>} */
function askOnce() {
  return new Promise((resolve, reject) => {
    // One each, as an agent with several connections would use one of them for the next request.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    get(`${url}${path}`, { agent }, (response) => {
      open += 1
      response.socket.once('close', () => (open -= 1))
      response.resume().once('end', resolve)
    }).once('error', reject)
  })
}
