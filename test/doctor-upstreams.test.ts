/** What the doctor finds about upstreams, from the mirror's host and by its status: each trouble is planted. */
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../src/config/load.ts'
import { parsePulledImage } from '../src/doctor.ts'
import { answering, type Answer } from './cli/answering-server.ts'
import { configFile } from './cli/config-file.ts'
import { examined, placeOf, type Examined } from './doctor-findings.ts'
import { createCertificateAuthority } from './fakes/certificates.ts'
import type { FakeRegistry } from './fakes/registry.ts'
import { startRegistry } from './fakes/registry.ts'
import { startTokenServer } from './fakes/token-server.ts'
import { mirrorYaml } from './support/mirror-config.ts'

const HUB = 'docker.io'

interface Settings {
  readonly registry: FakeRegistry | readonly FakeRegistry[]
  readonly [key: string]: unknown
}

/** Looks at the upstreams of a configuration, from here. */
async function examinedUpstreams(
  upstreams: Readonly<Record<string, Settings>>,
  { allow = ['**'], resolve }: Parameters<typeof withDefaults>[0] = {},
): Promise<Examined> {
  const { file, data } = configFile()
  const text = mirrorYaml({ upstreams, allow }, data)
  const config = parseConfig(text, { file, env: {} })
  return examined({ host: { config, offline: false } }, resolve === undefined ? {} : { resolve })
}

function withDefaults(options: {
  readonly allow?: readonly string[]
  readonly resolve?: () => Promise<readonly { address: string; family: number }[]>
}) {
  return options
}

