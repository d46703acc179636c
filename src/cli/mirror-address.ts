/** Where a mirror is asked. Pure, but for reading certificates that are given as text. */
import { X509Certificate } from 'node:crypto'
import type { RequestOptions } from 'node:http'
import { isIPv4 } from 'node:net'
import type { Config, Listen } from '../config/schema.ts'
import { UsageError } from './command.ts'

export interface MirrorAddress {
  /** What people are told: the base URL, or `unix:<path>`. */
  readonly name: string
  readonly secure: boolean
  readonly connection: Pick<RequestOptions, 'host' | 'port' | 'socketPath'>
  /** SHA-256 fingerprints of the certificates that it may show; `undefined`: any that is trusted here. */
  readonly fingerprints: readonly string[] | undefined
}

/** @throws {UsageError} when the text is no URL of a mirror */
export function addressOf(server: string): MirrorAddress {
  if (server.startsWith('unix:')) return unixAddress(server.slice(5))
  const url = URL.canParse(server) ? new URL(server) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new UsageError('--server takes a URL such as http://127.0.0.1:5000, or unix:<path>')
  }
  const { protocol, hostname, port, origin, username, password } = url
  if (`${username}${password}` !== '') {
    throw new UsageError('--server takes no user and no password: say who asks with --token-file')
  }
  return {
    name: origin,
    secure: protocol === 'https:',
    connection: { host: unbracketed(hostname), ...(port !== '' && { port }) },
    fingerprints: undefined,
  }
}

/**
 * Where the mirror with this configuration tells its operators how it is doing. It is known by its own
 * certificates: their names need not be the address that it listens on.
 * @throws {Error} when only the running mirror knows, or it tells nobody
 */
export function ownAddress(config: Pick<Config, 'listen' | 'tls' | 'api'>): MirrorAddress {
  const { tls } = config
  const { name, secure, connection } = plainAddress(listenOf(config), tls.length > 0)
  const fingerprints = tls.map(({ certificate }) => new X509Certificate(certificate).fingerprint256)
  return { name, secure, connection, fingerprints: secure ? fingerprints : undefined }
}

/** Whether nobody on the way can read what is sent there. */
export function isConfidential({ secure, connection }: MirrorAddress): boolean {
  const { host, socketPath } = connection
  return secure || socketPath !== undefined || isLoopback(host ?? '')
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

function listenOf({ listen, api }: Pick<Config, 'listen' | 'api'>): Listen {
  if (api === 'off') {
    throw new Error(
      'The configuration says "api: off": the mirror tells its status nowhere. Leave that out, or give the API an address of its own.',
    )
  }
  return api === 'same' ? listen : api
}

function plainAddress(listen: Listen, secure: boolean): MirrorAddress {
  if (listen.kind === 'unix') return { ...unixAddress(listen.path), secure }
  if (listen.kind === 'systemd') {
    throw new Error('The socket unit of systemd knows the address: say --server with it.')
  }
  if (listen.port === 0) {
    throw new Error('The configuration leaves the port open: say --server with the one in use.')
  }
  const host = EVERYWHERE.get(listen.host) ?? listen.host
  return addressOf(`http${secure ? 's' : ''}://${bracketed(host)}:${listen.port}`)
}

/** A base URL that was listened on, as it can be connected to from here. */
export function reachableUrl(url: string): string {
  const { hostname } = new URL(url)
  const reachable = EVERYWHERE.get(unbracketed(hostname))
  return reachable === undefined ? url : url.replace(hostname, bracketed(reachable))
}

/** As a URL has it: RFC 3986 §3.2.2. */
function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

function unbracketed(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
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
