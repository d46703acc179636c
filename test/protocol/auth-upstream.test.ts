/** Who the mirror is towards upstreams, where its credentials go, and where a redirect may lead. */
import { describe, expect, it } from 'vitest'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { startSink } from '../fakes/sink.ts'
import { startTokenServer } from '../fakes/token-server.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { verdict } from './answers.ts'
import { askedSince } from './asked.ts'
import { listenOn } from './listen-on.ts'

const IMAGE = buildImage({ seed: 'auth upstream' })
const LAYER = IMAGE.blobs[1]?.digest ?? ''
const PATH = '/v2/docker.io/library/app/manifests/v1'
const BLOB_PATH = `/v2/docker.io/library/app/blobs/${LAYER}`
const USER = { username: 'robot', password: 'hunter2' }

/** Nothing of a secret may be in anything that an operator or a client reads. */
function expectNoSecret(mirror: Mirror, ...secrets: string[]): void {
  const text = JSON.stringify(mirror.logs)
  const encoded = Buffer.from('robot:hunter2').toString('base64')
  for (const secret of ['hunter2', encoded, ...secrets]) expect(text).not.toContain(secret)
}

describe('E-5 what the credentials of the mirror can read', () => {
  it('E-5 without credentials every upstream is asked anonymously', async () => {
    await using registry = await startRegistry({
      auth: { kind: 'token', ...USER, privateRepositories: ['library/app'] },
    })
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const headers = { authorization: `Basic ${Buffer.from('robot:hunter2').toString('base64')}` }
    expect(verdict(await mirror.get(PATH, { headers }))).toBe('404 MANIFEST_UNKNOWN')
    expect(registry.tokenServer?.asked.map(({ credentials }) => credentials)).toEqual([undefined])
    expectNoSecret(mirror)
  })

  it('E-5 with credentials, what is served is what the rules allow, not what they can read', async () => {
    await using registry = await startRegistry({
      auth: { kind: 'token', ...USER, privateRepositories: ['a/allowed', 'a/secret'] },
    })
    for (const name of ['a/allowed', 'a/secret']) registry.push(name, 'v1', IMAGE)
    await using other = await startRegistry()
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, credentials: [USER] }, 'quay.io': other },
      allow: ['docker.io/a/allowed', 'quay.io/**'],
    })
    expect((await mirror.get('/v2/docker.io/a/allowed/manifests/v1')).status).toBe(200)
    const asked = registry.requests.length + (registry.tokenServer?.requests.length ?? 0)
    const refused = await mirror.get('/v2/docker.io/a/secret/manifests/v1')
    expect(verdict(refused)).toBe('403 DENIED')
    expect(registry.requests.length + (registry.tokenServer?.requests.length ?? 0)).toBe(asked)

    await mirror.get('/v2/quay.io/a/allowed/manifests/v1')
    expect(other.requests.every(({ headers }) => headers.authorization === undefined)).toBe(true)
    expectNoSecret(mirror)
  })
})

