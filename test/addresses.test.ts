import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAddressCheck } from '../src/addresses.ts'

const isPublic = createAddressCheck([])

/** First and last address of every block, and one of those that clouds use. */
// prettier-ignore
const FORBIDDEN = [
  '0.0.0.0', '0.255.255.255', '10.0.0.0', '10.255.255.255', '100.64.0.0', '100.100.100.200',
  '100.127.255.255', '127.0.0.1', '127.255.255.254', '168.63.129.16', '169.254.0.0',
  '169.254.169.254', '169.254.255.255', '172.16.0.0', '172.31.255.255', '192.0.0.0',
  '192.0.0.192', '192.0.2.1', '192.31.196.1', '192.52.193.1', '192.88.99.1', '192.168.0.0',
  '192.168.255.255', '192.175.48.1', '198.18.0.0', '198.19.255.255', '198.51.100.1',
  '203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.0', '255.255.255.255', '::', '::1',
  '::7f00:1', '::127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::FFFF:A9FE:A9FE',
  '0:0:0:0:0:ffff:10.0.0.1', '::ffff:0:127.0.0.1', '64:ff9b::7f00:1', '64:ff9b::8.8.8.8',
  '64:ff9b:1::1', '64:ff9b:1:ffff::a00:1', '100::1', '2001::1', '2001:0:7f00:1::', '2001:2::1',
  '2001:10::1', '2001:20::1', '2001:1ff:ffff::1', '2001:db8::1', '2001:0DB8::1', '2002::1',
  '2002:7f00:1::', '2002:a9fe:a9fe::1', '2620:4f:8000::1', '3fff::1', '3fff:fff:ffff::1',
  '4000::1', '5f00::1', 'fc00::1', 'fd00:ec2::254', 'fdff:ffff::1', 'fe80::1', 'fe80::1%lo',
  'febf::1', 'fec0::1', 'ff02::1', 'ffff::1',
]

// prettier-ignore
const GLOBAL = [
  '1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0',
  '126.255.255.255', '128.0.0.0', '168.63.129.15', '168.63.129.17', '169.253.255.255',
  '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.0.1.0', '192.0.3.0', '192.167.255.255',
  '192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255', '::ffff:8.8.8.8',
  '::ffff:808:808', '2000::1', '2001:200::1', '2001:4860:4860::8888', '2001:db7:ffff::1',
  '2001:db9::1', '2003::1', '2606:4700::1111', '2620:4f:7fff::1', '2a00:1450::1', '3ffe:ffff::1',
]

describe('without configured networks', () => {
  test.each(FORBIDDEN)('%s is refused', (address) => {
    expect(isPublic(address)).toBe(false)
  })

  test.each(GLOBAL)('%s is allowed', (address) => {
    expect(isPublic(address)).toBe(true)
  })

  test.each([
    '',
    'localhost',
    '127.1',
    '0x7f000001',
    '2130706433',
    '8.8.8.8:80',
    '[::1]',
    '1.2.3.4/8',
  ])('%j is no address, so it is refused', (text) => {
    expect(isPublic(text)).toBe(false)
  })
})

// prettier-ignore
const ODD_SPELLINGS = [
  'http://127.1/', 'http://0x7f.1/', 'http://0x7f000001/', 'http://2130706433/',
  'http://017700000001/', 'http://0177.0.0.1/', 'http://127.0.0.1./', 'http://①②⑦.⓪.⓪.①/',
  'http://127。0。0。1/', 'http://%31%32%37.0.0.1/', 'http://0/', 'http://[::ffff:7f00:1]/',
  'http://[0:0:0:0:0:ffff:127.0.0.1]/', 'http://[::]/', 'http://0xa9.0xfe.0xa9.0xfe/',
  'http://2852039166/', 'http://[::ffff:a9fe:a9fe]/',
]

test.each(ODD_SPELLINGS)('what a URL makes of %s is refused', (spelling) => {
  const hostname = new URL(spelling).hostname.replace(/^\[|\]$/g, '')
  expect(isPublic(hostname)).toBe(false)
})

describe('configured networks', () => {
  const isAllowed = createAddressCheck(['10.1.0.0/16', '192.168.7.7', 'fd12::/16', '::1'])

  test.each([
    '10.1.0.0',
    '10.1.255.255',
    '::ffff:10.1.2.3',
    '192.168.7.7',
    'fd12:34::1',
    '::1',
    '8.8.8.8',
  ])('%s is allowed', (address) => {
    expect(isAllowed(address)).toBe(true)
  })

  test.each([
    '10.0.255.255',
    '10.2.0.0',
    '192.168.7.6',
    '192.168.7.8',
    'fd13::1',
    '::2',
    '127.0.0.1',
  ])('%s stays refused', (address) => {
    expect(isAllowed(address)).toBe(false)
  })

  test('a network of one family says nothing about the other', () => {
    const everyIpv6 = createAddressCheck(['::/0'])
    expect(everyIpv6('fe80::1')).toBe(true)
    expect(everyIpv6('10.0.0.1')).toBe(false)
    expect(everyIpv6('::ffff:10.0.0.1')).toBe(false)
    const everyIpv4 = createAddressCheck(['0.0.0.0/0'])
    expect(everyIpv4('127.0.0.1')).toBe(true)
    expect(everyIpv4('::1')).toBe(false)
  })

  test.each([
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0/8',
    'lan',
    '',
    '10.0.0.0/',
    '10.0.0.0/a',
    '10.0.0.0/-1',
  ])('%j is refused as a network', (network) => {
    expect(() => createAddressCheck([network])).toThrow(TypeError)
  })
})

test('an address inside IPv6 is judged like the same address alone', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      expect(isPublic(`::ffff:${address}`)).toBe(isPublic(address))
    }),
  )
})

test('no IPv6 address outside the global block is ever allowed', () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const first = Number.parseInt(address.split(':', 1)[0] || '0', 16)
      const isMapped = /^(0*:)*:?(0*:)*ffff:/i.test(address)
      fc.pre(!isMapped && (first < 0x2000 || first > 0x3fff))
      expect(isPublic(address)).toBe(false)
    }),
  )
})
