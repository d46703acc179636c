import type { RequestListener } from 'node:http'
import { text } from 'node:stream/consumers'
import { beforeAll, describe, expect, test } from 'vitest'
import { createCertificates, type Certificates } from './certificates.ts'
import {
  authorizationsOf,
  createTestUpstream,
  DIGEST,
  failureOf,
  patience,
  REPOSITORY,
  serve,
  TAG,
  until,
  type LoopbackServer,
} from './loopback.ts'
import { sendManifest } from './registry.ts'

const PATH = '/v2/library/alpine/manifests/latest'
const credentials = [{ username: 'someone', password: 'secret' }]

/** Redirects what is asked for under /v2/, serves a manifest everywhere else. */
function redirect(location: () => string | string[], status = 307): RequestListener {
  return (request, response) => {
    if (request.url?.startsWith('/v2/') !== true) return sendManifest(response)
    return response.writeHead(status, { Location: location() }).end('Moved.')
  }
}

describe('protocol E-27: redirects', () => {
  test.each([
    ['an absolute path', '/x/y?sig=a%2Fb', '/x/y?sig=a%2Fb'],
    ['a relative path', '../../../../x?y', '/x?y'],
    ['only a query', '../../../../?y#z', '/?y'],
  ])('%s', async (_, location, expected) => {
    const server = await serve(redirect(() => location))
    const { upstream, seen } = createTestUpstream([server.url])
    const { digest } = await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(digest).toBe(DIGEST)
    expect(server.requests.map(({ url }) => url)).toEqual([PATH, expected])
    expect(seen.requests).toBe(2)
  })

  test.each([301, 302, 303, 307, 308])('%d keeps the method', async (status) => {
    const server = await serve(redirect(() => '/x', status))
    const { upstream } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    await upstream.getManifest(REPOSITORY, TAG, patience())
    expect(server.requests.map(({ method }) => method)).toEqual(['HEAD', 'HEAD', 'GET', 'GET'])
  })

  test.each([300, 304, 305])('%d is no redirect', async (status) => {
    const server = await serve(redirect(() => '/x', status))
    const { upstream } = createTestUpstream([server.url])
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('corrupt')
    expect(server.requests).toHaveLength(1)
  })

  test('another host gets nothing that identifies us, and the range', async () => {
    const cdn = await serve((_, response) => {
      response.writeHead(206, { 'Content-Range': 'bytes 3-4/5' }).end('de')
    })
    const server = await serve((request, response) => {
      if (request.headers.authorization === undefined) {
        return response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()
      }
      const location = `//${cdn.host}/blob?X-Amz-Signature=1`
      return response.writeHead(307, { Location: location, 'Set-Cookie': 'a=b' }).end()
    })
    const { upstream } = createTestUpstream([server.url], { credentials })
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 3 }, patience())
    expect(await text(blob.body)).toBe('de')
    expect(cdn.requests.map(({ url }) => url)).toEqual(['/blob?X-Amz-Signature=1'])
    expect(cdn.requests[0]?.headers).toEqual({
      host: cdn.host,
      connection: 'keep-alive',
      accept: '*/*',
      'accept-encoding': 'identity',
      range: 'bytes=3-',
      'user-agent': expect.stringMatching(/^entrepot\/\d+\.\d+\.\d+/) as string,
    })
    expect(server.requests[1]?.headers).toEqual({
      ...cdn.requests[0]?.headers,
      host: server.host,
      authorization: expect.stringMatching(/^Basic /) as string,
    })
  })

  test('the same host keeps the authorization, another port of it does not get it', async () => {
    const neighbour = await serve((_, response) => sendManifest(response))
    const server = await serve((request, response) => {
      if (request.headers.authorization === undefined) {
        return response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()
      }
      const location = request.url === '/here' ? neighbour.url : '/here'
      return response.writeHead(302, { Location: location }).end()
    })
    const { upstream } = createTestUpstream([server.url], { credentials })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    const basic = expect.stringMatching(/^Basic /) as string
    expect(authorizationsOf(server)).toEqual([undefined, basic, basic])
    expect(authorizationsOf(neighbour)).toEqual([undefined])
  })

  test('five are followed, not six', async () => {
    let last = 5
    const server = await serve((request, response) => {
      const count = Number(request.url?.slice(1)) || 0
      if (count >= last) return sendManifest(response)
      return response.writeHead(307, { Location: `/${count + 1}` }).end()
    })
    const { upstream } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(server.requests).toHaveLength(6)
    last = 6
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('corrupt')
    expect(server.requests).toHaveLength(12)
  })

  test('a loop over two hosts ends', async () => {
    const one: LoopbackServer = await serve(redirect(() => `${other.url}${PATH}`))
    const other = await serve(redirect(() => `${one.url}${PATH}`))
    const { upstream, seen } = createTestUpstream([one.url])
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('corrupt')
    expect(one.requests.length + other.requests.length).toBe(6)
    expect(seen.failures).toEqual(['corrupt'])
  })

  test.each([
    ['no Location', []],
    ['no URL', 'http://[/?secret'],
    ['user information', 'http://u:secret@127.0.0.1/'],
    ['a password alone', 'http://:secret@127.0.0.1/'],
    ['ftp', 'ftp://127.0.0.1/secret'],
    ['a file', 'file:///etc/secret'],
    ['two of them', ['/a?secret', '/b?secret']],
  ])('%s is refused', async (_, location) => {
    const server = await serve(redirect(() => location))
    const { upstream } = createTestUpstream([server.url])
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('corrupt')
    expect(`${failure.stack} ${String(failure.cause)}`).not.toContain('secret')
    expect(server.requests).toHaveLength(1)
  })

  test.each([
    ['fails', (): RequestListener => (_, response) => response.writeHead(500).end()],
    ['refuses', (): RequestListener => (_, response) => response.writeHead(403).end()],
    ['hangs up', (): RequestListener => (request) => request.socket.destroy()],
    ['speaks nonsense', (): RequestListener => (request) => request.socket.end('secret\r\n\r\n')],
  ])('a signed URL is in no message when its host %s', async (_, listener) => {
    const cdn = await serve(listener())
    const server = await serve(redirect(() => `${cdn.url}/blob?X-Amz-Signature=secret`))
    const { upstream } = createTestUpstream([server.url])
    const failure = await failureOf(upstream.getManifest(REPOSITORY, TAG, patience()))
    expect(`${failure.stack} ${JSON.stringify(failure.cause)}`).not.toContain('secret')
    expect(cdn.requests).toHaveLength(1)
  })

  test('the connection is used again for a redirect on the same host', async () => {
    const server = await serve(redirect(() => '/x'))
    const { upstream } = createTestUpstream([server.url])
    await upstream.getManifest(REPOSITORY, TAG, patience())
    expect(server.requests).toHaveLength(2)
    expect(server.connections()).toBe(1)
  })

  test('a redirect with a large body, or one without end, is not waited for', async () => {
    for (const length of [1_000_000, undefined]) {
      const server = await serve((request, response) => {
        if (request.url?.startsWith('/v2/') !== true) return sendManifest(response)
        if (length !== undefined) response.setHeader('Content-Length', length)
        return response.writeHead(307, { Location: '/x' }).write('Moved.')
      })
      const { upstream } = createTestUpstream([server.url])
      const { digest } = await upstream.getManifest(REPOSITORY, TAG, patience())
      expect(digest).toBe(DIGEST)
      await until(() => server.open() <= 1)
    }
  })
})