describe('E-27 redirects', () => {
  it.each([301, 302, 303, 307, 308])(
    'E-27 %i to another host, which gets no token',
    async (status) => {
      await using cdn = await startRegistry()
      cdn.push('library/app', 'v1', IMAGE)
      await using registry = await startRegistry({ auth: { kind: 'token' } })
      registry.push('library/app', 'v1', IMAGE)
      registry.fault({
        match: { kind: 'blob' },
        redirectTo: ({ pathname }) => `${cdn.url}${pathname}?X-Amz-Signature=s3cret`,
        redirectStatus: status,
      })
      await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
      await mirror.pull('library/app', 'v1', { ns: 'docker.io' })

      const asked = askedSince(cdn)
      expect(asked).toContain(`GET /v2/library/app/blobs/${LAYER}?X-Amz-Signature=s3cret`)
      for (const { headers } of cdn.requests) {
        expect(headers.authorization).toBeUndefined()
        expect(headers.cookie).toBeUndefined()
        expect(headers['user-agent']).toMatch(/^entrepot\//)
      }
      expectNoSecret(mirror, 's3cret', 'fake-token')
    },
  )

  it.each<[string, (registry: FakeRegistry) => string]>([
    ['relative', () => `/elsewhere/v2/library/app/blobs/${LAYER}`],
    ['without a scheme', ({ host }) => `//${host}/elsewhere/v2/library/app/blobs/${LAYER}`],
    ['on the same host', ({ url }) => `${url}/elsewhere/v2/library/app/blobs/${LAYER}`],
  ])('E-27 %s', async (_what, location) => {
    await using registry = await startRegistry({ auth: { kind: 'token' } })
    registry.push('library/app', 'v1', IMAGE)
    registry.fault({ match: { kind: 'blob' }, redirectTo: location(registry), times: 1 })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect((await mirror.get(BLOB_PATH)).status).toBe(200)
    const last = registry.requests.at(-1)
    expect(last?.path).toMatch(/^\/elsewhere\//)
    expect(last?.headers.authorization).toMatch(/^Bearer /)
  })

  it('E-27 of manifests, to a host that wants a token of its own: as nobody', async () => {
    await using target = await startRegistry({ auth: { kind: 'token', ...USER } })
    target.push('library/app', 'v1', IMAGE)
    await using vanity = await startRegistry({ auth: { kind: 'token', ...USER } })
    vanity.push('library/app', 'v1', IMAGE)
    vanity.fault({ redirectTo: ({ pathname }) => `${target.url}${pathname}` })
    const realms = [vanity, target].map(({ tokenServer }) => tokenServer?.host)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry: vanity, credentials: [USER], realms } },
    })
    expect((await mirror.get(PATH)).status).toBe(200)
    expect(vanity.tokenServer?.asked.map(({ credentials }) => credentials)).toEqual([
      'robot:hunter2',
    ])
    expect(target.tokenServer?.asked.map(({ credentials }) => credentials)).toEqual([undefined])
  })

  it('E-27 decided differently: five at most, and a loop ends there', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    const redirects = registry.fault({ redirectLoop: true, times: 5 })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect((await mirror.get(PATH)).status).toBe(200)
    expect(redirects.happened).toBe(5)

    registry.fault({ redirectLoop: true })
    expect(verdict(await mirror.get(BLOB_PATH))).toBe('502 UPSTREAM_INVALID')
    expect(askedSince(registry, 6)).toHaveLength(6)
  })

  it('E-27 from HTTPS to plain HTTP is refused', async () => {
    await using authority = await createCertificateAuthority()
    await using sink = await startSink()
    await using registry = await startRegistry({ tls: await authority.issue() })
    registry.push('library/app', 'v1', IMAGE)
    registry.fault({ redirectTo: `${sink.url}/blob` })
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, ca: authority.caFile, insecure: true } },
    })
    expect(verdict(await mirror.get(PATH))).toBe('502 UPSTREAM_INVALID')
    expect(sink.connections).toBe(0)
  })

  it('E-27, E-7 to a private address that is not the network of the upstream is refused', async () => {
    await using forbidden = await listenOn('127.0.0.2')
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, networks: ['127.0.0.1/32'] } },
    })
    expect((await mirror.get(PATH)).status).toBe(200)
    for (const host of ['127.0.0.2', '[::ffff:127.0.0.2]', '2130706434', '0x7f.0.0.2']) {
      registry.fault({ redirectTo: `http://${host}:${forbidden.port}/`, times: 1 })
      expect(verdict(await mirror.get(BLOB_PATH))).toBe('503 UNAVAILABLE')
    }
    expect(forbidden.connections).toBe(0)
  })

  it.each(['', 'ftp://127.0.0.1/', 'http://', 'http://user:pass@127.0.0.1/', 'file:///etc/passwd'])(
    'E-27 to %j is refused',
    async (location) => {
      await using registry = await startRegistry()
      registry.fault({ redirectTo: location === '' ? () => '' : location })
      await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
      expect(verdict(await mirror.get(PATH))).toBe('502 UPSTREAM_INVALID')
    },
  )
})

describe('E-28 a realm that is not the upstream’s', () => {
  it('E-28 gets nothing, not even an anonymous request', async () => {
    await using sink = await startSink()
    await using registry = await startRegistry({
      auth: { kind: 'token', ...USER, realm: `${sink.url}/token` },
    })
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, credentials: [USER], realms: ['auth.docker.io'] } },
    })
    expect(verdict(await mirror.get(PATH))).toBe('503 UNAVAILABLE')
    expect(sink.connections).toBe(0)
    // The operator learns what to do.
    expect(JSON.stringify(mirror.logs)).toContain(`add \\"${sink.host}\\" under \\"realms\\"`)
    expectNoSecret(mirror)
  })

  it('E-28 nor one that the token server redirects to', async () => {
    await using sink = await startSink()
    await using registry = await startRegistry({ auth: { kind: 'token', ...USER } })
    registry.push('library/app', 'v1', IMAGE)
    registry.tokenServer?.fault({ redirectTo: `${sink.url}/token` })
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, credentials: [USER] } },
    })
    expect(verdict(await mirror.get(PATH))).toBe('503 UNAVAILABLE')
    expect(sink.connections).toBe(0)
  })
})