describe('an upstream that is asked from here', () => {
  it('is well, with the account that it has', async () => {
    await using registry = await startRegistry({
      auth: { kind: 'token', username: 'u', password: 'secret-word', anonymous: false },
    })
    const found = await examinedUpstreams({
      'quay.io': { registry, credentials: [{ username: 'u', password: 'secret-word' }] },
    })
    expect(found.of('upstream quay.io')).toEqual([
      `ok: ${registry.url} as credentials[0]: it answers`,
    ])
    expect(registry.tokenServer?.asked.map(({ credentials }) => credentials)).toEqual([
      'u:secret-word',
    ])
    expect(JSON.stringify(found.findings)).not.toContain('secret-word')
  })

  it('is asked for a token to a repository that is allowed by name', async () => {
    await using registry = await startRegistry({ auth: { kind: 'token', omitScope: true } })
    await examinedUpstreams(
      { 'quay.io': { registry } },
      { allow: ['quay.io/**', '**/x/y', 'quay.io/team/tool:1*'] },
    )
    expect(registry.tokenServer?.asked.map(({ scopes }) => scopes)).toEqual([
      ['repository:team/tool:pull'],
    ])
  })

  it('is asked for a token to the repository of the image that is pulled', async () => {
    await using registry = await startRegistry({ auth: { kind: 'token', omitScope: true } })
    const { file, data } = configFile()
    const text = mirrorYaml({ upstreams: { 'quay.io': registry, 'gcr.io': registry } }, data)
    const host = { config: parseConfig(text, { file, env: {} }), offline: false }
    const pull = { image: parsePulledImage('quay.io/team/other'), client: 'crane' } as const
    await examined({ host, pull })
    expect(registry.tokenServer?.asked.map(({ scopes }) => scopes[0]).toSorted()).toEqual([
      'repository:library/doctor:pull',
      'repository:team/other:pull',
    ])
  })

  it('says how many pulls are left, and spends none', async () => {
    await using registry = await startRegistry({ pullsLeft: 100 })
    registry.fault({
      match: { kind: 'manifest' },
      status: 404,
      headers: { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600' },
    })
    const ample = await examinedUpstreams({ [HUB]: { registry } })
    expect(ample.of(`upstream ${HUB}`)).toEqual([
      `ok: ${registry.url} without an account: it answers, 76 of 100 pulls left`,
    ])
    expect(registry.count(/^HEAD \/v2\/ratelimitpreview\/test\/manifests\/latest$/)).toBe(1)
    expect(registry.count(/^GET .*manifests/)).toBe(0)
    registry.clearFaults()
    registry.fault({
      status: 404,
      headers: { 'ratelimit-limit': '100;w=60', 'ratelimit-remaining': '3;w=60' },
    })
    expect(
      (await examinedUpstreams({ [HUB]: { registry } })).finding(`upstream ${HUB}`),
    ).toMatchObject({ state: 'warning', found: expect.stringContaining('3 of 100 pulls left') })
  })

  it.each([
    [429, 'warning', 'it limits the number of requests'],
    [503, 'failed', 'it is out of order (status 503)'],
    [403, 'warning', 'it gives nothing without an account'],
  ])('may answer %d', async (status, state, words) => {
    await using registry = await startRegistry()
    registry.fault({ status })
    const found = await examinedUpstreams({ 'quay.io': { registry } })
    expect(found.finding('upstream quay.io')).toMatchObject({
      state,
      found: expect.stringContaining(words),
      advice: expect.any(String),
    })
  })

  it('may not accept a login, by token or by Basic', async () => {
    const wrong = [{ username: 'u', password: 'wrong-word' }]
    await using token = await startRegistry({
      auth: { kind: 'token', username: 'u', password: 'right', anonymous: false },
    })
    await using basic = await startRegistry({
      auth: { kind: 'basic', username: 'u', password: 'right' },
    })
    const found = await examinedUpstreams({
      'quay.io': { registry: token, credentials: wrong },
      'gcr.io': { registry: basic, credentials: wrong },
    })
    for (const name of ['quay.io', 'gcr.io']) {
      expect(found.finding(`upstream ${name}`)).toMatchObject({
        state: 'failed',
        found: expect.stringContaining('the login is not accepted'),
        advice: expect.stringContaining('credentials[0]'),
      })
    }
    expect(JSON.stringify(found.findings)).not.toContain('wrong-word')
  })

  it('may give no token for what there is not, which says nothing of the login', async () => {
    await using tokenServer = await startTokenServer({ anonymous: false, refusal: 403 })
    await using registry = await startRegistry({ auth: { kind: 'token', tokenServer } })
    const upstreams = {
      'quay.io': { registry, credentials: [{ username: 'u', password: 'right' }] },
    }
    expect((await examinedUpstreams(upstreams)).finding('upstream quay.io')).toMatchObject({
      state: 'warning',
      found: expect.stringContaining('There may be no repository library/doctor'),
    })
    const named = await examinedUpstreams(upstreams, { allow: ['quay.io/team/tool'] })
    expect(named.finding('upstream quay.io').state).toBe('failed')
  })

  it('may want an account where there is none', async () => {
    await using registry = await startRegistry({ auth: { kind: 'token', anonymous: false } })
    const found = await examinedUpstreams({ 'quay.io': { registry } })
    expect(found.finding('upstream quay.io')).toMatchObject({
      state: 'warning',
      found: expect.stringContaining('it gives nothing without an account'),
    })
  })

  it('may have a token server that is not pinned, or not there', async () => {
    await using tokenServer = await startTokenServer()
    await using registry = await startRegistry({ auth: { kind: 'token', tokenServer } })
    const unpinned = await examinedUpstreams({ 'quay.io': { registry, realms: [] } })
    expect(unpinned.finding('upstream quay.io')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining(`add "${tokenServer.host}" under "realms"`),
      advice: expect.stringContaining('add that host if it belongs'),
    })
    await tokenServer.goDown()
    const gone = await examinedUpstreams({ 'quay.io': { registry } })
    expect(gone.finding('upstream quay.io')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('it refuses connections'),
      advice: expect.stringContaining('firewall'),
    })
  })

  it('may be nowhere: its other accounts are not tried then, another endpoint is', async () => {
    await using gone = await startRegistry()
    await using there = await startRegistry()
    await gone.goDown()
    const found = await examinedUpstreams({
      'quay.io': {
        registry: [gone, there],
        credentials: [
          { username: 'a', password: 'p', endpoint: gone.url },
          { username: 'b', password: 'p', endpoint: gone.url },
        ],
      },
    })
    expect(found.of('upstream quay.io')).toEqual([
      expect.stringMatching(/^failed: .*refuses connections/),
      `ok: ${there.url} without an account: it answers`,
    ])
  })

  it('may have an address that is not public', async () => {
    await using registry = await startRegistry()
    const found = await examinedUpstreams(
      {
        'quay.io': { registry, endpoints: ['http://registry.example'], networks: [] },
      },
      { resolve: async () => [{ address: '10.0.0.5', family: 4 }] },
    )
    expect(found.finding('upstream quay.io')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining(
        'registry.example has the address 10.0.0.5, which is not public',
      ),
      advice: expect.stringContaining('public addresses only'),
    })
  })

  it('may have a certificate that is not trusted, or speak plain HTTP', async () => {
    await using authority = await createCertificateAuthority()
    await using secure = await startRegistry({ tls: await authority.issue() })
    await using plain = await startRegistry()
    const found = await examinedUpstreams({
      'quay.io': { registry: secure },
      'gcr.io': { registry: secure, ca: authority.caFile },
      'ghcr.io': { registry: plain, endpoints: [plain.url], insecure: true },
    })
    expect(found.finding('upstream quay.io')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('certificate is not trusted'),
      advice: 'Name the PEM file of its authority under "ca".',
    })
    expect(found.finding('upstream gcr.io').state).toBe('ok')
    expect(found.finding('upstream ghcr.io').state).toBe('ok')
  })

  it('may redirect to plain HTTP, or have another time', async () => {
    await using plain = await startRegistry()
    plain.fault({ headers: { Date: new Date(Date.now() + 3_600_000).toUTCString() } })
    const found = await examinedUpstreams({ 'quay.io': { registry: plain } })
    expect(found.of('upstream quay.io')).toEqual([
      `ok: ${plain.url} without an account: it answers`,
      expect.stringMatching(/^failed: the clock of http:.* is 3\d{3} s ahead$/),
    ])
    plain.clearFaults()
    plain.fault({ redirectTo: 'ftp://elsewhere.example' })
    expect(
      (await examinedUpstreams({ 'quay.io': { registry: plain } })).finding('upstream quay.io'),
    ).toMatchObject({
      state: 'failed',
      advice: expect.stringContaining('Ask again later'),
    })
  })
})

