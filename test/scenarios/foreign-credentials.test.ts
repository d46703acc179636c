/** What clients have for other registries reaches this mirror: it breaks no pull, and is found nowhere. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import {
  askForToken,
  basic,
  bearer,
  type Headers,
  openPeople,
  type People,
  tokenFor,
} from '../support/people.ts'
import { request } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { expectOciError } from './oci-error.ts'
import { mirrorHosts } from './shapes.ts'

const IMAGE = buildImage({ seed: 'foreign' })
const OPEN = 'docker.io/library/app'
const SECRET = 'quay.io/team/app'
const [USER, PASSWORD] = ['hub-subscriber', 'Hub-password-7f3k9']
const FOREIGN = basic(USER, PASSWORD)
const FOREIGN_TOKEN = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJodWItc3Vic2NyaWJlciJ9.c2lnbmF0dXJl'
/** As an API token of another mirror looks. */
const OTHER_MIRROR = `entp_aaaaaaaaaaaa_${'b'.repeat(40)}`
const PULL_SECRET = basic('robot$pull-secret', 'k8s-secret-x81mmq')
const SCOPE = '&scope=repository:library/app:pull'

let registry: FakeRegistry
let mirror: Mirror
let people: People
beforeEach(async () => {
  registry = await startRegistry({ auth: { kind: 'token' } })
  registry.push('library/app', 'v1', IMAGE)
  registry.push('team/app', 'v1', IMAGE)
  mirror = await startMirror({
    upstreams: { 'docker.io': registry, 'quay.io': registry },
    yaml: { defaultUpstream: 'docker.io', hosts: mirrorHosts('docker.io') },
    anonymous: ['docker.io/library/*'],
  })
  people = await openPeople(mirror)
  await people.user('alice', 'password of alice', 'pull **')
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

describe('a pull that needs no credentials works', () => {
  it('for dockerd, which asks for a token with what it has for Docker Hub', async () => {
    const ping = await mirror.get('/v2/')
    expect(ping.status).toBe(401)
    const query = `&account=${USER}&client_id=docker&offline_token=true`
    const headers = await tokenFor(mirror, FOREIGN, `${query}${SCOPE}`)
    expect((await mirror.get('/v2/', { headers })).status).toBe(200)
    expect((await mirror.pull('library/app', 'v1', { headers })).digest).toBe(IMAGE.digest)
    await expectNoTrace()
  })

  it('for dockerd at a host of its own for Docker Hub', async () => {
    const host = { host: 'docker.io.mirror.lan' }
    const headers = { ...host, ...(await tokenFor(mirror, { ...host, ...FOREIGN }, SCOPE)) }
    expect((await mirror.pull('library/app', 'v1', { headers })).digest).toBe(IMAGE.digest)
    await expectNoTrace()
  })

  it('for containerd, which posts the pull secret of the image before it asks with GET', async () => {
    const form = new URLSearchParams({
      grant_type: 'password',
      client_id: 'containerd-client',
      service: 'mirror',
      scope: `repository:${OPEN}:pull`,
      username: 'robot$pull-secret',
      password: 'k8s-secret-x81mmq',
    })
    const posted = await request({
      url: mirror.url,
      path: '/token',
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
    })
    expect(posted.status).toBe(404)
    const headers = await tokenFor(mirror, PULL_SECRET, `&scope=repository:${OPEN}:pull`)
    const pulled = await mirror.pull('library/app', 'v1', { headers, ns: 'docker.io' })
    expect(pulled.digest).toBe(IMAGE.digest)
    await expectNoTrace()
  })

  it.each<[string, Headers]>([
    ['Basic', FOREIGN],
    ['Basic of a pull secret', PULL_SECRET],
    ['Basic without a password', basic(USER, '')],
    ['Basic with the token of another mirror', basic(USER, OTHER_MIRROR)],
    ['a token of Docker Hub', bearer(FOREIGN_TOKEN)],
    ['an API token of another mirror', bearer(OTHER_MIRROR)],
    ['a scheme that nobody knows', { authorization: `Custom ${PASSWORD}` }],
    ['a Basic header that is none', { authorization: 'Basic %%%' }],
  ])('with %s on every request', async (_what, headers) => {
    expect((await mirror.pull(OPEN, 'v1', { headers })).digest).toBe(IMAGE.digest)
    const list = await mirror.get(`/v2/${OPEN}/tags/list`, { headers })
    expect(list.status).toBe(200)
    await expectNoTrace()
  })

  it('however many foreign logins have come from the same address', async () => {
    for (let login = 0; login < 40; login += 1) {
      const shown = basic(`${USER}-${login}`, PASSWORD)
      const headers = await tokenFor(mirror, shown, SCOPE)
      expect((await mirror.get(`/v2/${OPEN}/manifests/v1`, { headers })).status).toBe(200)
      const content = await mirror.get(`/v2/${OPEN}/manifests/v1`, { headers: shown })
      expect(content.status).toBe(200)
    }
    const robot = await people.robot('ci', 'pull **')
    expect((await mirror.pull(SECRET, 'v1', { headers: robot.headers })).digest).toBe(IMAGE.digest)
    await expectNoTrace()
  })

  it('where nobody has to log in at all, whatever is asked for', async () => {
    await using open = await startMirror({ upstreams: { 'docker.io': registry } })
    for (const query of ['', SCOPE, `&scope=repository:${SECRET}:pull`]) {
      const headers = await tokenFor(open, FOREIGN, query)
      expect((await open.pull(OPEN, 'v1', { headers })).digest).toBe(IMAGE.digest)
    }
    expect((await open.get('/v2/', { headers: FOREIGN })).status).toBe(200)
  })
})

describe('a foreign credential', () => {
  it.each([
    ['for a login', ''],
    ['for what only some may pull', `&scope=repository:${SECRET}:pull`],
    ['for what is not mirrored', '&scope=repository:ghcr.io/team/app:pull'],
    ['for no repository', '&scope=registry:catalog:*'],
  ])('gets no token %s', async (_what, query) => {
    for (const headers of [FOREIGN, PULL_SECRET, bearer(FOREIGN_TOKEN)]) {
      expect(expectOciError(await askForToken(mirror, headers, query), 401).code).toBe(
        'UNAUTHORIZED',
      )
    }
    await expectNoTrace()
  })

  it('gets a token of nobody for both, as containerd asks for several spellings', async () => {
    for (const more of [`&scope=repository:${SECRET}:pull`, `%20repository:${SECRET}:pull`]) {
      const headers = await tokenFor(mirror, PULL_SECRET, `${SCOPE}${more}`)
      expect((await mirror.pull(OPEN, 'v1', { headers })).digest).toBe(IMAGE.digest)
      expect((await mirror.get(`/v2/${SECRET}/manifests/v1`, { headers })).status).toBe(401)
    }
    await expectNoTrace()
  })

  it('gets nobody what only some may pull', async () => {
    const before = registry.requests.length
    const token = await tokenFor(mirror, FOREIGN, SCOPE)
    for (const headers of [FOREIGN, PULL_SECRET, bearer(FOREIGN_TOKEN), token]) {
      expect((await mirror.get(`/v2/${SECRET}/manifests/v1`, { headers })).status).toBe(401)
      expect((await mirror.get('/api/v1/whoami', { headers })).body.toString()).not.toContain(USER)
    }
    expect(registry.requests).toHaveLength(before)
    await expectNoTrace()
  })

  it('makes a login fail that shows it, and no request of it', async () => {
    for (const headers of [FOREIGN, bearer(FOREIGN_TOKEN)]) {
      expect((await mirror.get('/v2/', { headers })).status).toBe(401)
    }
    await mirror.app.idle()
    expect(await people.api('GET', '/requests?state=all')).toEqual({ requests: [] })
    await expectNoTrace()
  })
})

/** In the log, the metrics, the audit, the requests, the data folder, or what any upstream has received. */
async function expectNoTrace(): Promise<void> {
  await mirror.app.idle()
  const pages = await Promise.all(
    ['/metrics', '/status', '/api/v1/audit', '/api/v1/requests?state=all'].map((path) =>
      mirror.get(path, { headers: people.admin }),
    ),
  )
  expect(pages.map(({ status }) => status)).toEqual([200, 200, 200, 200])
  const received = [...registry.requests, ...(registry.tokenServer?.requests ?? [])]
  const places: Record<string, string> = {
    log: JSON.stringify(mirror.logs),
    pages: pages.map(({ body }) => body.toString()).join('\n'),
    upstream: JSON.stringify(received.map(({ body, ...rest }) => [rest, body.toString('latin1')])),
    data: await textBelow(mirror.dataDir),
  }
  for (const [place, text] of Object.entries(places)) {
    const found = SECRETS.filter((secret) => text.includes(secret))
    expect({ place, found, isEmpty: text === '' }).toEqual({ place, found: [], isEmpty: false })
  }
}

/** As they were sent, and as they were meant. */
const SECRETS = [
  USER,
  PASSWORD,
  'pull-secret',
  'k8s-secret-x81mmq',
  FOREIGN_TOKEN,
  OTHER_MIRROR,
  ...[FOREIGN, PULL_SECRET].map(({ authorization = '' }) => authorization.slice('Basic '.length)),
]

async function textBelow(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const texts = files.map(({ parentPath, name }) => readFile(join(parentPath, name), 'latin1'))
  return (await Promise.all(texts)).join('\n')
}