describe('E-29 a realm that changes with an expired token', () => {
  it('E-29 the token is dropped, and the first challenge asked for again', async () => {
    await using registry = await startRegistry({ auth: { kind: 'token', changingRealm: true } })
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '0s' } },
    })
    expect((await mirror.get(PATH)).status).toBe(200)
    registry.tokenServer?.revokeAll()
    const again = await mirror.get(PATH)
    expect(again.status).toBe(200)
    expect(again.headers['warning']).toBeUndefined()
    expect(registry.tokenServer?.count(/\/refusing/)).toBe(0)
    expect(registry.tokenServer?.asked).toHaveLength(2)
  })
})

describe('E-30 401 and 403 for what does not exist', () => {
  it('E-30 as on Docker Hub: 404 to the client, without a challenge, and the rest goes on', async () => {
    await using registry = await startRegistry({ auth: { kind: 'token', hubStyle: true } })
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const missing = await mirror.get('/v2/docker.io/no/such/manifests/v1')
    expect(verdict(missing)).toBe('404 MANIFEST_UNKNOWN')
    expect(missing.headers['www-authenticate']).toBeUndefined()
    expect(verdict(await mirror.get('/v2/docker.io/no/such/tags/list'))).toBe('404 NAME_UNKNOWN')
    const blob = await mirror.get(`/v2/docker.io/no/such/blobs/${LAYER}`)
    expect(verdict(blob)).toBe('404 BLOB_UNKNOWN')
    expect((await mirror.get(PATH)).status).toBe(200)
  })

  it.each([401, 403] as const)(
    'E-30 as at ghcr.io: the token server answers %i',
    async (refusal) => {
      await using tokenServer = await startTokenServer({ anonymous: false, refusal })
      await using registry = await startRegistry({ auth: { kind: 'token', tokenServer } })
      registry.push('library/app', 'v1', IMAGE)
      await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
      expect(verdict(await mirror.get(PATH))).toBe('404 MANIFEST_UNKNOWN')
    },
  )

  it('E-30 is remembered for a moment, for this name only', async () => {
    await using registry = await startRegistry({ auth: { kind: 'token', hubStyle: true } })
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.get('/v2/docker.io/no/such/manifests/v1')
    const before = registry.requests.length
    for (let times = 0; times < 3; times += 1) {
      expect((await mirror.get('/v2/docker.io/no/such/manifests/v1')).status).toBe(404)
    }
    expect(registry.requests).toHaveLength(before)
    expect((await mirror.get(PATH)).status).toBe(200)
  })
})

describe('E-31 credentials of clients', () => {
  const SECRETS = ['hunter2', Buffer.from('robot:hunter2').toString('base64'), 'client-token']

  it.each([
    `Basic ${Buffer.from('robot:hunter2').toString('base64')}`,
    'Bearer client-token',
    'Negotiate client-token',
    'Basic !!!client-token',
  ])('E-31 %s breaks no pull, and goes nowhere', async (authorization) => {
    await using registry = await startRegistry({ auth: { kind: 'token' } })
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const headers = {
      authorization,
      'proxy-authorization': authorization,
      cookie: 'session=client-token',
      'x-registry-auth': 'client-token',
    }
    expect((await mirror.get('/v2/', { headers })).status).toBe(200)
    await mirror.pull('docker.io/library/app', 'v1', { headers })
    await mirror.get('/v2/docker.io/library/app/tags/list', { headers })
    await mirror.get('/v2/docker.io/not/there/manifests/v1', { headers })

    const sent = JSON.stringify([
      registry.requests.map(({ headers: names }) => names),
      registry.tokenServer?.requests.map(({ headers: names }) => names),
    ])
    const seen = JSON.stringify(mirror.logs)
    for (const secret of SECRETS) {
      expect(sent).not.toContain(secret)
      expect(seen).not.toContain(secret)
    }
  })

  it('E-31 nobody is challenged while there are no users, and whoever asks gets a token', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect((await mirror.get('/v2/')).headers['www-authenticate']).toBeUndefined()
    const path = '/token?account=robot&password=hunter2&service=mirror'
    const { status, body } = await mirror.get(path)
    expect(status).toBe(200)
    expect(JSON.parse(body.toString())).toMatchObject({ token: expect.any(String) })
    expectNoSecret(mirror)
  })
})

describe('E-45 clocks', () => {
  it.each(['2001-01-01T00:00:00Z', '2099-01-01T00:00:00Z', 'yesterday'])(
    'E-45 a token issued at %s is used for as long as it says',
    async (issuedAt) => {
      await using registry = await startRegistry({ auth: { kind: 'token' } })
      registry.push('library/app', 'v1', IMAGE)
      // The token server gives the first token this name.
      const token = { token: 'fake-token-1', expires_in: 300, issued_at: issuedAt }
      registry.tokenServer?.fault({ body: JSON.stringify(token) })
      await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
      await mirror.pull('docker.io/library/app', 'v1')
      expect(registry.tokenServer?.asked).toHaveLength(1)
    },
  )
})
