/** Asks a running mirror for its status. */
import { X509Certificate } from 'node:crypto'
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as requestHttps } from 'node:https'
import { TLSSocket } from 'node:tls'
import type { Config, Listen } from '../config/schema.ts'
import type { MirrorStatus } from '../maintenance.ts'

/** Where a mirror is asked. */
export interface MirrorAddress {
  /** What people are told: the base URL, or `unix:<path>`. */
  readonly name: string
  readonly secure: boolean
  readonly connection: Pick<RequestOptions, 'host' | 'port' | 'socketPath'>
  /** SHA-256 fingerprints of the certificates that it may show; `undefined`: any that is trusted here. */
  readonly fingerprints: readonly string[] | undefined
}

/** Milliseconds that the whole answer may take. */
const DEADLINE = 5000
const MAX_BYTES = 4 * 1024 * 1024

/** @throws {Error} when the text is no URL of a mirror */
export function addressOf(server: string): MirrorAddress {
  if (server.startsWith('unix:')) return unixAddress(server.slice(5))
  const url = URL.canParse(server) ? new URL(server) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new Error('--server takes a URL such as http://127.0.0.1:5000, or unix:<path>')
  }
  const { protocol, hostname, port, origin } = url
  return {
    name: origin,
    secure: protocol === 'https:',
    connection: { host: hostname.replace(/^\[(.*)\]$/, '$1'), ...(port !== '' && { port }) },
    fingerprints: undefined,
  }
}

/**
 * Where the mirror with this configuration listens. It is known by its own certificates: their names
 * need not be the address that it listens on.
 * @throws {Error} when only the running mirror knows
 */
export function ownAddress({ listen, tls }: Pick<Config, 'listen' | 'tls'>): MirrorAddress {
  const { name, secure, connection } = plainAddress(listen, tls.length > 0)
  const fingerprints = tls.map(({ certificate }) => new X509Certificate(certificate).fingerprint256)
  return { name, secure, connection, fingerprints: secure ? fingerprints : undefined }
}

function plainAddress(listen: Listen, secure: boolean): MirrorAddress {
  if (listen.kind === 'unix') return { ...unixAddress(listen.path), secure }
  if (listen.port === 0) {
    throw new Error('The configuration leaves the port open: say --server with the one in use.')
  }
  const host = EVERYWHERE.get(listen.host) ?? listen.host
  const shown = host.includes(':') ? `[${host}]` : host
  return addressOf(`http${secure ? 's' : ''}://${shown}:${listen.port}`)
}

/** Listened on, these mean all addresses; connected to, they mean nothing everywhere. */
const EVERYWHERE: ReadonlyMap<string, string> = new Map([
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
])

function unixAddress(path: string): MirrorAddress {
  return {
    name: `unix:${path}`,
    secure: false,
    connection: { socketPath: path },
    fingerprints: undefined,
  }
}

/** @throws {Error} with a sentence for the operator */
export async function askStatus(address: MirrorAddress, signal: AbortSignal): Promise<string> {
  const deadline = AbortSignal.timeout(DEADLINE)
  try {
    const incoming = await get(address, AbortSignal.any([signal, deadline]))
    const text = await readText(incoming)
    if (incoming.statusCode !== 200) throw new Error(`it answered ${incoming.statusCode}`)
    return text
  } catch (error) {
    const reason = deadline.aborted ? `no answer within ${DEADLINE} ms` : reasonOf(error)
    throw new Error(`The mirror at ${address.name} does not tell its status: ${reason}.`, {
      cause: error,
    })
  }
}

/** @throws {Error} when it is the answer of something else */
export function parseStatus(text: string): MirrorStatus {
  const status = parseJson(text) as Partial<MirrorStatus> | null | undefined
  const isStatus =
    typeof status?.store?.bytes === 'number' &&
    typeof status.fills?.running === 'number' &&
    typeof status.scrub?.checkedBytes === 'number' &&
    Array.isArray(status.upstreams) &&
    status.upstreams.every((it) => Array.isArray(it?.endpoints) && Array.isArray(it?.accounts))
  if (!isStatus) throw new Error('What answered there is no mirror, or one of another version.')
  return status as MirrorStatus
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function get(
  { secure, connection, fingerprints }: MirrorAddress,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const headers = { Accept: 'application/json' }
  const options = { ...connection, headers, path: '/status', agent: false, signal } as const
  return new Promise((resolve, reject) => {
    const accept = (incoming: IncomingMessage): void => {
      if (shows(incoming, fingerprints)) return resolve(incoming)
      incoming.destroy()
      reject(new Error('its certificate is not the one in the configuration'))
    }
    const outgoing = secure
      ? requestHttps({ ...options, rejectUnauthorized: fingerprints === undefined }, accept)
      : requestHttp(options, accept)
    outgoing.on('error', reject)
    outgoing.end()
  })
}

function shows({ socket }: IncomingMessage, fingerprints: readonly string[] | undefined): boolean {
  if (fingerprints === undefined) return true
  const shown = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
  return shown !== undefined && fingerprints.includes(shown.fingerprint256)
}

async function readText(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw new Error('its answer has no end')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code === 'ECONNREFUSED' || code === 'ENOENT' ? 'nothing listens there' : message
}
