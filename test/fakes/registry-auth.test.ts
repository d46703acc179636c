import { describe, expect, it } from 'vitest'
import { request } from '../support/client.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { createGate } from './gate.ts'
import { buildImage } from './images.ts'
import type { TokenAuth } from './registry-auth.ts'
import { type FakeRegistry, startRegistry } from './registry.ts'
import { startSink } from './sink.ts'
import { startTokenServer } from './token-server.ts'

const PATH = '/v2/app/manifests/v1'
const SCOPE = 'repository:app:pull'

async function startWith(auth: Omit<TokenAuth, 'kind'>): Promise<FakeRegistry> {
  const registry = await startRegistry({ auth: { kind: 'token', ...auth } })
  registry.push('app', 'v1', buildImage({ seed: 'auth' }))
  return registry
}

interface Asked {
  readonly status: number
  readonly challenge: string | undefined
}

async function ask(registry: FakeRegistry, authorization?: string, path = PATH): Promise<Asked> {
  const headers = authorization === undefined ? {} : { authorization }
  const got = await request({ url: registry.url, path, headers })
  return { status: got.status, challenge: got.headers['www-authenticate'] }
}

async function fetchToken(
  registry: FakeRegistry,
  query: string,
  credentials?: string,
): Promise<{ status: number; json: Record<string, unknown> }> {
  const url = registry.tokenServer?.url ?? ''
  const headers = credentials === undefined ? {} : { authorization: basic(credentials) }
  const { status, body } = await request({ url, path: `/token?${query}`, headers })
  return { status, json: JSON.parse(body.toString()) as Record<string, unknown> }
}

async function bearer(
  registry: FakeRegistry,
  scope = SCOPE,
  credentials?: string,
): Promise<string> {
  const { json } = await fetchToken(registry, `scope=${scope}`, credentials)
  return `Bearer ${String(json['token'])}`
}

function basic(credentials: string): string {
  return `Basic ${Buffer.from(credentials).toString('base64')}`
}

describe('basic', () => {
  it('demands the credentials, at the ping too', async () => {
    const auth = { kind: 'basic', username: 'u', password: 'p' } as const
    await using registry = await startRegistry({ auth })
    registry.push('app', 'v1', buildImage({ seed: 'auth' }))

    expect(await ask(registry)).toEqual({
      status: 401,
      challenge: 'Basic realm="fake registry"',
    })
    expect((await ask(registry, undefined, '/v2/')).status).toBe(401)
    expect((await ask(registry, basic('u:wrong'))).status).toBe(401)
    expect((await ask(registry, basic('u:p'))).status).toBe(200)
  })
})

describe('the token dance', () => {
  it('goes from the challenge to the token to the manifest', async () => {
    await using registry = await startWith({})
    const realm = registry.tokenServer?.realm ?? ''
    expect(await ask(registry)).toEqual({
      status: 401,
      challenge: `Bearer realm="${realm}",service="fake registry",scope="${SCOPE}"`,
    })

    const token = await fetchToken(registry, `service=s&scope=${SCOPE}`)
    expect(token.json['access_token']).toBe(token.json['token'])
    expect((await ask(registry, `Bearer ${String(token.json['token'])}`)).status).toBe(200)
    expect(registry.tokenServer?.asked).toEqual([
      { method: 'GET', service: 's', scopes: [SCOPE], credentials: undefined },
    ])
  })

  it('leaves the scope out at the ping, where there is no repository', async () => {
    await using registry = await startWith({})
    const { status, challenge } = await ask(registry, undefined, '/v2/')
    expect(status).toBe(401)
    expect(challenge).not.toContain('scope')
    expect((await ask(registry, await bearer(registry), '/v2/')).status).toBe(200)
  })

  it('accepts no token of another repository, and none it has not issued', async () => {
    await using registry = await startWith({})
    const other = await ask(registry, await bearer(registry, 'repository:other:pull'))
    expect(other.status).toBe(401)
    expect(other.challenge).toContain('error="insufficient_scope"')
    const invented = await ask(registry, 'Bearer invented')
    expect(invented.challenge).toContain('error="invalid_token"')
  })

  it('ends all tokens when they are revoked', async () => {
    await using registry = await startWith({})
    const token = await bearer(registry)
    registry.tokenServer?.revokeAll()
    expect((await ask(registry, token)).status).toBe(401)
    expect((await ask(registry, await bearer(registry))).status).toBe(200)
  })

  it('judges before any fault happens', async () => {
    await using registry = await startWith({})
    registry.fault({ status: 500, times: 1 })
    expect((await ask(registry)).status).toBe(401)
    expect((await ask(registry, await bearer(registry))).status).toBe(500)
  })
})