const REGISTRY: Answer = { headers: { 'Docker-Distribution-Api-Version': 'registry/2.0' } }
const UPSTREAM = {
  name: 'quay.io',
  offline: false,
  pullBudget: 'ample',
  endpoints: [{ origin: 'https://quay.io', restsFor: 0 }],
  accounts: [],
}

describe('the status of a mirror', () => {
  async function examinedStatus(status: Answer, token?: string): Promise<Examined> {
    const { url, sent } = await answering(({ path }) => ({
      ...REGISTRY,
      ...(path === '/status' && status),
    }))
    const found = await examined({ place: placeOf(url), token })
    const asked = sent.find(({ path }) => path === '/status')
    expect(asked?.headers.authorization).toBe(token && `Bearer ${token}`)
    return found
  }
  const told = (...upstreams: readonly unknown[]): Answer => ({
    body: JSON.stringify({ upstreams }),
  })

  it('is told to whoever may see it', async () => {
    const account = { account: 'anonymous', remaining: 60, limit: 100 }
    const known = { account: 'credentials[0]', remaining: 7 }
    const found = await examinedStatus(
      told(
        { ...UPSTREAM, accounts: [{ account: 'none' }] },
        { ...UPSTREAM, name: 'gcr.io', offline: true },
        { ...UPSTREAM, name: HUB, accounts: [account] },
        { ...UPSTREAM, name: 'ghcr.io', pullBudget: 'spent', accounts: [known] },
        { ...UPSTREAM, name: 'x', endpoints: [{ origin: 'https://x', restsFor: 1500 }] },
      ),
      'entp_t1_token',
    )
    expect(found.of('status')).toEqual([
      'ok: quay.io: the mirror finds it well (no limit seen)',
      'warning: gcr.io: the mirror is offline, and serves only what it has',
      'ok: docker.io: the mirror finds it well (anonymous: 60 of 100 pulls)',
      'warning: ghcr.io: few pulls are left, or none (credentials[0]: 7 of ? pulls)',
      'warning: x: 1 of 1 endpoints not asked for now: https://x for 2 s',
    ])
  })

  it.each([
    [{ status: 401 }, undefined, 'skipped', 'tells its status to operators'],
    [{ status: 403 }, 'entp_t1_token', 'skipped', 'tells its status to operators'],
    [{ status: 401 }, 'entp_t1_token', 'failed', 'does not accept the token'],
    [{ status: 404 }, undefined, 'skipped', 'told elsewhere'],
    [{ body: '<html>' }, undefined, 'skipped', 'told elsewhere'],
    [{ body: '{"upstreams":[null]}' }, undefined, 'skipped', 'told elsewhere'],
    [told(), undefined, 'ok', 'has no upstream'],
  ])('may be %j', async (answer, token, state, words) => {
    const found = await examinedStatus(answer, token)
    expect(found.finding('status')).toMatchObject({ state, found: expect.stringContaining(words) })
  })
})

