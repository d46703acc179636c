/** Connections and requests to the mirror, as a node makes them. No redirect is followed, no proxy is used. */
import type { X509Certificate } from 'node:crypto'
import type { LookupAddress } from 'node:dns'
import {
  request,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http'
import { connect as connectPlain, isIP, type LookupFunction, type Socket } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'

/** All addresses of a host name. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>

/** Where the mirror is. */
export interface MirrorPlace {
  /** What people are told: the base URL, or `unix:<path>`. */
  readonly name: string
  readonly secure: boolean
  /** A name or an address, without brackets; `undefined` for a socket file. */
  readonly host: string | undefined
  readonly port: number
  readonly socketPath: string | undefined
  /** PEM of the authorities to trust instead of those that Node knows. */
  readonly ca: string | undefined
  /** SHA-256 fingerprints of the certificates that it may show; `undefined`: any that is trusted here. */
  readonly fingerprints: readonly string[] | undefined
}

export interface MirrorRequest {
  readonly method?: 'GET' | 'HEAD'
  /** With the query. */
  readonly path: string
  /** `Accept` may be several lines. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
}

export interface MirrorAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface TlsConnection {
  readonly socket: TLSSocket
  /** What the mirror shows, with the chain behind it. Node gives it out once. */
  readonly certificate: X509Certificate | undefined
}

export interface MirrorClient {
  readonly place: MirrorPlace
  readonly resolve: Resolve
  /** Bare, to one address where it is given. */
  connect(signal: AbortSignal, address?: string): Promise<Socket>
  /** With TLS, whatever the certificate is like: nothing may be sent before that was looked at. */
  connectTls(signal: AbortSignal): Promise<TlsConnection>
  /** The body is for the caller to read or destroy. */
  open(question: MirrorRequest, signal: AbortSignal): Promise<IncomingMessage>
  /** @throws {Error} when the body has more bytes */
  ask(question: MirrorRequest, signal: AbortSignal, maxBytes?: number): Promise<MirrorAnswer>
}

const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const USER_AGENT = 'entrepot-doctor'

export function createMirrorClient(place: MirrorPlace, resolve: Resolve): MirrorClient {
  const { host, port, socketPath, ca, fingerprints } = place

  async function connect(signal: AbortSignal, address?: string): Promise<Socket> {
    const target = { host: address ?? host ?? '', port, lookup: lookupBy(resolve) }
    const socket = connectPlain(
      socketPath === undefined ? { ...target, autoSelectFamily: true } : { path: socketPath },
    )
    addAbortSignal(signal, socket)
    await once(socket, 'connect')
    return socket
  }

  async function connectAny(signal: AbortSignal): Promise<TlsConnection> {
    const socket = connectTls({
      socket: await connect(signal),
      host: host ?? 'localhost',
      ...(host !== undefined && isIP(host) === 0 && { servername: host }),
      ...(ca !== undefined && { ca }),
      ALPNProtocols: ['http/1.1'],
      // Judged by whoever asked for the connection, before anything is sent.
      rejectUnauthorized: false,
    })
    addAbortSignal(signal, socket)
    await once(socket, 'secureConnect')
    return { socket, certificate: socket.getPeerX509Certificate() }
  }

  async function connectTrusted(signal: AbortSignal): Promise<Socket> {
    if (!place.secure) return connect(signal)
    const connection = await connectAny(signal)
    if (isTrusted(connection, fingerprints)) return connection.socket
    connection.socket.destroy()
    throw new Error(`the certificate of ${place.name} is not trusted`)
  }

  async function open(question: MirrorRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { method = 'GET', path, headers = {} } = question
    const socket = await connectTrusted(signal)
    try {
      return await responseOn(socket, {
        host: host ?? 'localhost',
        port,
        method,
        path,
        // A value that is a list goes out as so many lines.
        headers: { 'User-Agent': USER_AGENT, Connection: 'close', ...copied(headers) },
        ...(place.secure && { defaultPort: 443 }),
        signal,
      })
    } catch (error) {
      // Where it cannot even be written, such as a path with spaces, nobody else closes it.
      socket.destroy()
      throw error
    }
  }

  return {
    place,
    resolve,
    connect,
    connectTls: connectAny,
    open,
    async ask(question, signal, maxBytes = MAX_ANSWER_BYTES) {
      const incoming = await open(question, signal)
      const body = await readAll(incoming, maxBytes)
      return { status: incoming.statusCode ?? 0, headers: incoming.headers, body }
    },
  }
}

function responseOn(socket: Socket, options: RequestOptions): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...options, createConnection: () => socket })
    outgoing.once('response', resolve)
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** Whether it may be told anything; the name in the certificate does not matter where it is known by itself. */
export function isTrusted(
  { socket, certificate }: TlsConnection,
  fingerprints: readonly string[] | undefined,
): boolean {
  if (fingerprints === undefined) return socket.authorized
  return certificate !== undefined && fingerprints.includes(certificate.fingerprint256)
}

function lookupBy(resolve: Resolve): LookupFunction {
  return function lookup(hostname, { all }, callback) {
    resolve(hostname).then(
      (addresses) => {
        const [first] = addresses
        if (first === undefined) callback(new Error(`${hostname} has no address`), [])
        else if (all === true) callback(null, [...addresses])
        else callback(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    )
  }
}

async function readAll(incoming: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new Error(`its answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function copied(headers: NonNullable<MirrorRequest['headers']>): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : [...value],
    ]),
  )
}

function once(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve())
    socket.on('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed')))
  })
}
