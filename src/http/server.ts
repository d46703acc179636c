/** Sockets: HTTP or HTTPS on a TCP port or a Unix socket, with limits on what a client may send and hold. */
import {
  createServer as createHttpServer,
  STATUS_CODES,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { bindServer, type ListenAddress } from '../listening.ts'
import { errorBody, OciError, type ErrorCode } from '../oci/error.ts'
import { createCertificateChooser, type Certificate } from './certificates.ts'
import { endsConnection, MAX_HEADER_LINES } from './message-framing.ts'
import { errorResponse } from './on-error.ts'
import type { createRoutes } from './routes.ts'
import type { ShortPath } from './short-path.ts'

export interface MirrorServer {
  /** @returns the base URL that was bound, or `unix:<path>` */
  listen(address: ListenAddress): Promise<string>
  /** Serves a connection that another process has accepted; in place of `listen`. */
  accept(socket: Socket): void
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
/** Milliseconds between two looks for connections that are done, while closing. */
const IDLE_INTERVAL = 20

/**
 * @param certificates none: plain HTTP
 * @param shortPath asked first
 */
export function createServer(
  routes: ReturnType<typeof createRoutes>,
  certificates: readonly Certificate[],
  shortPath?: Pick<ShortPath, 'answer'>,
): MirrorServer {
  const listener = getRequestListener(routes.fetch, { errorHandler: refuseRequest })
  const chooser = certificates.length > 0 ? createCertificateChooser(certificates) : undefined
  const server = chooser
    ? createHttpsServer({ ...LIMITS, ...chooser.tlsOptions })
    : createHttpServer(LIMITS)
  server.maxHeadersCount = MAX_HEADER_LINES
  server.timeout = STALLED
  /** The newest answer on each connection. */
  const latest = new WeakMap<Duplex, ServerResponse>()
  const serve = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    // Nothing that follows a request which ends the connection is a request (RFC 9112 section 9.6).
    if (latest.get(incoming.socket)?.shouldKeepAlive === false) return
    latest.set(incoming.socket, outgoing)
    if (endsConnection(incoming)) {
      outgoing.setHeader('Connection', 'close')
      outgoing.shouldKeepAlive = false
    } else if (shortPath?.answer(incoming, outgoing) === true) {
      return
    }
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

  /** All connections: the server itself counts neither those of others nor those that still shake hands. */
  const open = new Set<Socket>()
  let isWatching = false
  let onClosed = (): unknown => undefined
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      onClosed()
    })
  })

  return {
    accept(socket) {
      // What watches the limits of connections begins with this event.
      if (!isWatching) server.emit('listening')
      isWatching = true
      // As the server has it with its own.
      socket.allowHalfOpen = true
      socket.setNoDelay(true)
      server.emit('connection', socket)
    },
    listen: (address) => bindServer(server, address, chooser ? 'https' : 'http'),
    useCertificates(renewed) {
      if (!chooser || !('setSecureContext' in server)) return
      chooser.use(renewed)
      // For clients that name no host, as those that connect to an address.
      const [first] = renewed
      if (first) server.setSecureContext({ cert: first.certificate, key: first.key })
    },
    async close(grace) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const left = new Promise<void>((resolve) => {
        onClosed = () => open.size === 0 && resolve()
        onClosed()
      })
      server.closeIdleConnections()
      // A connection that is kept alive would outlive the last answer on it.
      const looking = setInterval(() => server.closeIdleConnections(), IDLE_INTERVAL)
      const timer = setTimeout(() => {
        server.closeAllConnections()
        for (const socket of open) socket.destroy()
      }, grace)
      await Promise.all([closed, left])
      clearInterval(looking)
      clearTimeout(timer)
    },
  }
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
