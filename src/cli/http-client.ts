/** One HTTP request to a mirror, as commands make it. Redirects are not followed: they would take a token along. */
import {
  request,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestOptions,
} from 'node:http'
import { isIP } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'
import { UnreachableError } from './command.ts'
import type { MirrorAddress } from './mirror-address.ts'
import { safeText } from './text.ts'

export interface ApiRequest {
  readonly method: string
  /** With the query. */
  readonly path: string
  /** Says who asks. */
  readonly token: string | undefined
  /** JSON. */
  readonly body?: string | undefined
}

/** @throws {Error} when nothing answers, or something else than the mirror that is meant */
export async function send(
  address: MirrorAddress,
  { method, path, token, body }: ApiRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const headers: OutgoingHttpHeaders = {
    Accept: 'application/json',
    ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    ...(body !== undefined && {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
    }),
  }
  const transport = address.secure ? await secured(address, signal) : { agent: false }
  return new Promise((resolve, reject) => {
    const options = { ...address.connection, ...transport, method, path, headers, signal }
    const outgoing = request(options, resolve)
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** @throws {Error} when there are more bytes, or the connection ends before they are all here */
export async function readText(incoming: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new Error('its answer has no end')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Why there was no answer, in words that fit behind a colon. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code === 'ECONNREFUSED' || code === 'ENOENT' ? 'nothing listens there' : safeText(message)
}

/** Why there is none that anything could have been said to: it did not come to a connection. */
const UNREACHABLE: ReadonlySet<string | undefined> = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'ENOTSOCK',
  'EACCES',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
])

/** An error for a request that failed; for one of which nobody can have heard, an own one. */
export function failureOf(message: string, cause: unknown): Error {
  return UNREACHABLE.has((cause as NodeJS.ErrnoException | undefined)?.code)
    ? new UnreachableError(message, { cause })
    : new Error(message, { cause })
}

/** The certificate is looked at before anything is sent, as that may be a secret. */
async function secured(address: MirrorAddress, signal: AbortSignal): Promise<RequestOptions> {
  const socket = await connectSecurely(address, signal)
  return { createConnection: () => socket, defaultPort: 443 }
}

function connectSecurely(
  { connection, fingerprints }: MirrorAddress,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const { host, port, socketPath } = connection
  const place =
    typeof socketPath === 'string'
      ? { path: socketPath }
      : { host: host ?? '', port: Number(port ?? 443) }
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...place,
      ...(typeof host === 'string' && isIP(host) === 0 && { servername: host }),
      rejectUnauthorized: fingerprints === undefined,
    })
    addAbortSignal(signal, socket)
    socket.on('error', reject)
    socket.once('secureConnect', () => {
      if (shows(socket, fingerprints)) return resolve(socket)
      socket.destroy(new Error('its certificate is not the one in the configuration'))
    })
  })
}

function shows(socket: TLSSocket, fingerprints: readonly string[] | undefined): boolean {
  if (fingerprints === undefined) return true
  const shown = socket.getPeerX509Certificate()
  return shown !== undefined && fingerprints.includes(shown.fingerprint256)
}
