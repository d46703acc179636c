import type { LookupAddress } from 'node:dns'
import { beforeAll, describe, expect, test } from 'vitest'
import { createCertificates, type Certificates } from './certificates.ts'
import {
  createTestUpstream,
  DIGEST,
  failureOf,
  patience,
  REPOSITORY,
  resolveTo,
  serve,
  serveSocket,
  TAG,
  until,
} from './loopback.ts'
import { sendManifest } from './registry.ts'

const QUICK = { connect: 100, firstByte: 100, idle: 100 }

describe('TLS', () => {
  let certificates: Certificates
  beforeAll(async () => {
    certificates = await createCertificates(['IP:127.0.0.1', 'DNS:registry.test'])
  })

  test('a private authority is trusted where it is named', async () => {
    const server = await serve((_, response) => sendManifest(response), { tls: certificates })
    const { upstream } = createTestUpstream([server.url], { ca: certificates.ca, insecure: false })
    const { digest } = await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(digest).toBe(DIGEST)
  })

  test('and nowhere else, also where plain HTTP is meant', async () => {
    const server = await serve((_, response) => sendManifest(response), { tls: certificates })
    for (const insecure of [false, true]) {
      const { upstream } = createTestUpstream([server.url], { insecure })
      const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
      expect(failure.reason).toBe('unavailable')
      expect(failure.message).toContain('name it under "ca"')
    }
    expect(server.requests).toHaveLength(0)
  })

  test('the certificate must be for the name that was asked for', async () => {
    const server = await serve((_, response) => sendManifest(response), { tls: certificates })
    const { upstream } = createTestUpstream(
      [server.url.replace('127.0.0.1', 'other.test')],
      { ca: certificates.ca },
      { resolve: resolveTo('127.0.0.1') },
    )
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.message).toContain('for another name')
    expect(server.requests).toHaveLength(0)
  })

  test('a session of one host proves nothing about another', async () => {
    const server = await serve(
      (request, response) => {
        const { host = '' } = request.headers
        if (!host.startsWith('registry.test')) return sendManifest(response)
        const location = `https://${host.replace('registry.test', 'other.test')}/x`
        // So that it can be resumed by the time that the redirect is followed.
        response.writeHead(307, { Location: location }).end()
      },
      { tls: certificates },
    )
    const { upstream } = createTestUpstream(
      [server.url.replace('127.0.0.1', 'registry.test')],
      { ca: certificates.ca },
      { resolve: resolveTo('127.0.0.1') },
    )
    for (let round = 0; round < 2; round += 1) {
      const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
      expect(failure.message).toContain('for another name')
    }
    expect(server.requests.map(({ headers }) => headers.host?.split(':')[0])).not.toContain(
      'other.test',
    )
  })

  test('name and Host stay what they are when the address is checked', async () => {
    const server = await serve((_, response) => sendManifest(response), { tls: certificates })
    const port = new URL(server.url).port
    const { upstream } = createTestUpstream(
      [`https://registry.test:${port}`],
      { ca: certificates.ca },
      { resolve: resolveTo('127.0.0.1') },
    )
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(server.requests[0]?.headers.host).toBe(`registry.test:${port}`)
  })

  test('a server that never shakes hands is given up', async () => {
    const server = await serveSocket(() => undefined)
    const { upstream } = createTestUpstream([`https://${server.url}`], { timeouts: QUICK })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
    expect(failure.message).toContain('UND_ERR_CONNECT_TIMEOUT')
  })
})

