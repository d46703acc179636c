/** A server that nobody may talk to: realms of attackers, addresses that must not be reachable. */
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { ServerCertificate } from './serve.ts'

export interface Sink extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, or https. */
  readonly url: string
  readonly host: string
  readonly port: number
  /** Connections so far, also those on which nothing was said; with TLS, those whose handshake ended. */
  readonly connections: number
  /** Connections that are open now. */
  readonly open: number
  /** All bytes that came, over all connections. */
  readonly received: Buffer
  close(): Promise<void>
}

/** What it answers looks like success, so that whoever calls has no reason to stop. */
const LURE = JSON.stringify({ token: 'stolen', access_token: 'stolen', expires_in: 3600 })

interface SinkOptions {
  /** Address to listen on; 127.0.0.1. */
  readonly address?: string
  readonly tls?: ServerCertificate
}

export async function startSink({ address = '127.0.0.1', tls }: SinkOptions = {}): Promise<Sink> {
  const sockets = new Set<Socket>()
  const chunks: Buffer[] = []
  let connections = 0

  const onConnection = (socket: Socket): void => {
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
  }
  const server = tls
    ? createTlsServer({ cert: tls.certificate, key: tls.key }, onConnection)
    : createServer(onConnection)
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  const { port } = server.address() as AddressInfo
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })

  return {
    url: `${tls ? 'https' : 'http'}://${address}:${port}`,
    host: `${address}:${port}`,
    port,
    get open() {
      return sockets.size
    },
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
