/**
 * Where a request came from, and what the client calls this server. Proxies in front say so in
 * X-Forwarded-* headers, and so can anybody: they are believed of trusted peers only (security rule R36).
 * Pure.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { canonicalAddress } from '../addresses.ts'
import { LRUCache } from '../lru.ts'

export interface Forwarding {
  /** Of the client, in one spelling; `unix` for whoever came by a socket file. */
  readonly address: string
  readonly scheme: 'http' | 'https'
  /** With its port; `undefined` when the request names none that makes sense. */
  readonly host: string | undefined
}

/** The connection that a request came by. */
export interface Peer {
  /** `undefined`: it came by a socket file. */
  readonly address: string | undefined
  readonly isEncrypted: boolean
}

type IsTrusted = (address: string | undefined) => boolean

export function forwardingOfRequest(
  { socket, headers }: IncomingMessage,
  isTrustedProxy: IsTrusted,
): Forwarding {
  const peer = { address: socket.remoteAddress, isEncrypted: socket instanceof TLSSocket }
  return readForwarding(peer, headers, isTrustedProxy)
}

export function readForwarding(
  peer: Peer,
  headers: IncomingHttpHeaders,
  isTrusted: IsTrusted,
): Forwarding {
  const direct: Forwarding = {
    address: spelling(peer.address),
    scheme: peer.isEncrypted ? 'https' : 'http',
    host: readHost(headers.host),
  }
  if (!saysMore(headers) || !isTrusted(peer.address)) return direct
  return {
    address: clientAddress(direct.address, headers['x-forwarded-for'], isTrusted),
    scheme: readScheme(nearest(headers['x-forwarded-proto'])) ?? direct.scheme,
    host: readHost(nearest(headers['x-forwarded-host'])) ?? direct.host,
  }
}

function saysMore(headers: IncomingHttpHeaders): boolean {
  return (
    headers['x-forwarded-for'] !== undefined ||
    headers['x-forwarded-proto'] !== undefined ||
    headers['x-forwarded-host'] !== undefined
  )
}

/**
 * Each proxy adds on the right whom it was asked by. So the client is the rightmost that is no proxy of
 * ours; whatever stands left of it was said by the client itself. What is no address ends the walk: the
 * proxy that let it through is all that is known.
 */
function clientAddress(
  peer: string,
  header: string | readonly string[] | undefined,
  isTrusted: IsTrusted,
): string {
  let client = peer
  for (const entry of listed(header).toReversed()) {
    const address = canonicalAddress(withoutPort(entry))?.address
    if (address === undefined) break
    client = address
    if (!isTrusted(address)) break
  }
  return client
}

/** `192.0.2.1:5000` and `[2001:db8::1]:5000`, as some load balancers write. */
function withoutPort(entry: string): string {
  const [, bracketed, dotted] = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d{1,5})?$/.exec(entry) ?? []
  return bracketed ?? dotted ?? entry
}

/** What the peer wrote itself, where several proxies have added something. */
function nearest(header: string | readonly string[] | undefined): string | undefined {
  return listed(header).at(-1)
}

function listed(header: string | readonly string[] | undefined): string[] {
  if (header === undefined) return []
  return [header]
    .flat()
    .join()
    .split(',')
    .map((entry) => entry.trim())
}

function readScheme(text: string | undefined): 'http' | 'https' | undefined {
  const scheme = text?.toLowerCase()
  return scheme === 'http' || scheme === 'https' ? scheme : undefined
}

/** Goes into headers of answers, in quotes: nothing but a host and a port. */
function readHost(text: string | undefined): string | undefined {
  const isHost = /^(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_.])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i
  return text !== undefined && text.length <= 261 && isHost.test(text) ? text : undefined
}

const SPELLINGS = new LRUCache<string, string>({ max: 10_000 })

function spelling(address: string | undefined): string {
  if (address === undefined) return 'unix'
  const known = SPELLINGS.get(address)
  if (known !== undefined) return known
  const canonical = canonicalAddress(address)?.address ?? address
  SPELLINGS.set(address, canonical)
  return canonical
}
