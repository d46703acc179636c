import { describe, expect, it } from 'vitest'
import { missingNetworks, parseNetwork } from '../../src/config/network.ts'
import { invalid } from './fixtures.ts'

describe('parseNetwork', () => {
  it.each(['10.0.0.0/8', '10.0.0.5/32', '0.0.0.0/0', 'fd00::/8', '::1/128', '::ffff:10.0.0.0/104'])(
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
    ['[::ffff:a00:5]', '::ffff:a00:5/128'],
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
})
