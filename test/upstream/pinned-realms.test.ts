import { describe, expect, test } from 'vitest'
import {
  authorizationsOf,
  createTestUpstream,
  DIGEST,
  failureOf,
  patience,
  REPOSITORY,
  serve,
  TAG,
  type LoopbackServer,
} from './loopback.ts'
import {
  BASIC,
  bearerRegistry,
  credentials,
  guard,
  SCOPE,
  sendJson,
  sendManifest,
  serveWithTokens,
} from './registry.ts'

describe('protocol E-28: credentials go only to the endpoint and to pinned realms', () => {
  test('credentials reach the token server, the token reaches the registry, never otherwise', async () => {
    const auth = await serve((_, response) => sendJson(response, { token: 'T1' }))
    const server = await serve(bearerRegistry(() => `${auth.url}/token`))
    const { upstream } = createTestUpstream([server.url], { credentials, realms: [auth.host] })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(auth)).toEqual([BASIC])
    expect(authorizationsOf(server)).toEqual([undefined, 'Bearer T1'])
  })

  test.each([
    ['another port', (evil: LoopbackServer) => evil.url, 'under "realms"'],
    [
      'user information',
      (evil: LoopbackServer) => evil.url.replace('//', '//u:p@'),
      'credentials in its URL',
    ],
    ['no URL', () => 'token', 'not a URL'],
    ['another scheme', () => 'ftp://127.0.0.1/token', 'not HTTPS'],
  ])('nothing is sent to a realm with %s', async (_, realm, hint) => {
    const evil = await serve((__, response) => sendJson(response, { token: 'T1' }))
    const server = await serve(bearerRegistry(() => realm(evil)))
    for (const users of [credentials, []]) {
      const { upstream } = createTestUpstream([server.url], {
        credentials: users,
        realms: ['auth.test', evil.host.replace(/.$/, '')],
      })
      const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
      expect(failure.reason).toBe('unavailable')
      expect(failure.message).toContain(hint)
      expect(failure.message).not.toContain('u:p')
    }
    expect(evil.connections()).toBe(0)
    expect(authorizationsOf(server)).toEqual([undefined, undefined])
  })

  test('the message names what to pin', async () => {
    const server = await serve(bearerRegistry(() => 'https://auth.test:5001/token?account=secret'))
    const { upstream } = createTestUpstream([server.url])
    const { message } = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(message).toContain('add "auth.test:5001" under "realms"')
    expect(message).not.toContain('secret')
  })

  test('a token server may redirect on its own host', async () => {
    const auth = await serve((request, response) => {
      if (request.url?.startsWith('/new') === true) sendJson(response, { token: 'T1' })
      else response.writeHead(307, { Location: '/new' }).end()
    })
    const server = await serve(bearerRegistry(() => `${auth.url}/token`))
    const { upstream } = createTestUpstream([server.url], { credentials, realms: [auth.host] })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(auth)).toEqual([BASIC, BASIC])
  })

  test('credentials do not follow a redirect of the token server to another pinned host', async () => {
    const other = await serve((_, response) => sendJson(response, { token: 'T1' }))
    const auth = await serve((_, response) => {
      response.writeHead(307, { Location: `${other.url}/token` }).end()
    })
    const server = await serve(bearerRegistry(() => `${auth.url}/token`))
    const realms = [auth.host, other.host]
    const { upstream } = createTestUpstream([server.url], { credentials, realms })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(auth)).toEqual([BASIC])
    expect(authorizationsOf(other)).toEqual([undefined])
  })

  test('a redirect of the token server to a host that is not pinned is not followed', async () => {
    const evil = await serve((_, response) => sendJson(response, { token: 'T1' }))
    const auth = await serve((_, response) => {
      response.writeHead(307, { Location: `${evil.url}/token` }).end()
    })
    const server = await serve(bearerRegistry(() => `${auth.url}/token`))
    const { upstream } = createTestUpstream([server.url], { credentials, realms: [auth.host] })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.message).toContain(`add "${evil.host}" under "realms"`)
    expect(evil.connections()).toBe(0)
  })

  test('a token is for one endpoint, even where two name the same realm', async () => {
    const auth = await serve((_, response) => sendJson(response, { token: 'T1' }))
    const second = await serve(bearerRegistry(() => `${auth.url}/token`))
    const first = await serve((request, response) =>
      request.headers.authorization === undefined
        ? bearerRegistry(() => `${auth.url}/token`)(request, response)
        : response.writeHead(503).end(),
    )
    const realms = [auth.host]
    const { upstream, seen } = createTestUpstream([first.url, second.url], { realms })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(first)).toEqual([undefined, 'Bearer T1'])
    expect(authorizationsOf(second)).toEqual([undefined, 'Bearer T1'])
    expect(seen.tokens).toBe(2)
  })
})

describe('protocol E-27: another registry behind a redirect', () => {
  async function serveVanity(realm: 'pinned' | 'not pinned') {
    const real = await serveWithTokens((_, response) => sendJson(response, { token: 'T1' }))
    const vanity = await serveWithTokens(
      (_, response) => sendJson(response, { token: 'VANITY' }),
      (request, response) => {
        if (request.headers.authorization === undefined) {
          const challenge = `Bearer realm="${vanity.url}/token",scope="${SCOPE}"`
          response.writeHead(401, { 'WWW-Authenticate': challenge }).end()
        } else {
          response.writeHead(307, { Location: `${real.url}${request.url}` }).end()
        }
      },
    )
    const realms = realm === 'pinned' ? [real.host] : []
    return { real, vanity, ...createTestUpstream([vanity.url], { credentials, realms }) }
  }

  test('its own dance is done without our credentials', async () => {
    const { real, vanity, upstream } = await serveVanity('pinned')
    const { digest } = await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(digest).toBe(DIGEST)
    expect(authorizationsOf(vanity)).toEqual([undefined, BASIC, 'Bearer VANITY'])
    expect(authorizationsOf(real)).toEqual([undefined, undefined, 'Bearer T1'])
  })

  test('unless its realm is not pinned', async () => {
    const { real, upstream } = await serveVanity('not pinned')
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.message).toContain(`add "${real.host}" under "realms"`)
    expect(authorizationsOf(real)).toEqual([undefined])
  })

  test('it gets no credentials for a Basic challenge', async () => {
    const other = await serve(
      guard(
        () => 'Basic realm="x"',
        () => false,
      ),
    )
    const server = await serve((request, response) => {
      response.writeHead(307, { Location: `${other.url}${request.url}` }).end()
    })
    const { upstream } = createTestUpstream([server.url], { credentials, realms: [other.host] })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unauthorized')
    expect(authorizationsOf(other)).toEqual([undefined])
  })

  test('a redirect that leads back carries no credentials either', async () => {
    const other = await serve((_, response) => {
      response.writeHead(307, { Location: `${server.url}/elsewhere` }).end()
    })
    const server: LoopbackServer = await serve((request, response) => {
      if (request.url === '/elsewhere') return sendManifest(response)
      if (request.headers.authorization === BASIC) {
        return response.writeHead(307, { Location: `${other.url}/x` }).end()
      }
      return response.writeHead(401, { 'WWW-Authenticate': 'Basic' }).end()
    })
    const { upstream } = createTestUpstream([server.url], { credentials })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server)).toEqual([undefined, BASIC, undefined])
    expect(authorizationsOf(other)).toEqual([undefined])
  })
})
