/** Blocks of addresses as the operator writes them, and which of them an upstream still lacks. */
import { isIP } from 'node:net'
import { canonicalAddress, createAddressCheck } from '../addresses.ts'
import { InvalidValue } from './problem.ts'

/**
 * A CIDR block, as written.
 * @throws {InvalidValue}
 */
export function parseNetwork(text: string): string {
  if (!isBlock(text)) {
    const example = isIP(text) === 0 ? '10.0.0.0/8 or fd00::/8' : wholeOf(text)
    throw new InvalidValue(`is not a CIDR block; write for example ${example}`)
  }
  const [written = ''] = text.split('/')
  if (isIP(written) === 6 && canonicalAddress(written)?.family === 'ipv4') {
    throw new InvalidValue('holds IPv4 addresses in IPv6 form; write an IPv4 block')
  }
  return text
}

/**
 * A proxy whose word about its client is taken: an address or a CIDR block, or `unix` for whoever comes
 * by a socket file.
 * @returns `unix`, or a CIDR block
 * @throws {InvalidValue}
 */
export function parseTrustedProxy(text: string): string {
  if (text === 'unix') return text
  const block = isIP(text) === 0 ? text : wholeOf(text)
  if (!isBlock(block)) {
    throw new InvalidValue(
      'is no address, no CIDR block and not unix; write for example 10.0.0.5, 10.0.0.0/8 or unix',
    )
  }
  parseNetwork(block)
  if (/\/0+$/.test(block)) {
    // CVE-2026-20896: with every address trusted, a header made anybody anybody.
    throw new InvalidValue(
      'is every address, so that any client could claim any other address; write those of the proxies',
    )
  }
  return block
}

/**
 * The blocks that an upstream needs under `networks` before this host may be connected to. What counts
 * is the check of each connection; this one tells the operator beforehand.
 * @param hostname as `URL.hostname` has it; names other than localhost are looked up later, and need none here
 * @param networks valid CIDR blocks that it has already
 */
export function missingNetworks(hostname: string, networks: readonly string[]): readonly string[] {
  const isLocalhost = hostname === 'localhost' || hostname.endsWith('.localhost')
  const literal = isLocalhost ? '127.0.0.1' : hostname.replace(/^\[(.*)\]$/, '$1')
  const canonical = canonicalAddress(literal)
  if (canonical === undefined || createAddressCheck(networks)(literal)) return []
  return isLocalhost ? ['127.0.0.0/8', '::1/128'] : [wholeOf(canonical.address)]
}

function isBlock(text: string): boolean {
  const [, address = '', prefix = ''] = /^([0-9a-f.:]+)\/(\d{1,3})$/i.exec(text) ?? []
  return isIP(address) !== 0 && Number(prefix) <= bitsOf(address)
}

/** The block of this address alone. */
function wholeOf(address: string): string {
  return `${address}/${bitsOf(address)}`
}

function bitsOf(address: string): number {
  return isIP(address) === 6 ? 128 : 32
}
