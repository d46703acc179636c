import { getEventListeners } from 'node:events'
import type { Socket } from 'node:net'
import { inspect } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
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
    const failure = await failureOf(upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience()))
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
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
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
