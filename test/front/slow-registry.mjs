/**
 * A registry that sends the first half of a blob and the rest when it is told to.
 *
 *   node slow-registry.mjs HOST PORT BYTES
 *
 * Every blob of a repository is the last part of the repository's name over and over, whatever its digest.
 */
import { createServer } from 'node:http'

const [host, port, size] = process.argv.slice(2)
const half = Number(size) / 2
/** Blobs of which half was sent, with the half that is left. */
const waiting = new Map()

const server = createServer((request, response) => {
  if (request.url === '/go-on') {
    for (const [blob, rest] of waiting) blob.end(rest)
    waiting.clear()
    response.end()
  } else {
    const [, name] = /([^/]+)\/blobs\//.exec(request.url)
    const bytes = Buffer.alloc(Number(size), name)
    response.writeHead(200, { 'Content-Length': size })
    response.write(bytes.subarray(0, half))
    waiting.set(response, bytes.subarray(half))
  }
})
server.listen(Number(port), host)
process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
})
