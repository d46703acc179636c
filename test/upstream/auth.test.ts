import { describe, expect, test } from 'vitest'
import { parseRepository } from '../../src/oci/reference.ts'
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
import { BASIC, credentials, guard, SCOPE, sendJson, serveWithTokens } from './registry.ts'

function tokenRequestsOf(server: LoopbackServer) {
  return server.requests.filter(({ url }) => url.startsWith('/token'))
}

describe('the token dance', () => {
  test('asks bare, gets a token with the service and scope of the challenge, asks again', async () => {
    const server = await serveWithTokens((_, response) => sendJson(response, { token: 'T1' }))
    const { upstream, seen } = createTestUpstream([server.url])
    const head = await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(head.digest).toBe(DIGEST)
    expect(server.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'HEAD /v2/library/alpine/manifests/latest',
      `GET /token?service=test+service&scope=${encodeURIComponent(SCOPE)}`,
      'HEAD /v2/library/alpine/manifests/latest',
    ])
    expect(authorizationsOf(server)).toEqual([undefined, undefined, 'Bearer T1'])
    expect(seen).toMatchObject({ requests: 3, tokens: 1, failures: [] })
  })

  test('uses a known token at once', async () => {
    const server = await serveWithTokens((_, response) => sendJson(response, { token: 'T1' }))
    const { upstream } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    await upstream.getManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server).slice(3)).toEqual(['Bearer T1'])
  })

  test('another repository has a token of its own', async () => {
    const server = await serveWithTokens(
      (request, response) => {
        const scope = new URL(request.url ?? '', 'http://x').searchParams.get('scope') ?? ''
        sendJson(response, { token: scope.replaceAll(/[:/]/g, '-') })
      },
      guard(
        ({ url = '' }) =>
          `Bearer realm="${server.url}/token",scope="repository:${url.split('/')[2]}:pull"`,
        (authorization, { url = '' }) =>
          authorization === `Bearer repository-${url.split('/')[2]}-pull`,
      ),
    )
    const { upstream, seen } = createTestUpstream([server.url])
    for (const name of ['one', 'two', 'one', 'two']) {
      await upstream.headManifest(parseRepository(name), TAG, patience())
    }
    expect(seen.tokens).toBe(2)
    expect(server.requests).toHaveLength(8)
  })

  test.each([
    ['no scope', '', SCOPE],
    ['an empty scope', ',scope=""', SCOPE],
    ['public.ecr.aws', ',scope="aws"', 'aws'],
  ])('%s', async (_, parameter, scope) => {
    const server = await serveWithTokens(
      (__, response) => sendJson(response, { token: 'T1' }),
      guard(
        () => `Bearer realm="${server.url}/token"${parameter}`,
        (authorization) => authorization === 'Bearer T1',
      ),
    )
    const { upstream } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    const [request] = tokenRequestsOf(server)
    const query = new URL(request?.url ?? '', server.url).searchParams
    expect([...query]).toEqual([['scope', scope]])
  })

  test('keeps the query of the realm', async () => {
    const server = await serveWithTokens(
      (_, response) => sendJson(response, { token: 'T1' }),
      guard(
        () => `Bearer realm="${server.url}/token?service=registry&x=1#y",scope="s"`,
        (authorization) => authorization === 'Bearer T1',
      ),
    )
    const { upstream } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(tokenRequestsOf(server)[0]?.url).toBe('/token?service=registry&x=1&scope=s')
  })

  test('prefers Bearer among several challenges, wherever it stands', async () => {
    const server = await serveWithTokens(
      (_, response) => sendJson(response, { token: 'T1' }),
      guard(
        () => ['Negotiate', 'Basic realm="x", Bearer', `Bearer realm="${server.url}/token"`],
        (authorization) => authorization === 'Bearer T1',
      ),
    )
    const { upstream } = createTestUpstream([server.url], { credentials })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server)).toEqual([undefined, BASIC, 'Bearer T1'])
  })

  test('gcr.io: 401 without a challenge, the ping has it', async () => {
    const server = await serveWithTokens(
      (_, response) => sendJson(response, { token: 'T1' }),
      guard(
        ({ url }) => (url === '/v2/' ? `Bearer realm="${server.url}/token"` : undefined),
        (authorization) => authorization === 'Bearer T1',
      ),
    )
    const { upstream } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(server.requests.map(({ url }) => url.split('?')[0])).toEqual([
      '/v2/library/alpine/manifests/latest',
      '/v2/',
      '/token',
      '/v2/library/alpine/manifests/latest',
    ])
  })

  test('401 without a challenge anywhere is the answer', async () => {
    const server = await serve((request, response) => {
      response.writeHead(request.url === '/v2/' ? 200 : 401).end()
    })
    const { upstream } = createTestUpstream([server.url], { credentials })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unauthorized')
    expect(authorizationsOf(server)).toEqual([undefined, undefined])
  })

  test('protocol E-30: a token that opens nothing means private or missing on docker.io', async () => {
    const server = await serveWithTokens(
      (_, response) => sendJson(response, { token: 'T1' }),
      guard(
        ({ headers }) =>
          `Bearer realm="${server.url}/token",scope="${SCOPE}"${headers.authorization ? ',error="insufficient_scope"' : ''}`,
        () => false,
      ),
    )
    const { upstream, seen } = createTestUpstream([server.url])
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unauthorized')
    expect(authorizationsOf(server)).toEqual([undefined, undefined, 'Bearer T1'])
    expect(seen.failures).toEqual(['unauthorized'])
  })

  test('a scope that was missing is asked for once, exactly as named', async () => {
    const wider = `${SCOPE} repository:base/image:pull`
    const server = await serveWithTokens(
      (request, response) => {
        const scope = new URL(request.url ?? '', 'http://x').searchParams.get('scope')
        sendJson(response, { token: scope === wider ? 'WIDE' : 'NARROW' })
      },
      guard(
        ({ headers }) =>
          headers.authorization === undefined
            ? `Bearer realm="${server.url}/token",scope="${SCOPE}"`
            : `Bearer realm="https://elsewhere.test/",scope="${wider}",error="Insufficient_Scope"`,
        (authorization) => authorization === 'Bearer WIDE',
      ),
    )
    const { upstream } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server)).toEqual([
      undefined,
      undefined,
      'Bearer NARROW',
      undefined,
      'Bearer WIDE',
      'Bearer WIDE',
    ])
  })

  test('an upstream that always wants more ends after one more round', async () => {
    let round = 0
    const server = await serveWithTokens(
      (_, response) => sendJson(response, { token: `T${++round}` }),
      guard(
        () => `Bearer realm="${server.url}/token",scope="s${round}",error="insufficient_scope"`,
        () => false,
      ),
    )
    const { upstream } = createTestUpstream([server.url])
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unauthorized')
    expect(server.requests).toHaveLength(5)
  })
})

