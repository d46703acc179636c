/**
 * Which network addresses an upstream may be connected to. PURE.
 *
 * A realm, a redirect or a DNS answer must not lead us into the private network (security rule R4):
 * only global unicast addresses pass, and what the configuration names for this upstream.
 */
import { BlockList, isIP, SocketAddress } from 'node:net'

export type AddressCheck = (address: string) => boolean

/** Everything in the IANA registry of special-purpose IPv4 addresses, and one that should be there. */
const SPECIAL_IPV4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carrier-grade NAT; Alibaba Cloud's metadata server
  '127.0.0.0/8', // loopback
  '168.63.129.16/32', // Azure's platform server: looks public, is not
  '169.254.0.0/16', // link-local; most clouds' metadata servers
  '172.16.0.0/12', // private
  '192.0.0.0/24', // IETF protocol assignments; Oracle Cloud's metadata server
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT relays
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
]

/**
 * The only IPv6 block from which global unicast addresses are assigned. Loopback, unique local,
 * link-local, multicast, the translation prefixes 64:ff9b::/96 and 64:ff9b:1::/48 (CVE-2026-54450)
 * and the discard prefix lie outside.
 */
const GLOBAL_IPV6 = ['2000::/3']

/** What lies inside it and is not global, or hides an IPv4 address. */
const SPECIAL_IPV6 = [
  '2001::/23', // IETF protocol assignments; Teredo, benchmarks, ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4: an IPv4 address inside
  '2620:4f:8000::/48', // AS112
  '3fff::/20', // documentation
]

interface Networks {
  readonly ipv4: BlockList
  readonly ipv6: BlockList
}

export interface CanonicalAddress {
  readonly family: 'ipv4' | 'ipv6'
  readonly address: string
}

const SPECIAL = createNetworks([...SPECIAL_IPV4, ...SPECIAL_IPV6])
const GLOBAL = createNetworks(['0.0.0.0/0', ...GLOBAL_IPV6])

/**
 * @param networks CIDR blocks, or single addresses, that are allowed although they are not public
 * @returns a check for IP addresses in any spelling; whatever is no IP address is refused
 * @throws {TypeError} when a network is malformed
 */
export function createAddressCheck(networks: readonly string[]): AddressCheck {
  const granted = createNetworks(networks)
  return function isAllowedAddress(text) {
    const address = canonicalAddress(text)
    if (address === undefined) return false
    return contains(granted, address) || (contains(GLOBAL, address) && !contains(SPECIAL, address))
  }
}

/**
 * @param networks CIDR blocks, or single addresses
 * @returns a check whether an address lies in one of them
 * @throws {TypeError} when a network is malformed
 */
export function createNetworkCheck(networks: readonly string[]): AddressCheck {
  const named = createNetworks(networks)
  return function isInNetworks(text) {
    const address = canonicalAddress(text)
    return address !== undefined && contains(named, address)
  }
}

/** A client as it is counted: who has one IPv6 address has 2⁶⁴ of them, which are counted as one. */
export function countedAddress(text: string): string {
  const canonical = canonicalAddress(text)
  if (canonical?.family !== 'ipv6') return canonical?.address ?? text
  const [head = '', tail = ''] = canonical.address.split('::')
  const [before, after] = [groupsOf(head), groupsOf(tail)]
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return `${[...before, ...zeros, ...after].slice(0, 4).join(':')}::/64`
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':')
}

/**
 * One spelling for each address, without zone. An IPv4-mapped address (::ffff:0:0/96) reaches the
 * IPv4 host inside it, so it is judged as that.
 */
export function canonicalAddress(text: string): CanonicalAddress | undefined {
  const version = isIP(text)
  if (version === 0) return undefined
  if (version === 4) return { family: 'ipv4', address: text }
  const { address } = new SocketAddress({ address: text, family: 'ipv6' })
  const embedded = /^::ffff:([\d.]+)$/.exec(address)?.[1]
  return embedded !== undefined && isIP(embedded) === 4
    ? { family: 'ipv4', address: embedded }
    : { family: 'ipv6', address }
}

/** Two lists, because one BlockList may match an address of one family with a network of the other. */
function createNetworks(blocks: readonly string[]): Networks {
  const networks = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const block of blocks) {
    const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(block) ?? []
    const version = isIP(address)
    const bits = Number(prefix ?? (version === 4 ? 32 : 128))
    if (version === 0 || bits > (version === 4 ? 32 : 128)) {
      throw new TypeError(`${block} is not a network such as 10.0.0.0/8 or fd00::/8.`)
    }
    const family = version === 4 ? 'ipv4' : 'ipv6'
    networks[family].addSubnet(address, bits, family)
  }
  return networks
}

function contains(networks: Networks, { family, address }: CanonicalAddress): boolean {
  return networks[family].check(address, family)
}
