/**
 * A slow way to a registry: TCP connections are passed on, and what comes back goes no faster than it may.
 *
 *   node slow-link.mjs HOST PORT TO_HOST TO_PORT BYTES_PER_SECOND
 *
 * Prints, line by line, how many bytes have come back so far, over all connections.
 */
import { connect, createServer } from 'node:net'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'

const [host, port, toHost, toPort, rate] = process.argv.slice(2)
const sockets = new Set()
let passed = 0

/** The pause comes after the bytes, so that the next ones wait in the registry rather than here. */
function slowly() {
  return new Transform({
    transform(chunk, _, done) {
      passed += chunk.length
      process.stdout.write(`${passed}\n`)
      this.push(chunk)
      setTimeout((chunk.length / Number(rate)) * 1000).then(() => done(), done)
    },
  })
}

const server = createServer((client) => {
  const registry = connect(Number(toPort), toHost)
  for (const socket of [client, registry]) {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  }
  // Either end may break off; the other one then learns it.
  pipeline(client, registry).catch(() => client.destroy())
  pipeline(registry, slowly(), client).catch(() => registry.destroy())
})
server.listen(Number(port), host)
process.once('SIGTERM', () => {
  server.close()
  for (const socket of sockets) socket.destroy()
})
