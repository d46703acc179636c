/**
 * Blocks of addresses, and which addresses an upstream may have only if its `networks` say so. What
 * counts is the check of each connection in `upstream/`; this one tells the operator beforehand.
 */
import { BlockList, isIP, SocketAddress } from 'node:net'
import { InvalidValue } from './problem.ts'

/** IANA's special-purpose IPv4 addresses, and Azure's platform server, which looks public. */
const SPECIAL_IPV4 = blockList('ipv4', [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '168.63.129.16/32',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
])

/** All but 2000::/3, the only block with global addresses, and what in it is special. */
const SPECIAL_IPV6 = blockList('ipv6', [
  '::/3',
  '4000::/2',
  '8000::/1',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '2620:4f:8000::/48',
  '3fff::/20',
])

/**
 * A CIDR block, as written.
 * @throws {InvalidValue}
 */
export function parseNetwork(text: string): string {
  const [, written = '', prefix = ''] = /^([0-9a-f.:]+)\/(\d{1,3})$/i.exec(text) ?? []
  if (isIP(written) === 0 || Number(prefix) > bitsOf(written)) {
    const example = isIP(text) === 0 ? '10.0.0.0/8 or fd00::/8' : wholeOf(text)
    throw new InvalidValue(`is not a CIDR block; write for example ${example}`)
  }
  if (familyOf(canonicalAddress(written)) !== familyOf(written)) {
    throw new InvalidValue('holds IPv4 addresses in IPv6 form; write an IPv4 block')
  }
  return text
}

/**
 * The blocks that an upstream needs under `networks` before this host may be connected to.
 * @param hostname as `URL.hostname` has it; names other than localhost are looked up later, and need none here
 * @param networks valid CIDR blocks that it has already
 */
export function missingNetworks(hostname: string, networks: readonly string[]): readonly string[] {
  const isLocalhost = hostname === 'localhost' || hostname.endsWith('.localhost')
  const literal = isLocalhost ? '127.0.0.1' : hostname.replace(/^\[(.*)\]$/, '$1')
  if (isIP(literal) === 0) return []
  const address = canonicalAddress(literal)
  const family = familyOf(address)
  const special = family === 'ipv4' ? SPECIAL_IPV4 : SPECIAL_IPV6
  if (!special.check(address, family)) return []
  if (blockList(family, networks).check(address, family)) return []
  return isLocalhost ? ['127.0.0.0/8', '::1/128'] : [wholeOf(address)]
}

/** An IPv4-mapped address (::ffff:0:0/96) reaches the IPv4 host inside it, so it is that. */
function canonicalAddress(text: string): string {
  if (isIP(text) === 4) return text
  const { address } = new SocketAddress({ address: text, family: 'ipv6' })
  return address.replace(/^::ffff:(?=\d+\.)/, '')
}

/** The blocks of one family: a mixed list may match addresses of the other. */
function blockList(family: 'ipv4' | 'ipv6', networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    if (familyOf(address) === family) list.addSubnet(address, Number(prefix), family)
  }
  return list
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}

/** The block of this address alone. */
function wholeOf(address: string): string {
  return `${address}/${bitsOf(address)}`
}

function bitsOf(address: string): number {
  return isIP(address) === 6 ? 128 : 32
}
