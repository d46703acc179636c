/** Sockets: HTTP or HTTPS on a TCP port or a Unix socket, with limits on what a client may send and hold. */
import { rm } from 'node:fs/promises'
import { createServer as createHttpServer, STATUS_CODES } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect, type AddressInfo, type Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { errorBody, OciError } from '../oci/error.ts'
import { createCertificateChooser, type Certificate } from './certificates.ts'
import { errorResponse } from './on-error.ts'
import type { createRoutes } from './routes.ts'

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

export interface MirrorServer {
  /** @returns the base URL that was bound, or `unix:<path>` */
  listen(address: ListenAddress): Promise<string>
  /** For connections to come. Does nothing on a server without TLS. */
  useCertificates(certificates: readonly Certificate[]): void
  /**
   * Stops accepting, waits for running answers, then cuts what is left.
   * @param grace milliseconds
   */
  close(grace: number): Promise<void>
}

/** How much a client may send and how slowly, in bytes and milliseconds. */
const LIMITS = {
  headersTimeout: 15_000,
  requestTimeout: 30_000,
  // Above what load balancers keep idle connections for, so that they close first.
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16 * 1024,
} as const
const MAX_HEADERS = 100
/** Milliseconds without a byte in or out after which a client is given up; longer than any wait of ours. */
const STALLED = 120_000

/** @param certificates none: plain HTTP */
export function createServer(
  routes: ReturnType<typeof createRoutes>,
  certificates: readonly Certificate[],
): MirrorServer {
  const listener = getRequestListener(routes.fetch, { errorHandler: refuseRequest })
  const chooser = certificates.length > 0 ? createCertificateChooser(certificates) : undefined
  const server = chooser
    ? createHttpsServer({ ...LIMITS, ...chooser.tlsOptions })
    : createHttpServer(LIMITS)
  server.maxHeadersCount = MAX_HEADERS
  server.timeout = STALLED
  let closing = false
  server.on('request', (incoming, outgoing) => {
    // A connection that is kept alive would outlive the last answer on it.
    outgoing.once('close', () => closing && setImmediate(() => server.closeIdleConnections()))
    void listener(incoming, outgoing)
  })
  server.on('clientError', refuseConnection)

  return {
    async listen(address) {
      if (address.kind === 'unix') await removeStaleSocket(address.path)
      await bind(server, address)
      return describe(server, chooser ? 'https' : 'http')
    },
    useCertificates: (renewed) => chooser?.use(renewed),
    async close(grace) {
      closing = true
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const timer = setTimeout(() => server.closeAllConnections(), grace)
      await closed
      clearTimeout(timer)
    },
  }
}

function bind(server: Server, address: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(address.kind === 'tcp' ? address : address.path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** A socket file that nobody listens on is left from a crash, and would make the start fail. */
async function removeStaleSocket(path: string): Promise<void> {
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => socket.destroy()).once('close', (failed) => resolve(!failed))
    socket.on('error', () => undefined)
  })
  if (!answers) await rm(path, { force: true })
}

function describe(server: Server, scheme: string): string {
  const address = server.address() as AddressInfo | string
  if (typeof address === 'string') return `unix:${address}`
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${scheme}://${host}:${address.port}`
}

/** A request that is not worth routing: no Host, or a target that is no URL. */
function refuseRequest(): Response {
  return errorResponse(
    new OciError('NAME_INVALID', 'The Host header or the target of this request is malformed.'),
  )
}

const REFUSALS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}

/** What is not HTTP, or too large or too slow to become a request, gets one answer and no second chance. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const status = REFUSALS[error.code ?? ''] ?? 400
  const body = errorBody(new OciError('NAME_INVALID', 'This request is not one that can be read.'))
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}