describe('addresses behind redirects', () => {
  test.each([
    ['127.0.0.2', '127.0.0.2'],
    ['127.2', '127.0.0.2'],
    ['2130706434', '127.0.0.2'],
    ['0x7f.0.0.2', '127.0.0.2'],
    ['017700000002', '127.0.0.2'],
    ['[::ffff:127.0.0.2]', '127.0.0.2'],
    ['[0:0:0:0:0:FFFF:7f00:2]', '127.0.0.2'],
    ['127。0。0。2', '127.0.0.2'],
    ['0', '127.0.0.1'],
  ])('nothing is sent to %s', async (spelling, host) => {
    const sentinel = await serve((_, response) => sendManifest(response), { host })
    const port = new URL(sentinel.url).port
    const server = await serve(
      redirect(() =>
        encodeURI(`http://${spelling}:${port}/`).replaceAll('%5B', '[').replaceAll('%5D', ']'),
      ),
    )
    const { upstream, seen } = createTestUpstream([server.url])
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
    expect(failure.message).toContain('"networks"')
    expect(sentinel.connections()).toBe(0)
    expect(seen.failures).toEqual(['unavailable'])
  })
})

describe('with TLS', () => {
  let certificates: Certificates
  beforeAll(async () => {
    certificates = await createCertificates(['IP:127.0.0.1'])
  })

  test('a redirect to plain HTTP is refused, even where plain HTTP is meant', async () => {
    const plain = await serve((_, response) => sendManifest(response))
    const server = await serve(
      redirect(() => plain.url),
      { tls: certificates },
    )
    const { upstream } = createTestUpstream([server.url], { ca: certificates.ca, insecure: true })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('corrupt')
    expect(plain.connections()).toBe(0)
  })

  test('a redirect from plain HTTP to HTTPS is followed', async () => {
    const tls = await serve((_, response) => sendManifest(response), { tls: certificates })
    const server = await serve(redirect(() => `${tls.url}/x`))
    const { upstream } = createTestUpstream([server.url], { ca: certificates.ca })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(tls.requests).toHaveLength(1)
  })
})
