/**
 * A registry on the one address that may be connected to, servers on others at the same port that nobody
 * may reach, and a record of every address to which this process begins a connection.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSocketServer, Socket, type Server } from 'node:net'
import type { LookupAddress } from 'node:dns'
import { createNetworkCheck } from '../../src/addresses.ts'
import { REBINDING } from './ssrf-spellings.ts'

/** The only address that the upstreams may be connected to. */
export const ALLOWED = '127.77.0.1'
const SENTINELS = ['127.0.0.1', '127.255.255.254', '::1']
/** A free port may be taken on another address. */
const MAX_TRIES = 20

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

export interface SsrfWorld extends AsyncDisposable {
  readonly port: number
  /** What the registry does with the requests to come. */
  answerWith(answer: Answer): void
  /** `Host` of each request that the registry got, and the connections that the others got. */
  readonly heard: { readonly hosts: string[]; sentinels: number }
}

export async function openSsrfWorld(): Promise<SsrfWorld> {
  const heard = { hosts: [] as string[], sentinels: 0 }
  let answer: Answer = (_, response) => response.writeHead(500).end()
  const registry = createServer((request, response) => {
    const { host = '' } = request.headers
    heard.hosts.push(host)
    if (host.startsWith(REBINDING)) sendBack(response)
    else answer(request, response)
  })
  const sentinels = SENTINELS.map(() =>
    createSocketServer((socket) => {
      heard.sentinels += 1
      socket.destroy()
    }),
  )
  const port = await listenEverywhere(registry, sentinels)
  return {
    port,
    heard,
    answerWith: (next) => void (answer = next),
    async [Symbol.asyncDispose]() {
      registry.closeAllConnections()
      await Promise.all([registry, ...sentinels].map(close))
    },
  }
}

/** Whoever follows has to look the name up again. */
function sendBack(response: ServerResponse): void {
  response.writeHead(307, { Location: '/again', Connection: 'close' }).end()
}

async function listenEverywhere(registry: Server, sentinels: readonly Server[]): Promise<number> {
  for (let tries = 1; ; tries++) {
    await listen(registry, 0, ALLOWED)
    const address = registry.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    try {
      for (const [at, host] of SENTINELS.entries()) await listen(sentinels[at], port, host)
      return port
    } catch (error) {
      if (tries === MAX_TRIES) throw error
      await Promise.all([registry, ...sentinels].map(close))
    }
  }
}

async function listen(server: Server | undefined, port: number, host: string): Promise<void> {
  server?.listen(port, host)
  if (server) await once(server, 'listening')
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return
  server.close()
  await once(server, 'close')
}

const isLoopback = createNetworkCheck(['127.0.0.0/8', '::1'])

export interface WatchedConnections extends Disposable {
  /** Addresses to which a connection was begun, whatever became of it. */
  readonly attempts: string[]
}

/** Watches below every library: also connections to addresses that nothing here listens on. */
export function watchConnections(): WatchedConnections {
  const attempts: string[] = []
  const original = Object.getOwnPropertyDescriptor(Socket.prototype, 'connect') ?? {}
  const connect = original.value as (this: Socket, ...args: unknown[]) => Socket
  function watchedConnect(this: Socket, ...args: unknown[]): Socket {
    this.on('connectionAttempt', (address: string) => {
      attempts.push(address)
      // Nothing leaves this machine, and nobody waits for what is not there.
      if (!isLoopback(address)) setImmediate(() => this.destroy(new Error(`${address} was tried`)))
    })
    return connect.apply(this, args)
  }
  Object.defineProperty(Socket.prototype, 'connect', { ...original, value: watchedConnect })
  return {
    attempts,
    [Symbol.dispose]: () => void Object.defineProperty(Socket.prototype, 'connect', original),
  }
}

/** DNS in an attacker's hand: each look-up has the next answer, the last one from then on. */
export function answersInTurn(answers: readonly (readonly string[])[]) {
  const asked: string[] = []
  return {
    asked,
    resolve: (hostname: string): Promise<LookupAddress[]> => {
      const answer = answers[Math.min(asked.length, answers.length - 1)] ?? []
      asked.push(hostname)
      return Promise.resolve(
        answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      )
    },
  }
}