describe('dialects', () => {
  it.each([
    [{ omitService: true }, (realm: string) => `Bearer realm="${realm}",scope="${SCOPE}"`],
    [{ omitScope: true }, (realm: string) => `Bearer realm="${realm}",service="fake registry"`],
    [
      { scope: 'aws' },
      (realm: string) => `Bearer realm="${realm}",service="fake registry",scope="aws"`,
    ],
    [
      { challenge: (standard: string) => `Basic realm="x", ${standard}` },
      (realm: string) =>
        `Basic realm="x", Bearer realm="${realm}",service="fake registry",scope="${SCOPE}"`,
    ],
  ])('%o', async (auth, expected) => {
    await using registry = await startWith(auth)
    expect((await ask(registry)).challenge).toBe(expected(registry.tokenServer?.realm ?? ''))
  })

  it('several challenges in lines of their own', async () => {
    await using registry = await startWith({ challenge: () => ['Basic realm="a"', 'Bearer b'] })
    const { text } = await exchangeRaw({
      url: registry.url,
      send: `GET ${PATH} HTTP/1.1\r\nhost: fake\r\nconnection: close\r\n\r\n`,
    })
    expect(text.match(/(?<=^www-authenticate: ).*$/gim)).toEqual(['Basic realm="a"', 'Bearer b'])
  })

  it('one scope for everything admits to every repository', async () => {
    await using registry = await startWith({ scope: 'aws' })
    expect((await ask(registry, await bearer(registry, 'aws'))).status).toBe(200)
    expect((await ask(registry, await bearer(registry))).status).toBe(401)
  })

  it('Docker Hub: everybody gets a token, the missing repository is a second 401', async () => {
    await using registry = await startWith({
      hubStyle: true,
      privateRepositories: ['app'],
      username: 'u',
      password: 'p',
    })
    const missing = await bearer(registry, 'repository:none:pull')
    const answer = await ask(registry, missing, '/v2/none/manifests/v1')
    expect(answer.status).toBe(401)
    expect(answer.challenge).toContain('error="insufficient_scope"')

    expect((await ask(registry, await bearer(registry))).status).toBe(401)
    expect((await ask(registry, await bearer(registry, SCOPE, 'u:p'))).status).toBe(200)
    const tag = await ask(registry, await bearer(registry, SCOPE, 'u:p'), '/v2/app/manifests/none')
    expect(tag.status).toBe(404)
  })

  it('others: a private repository is 403, a missing one 404', async () => {
    await using registry = await startWith({ privateRepositories: ['app'] })
    expect((await ask(registry, await bearer(registry))).status).toBe(403)
    const missing = await bearer(registry, 'repository:none:pull')
    expect((await ask(registry, missing, '/v2/none/manifests/v1')).status).toBe(404)
  })

  it('nvcr.io: an ended token leads to a realm that refuses', async () => {
    await using registry = await startWith({ changingRealm: true })
    const token = await bearer(registry)
    registry.tokenServer?.revokeAll()
    const { challenge } = await ask(registry, token)
    expect(challenge).toContain(`realm="${registry.tokenServer?.refusingRealm}"`)
    const url = registry.tokenServer?.url ?? ''
    expect((await request({ url, path: '/refusing?scope=x' })).status).toBe(401)
    expect((await ask(registry)).challenge).toContain(`realm="${registry.tokenServer?.realm}"`)
  })

  it('a hostile realm is in the challenge, and records who comes', async () => {
    await using sink = await startSink()
    await using registry = await startWith({ realm: `${sink.url}/token` })
    expect((await ask(registry)).challenge).toContain(`realm="${sink.url}/token"`)
    expect([sink.connections, sink.received.length]).toEqual([0, 0])

    const headers = { authorization: 'Basic c2VjcmV0' }
    const lured = await request({ url: sink.url, path: '/token', headers })
    expect(lured.status).toBe(200)
    expect(sink.connections).toBe(1)
    expect(sink.received.toString()).toMatch(/authorization: Basic c2VjcmV0/i)
  })
})

describe('a fake token server', () => {
  it.each([
    ['token', ['token']],
    ['access_token', ['access_token']],
    ['both', ['access_token', 'token']],
  ] as const)('answers with %s', async (tokenField, names) => {
    await using registry = await startWith({ tokenField })
    const { json } = await fetchToken(registry, '')
    expect(Object.keys(json).toSorted()).toEqual(names)
  })

  it('says how long a token is good, if told so', async () => {
    await using registry = await startWith({ expiresIn: 300 })
    const { json } = await fetchToken(registry, '')
    expect(json['expires_in']).toBe(300)
    expect(Date.parse(String(json['issued_at']))).not.toBeNaN()
  })

  it('refuses wrong credentials, and the anonymous if told so', async () => {
    await using registry = await startWith({ username: 'u', password: 'p', anonymous: false })
    expect((await fetchToken(registry, '')).status).toBe(401)
    expect((await fetchToken(registry, '', 'u:wrong')).status).toBe(401)
    expect((await fetchToken(registry, '', 'u:p')).status).toBe(200)
    expect(registry.tokenServer?.asked.map(({ credentials }) => credentials)).toEqual([
      undefined,
      'u:wrong',
      'u:p',
    ])
  })

  it('refuses with 403 as ghcr.io, and POST with 404 as gcr.io', async () => {
    await using tokenServer = await startTokenServer({ anonymous: false, refusal: 403 })
    const { url } = tokenServer
    expect((await request({ url, path: '/token' })).status).toBe(403)
    expect((await request({ url, path: '/token', method: 'POST', body: 'x=y' })).status).toBe(404)
    expect(tokenServer.requests.at(-1)?.body.toString()).toBe('x=y')
  })

  it('serves several registries, and has faults of its own', async () => {
    await using tokenServer = await startTokenServer()
    await using one = await startWith({ tokenServer })
    await using two = await startWith({ tokenServer })
    const token = await bearer(one)
    expect((await ask(two, token)).status).toBe(200)

    tokenServer.fault({ match: { kind: 'token' }, status: 500, times: 1 })
    expect((await request({ url: tokenServer.url, path: '/token' })).status).toBe(500)
    const gate = createGate()
    tokenServer.fault({ delayHeaders: gate, times: 1 })
    const delayed = bearer(one)
    await gate.reached
    gate.open()
    expect((await ask(one, await delayed)).status).toBe(200)
  })
})
