/** Sockets: HTTP or HTTPS on a TCP port or a Unix socket, with limits on what a client may send and hold. */
import { rm } from 'node:fs/promises'
import {
  createServer as createHttpServer,
  STATUS_CODES,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect, type AddressInfo, type Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { errorBody, OciError, type ErrorCode } from '../oci/error.ts'
import { createCertificateChooser, type Certificate } from './certificates.ts'
import { endsConnection, MAX_HEADER_LINES } from './message-framing.ts'
import { errorResponse } from './on-error.ts'
import type { createRoutes } from './routes.ts'

type ListenAddress =
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
  // Its absence is refused below, in the words of the protocol.
  requireHostHeader: false,
} as const
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
  server.maxHeadersCount = MAX_HEADER_LINES
  server.timeout = STALLED
  let closing = false
  /** The newest answer on each connection. */
  const latest = new WeakMap<Duplex, ServerResponse>()
  const serve = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    // Nothing that follows a request which ends the connection is a request (RFC 9112 section 9.6).
    if (latest.get(incoming.socket)?.shouldKeepAlive === false) return
    latest.set(incoming.socket, outgoing)
    if (endsConnection(incoming)) {
      outgoing.setHeader('Connection', 'close')
      outgoing.shouldKeepAlive = false
    }
    // A connection that is kept alive would outlive the last answer on it.
    outgoing.once('close', () => closing && setImmediate(() => server.closeIdleConnections()))
    void listener(incoming, outgoing)
  }
  // Nobody is told to continue with a body that nobody wants; other expectations do not matter.
  server.on('request', serve).on('checkContinue', serve).on('checkExpectation', serve)
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // Bytes behind the last request: they change nothing.
    if (error.code === 'HPE_CLOSED_CONNECTION') return
    // What is written now would be taken for a part of the answer that is under way.
    if (latest.get(socket)?.writableFinished === false) socket.destroy()
    else refuseConnection(error, socket)
  })

  return {
    async listen(address) {
      if (address.kind === 'unix') await removeStaleSocket(address.path)
      await bind(server, address)
      return describe(server, chooser ? 'https' : 'http')
    },
    useCertificates(renewed) {
      if (!chooser || !('setSecureContext' in server)) return
      chooser.use(renewed)
      // For clients that name no host, as those that connect to an address.
      const [first] = renewed
      if (first) server.setSecureContext({ cert: first.certificate, key: first.key })
    },
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
  const response = errorResponse(
    new OciError('NAME_INVALID', 'The Host header or the target of this request is malformed.'),
  )
  response.headers.set('Docker-Distribution-Api-Version', 'registry/2.0')
  return response
}

interface Refusal {
  readonly status: number
  readonly code: ErrorCode
  readonly message: string
}

const REFUSALS: Readonly<Record<string, Refusal>> = {
  HPE_INVALID_METHOD: { status: 405, code: 'UNSUPPORTED', message: 'This is no known method.' },
  HPE_HEADER_OVERFLOW: {
    status: 431,
    code: 'SIZE_INVALID',
    message: `The head of a request may have ${LIMITS.maxHeaderSize} bytes.`,
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'SIZE_INVALID',
    message: 'The request did not become complete in time.',
  },
}
const NO_REQUEST: Refusal = {
  status: 400,
  code: 'NAME_INVALID',
  message: 'This request is not one that can be read.',
}

/** What is not HTTP, or too large or too slow to become a request, gets one answer and no second chance. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const { status, code, message } = REFUSALS[error.code ?? ''] ?? NO_REQUEST
  const body = errorBody(new OciError(code, message))
  const allow = status === 405 ? 'Allow: GET, HEAD\r\n' : ''
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n${allow}` +
      `Docker-Distribution-Api-Version: registry/2.0\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}
