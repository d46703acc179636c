/** One mirror for what everybody may pull and for what only some may, by the steps that clients take. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import {
  askForToken,
  basic,
  bearer,
  grantsOf,
  type Headers,
  openPeople,
  type People,
  tokenFor,
} from '../support/people.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { expectOciError } from './oci-error.ts'

const IMAGE = buildImage({ seed: 'private' })
const SECRET = 'quay.io/team/app'
const OPEN = 'docker.io/library/app'
const PRIVATE = `/v2/${SECRET}/manifests/v1`
const PUBLIC = `/v2/${OPEN}/manifests/v1`
const PASSWORD = 'password of alice'
const ALICE = basic('alice', PASSWORD)
const CREDENTIAL = { username: 'mirror', password: 'password of the mirror' }

interface Scene extends AsyncDisposable {
  readonly registry: FakeRegistry
  readonly mirror: Mirror
  readonly people: People
}

let scene: Scene
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  scene = await openScene()
})
afterEach(async () => {
  vi.useRealTimers()
  await scene[Symbol.asyncDispose]()
})

describe('what everybody may pull', () => {
  it('is pulled whole by whoever shows nothing, a token of nobody, or who they are', async () => {
    const { mirror } = scene
    for (const headers of [{}, await tokenFor(mirror), await tokenFor(mirror, ALICE), ALICE]) {
      expect((await mirror.pull(OPEN, 'v1', { headers })).digest).toBe(IMAGE.digest)
    }
  })

  it('begins with a challenge at the version check, which a token of nobody answers', async () => {
    const { mirror } = scene
    const ping = await mirror.get('/v2/')
    expectOciError(ping, 401)
    expect(ping.headers['www-authenticate']).toBe(challenged(mirror))
    const headers = await tokenFor(mirror)
    expect((await mirror.get('/v2/', { headers })).status).toBe(200)
  })

  it('stays so for a user who has no right to anything else', async () => {
    const { mirror, people } = scene
    const headers = await people.user('dora', 'password of dora', 'pull quay.io/other/**')
    expect((await mirror.get(PUBLIC, { headers })).status).toBe(200)
    expect((await mirror.get(PRIVATE, { headers })).status).toBe(403)
  })
})

describe('what only some may pull', () => {
  it('needs a token, and then is pulled whole', async () => {
    const { mirror } = scene
    const refused = await mirror.get(PRIVATE)
    expect(expectOciError(refused, 401).code).toBe('UNAUTHORIZED')
    expect(refused.headers['www-authenticate']).toBe(challenged(mirror, SECRET))

    const headers = await tokenFor(mirror, ALICE, `&scope=repository:${SECRET}:pull`)
    const pulled = await mirror.pull(SECRET, 'v1', { headers })
    expect(pulled.digest).toBe(IMAGE.digest)
    expect((await mirror.get('/v2/', { headers })).status).toBe(200)
  })

  it('is pulled by a robot, by its token as Bearer and as password', async () => {
    const { mirror, people } = scene
    const { token } = await people.robot('ci', 'pull quay.io/team/*')
    const ways = [
      bearer(token),
      basic('whatever', token),
      await tokenFor(mirror, basic('x', token)),
    ]
    for (const headers of ways) {
      expect((await mirror.pull(SECRET, 'v1', { headers })).digest).toBe(IMAGE.digest)
    }
  })

  it('is pulled by its readers from the cache in an outage, and by nobody else', async () => {
    const { mirror, registry } = scene
    await mirror.pull(SECRET, 'v1', { headers: ALICE })
    await registry.goDown()
    expect((await mirror.pull(SECRET, 'v1', { headers: ALICE })).digest).toBe(IMAGE.digest)
    expect((await mirror.get(PRIVATE)).status).toBe(401)
    expect((await mirror.get(PRIVATE, { headers: basic('alice', 'wrong') })).status).toBe(401)
    await registry.comeUp()
  })

  it('is fetched with what the mirror knows, never with what a client has sent', async () => {
    const { mirror, registry } = scene
    await mirror.pull(SECRET, 'v1', { headers: ALICE })
    const credentials = registry.tokenServer?.asked.map((asked) => asked.credentials)
    expect(new Set(credentials)).toEqual(new Set(['mirror:password of the mirror']))
    for (const { headers } of registry.requests) {
      expect(headers.authorization ?? 'Bearer fake-token-').toMatch(/^Bearer fake-token-/)
    }
  })

  it('is refused to a token of nobody as too little, so that clients ask for another', async () => {
    const { mirror } = scene
    const headers = await tokenFor(mirror, {}, `&scope=repository:${SECRET}:pull`)
    const refused = await mirror.get(PRIVATE, { headers })
    const { message } = expectOciError(refused, 401)
    expect(refused.headers['www-authenticate']).toBe(
      challenged(mirror, SECRET, 'insufficient_scope', message),
    )
    expect(message).toMatch(/docker login \S+, or ask the operator .* request r-[a-z2-9]{10}/)
  })

  it('is refused to whoever shows a wrong password, and the token endpoint says so', async () => {
    const { mirror } = scene
    const wrong = basic('alice', 'wrong')
    for (const scope of ['', `&scope=repository:${SECRET}:pull`]) {
      const refused = await askForToken(mirror, wrong, scope)
      expect(expectOciError(refused, 401).code).toBe('UNAUTHORIZED')
    }
    expect((await mirror.get('/v2/', { headers: wrong })).status).toBe(401)
    expect((await mirror.get(PRIVATE, { headers: wrong })).status).toBe(401)
  })

  it('is refused to other users in the words in which a rule refuses, and can be granted', async () => {
    const { mirror, people } = scene
    const headers = await people.user('dora', 'password of dora', 'pull quay.io/other/**')
    const byRight = expectOciError(await mirror.get(PRIVATE, { headers }), 403)
    const other = '/v2/quay.io/other/app/manifests/v1'
    const byRule = expectOciError(await mirror.get(other, { headers }), 403)
    expect(impersonal(byRight.message)).toBe(impersonal(byRule.message))
    await mirror.app.idle()

    const { requests } = (await people.api('GET', '/requests')) as { requests: { id: string }[] }
    for (const { message } of [byRight, byRule]) {
      const [id] = /r-[a-z2-9]{10}/.exec(message) ?? []
      expect(requests).toContainEqual(expect.objectContaining({ id, user: 'dora' }))
    }
  })
})

describe('a token', () => {
  it('ends after five minutes, and a new one is given', async () => {
    const { mirror } = scene
    const headers = await tokenFor(mirror, ALICE)
    pass(299)
    expect(await statusOf(PRIVATE, headers)).toBe(200)
    pass(2)
    await expectInvalid(headers)
    expect(await statusOf(PRIVATE, await tokenFor(mirror, ALICE))).toBe(200)
  })

  it('says who it is and not what they may do: a scope that is asked for gives nothing', async () => {
    const { mirror, people } = scene
    const dora = await people.user('dora', 'password of dora', 'pull quay.io/other/**')
    const scope = `&scope=repository:${SECRET}:pull&scope=repository:${SECRET}:*`
    expect(await statusOf(PRIVATE, await tokenFor(mirror, dora, scope))).toBe(403)
    expect(await statusOf(PRIVATE, await tokenFor(mirror, ALICE))).toBe(200)
  })

  it('that was changed, or made by somebody else, is that of nobody', async () => {
    const { mirror } = scene
    const { authorization = '' } = await tokenFor(mirror, ALICE)
    const [head = '', claims = '', signature = ''] = authorization
      .slice('Bearer '.length)
      .split('.')
    const unsigned = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')
    const forged = [`${unsigned}.${claims}.`, `${unsigned}.${claims}.${signature}`, 'garbage']
    for (const token of [
      ...forged,
      `${head}.${claims}.${signature.split('').toReversed().join('')}`,
    ]) {
      await expectInvalid(bearer(token))
    }
    expect(await statusOf(PRIVATE, bearer([head, claims, signature].join('.')))).toBe(200)
  })

  it('outlives a restart', async () => {
    const { mirror } = scene
    const headers = await tokenFor(mirror, ALICE)
    await mirror.restart()
    expect(await statusOf(PRIVATE, headers)).toBe(200)
  })
})

describe('a change counts at the next request, whatever token was given before:', () => {
  it('the removal of a user', async () => {
    const headers = await warmAs(ALICE)
    await scene.people.api('DELETE', '/users/alice')
    await expectInvalid(headers)
    expect(await statusOf(PRIVATE, ALICE)).toBe(401)
    expect((await askForToken(scene.mirror, ALICE)).status).toBe(401)
    expect(await statusOf(PUBLIC, headers)).toBe(200)
  })

  it('a user of the same name who comes after that is another one', async () => {
    const headers = await warmAs(ALICE)
    await scene.people.api('DELETE', '/users/alice')
    pass(1)
    await scene.people.user('alice', PASSWORD, 'pull quay.io/**')
    await expectInvalid(headers)
    expect(await statusOf(PRIVATE, ALICE)).toBe(200)
  })

  it('another password', async () => {
    const headers = await warmAs(ALICE)
    pass(1)
    await scene.people.api('PUT', '/users/alice/password', { password: 'another password' })
    await expectInvalid(headers)
    expect(await statusOf(PRIVATE, ALICE)).toBe(401)
    expect(await statusOf(PRIVATE, basic('alice', 'another password'))).toBe(200)
  })

  it('other grants, in both directions', async () => {
    const headers = await warmAs(ALICE)
    const grant = (...texts: Parameters<typeof grantsOf>[0]) =>
      scene.people.api('PUT', '/users/alice/grants', { grants: grantsOf(texts) })
    await grant('pull quay.io/other/**')
    expect([await statusOf(PRIVATE, headers), await statusOf(PRIVATE, ALICE)]).toEqual([403, 403])
    await grant('operate quay.io/team/*')
    expect([await statusOf(PRIVATE, headers), await statusOf(PRIVATE, ALICE)]).toEqual([200, 200])
    await grant('push quay.io/team')
    expect([await statusOf(PRIVATE, headers), await statusOf(PRIVATE, ALICE)]).toEqual([403, 403])
  })

  it('the removal of a robot', async () => {
    const robot = await scene.people.robot('ci', 'pull quay.io/**')
    const headers = await warmAs(basic('x', robot.token))
    await scene.people.api('DELETE', `/tokens/${robot.id}`)
    await expectInvalid(headers)
    await expectInvalid(robot.headers)
    expect(await statusOf(PRIVATE, basic('x', robot.token))).toBe(401)
  })

  it('the end of a robot', async () => {
    const made = await scene.people.api('POST', '/tokens', {
      name: 'brief',
      grants: grantsOf(['pull quay.io/**']),
      expiresAt: new Date(Date.now() + 60_000).toISOString(),
    })
    const headers = await warmAs(bearer(String(made['token'])))
    pass(61)
    await expectInvalid(headers)
    await expectInvalid(bearer(String(made['token'])))
    expect(await statusOf(PRIVATE, basic('x', String(made['token'])))).toBe(401)
  })

  it('what the file says that everybody may', async () => {
    const { mirror } = scene
    await warmAs(ALICE)
    mirror.reload({ anonymous: ['docker.io/library/*', 'quay.io/team/*'] })
    expect(await statusOf(PRIVATE)).toBe(200)
    mirror.reload({ anonymous: ['quay.io/team/*'] })
    expect([await statusOf(PUBLIC), await statusOf(PRIVATE)]).toEqual([401, 200])
    mirror.reload({ anonymous: [] })
    expect([await statusOf(PUBLIC), await statusOf(PRIVATE)]).toEqual([401, 401])
  })

  it('a rule that refuses, also for its admins', async () => {
    const headers = await warmAs(ALICE)
    const rule = { effect: 'deny', pattern: SECRET }
    const { id } = await scene.people.api('POST', '/rules', rule)
    for (const shown of [headers, scene.people.admin]) {
      expect(await statusOf(PRIVATE, shown)).toBe(403)
    }
    expect(await statusOf(PRIVATE)).toBe(401)
    await scene.people.api('DELETE', `/rules/${String(id)}`)
    expect(await statusOf(PRIVATE, headers)).toBe(200)
  })
})

async function openScene(): Promise<Scene> {
  const registry = await startRegistry({
    auth: { kind: 'token', ...CREDENTIAL, privateRepositories: ['team/app'] },
  })
  const hub = await startRegistry()
  registry.push('team/app', 'v1', IMAGE)
  hub.push('library/app', 'v1', IMAGE)
  const mirror = await startMirror({
    upstreams: { 'docker.io': hub, 'quay.io': { registry, credentials: [CREDENTIAL] } },
    allow: ['docker.io/library/*', 'quay.io/team/*'],
    anonymous: ['docker.io/library/*'],
  })
  const people = await openPeople(mirror)
  await people.user('alice', PASSWORD, 'pull quay.io/team/*')
  return {
    registry,
    mirror,
    people,
    async [Symbol.asyncDispose]() {
      await mirror[Symbol.asyncDispose]()
      await registry.close()
      await hub.close()
    },
  }
}

/** @returns a token that is good for the private image, which is then here */
async function warmAs(login: Headers): Promise<Headers> {
  const headers = await tokenFor(scene.mirror, login)
  await scene.mirror.pull(SECRET, 'v1', { headers })
  return headers
}