describe('protocol E-29: a token that upstream no longer takes', () => {
  test('is dropped, and the first challenge is asked for again', async () => {
    let valid = 'T1'
    const server = await serveWithTokens(
      (_, response) => sendJson(response, { token: valid }),
      guard(
        ({ headers }) =>
          headers.authorization === undefined
            ? `Bearer realm="${server.url}/token"`
            : `Bearer realm="https://authn.test/token",service="registry",error="invalid_token"`,
        (authorization) => authorization === `Bearer ${valid}`,
      ),
    )
    const { upstream } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    valid = 'T2'
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server).slice(3)).toEqual([
      'Bearer T1',
      undefined,
      undefined,
      'Bearer T2',
    ])
  })

  test('a registry that has become public is used bare', async () => {
    let open = false
    const server = await serveWithTokens(
      (_, response) => sendJson(response, { token: 'T1' }),
      guard(
        () => `Bearer realm="${server.url}/token"`,
        (authorization) => (open ? authorization === undefined : authorization === 'Bearer T1'),
      ),
    )
    const { upstream } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    open = true
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server).slice(3)).toEqual(['Bearer T1', undefined])
  })

  test('dropping an old token does not drop the one that took its place', async () => {
    let valid = 'T1'
    let held: (() => void) | undefined
    const server = await serveWithTokens(
      (_, response) => sendJson(response, { token: valid }),
      (request, response) => {
        const answer = (): void =>
          guard(
            () => `Bearer realm="${server.url}/token"`,
            (authorization) => authorization === `Bearer ${valid}`,
          )(request, response)
        // The first request with the old token is answered last.
        if (valid === 'T2' && request.headers.authorization === 'Bearer T1' && held === undefined) {
          held = answer
        } else {
          answer()
        }
      },
    )
    const { upstream, seen } = createTestUpstream([server.url])
    await upstream.headManifest(REPOSITORY, TAG, patience())
    valid = 'T2'
    const slow = upstream.headManifest(REPOSITORY, TAG, patience())
    await until(() => held !== undefined)
    await upstream.headManifest(REPOSITORY, TAG, patience())
    held?.()
    await slow
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(seen.tokens).toBe(2)
  })
})

describe('Basic', () => {
  test('answers a Basic challenge, then is sent at once, also for other repositories', async () => {
    const server = await serve(
      guard(
        () => 'Basic realm="registry"',
        (authorization) => authorization === BASIC,
      ),
    )
    const { upstream } = createTestUpstream([server.url], { credentials })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    await upstream.headManifest(parseRepository('other'), TAG, patience())
    expect(authorizationsOf(server)).toEqual([undefined, BASIC, BASIC])
  })

  test('without credentials the 401 is the answer', async () => {
    const server = await serve(
      guard(
        () => 'Basic realm="registry"',
        () => false,
      ),
    )
    const { upstream } = createTestUpstream([server.url])
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unauthorized')
    expect(server.requests).toHaveLength(1)
  })

  test('credentials that are refused are not sent again and again', async () => {
    let open = true
    const server = await serve(
      guard(
        () => 'Basic realm="registry"',
        (authorization) => open && authorization === BASIC,
      ),
    )
    const { upstream } = createTestUpstream([server.url], { credentials })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    open = false
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unauthorized')
    expect(failure.message).not.toContain('wörd')
    expect(authorizationsOf(server).slice(2)).toEqual([BASIC, undefined, BASIC])
  })

  test('an unknown scheme is no reason to send anything', async () => {
    const server = await serve(
      guard(
        () => 'Digest realm="registry",nonce="x"',
        () => false,
      ),
    )
    const { upstream } = createTestUpstream([server.url], { credentials })
    await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(authorizationsOf(server)).toEqual([undefined])
  })
})
