import { getEventListeners } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { LookupAddress } from 'node:dns'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createCertificates, type Certificates } from './certificates.ts'
import {
  createTestUpstream,
  DIGEST,
  failureOf,
  listen,
  patience,
  REPOSITORY,
  serve,
  TAG,
  until,
} from './loopback.ts'
import { sendManifest } from './registry.ts'

/** A server below HTTP. */
async function serveSocket(handle: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    handle(socket)
  })
  const count = await listen(server)
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `127.0.0.1:${(server.address() as AddressInfo).port}`, ...count }
}

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

function resolveTo(...addresses: string[]) {
  return (): Promise<LookupAddress[]> =>
    Promise.resolve(
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
}

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

describe('a server that', () => {
  test.each<[string, (socket: Socket) => void, string]>([
    ['says nothing', () => undefined, 'unavailable'],
    ['closes the connection', (socket) => socket.end(), 'unavailable'],
    ['resets the connection', (socket) => socket.resetAndDestroy(), 'unavailable'],
    ['speaks another protocol', (socket) => socket.end('SSH-2.0-secret\r\n'), 'unavailable'],
    [
      'sends 100 out of the blue',
      (socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n'),
      'unavailable',
    ],
    [
      'sends too many headers',
      (socket) => socket.write(`HTTP/1.1 200 OK\r\nA: ${'x'.repeat(16 * 1024)}\r\n\r\n`),
      'corrupt',
    ],
    [
      'sends two lengths',
      (socket) =>
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n{}'),
      'unavailable',
    ],
    [
      'hints for ever',
      (socket) => {
        const timer = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'), 10)
        socket.on('close', () => clearInterval(timer))
      },
      'unavailable',
    ],
    [
      'sends headers for ever',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n')
        const timer = setInterval(() => socket.write('A: b\r\n'), 10)
        socket.on('close', () => clearInterval(timer))
      },
      'unavailable',
    ],
  ])('%s', async (_, handle, reason) => {
    const server = await serveSocket((socket) => void socket.once('data', () => handle(socket)))
    const { upstream } = createTestUpstream([`http://${server.url}`], { timeouts: QUICK })
    const failure = await failureOf(upstream.getManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe(reason)
    expect(failure.message).toContain(server.url)
    expect(inspect(failure, { depth: 9 })).not.toContain('secret')
    await until(() => server.open() === 0)
  })

  test('refuses connections', async () => {
    const { upstream } = createTestUpstream(['http://127.0.0.1:1'])
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
    expect(failure.message).toContain('refuses connections (ECONNREFUSED)')
  })

  test('sends headers that objects have', async () => {
    const server = await serveSocket((socket) => {
      const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
      const lines = names.flatMap((name) => [`${name}: 1`, `${name}: 2`])
      socket.write(`HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\nContent-Length: 2\r\n\r\n{}`)
    })
    const { upstream } = createTestUpstream([`http://${server.url}`])
    const { bytes } = await upstream.getManifest(REPOSITORY, TAG, patience())
    expect(bytes.toString()).toBe('{}')
  })
})

describe('after a failed connection', () => {
  test('no other is tried to that origin for a second', async () => {
    let time = 0
    let addresses = ['127.0.0.3']
    const server = await serve((_, response) => sendManifest(response))
    const { upstream, seen } = createTestUpstream(
      [server.url.replace('127.0.0.1', 'registry.test')],
      { networks: ['127.0.0.0/8'] },
      { now: () => time, resolve: () => resolveTo(...addresses)() },
    )
    const first = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(first.message).toContain('ECONNREFUSED')
    addresses = ['127.0.0.1']
    time = 999
    const second = await failureOf(upstream.headBlob(REPOSITORY, DIGEST, patience()))
    expect(second.reason).toBe('unavailable')
    expect(second.message).toBe(
      `No connection to ${server.url.replace('127.0.0.1', 'registry.test')} could be made a moment ago.`,
    )
    expect(seen).toMatchObject({ requests: 1, failures: ['unavailable', 'unavailable'] })
    time = 1000
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(server.requests).toHaveLength(1)
  })

  test('another origin is not affected: manifests come while the blob host is down', async () => {
    const server = await serve((request, response) => {
      if (request.url?.includes('/manifests/') === true) return sendManifest(response)
      return response.writeHead(307, { Location: 'http://127.0.0.1:1/' }).end()
    })
    const { upstream } = createTestUpstream([server.url])
    const failure = await failureOf(upstream.getBlob(REPOSITORY, DIGEST, 0, patience()))
    expect(failure.message).toContain('ECONNREFUSED')
    const { digest } = await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(digest).toBe(DIGEST)
  })

  test('failures after the connection refuse nobody', async () => {
    const server = await serve((request) => request.socket.destroy())
    const { upstream } = createTestUpstream([server.url])
    await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(server.requests).toHaveLength(2)
  })
})

test('many requests may share a signal, and leave nothing on it', async () => {
  const warnings: Error[] = []
  const listener = (warning: Error): void => void warnings.push(warning)
  process.on('warning', listener)
  onTestFinished(() => void process.off('warning', listener))
  const server = await serve((_, response) => sendManifest(response))
  const { upstream } = createTestUpstream([server.url])
  const { signal } = new AbortController()
  await Promise.all(Array.from({ length: 20 }, () => upstream.getManifest(REPOSITORY, TAG, signal)))
  await until(() => getEventListeners(signal, 'abort').length === 0)
  expect(warnings).toEqual([])
})

describe('a caller that gives up', () => {
  test('before anything was sent', async () => {
    const server = await serve((_, response) => sendManifest(response))
    const { upstream, seen } = createTestUpstream([server.url])
    const reason = new Error('never mind')
    await expect(upstream.headManifest(REPOSITORY, TAG, AbortSignal.abort(reason))).rejects.toBe(
      reason,
    )
    expect(server.connections()).toBe(0)
    expect(seen).toMatchObject({ requests: 0, failures: [] })
  })

  test.each([
    ['before the headers', false],
    ['in the middle of a manifest', true],
  ])('%s', async (_, sendsHeaders) => {
    const server = await serve((__, response) => {
      if (sendsHeaders) response.writeHead(200, { 'Content-Length': 100 }).write('{')
    })
    const { upstream, seen } = createTestUpstream([server.url])
    const controller = new AbortController()
    const pending = upstream.getManifest(REPOSITORY, TAG, controller.signal)
    await until(() => (sendsHeaders ? seen.bytes > 0 : server.requests.length > 0))
    const reason = new Error('never mind')
    controller.abort(reason)
    await expect(pending).rejects.toBe(reason)
    await until(() => server.open() === 0)
    expect(seen.failures).toEqual([])
  })
})

describe('close', () => {
  test('lets a running transfer end', async () => {
    let finish: () => void = () => undefined
    const server = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': 2 }).write('{')
      finish = () => response.end('}')
    })
    const { upstream, seen } = createTestUpstream([server.url])
    const pending = upstream.getManifest(REPOSITORY, TAG, patience())
    await until(() => seen.bytes > 0)
    const closed = upstream.close()
    finish()
    const { bytes } = await pending
    expect(bytes.toString()).toBe('{}')
    await closed
    await until(() => server.open() === 0)
  })

  test('cuts a transfer that does not end, and refuses further ones', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': 2 }).write('{')
    })
    const timeouts = { connect: 1000, firstByte: 1000, idle: 60_000 }
    const { upstream } = createTestUpstream([server.url], { timeouts })
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, 0, patience())
    const cut = new Promise((resolve) => blob.body.on('error', resolve))
    blob.body.resume()
    await upstream.close()
    expect(await cut).toMatchObject({ name: 'UpstreamError', reason: 'unavailable' })
    await until(() => server.open() === 0)
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
  })

  test('can be called twice', async () => {
    const { upstream } = createTestUpstream(['http://127.0.0.1:1'])
    await expect(Promise.all([upstream.close(), upstream.close()])).resolves.toBeDefined()
    await expect(upstream.close()).resolves.toBeUndefined()
  })
})