async function statusOf(path: string, headers: Headers = {}): Promise<number> {
  const { status, body } = await scene.mirror.get(path, { headers })
  const served = status === 200 ? digestOf(body) : undefined
  expect([IMAGE.digest, undefined]).toContain(served)
  return status
}

/** For everything of the private image, and at the version check. */
async function expectInvalid(headers: Headers): Promise<void> {
  const { mirror } = scene
  const base = `/v2/${SECRET}`
  const blobs = IMAGE.blobs.map(({ digest }) => `blobs/${digest}`)
  for (const rest of ['manifests/v1', `manifests/${IMAGE.digest}`, ...blobs, 'tags/list']) {
    const refused = await mirror.get(`${base}/${rest}`, { headers })
    const { code, message } = expectOciError(refused, 401)
    expect(code).toBe('UNAUTHORIZED')
    expect(refused.headers['www-authenticate']).toBe(
      challenged(mirror, SECRET, 'invalid_token', message),
    )
  }
  const ping = await mirror.get('/v2/', { headers })
  expectOciError(ping, 401)
  expect(ping.headers['www-authenticate']).toBe(challenged(mirror, undefined, 'invalid_token'))
}

/** @param told what docker shows instead of a sentence of its own */
function challenged({ url }: Mirror, repository?: string, error?: string, told?: string): string {
  return [
    `Bearer realm="${url}/token"`,
    `service="${new URL(url).host}"`,
    ...(repository === undefined ? [] : [`scope="repository:${repository}:pull"`]),
    ...(error === undefined ? [] : [`error="${error}"`]),
    ...(told === undefined ? [] : [`error_description="${told}"`]),
  ].join(',')
}

function impersonal(message: string): string {
  return message.replace(/r-[a-z2-9]{10}/, '<request>').replace(/quay\.io\/\w+\/app/, '<image>')
}

/** @param seconds of the clock, not of the test */
function pass(seconds: number): void {
  vi.setSystemTime(Date.now() + seconds * 1000)
}
