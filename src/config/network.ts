/** Blocks of addresses, and which addresses are not on the public internet. */
import { BlockList, isIP } from 'node:net'
import { InvalidValue } from './problem.ts'

/** Everything that IANA's special-purpose registries call not globally reachable, and multicast. */
const NOT_PUBLIC = blockList([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '::/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001:db8::/32',
  '2002::/16',
  'fc00::/7',
  'fe80::/10',
  'ff00::/8',
])

/**
 * A CIDR block, as written.
 * @throws {InvalidValue}
 */
export function parseNetwork(text: string): string {
  const [, address = '', prefix = ''] = /^([0-9a-f.:]+)\/(\d{1,3})$/i.exec(text) ?? []
  const version = isIP(address)
  if (version === 0 || Number(prefix) > bitsOf(version)) {
    const example = isIP(text) === 0 ? '10.0.0.0/8 or fd00::/8' : `${text}/${bitsOf(isIP(text))}`
    throw new InvalidValue(`is not a CIDR block; write for example ${example}`)
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
  const address = isLocalhost ? '127.0.0.1' : hostname.replace(/^\[(.*)\]$/, '$1')
  if (isIP(address) === 0 || !includes(NOT_PUBLIC, address)) return []
  if (includes(blockList(networks), address)) return []
  return isLocalhost ? ['127.0.0.0/8', '::1/128'] : [`${address}/${bitsOf(isIP(address))}`]
}

function includes(list: BlockList, address: string): boolean {
  return list.check(address, familyOf(address))
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    list.addSubnet(address, Number(prefix), familyOf(address))
  }
  return list
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}

function bitsOf(version: number): number {
  return version === 6 ? 128 : 32
}
