/** A server that nobody may talk to: realms of attackers, addresses that must not be reachable. */
import { createServer, type AddressInfo, type Socket } from 'node:net'

export interface Sink extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  readonly host: string
  readonly port: number
  /** Connections so far, also those on which nothing was said. */
  readonly connections: number
  /** All bytes that came, over all connections. */
  readonly received: Buffer
  close(): Promise<void>
}

/** What it answers looks like success, so that whoever calls has no reason to stop. */
const LURE = JSON.stringify({ token: 'stolen', access_token: 'stolen', expires_in: 3600 })

export async function startSink(): Promise<Sink> {
  const sockets = new Set<Socket>()
  const chunks: Buffer[] = []
  let connections = 0

  const server = createServer((socket) => {
    connections += 1
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      socket.end(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${LURE.length}\r\nconnection: close\r\n\r\n${LURE}`,
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })

  return {
    url: `http://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    port,
    get connections() {
      return connections
    },
    get received() {
      return Buffer.concat(chunks)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