describe('names', () => {
  test.each([
    ['one forbidden address among allowed ones', ['127.0.0.1', '127.0.0.2']],
    ['the metadata server', ['169.254.169.254']],
    ['an IPv4 address in disguise', ['::ffff:127.0.0.2']],
    ['no IP address', ['somewhere']],
    ['nothing', []],
  ])('a name that resolves to %s is not connected to', async (_, addresses) => {
    const allowed = await serve((__, response) => sendManifest(response))
    const { upstream } = createTestUpstream(
      [allowed.url.replace('127.0.0.1', 'registry.test')],
      {},
      { resolve: resolveTo(...addresses) },
    )
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
    expect(failure.message).toMatch(/^registry\.test has /)
    expect(allowed.connections()).toBe(0)
  })

  test('a name is resolved once, and the answer that was checked is used', async () => {
    const server = await serve((_, response) => sendManifest(response))
    const answers = [['127.0.0.1'], ['127.0.0.2']]
    const { upstream } = createTestUpstream(
      [server.url.replace('127.0.0.1', 'registry.test')],
      {},
      { resolve: () => resolveTo(...(answers.shift() ?? []))() },
    )
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(server.requests).toHaveLength(1)
    expect(answers).toHaveLength(1)
  })

  test('the next address is tried when one does not answer', async () => {
    const server = await serve((_, response) => sendManifest(response))
    const { upstream } = createTestUpstream(
      [server.url.replace('127.0.0.1', 'registry.test')],
      { networks: ['127.0.0.0/8'] },
      { resolve: resolveTo('127.0.0.3', '127.0.0.1') },
    )
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(server.requests).toHaveLength(1)
  })

  test('while the resolver hangs, it is not asked again for the same name', async () => {
    const server = await serve((_, response) => sendManifest(response))
    let calls = 0
    let answer: (addresses: LookupAddress[]) => void = () => undefined
    const { upstream } = createTestUpstream(
      [server.url.replace('127.0.0.1', 'registry.test')],
      {},
      {
        resolve: () => {
          calls++
          return new Promise((resolve) => (answer = resolve))
        },
      },
    )
    const heads = Array.from({ length: 10 }, () =>
      upstream.headManifest(REPOSITORY, TAG, patience()),
    )
    await until(() => calls > 0)
    answer(await resolveTo('127.0.0.1')())
    await Promise.all(heads)
    expect(calls).toBe(1)
  })

  test('a name that does not exist', async () => {
    const { upstream } = createTestUpstream(
      ['http://registry.test'],
      {},
      {
        resolve: () => Promise.reject(Object.assign(new Error('queryA'), { code: 'ENOTFOUND' })),
      },
    )
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
    expect(failure.message).toContain('cannot be resolved')
  })

  test('the system resolves names where nothing else is given', async () => {
    const server = await serve((_, response) => sendManifest(response))
    const { upstream } = createTestUpstream([server.url.replace('127.0.0.1', 'localhost')], {
      networks: ['127.0.0.0/8', '::1'],
    })
    const { digest } = await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(digest).toBe(DIGEST)
  })
})

describe('addresses and schemes of endpoints', () => {
  test('an endpoint on a network that is not named is not connected to', async () => {
    const server = await serve((_, response) => sendManifest(response))
    const { upstream, seen } = createTestUpstream([server.url], { networks: [] })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.message).toMatch(/^127\.0\.0\.1 is not public.*"networks"/)
    expect(server.connections()).toBe(0)
    expect(seen.failures).toEqual(['unavailable'])
  })

  test('IPv6', async () => {
    const server = await serve((_, response) => sendManifest(response), { host: '::1' })
    const url = server.url.replace('::1', '[::1]')
    const refused = createTestUpstream([url])
    const failure = await failureOf(refused.upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.message).toContain('::1 is not public')
    expect(server.connections()).toBe(0)
    const { upstream } = createTestUpstream([url], { networks: ['::1/128'] })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(server.requests).toHaveLength(1)
  })

  test('plain HTTP is not spoken unless it is meant', async () => {
    const server = await serve((_, response) => sendManifest(response))
    const { upstream } = createTestUpstream([server.url], { insecure: false })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.message).toContain('"insecure: true"')
    expect(server.connections()).toBe(0)
  })

  test.each(['u:secret@', ':secret@', 'secret@'])(
    'an endpoint with %s is not used',
    async (user) => {
      const server = await serve((_, response) => sendManifest(response))
      const { upstream } = createTestUpstream([server.url.replace('//', `//${user}`)])
      const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
      expect(failure.message).not.toContain('secret')
      expect(server.connections()).toBe(0)
    },
  )

  test('an authority that is none is told', async () => {
    const server = await serve((_, response) => sendManifest(response))
    const { upstream } = createTestUpstream([server.url.replace('http:', 'https:')], { ca: 'none' })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
  })

  test('a malformed endpoint or network is refused at once', () => {
    expect(() => createTestUpstream(['registry'])).toThrow(TypeError)
    expect(() => createTestUpstream(['http://x.test'], { networks: ['lan'] })).toThrow(TypeError)
  })
})
