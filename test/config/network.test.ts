import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { missingNetworks, parseNetwork, parseTrustedProxy } from '../../src/config/network.ts'
import { createAddressCheck } from '../../src/addresses.ts'
import { invalid } from './fixtures.ts'

/** First and last addresses of special blocks, and their neighbours. */
const EDGES = `
  9.255.255.255 11.0.0.0 100.63.255.255 100.127.255.255 168.63.129.16 168.63.129.17 172.15.255.255
  192.0.0.255 192.0.1.0 192.31.196.1 192.52.193.1 192.88.99.1 192.175.48.1 198.19.255.255 198.20.0.0
  203.0.113.1 223.255.255.255 1fff::1 2001:1ff::1 2001:200:: 2001:db8::1 2001:db9:: 2002:a00:5::
  2003:: 2620:4f:8000::1 2620:4f:8001:: 3fff::1 3fff:fff:: 3fff:1000:: 4000:: ff02::1`
  .trim()
  .split(/\s+/)

describe('parseNetwork', () => {
  it.each(['10.0.0.0/8', '10.0.0.5/32', '0.0.0.0/0', 'fd00::/8', '::1/128', '::/0'])(
    'takes %s',
    (text) => {
      expect(parseNetwork(text)).toBe(text)
    },
  )

  it.each([
    ['', '10.0.0.0/8 or fd00::/8'],
    ['10.0.0.0/33', '10.0.0.0/8 or fd00::/8'],
    ['10.0.0/8', '10.0.0.0/8 or fd00::/8'],
    ['10.0.0.0/', '10.0.0.0/8 or fd00::/8'],
    ['10.0.0.0/-1', '10.0.0.0/8 or fd00::/8'],
    ['::1/129', '10.0.0.0/8 or fd00::/8'],
    ['fe80::1%eth0/64', '10.0.0.0/8 or fd00::/8'],
    ['registry.lan/24', '10.0.0.0/8 or fd00::/8'],
    ['10.0.0.0/8 ', '10.0.0.0/8 or fd00::/8'],
    ['10.0.0.5', '10.0.0.5/32'],
    ['fd00::5', 'fd00::5/128'],
  ])('refuses %j, and suggests %s', (text, example) => {
    expect(invalid(() => parseNetwork(text))).toBe(
      `is not a CIDR block; write for example ${example}`,
    )
  })
})

it.each(['::ffff:10.0.0.0/104', '::ffff:a00:0/104', '0:0:0:0:0:FFFF:10.0.0.0/128'])(
  '%s is refused, because IPv4 addresses are compared with IPv4 blocks',
  (text) => {
    expect(invalid(() => parseNetwork(text))).toBe(
      'holds IPv4 addresses in IPv6 form; write an IPv4 block',
    )
  },
)

describe('parseTrustedProxy', () => {
  it.each([
    ['unix', 'unix'],
    ['10.0.0.5', '10.0.0.5/32'],
    ['fd00::5', 'fd00::5/128'],
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['fd00::/8', 'fd00::/8'],
    ['0.0.0.0/1', '0.0.0.0/1'],
  ])('takes %s as %s', (text, block) => {
    expect(parseTrustedProxy(text)).toBe(block)
  })

  it.each(['0.0.0.0/0', '10.0.0.0/0', '0.0.0.0/00', '::/0', 'fd00::/0'])(
    'refuses %s, by which everybody would be a proxy (CVE-2026-20896)',
    (text) => {
      expect(invalid(() => parseTrustedProxy(text))).toBe(
        'is every address, so that any client could claim any other address; write those of the proxies',
      )
    },
  )

  it.each(['', '*', 'Unix', 'unix:/run/x', 'proxy.lan', '10.0.0', '[::1]', 'fe80::1%eth0'])(
    'refuses %j',
    (text) => {
      expect(invalid(() => parseTrustedProxy(text))).toBe(
        'is no address, no CIDR block and not unix; write for example 10.0.0.5, 10.0.0.0/8 or unix',
      )
    },
  )

  it.each(['::ffff:10.0.0.5', '::ffff:10.0.0.0/104'])('refuses %s, because it is IPv4', (text) => {
    expect(invalid(() => parseTrustedProxy(text))).toContain('write an IPv4 block')
  })
})

describe('missingNetworks', () => {
  it.each([
    ['10.0.0.5', '10.0.0.5/32'],
    ['127.0.0.1', '127.0.0.1/32'],
    ['169.254.169.254', '169.254.169.254/32'],
    ['172.31.255.255', '172.31.255.255/32'],
    ['192.168.1.1', '192.168.1.1/32'],
    ['100.64.0.1', '100.64.0.1/32'],
    ['0.0.0.0', '0.0.0.0/32'],
    ['255.255.255.255', '255.255.255.255/32'],
    ['[::1]', '::1/128'],
    ['[::]', '::/128'],
    ['[fd12::1]', 'fd12::1/128'],
    ['[fe80::1]', 'fe80::1/128'],
    ['[::ffff:a00:5]', '10.0.0.5/32'],
    ['[64:ff9b::a00:5]', '64:ff9b::a00:5/128'],
  ])('%s is private, and needs %s', (hostname, network) => {
    expect(missingNetworks(hostname, [])).toEqual([network])
    expect(missingNetworks(hostname, [network])).toEqual([])
  })

  it.each([
    'registry.lan',
    '8.8.8.8',
    '172.32.0.1',
    '100.128.0.1',
    '[2606:4700::1]',
    '[::ffff:808:808]',
  ])('%s is public or looked up later', (hostname) => {
    expect(missingNetworks(hostname, [])).toEqual([])
  })

  it.each(['localhost', 'registry.localhost'])('%s is loopback by definition', (hostname) => {
    expect(missingNetworks(hostname, ['10.0.0.0/8'])).toEqual(['127.0.0.0/8', '::1/128'])
    expect(missingNetworks(hostname, ['127.0.0.0/8'])).toEqual([])
  })

  it('counts a block that covers the address, and no other', () => {
    expect(missingNetworks('10.1.2.3', ['192.168.0.0/16', '10.0.0.0/8'])).toEqual([])
    expect(missingNetworks('10.1.2.3', ['10.0.0.0/16'])).toEqual(['10.1.2.3/32'])
    expect(missingNetworks('[::ffff:a00:5]', ['10.0.0.0/8'])).toEqual([])
  })

  it('says of every address what the check of its connections will say', () => {
    const edges = fc.constantFrom(...EDGES)
    const inBlock = fc.constantFrom('10.1.', '172.16.', '192.168.', '198.51.', '192.0.', '224.0.')
    const nearBlock = fc
      .tuple(inBlock, fc.nat(255), fc.nat(255))
      .map(([a, b, c]) => `${a}${b}.${c}`)
    const mapped = fc.ipV4().map((address) => `::ffff:${address}`)
    const networks = fc.subarray(['10.0.0.0/8', '192.168.1.0/24', 'fd00::/8', '::/0', '0.0.0.0/1'])
    const address = fc.oneof(edges, fc.ipV4(), fc.ipV6(), nearBlock, mapped)
    fc.assert(
      fc.property(address, networks, (text, granted) => {
        const { hostname } = new URL(text.includes(':') ? `http://[${text}]` : `http://${text}`)
        const isAllowed = createAddressCheck(granted)(text)
        expect(missingNetworks(hostname, granted).length === 0).toBe(isAllowed)
      }),
      { numRuns: 3000 },
    )
  })
})
