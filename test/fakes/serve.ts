/** Serves msw request handlers on a real loopback socket, and records what was asked and sent. */
import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { getResponse, type RequestHandler } from 'msw'
import { type Ending, sendOnWire } from './wire.ts'

/** One request and what became of it. */
interface Exchange {
  readonly method: string
  /** As it came, before any decoding, without the query. */
  readonly path: string
  /** Without `?`; empty when there is none. */
  readonly query: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** `undefined` until there is an answer, and where the connection was reset instead. */
  status: number | undefined
  /** Body bytes that have left this process. */
  bytesSent: number
  ending: Ending | undefined
}

/** PEM texts. */
export interface ServerCertificate {
  readonly certificate: string
  readonly key: string
}

export interface Served extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, or https. */
  readonly url: string
  /** `127.0.0.1:<port>` */
  readonly host: string
  /** In the order of arrival. */
  readonly requests: readonly Exchange[]
  /** Connections that are open now. */
  connections(): number
  /** How many requests match, each written as `GET /v2/name/blobs/sha256:…?query`. */
  count(target: RegExp): number
  /** Cuts all connections and refuses new ones. */
  goDown(): Promise<void>
  /** Listens on the same port again. */
  comeUp(): Promise<void>
  close(): Promise<void>
}

export interface ServeOptions {
  readonly tls?: ServerCertificate | undefined
}

const BODY_MAX_BYTES = 1024 * 1024

/** A request that no handler answers gets 404. */
export async function serve(
  handlers: RequestHandler[],
  { tls }: ServeOptions = {},
): Promise<Served> {
  const requests: Exchange[] = []
  const sockets = new Set<Socket>()
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse): void =>
    void answer(handlers, incoming, outgoing, requests)

  const server = tls
    ? createHttpsServer({ cert: tls.certificate, key: tls.key }, onRequest)
    : createHttpServer(onRequest)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })

  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject)
        resolve()
      })
    })
  const goDown = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })

  await listen(0)
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    requests,
    connections: () => sockets.size,
    count: (target) => requests.filter((exchange) => target.test(targetOf(exchange))).length,
    goDown,
    comeUp: () => listen(port),
    close: goDown,
    [Symbol.asyncDispose]: goDown,
  }
}

function targetOf({ method, path, query }: Exchange): string {
  return `${method} ${path}${query === '' ? '' : `?${query}`}`
}

async function answer(
  handlers: RequestHandler[],
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  requests: Exchange[],
): Promise<void> {
  // A client that leaves is no news here: `ending` says it.
  outgoing.on('error', () => undefined)
  const left = new Promise<undefined>((resolve) => outgoing.once('close', () => resolve(undefined)))
  const body = await readBody(incoming)
  const exchange = record(incoming, body)
  requests.push(exchange)

  const response = await Promise.race([handle(handlers, incoming, body), left])
  if (!response || outgoing.destroyed) {
    exchange.ending = 'aborted'
    return
  }
  exchange.status = response.status
  exchange.ending = await sendOnWire(response, outgoing, (bytes) => (exchange.bytesSent += bytes))
  if (!outgoing.headersSent) exchange.status = undefined
}

function record({ method = '', url = '', headers }: IncomingMessage, body: Buffer): Exchange {
  const [path = '', ...query] = url.split('?')
  return {
    method,
    path,
    query: query.join('?'),
    headers,
    body,
    status: undefined,
    bytesSent: 0,
    ending: undefined,
  }
}

async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size <= BODY_MAX_BYTES) chunks.push(chunk)
    }
  } catch {
    // The client left in the middle of its own body: what came is what is recorded.
  }
  return Buffer.concat(chunks)
}

/** A handler that throws is a mistake in the test: the answer says so, in a status nobody maps. */
async function handle(
  handlers: RequestHandler[],
  incoming: IncomingMessage,
  body: Buffer,
): Promise<Response> {
  try {
    const request = toRequest(incoming, body)
    return (await getResponse(handlers, request)) ?? new Response('no handler', { status: 404 })
  } catch (error) {
    return new Response(`the fake failed: ${String(error)}`, { status: 599 })
  }
}

function toRequest(incoming: IncomingMessage, body: Buffer): Request {
  const { method = 'GET', url = '/', headers, socket } = incoming
  const pairs = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((line): [string, string] => [name, line]),
  )
  const bodiless = method === 'GET' || method === 'HEAD'
  const scheme = socket instanceof TLSSocket ? 'https' : 'http'
  return new Request(new URL(url, `${scheme}://${headers.host ?? '127.0.0.1'}`), {
    method,
    headers: pairs,
    ...(bodiless ? {} : { body: new Uint8Array(body) }),
  })
}
