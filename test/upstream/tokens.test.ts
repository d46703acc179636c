import type { RequestListener, ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { createTokens } from '../../src/upstream/tokens.ts'
import {
  createTestUpstream,
  failureOf,
  patience,
  REPOSITORY,
  TAG,
  until,
  type LoopbackServer,
} from './loopback.ts'
import { guard, sendJson, serveWithTokens } from './registry.ts'

/** A registry that accepts any token of its own token server. */
async function serveAnyToken(tokens: RequestListener) {
  const server: LoopbackServer = await serveWithTokens(
    tokens,
    guard(
      () => `Bearer realm="${server.url}/token"`,
      (authorization) => authorization !== undefined,
    ),
  )
  return server
}

describe('sharing', () => {
  test('fifty callers cause one token request', async () => {
    const waiting: ServerResponse[] = []
    const server = await serveAnyToken((_, response) => void waiting.push(response))
    const { upstream, seen } = createTestUpstream([server.url])
    const heads = Array.from({ length: 50 }, () =>
      upstream.headManifest(REPOSITORY, TAG, patience()),
    )
    await until(() => server.requests.length === 51)
    for (const response of waiting) sendJson(response, { token: 'T' })
    await Promise.all(heads)
    expect(waiting).toHaveLength(1)
    expect(seen.tokens).toBe(1)
    expect(server.requests).toHaveLength(101)
  })

  test('a failure is told to all who wait, and not remembered', async () => {
    const waiting: ServerResponse[] = []
    const server = await serveAnyToken((_, response) => void waiting.push(response))
    const { upstream, seen } = createTestUpstream([server.url])
    const heads = Array.from({ length: 5 }, () =>
      failureOf(upstream.headManifest(REPOSITORY, TAG, patience())),
    )
    await until(() => server.requests.length === 6)
    for (const response of waiting.splice(0)) response.writeHead(500).end()
    const failures = await Promise.all(heads)
    expect(failures.map(({ reason }) => reason)).toEqual(Array(5).fill('unavailable'))
    expect(seen.tokens).toBe(1)

    const later = upstream.headManifest(REPOSITORY, TAG, patience())
    await until(() => waiting.length === 1)
    for (const response of waiting) sendJson(response, { token: 'T' })
    await later
    expect(seen.tokens).toBe(2)
  })

  test('who gives up leaves the others alone', async () => {
    const waiting: ServerResponse[] = []
    const server = await serveAnyToken((_, response) => void waiting.push(response))
    const { upstream } = createTestUpstream([server.url])
    const impatience = new AbortController()
    const first = upstream.headManifest(REPOSITORY, TAG, impatience.signal)
    const second = upstream.headManifest(REPOSITORY, TAG, patience())
    await until(() => server.requests.length === 3)
    const reason = new Error('the client left')
    impatience.abort(reason)
    await expect(first).rejects.toBe(reason)
    for (const response of waiting) sendJson(response, { token: 'T' })
    await second
    expect(waiting).toHaveLength(1)
  })
})

test('who has given up already waits for nothing', async () => {
  const tokens = createTokens(
    { name: 'registry.test', timeouts: { connect: 1000, firstByte: 1000, idle: 1000 } },
    {
      transport: {
        request: () => new Promise(() => undefined),
        close: () => Promise.resolve(),
      },
      metrics: { tokenRequested: () => undefined },
      now: () => 0,
    },
  )
  const reason = new Error('the client left')
  const request = {
    origin: 'https://registry.test',
    realm: new URL('https://registry.test/token'),
    realmRule: { endpoint: undefined, realms: [], insecure: false },
    service: undefined,
    scope: 'repository:x:pull',
    account: 'anonymous',
    identities: undefined,
  }
  await expect(tokens.obtain(request, AbortSignal.abort(reason))).rejects.toBe(reason)
})

describe('life of a token', () => {
  test.each([
    ['expires_in', { expires_in: 300 }, 270],
    ['nothing said: a minute', {}, 54],
    ['less than a minute is a minute', { expires_in: 5 }, 54],
    ['a number in a string', { expires_in: '300' }, 270],
    ['no number', { expires_in: 'soon' }, 54],
    ['null', { expires_in: null }, 54],
    ['negative', { expires_in: -1 }, 54],
    ['for ever is a day', { expires_in: 1e300 }, 77_760],
    ['a clock in another year', { expires_in: 300, issued_at: '1999-01-01T00:00:00Z' }, 270],
  ])('%s', async (_, answer, seconds) => {
    let time = 1_000_000
    const server = await serveAnyToken((__, response) =>
      sendJson(response, { token: 'T', ...answer }),
    )
    const { upstream, seen } = createTestUpstream([server.url], {}, { now: () => time })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    time += seconds * 1000 - 1
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(seen.tokens).toBe(1)
    time += 1
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(seen.tokens).toBe(2)
  })
})

describe('answers of token servers', () => {
  test.each([
    ['token', { token: 'T' }, 'application/json'],
    ['access_token', { access_token: 'T' }, 'application/json'],
    ['both', { token: 'T', access_token: 'U' }, 'application/json'],
    ['an empty token beside the other', { token: '', access_token: 'T' }, 'application/json'],
    ['nvcr.io: text', { token: 'T' }, 'text/plain'],
  ])('%s', async (_, answer, contentType) => {
    const server = await serveAnyToken((__, response) =>
      sendJson(response, answer, 200, contentType),
    )
    const { upstream } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(server.requests.at(-1)?.headers.authorization).toBe('Bearer T')
  })

  test.each([
    ['no token', '{}'],
    ['no JSON', '<html>welcome to the hotel</html>'],
    ['no object', '"secret"'],
    ['null', 'null'],
    ['a token that is no text', '{"token":{"secret":1}}'],
    ['a token that would be two headers', '{"token":"secret\\r\\nX-Evil: 1"}'],
    ['a token of several words', '{"token":"secret secret"}'],
  ])('%s: unavailable, and quoted nowhere', async (_, body) => {
    const server = await serveAnyToken((__, response) => response.writeHead(200).end(body))
    const { upstream } = createTestUpstream([server.url])
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
    expect(`${failure.stack} ${String(failure.cause)}`).not.toMatch(/secret|hotel/)
    expect(server.requests).toHaveLength(2)
  })

  test.each([
    [401, 'unauthorized'],
    [403, 'forbidden'],
    [429, 'rate-limited'],
    [400, 'unavailable'],
    [404, 'unavailable'],
    [500, 'unavailable'],
    [503, 'unavailable'],
  ])('%d means %s', async (status, reason) => {
    const server = await serveAnyToken((_, response) =>
      response.writeHead(status, { 'Retry-After': '7' }).end('{"errors":[{"code":"DENIED"}]}'),
    )
    for (const credentials of [[], [{ username: 'someone', password: 'secret' }]]) {
      const { upstream, seen } = createTestUpstream([server.url], { credentials })
      const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
      expect(failure.reason).toBe(reason)
      expect(failure.message).not.toContain('secret')
      expect(failure.retryAfter).toBe(status === 429 ? 7 : undefined)
      expect(seen.failures).toEqual([reason])
    }
  })

  test('more than 64 KiB is refused', async () => {
    const token = 'x'.repeat(64 * 1024)
    const server = await serveAnyToken((_, response) => sendJson(response, { token }))
    const { upstream } = createTestUpstream([server.url])
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('corrupt')
  })

  test('a server that sends us round slowly is given up', async () => {
    const server = await serveAnyToken((request, response) => {
      const timer = setTimeout(() => {
        response.writeHead(307, { Location: `${request.url}x` }).end()
      }, 100)
      response.on('close', () => clearTimeout(timer))
    })
    const timeouts = { connect: 50, firstByte: 200, idle: 50 }
    const { upstream } = createTestUpstream([server.url], { timeouts })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.message).toContain('gave no token in 300 ms')
  })

  test.each([
    ['headers', false],
    ['an end', true],
  ])('a server without %s is given up', async (_, sendsHeaders) => {
    const server = await serveAnyToken((__, response) => {
      if (!sendsHeaders) return
      response.writeHead(200)
      const drip = setInterval(() => response.write(' '), 10)
      response.on('close', () => clearInterval(drip))
    })
    const timeouts = { connect: 50, firstByte: 100, idle: 150 }
    const { upstream } = createTestUpstream([server.url], { timeouts })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
    await until(() => server.open() <= 1)
  })
})
