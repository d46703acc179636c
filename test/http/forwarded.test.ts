/** Who is believed about where a request came from. */
import { describe, expect, it } from 'vitest'
import { readForwarding, type Peer } from '../../src/http/forwarded.ts'

const PROXY: Peer = { address: '10.0.0.1', isEncrypted: false }
const STRANGER: Peer = { address: '192.0.2.66', isEncrypted: false }
const SOCKET_FILE: Peer = { address: undefined, isEncrypted: false }

const isProxy = (address: string | undefined): boolean => address?.startsWith('10.') ?? false
const isProxyOrSocket = (address: string | undefined): boolean =>
  address === undefined || isProxy(address)

describe('the address of the client', () => {
  it.each([
    ['is that of the peer', PROXY, undefined, '10.0.0.1'],
    ['is that of a stranger, whatever it says', STRANGER, '198.51.100.7', '192.0.2.66'],
    ['is what a trusted proxy says', PROXY, '198.51.100.7', '198.51.100.7'],
    ['is the rightmost that is no proxy', PROXY, '1.1.1.1, 198.51.100.7, 10.0.0.2', '198.51.100.7'],
    ['is not what the client put in front', PROXY, '10.9.9.9, 198.51.100.7', '198.51.100.7'],
    ['is the leftmost where all are proxies', PROXY, '10.0.0.3,10.0.0.2', '10.0.0.3'],
    ['stops at what is no address', PROXY, '198.51.100.7, unknown, 10.0.0.2', '10.0.0.2'],
    ['ignores a header that is none', PROXY, 'unknown', '10.0.0.1'],
    ['ignores an empty header', PROXY, '', '10.0.0.1'],
    ['ignores an empty entry', PROXY, '198.51.100.7,', '10.0.0.1'],
    ['has no port', PROXY, '198.51.100.7:4711', '198.51.100.7'],
    ['has no brackets', PROXY, '[2001:db8::7]:4711', '2001:db8::7'],
    ['has one spelling', PROXY, '2001:DB8:0::7', '2001:db8::7'],
    ['is IPv4 where it is mapped', PROXY, '::ffff:198.51.100.7', '198.51.100.7'],
  ])('%s', (_, peer, header, address) => {
    const headers = header === undefined ? {} : { 'x-forwarded-for': header }
    expect(readForwarding(peer, headers, isProxy).address).toBe(address)
  })

  it('of a mapped peer has one spelling too', () => {
    const peer = { address: '::ffff:192.0.2.66', isEncrypted: false }
    expect(readForwarding(peer, {}, isProxy).address).toBe('192.0.2.66')
  })

  it('is the same each time, whoever is believed by then', () => {
    const headers = { 'x-forwarded-for': '198.51.100.7' }
    for (const [isTrusted, address] of [
      [isProxy, '198.51.100.7'],
      [() => false, '10.0.0.1'],
      [isProxy, '198.51.100.7'],
    ] as const) {
      expect(readForwarding(PROXY, headers, isTrusted).address).toBe(address)
      expect(readForwarding(PROXY, {}, isTrusted).address).toBe('10.0.0.1')
      expect(readForwarding(STRANGER, headers, isTrusted).address).toBe('192.0.2.66')
    }
  })

  it('of a peer whose address is none is what it is called', () => {
    for (const address of ['fe80::1%eth0', '::1', 'somewhere']) {
      const once = readForwarding({ address, isEncrypted: false }, {}, isProxy).address
      expect(readForwarding({ address, isEncrypted: false }, {}, isProxy).address).toBe(once)
      expect(once).not.toBe('unix')
    }
  })

  it('is told by a socket file only where that is trusted', () => {
    const headers = { 'x-forwarded-for': '198.51.100.7' }
    expect(readForwarding(SOCKET_FILE, headers, isProxy).address).toBe('unix')
    expect(readForwarding(SOCKET_FILE, headers, isProxyOrSocket).address).toBe('198.51.100.7')
  })

  it('is found in a header of several lines', () => {
    const headers = { 'x-forwarded-for': '203.0.113.9, 198.51.100.7, 10.0.0.2' }
    expect(readForwarding(PROXY, headers, isProxy).address).toBe('198.51.100.7')
  })
})

describe('scheme and host', () => {
  const said = {
    host: 'inner:5000',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'mirror.example',
  }

  it('are those of the connection', () => {
    const peer = { address: '192.0.2.66', isEncrypted: true }
    const { scheme, host } = readForwarding(peer, { host: 'mirror.example:8443' }, isProxy)
    expect([scheme, host]).toEqual(['https', 'mirror.example:8443'])
  })

  it('are what a trusted proxy says', () => {
    const { scheme, host } = readForwarding(PROXY, said, isProxy)
    expect([scheme, host]).toEqual(['https', 'mirror.example'])
  })

  it.each([
    [{ 'x-forwarded-proto': 'https' }, 'https', 'inner:5000'],
    [{ 'x-forwarded-host': 'mirror.example' }, 'http', 'mirror.example'],
    [{ 'x-forwarded-for': '198.51.100.7' }, 'http', 'inner:5000'],
  ])('are believed one without the other: %j', (headers, scheme, host) => {
    const found = readForwarding(PROXY, { host: 'inner:5000', ...headers }, isProxy)
    expect([found.scheme, found.host]).toEqual([scheme, host])
  })

  it('are not what a stranger says', () => {
    const { scheme, host } = readForwarding(STRANGER, said, isProxy)
    expect([scheme, host]).toEqual(['http', 'inner:5000'])
  })

  it('are what the nearest proxy wrote, where several did', () => {
    const headers = {
      'x-forwarded-proto': 'http, HTTPS',
      'x-forwarded-host': 'evil.example, m.example',
    }
    const { scheme, host } = readForwarding(PROXY, headers, isProxy)
    expect([scheme, host]).toEqual(['https', 'm.example'])
  })

  it.each(['', ',', 'a b', 'a"b', 'a/b', 'a\\b', 'https://a', 'user@a', 'a:b', 'a:123456', '[::1'])(
    'are those of the request where the proxy says %j',
    (nonsense) => {
      const headers = { ...said, 'x-forwarded-proto': nonsense, 'x-forwarded-host': nonsense }
      const { scheme, host } = readForwarding(PROXY, headers, isProxy)
      expect([scheme, host]).toEqual(['http', 'inner:5000'])
    },
  )

  it.each(['localhost:5000', '[2001:db8::1]:5000', '192.0.2.1', 'Mirror.Example', 'a_b'])(
    'may be %s',
    (host) => {
      expect(readForwarding(STRANGER, { host }, isProxy).host).toBe(host)
    },
  )

  it('are unknown where the request names a host that is none', () => {
    expect(readForwarding(STRANGER, { host: 'a"b' }, isProxy).host).toBeUndefined()
    expect(readForwarding(STRANGER, {}, isProxy).host).toBeUndefined()
  })
})