describe('the login of a mirror', () => {
  const login = { username: 'alice', password: 'secret-word' }

  async function challenged(realm: (url: string) => string, token: Answer) {
    let url = ''
    const server = await answering(({ path, headers }) => {
      if (path.startsWith('/token')) return token
      const isKnown = headers.authorization === 'Bearer right'
      const challenge = `Bearer realm="${realm(url)}",service="s"`
      return isKnown || path !== '/v2/'
        ? REGISTRY
        : { status: 401, headers: { ...REGISTRY.headers, 'WWW-Authenticate': challenge } }
    })
    url = server.url
    return server
  }

  it.each([
    [{ body: '{"token":"right"}' }, 'ok', 'alice may log in'],
    [{ body: '{"access_token":"right"}' }, 'ok', 'alice may log in'],
    [{ body: '{"token":"other"}' }, 'failed', 'does not accept the token that it gave'],
    [{ body: '{"token":7}' }, 'failed', 'answers with status 200'],
    [{ body: '<html>' }, 'failed', 'answers with status 200'],
    [{ status: 429 }, 'failed', 'takes no logins from here for a while'],
    [{ status: 502 }, 'failed', 'answers with status 502'],
    [{ status: 401 }, 'failed', 'does not accept the login of alice'],
  ] satisfies readonly (readonly [Answer, string, string])[])(
    'with %j',
    async (token: Answer, state, words) => {
      const { url, sent } = await challenged((own) => `${own}/token`, token)
      const found = await examined({ place: placeOf(url), login })
      expect(found.finding('login')).toMatchObject({ state, found: expect.stringContaining(words) })
      expect(sent.find(({ path }) => path.startsWith('/token'))?.path).toBe('/token?service=s')
      expect(JSON.stringify(found.findings)).not.toContain('secret-word')
    },
  )

  it('goes nowhere else than to the mirror', async () => {
    const elsewhere = await answering({ body: '{"token":"right"}' })
    for (const realm of [`${elsewhere.url}/token`, 'nonsense']) {
      const { url } = await challenged(() => realm, {})
      const found = await examined({ place: placeOf(url), login })
      expect(found.finding('login')).toMatchObject({
        state: 'failed',
        found: expect.stringContaining('the mirror sends logins to'),
        advice: expect.stringContaining('publicUrl'),
      })
    }
    expect(elsewhere.sent).toEqual([])
  })

  it('needs a realm that answers', async () => {
    const { url } = await challenged((own) => `${own}/token`, {
      headers: { 'Content-Length': '9' },
    })
    const found = await examined({ place: placeOf(url), login })
    expect(found.finding('login').found).toContain('/token cannot be asked')
  })

  it('may be nobody, where that is enough', async () => {
    const { url } = await challenged((own) => `${own}/token`, { body: '{"token":"right"}' })
    expect((await examined({ place: placeOf(url) })).of('login')).toEqual([
      'ok: nobody gets a token, too',
    ])
    const open = await answering(REGISTRY)
    const found = await examined({ place: placeOf(open.url), login })
    expect(found.finding('login')).toMatchObject({ state: 'skipped' })
  })

  it('is by Basic where the mirror says so', async () => {
    const basic = {
      status: 401,
      headers: { ...REGISTRY.headers, 'WWW-Authenticate': 'Basic realm="x"' },
    }
    const { url } = await answering(({ headers }) =>
      headers.authorization === undefined ? basic : REGISTRY,
    )
    expect((await examined({ place: placeOf(url), login })).of('login')).toEqual([
      'ok: alice may log in',
    ])
    expect((await examined({ place: placeOf(url) })).finding('login').state).toBe('warning')
    const { url: silent } = await answering({ ...REGISTRY, status: 401 })
    expect((await examined({ place: placeOf(silent), login })).finding('login')).toMatchObject({
      state: 'failed',
      advice: expect.stringContaining('WWW-Authenticate'),
    })
  })
})
