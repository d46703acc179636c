/** Real servers on loopback, and upstreams that are pointed at them. All close when the test ends. */
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { LookupAddress } from 'node:dns'
import {
  createServer as createSocketServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net'
import { onTestFinished } from 'vitest'
import {
  createUpstream,
  type UpstreamDependencies,
  type UpstreamOptions,
} from '../../src/upstream/client.ts'
import type { UpstreamFailure } from '../../src/metrics.ts'
import { parseDigest } from '../../src/oci/digest.ts'
import { parseReference, parseRepository } from '../../src/oci/reference.ts'
import { UpstreamError, type Upstream } from '../../src/upstream/upstream.ts'

interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

export interface LoopbackServer {
  readonly url: string
  readonly host: string
  /** Every request, in order. */
  readonly requests: SeenRequest[]
  /** Connections that were ever made. */
  connections(): number
  /** Connections that are open. */
  open(): number
}

export interface ServeOptions {
  readonly host?: string
  readonly tls?: { readonly key: string; readonly cert: string }
}

export async function serve(
  listener: RequestListener,
  { host = '127.0.0.1', tls }: ServeOptions = {},
): Promise<LoopbackServer> {
  const requests: SeenRequest[] = []
  const record: RequestListener = (request, response) => {
    const { method = '', url = '', headers } = request
    requests.push({ method, url, headers })
    listener(request, response)
  }
  const server = tls === undefined ? createServer(record) : createTlsServer({ ...tls }, record)
  const count = await listen(server, host)
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const place = `${host}:${port}`
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${place}`,
    host: place,
    requests,
    ...count,
  }
}

/** Starts a server of any protocol and counts its connections. */
async function listen(server: Server, host = '127.0.0.1') {
  let connections = 0
  let open = 0
  server.on('connection', (socket) => {
    connections++
    open++
    socket.on('close', () => open--)
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  return { connections: () => connections, open: () => open }
}

/** A server below HTTP. */
export async function serveSocket(handle: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createSocketServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    handle(socket)
  })
  const count = await listen(server)
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `127.0.0.1:${(server.address() as AddressInfo).port}`, ...count }
}

/** A resolver that knows one answer. */
export function resolveTo(...addresses: string[]) {
  return (): Promise<LookupAddress[]> =>
    Promise.resolve(
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
}

interface SeenMetrics {
  requests: number
  tokens: number
  bytes: number
  failures: UpstreamFailure[]
  /** What was last seen of limits, by account. */
  limits: Record<string, { limit: number | undefined; remaining: number | undefined }>
  hedges: ('first' | 'second')[]
}

export interface TestUpstream {
  readonly upstream: Upstream
  readonly seen: SeenMetrics
}

export function createTestUpstream(
  endpoints: readonly string[],
  overrides: Partial<UpstreamOptions> = {},
  dependencies: Partial<UpstreamDependencies> = {},
): TestUpstream {
  const seen: SeenMetrics = {
    requests: 0,
    tokens: 0,
    bytes: 0,
    failures: [],
    limits: {},
    hedges: [],
  }
  const upstream = createUpstream(
    {
      name: 'registry.test',
      endpoints,
      credentials: [],
      realms: [],
      insecure: true,
      ca: undefined,
      networks: ['127.0.0.1/32'],
      // Longer than any test, so that nothing passes only because a time limit came to its help.
      timeouts: { connect: 60_000, firstByte: 60_000, idle: 60_000 },
      ...overrides,
    },
    {
      metrics: {
        upstreamRequested: () => void seen.requests++,
        tokenRequested: () => void seen.tokens++,
        upstreamReceived: (_, bytes) => void (seen.bytes += bytes),
        upstreamFailed: (_, reason) => void seen.failures.push(reason),
        rateLimitSeen: (_, account, { limit, remaining }) =>
          void (seen.limits[account] = { limit, remaining }),
        hedged: (_, winner) => void seen.hedges.push(winner),
      },
      ...dependencies,
    },
  )
  onTestFinished(() => upstream.close())
  return { upstream, seen }
}

export const REPOSITORY = parseRepository('library/alpine')
export const TAG = parseReference('latest')
export const DIGEST = parseDigest(`sha256:${'ab'.repeat(32)}`)

/** A signal that nobody aborts before the test is long over. */
export function patience(): AbortSignal {
  return AbortSignal.timeout(20_000)
}

/** The error that the operation must fail with. */
export async function failureOf(operation: Promise<unknown>): Promise<UpstreamError> {
  const outcome = await operation.then(
    () => new Error('The operation did not fail.'),
    (error: unknown) => error,
  )
  if (outcome instanceof UpstreamError) return outcome
  throw outcome
}

export function authorizationsOf(server: LoopbackServer): (string | undefined)[] {
  return server.requests.map(({ headers }) => headers.authorization)
}

/** Waits until the condition holds; the test's own time limit ends it. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('The condition did not come true in 5 s.')
    await new Promise((resolve) => setImmediate(resolve))
  }
}
