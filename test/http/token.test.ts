/** Who gets which token. */
import { describe, expect, it } from 'vitest'
import { errorCode, verdict } from '../protocol/answers.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { until } from '../support/until.ts'
import { fakeControl, principal } from './fake-control.ts'
import { serveMirror, type Served } from './fake-mirror.ts'

const ALICE = 'Basic alice'
const ROBOT = 'Bearer entp_ci_secret'
const FOREIGN = 'Basic hub-password'
const HELD_BACK = 'Basic too-often'
const IDENTITIES = {
  [ALICE]: { principal: principal('user', 'alice', 'pull=**') },
  [ROBOT]: { principal: principal('robot', 'ci', 'pull=**') },
  'Bearer of-nobody': { credential: 'accepted' },
  [HELD_BACK]: { credential: 'rejected', retryAfter: 12.2 },
} as const
const NOBODYS = 'token-of-anonymous-anonymous'

const OPEN = 'repository:docker.io/library/app:pull'
const CLOSED = 'repository:quay.io/team/app:pull'

describe('the token endpoint', () => {
  it.each([
    ['alice', ALICE, '', 'token-of-user-alice'],
    ['alice for what she may not pull', ALICE, CLOSED, 'token-of-user-alice'],
    ['a robot', ROBOT, OPEN, 'token-of-robot-ci'],
    ['nobody', undefined, '', NOBODYS],
    ['nobody for what needs a login', undefined, CLOSED, NOBODYS],
    ['a token of nobody', 'Bearer of-nobody', CLOSED, NOBODYS],
    ['a foreign secret for what is open', FOREIGN, OPEN, NOBODYS],
    ['one held back, for what is open', HELD_BACK, OPEN, NOBODYS],
    [
      'a foreign secret, as the name is in other shapes',
      FOREIGN,
      'repository:library/app:pull',
      NOBODYS,
    ],
    ['a foreign secret, for an official image', FOREIGN, 'repository:app:pull', NOBODYS],
    [
      'a foreign secret for several that are open',
      FOREIGN,
      `${OPEN} repository:app:pull,push`,
      NOBODYS,
    ],
    ['a foreign secret beside the catalog', FOREIGN, `registry:catalog:* ${OPEN}`, NOBODYS],
  ])('knows %s', async (_, authorization, scope, token) => {
    await using served = await serve()
    const answer = await ask(served, authorization, scope)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body.toString())).toEqual({
      token,
      access_token: token,
      expires_in: 300,
      issued_at: '2026-01-02T03:04:05Z',
    })
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
    })
  })

  it('understands names that hold a port', async () => {
    await using served = await serve()
    const scope = 'repository:registry.example:5000/org/app:pull'
    expect((await ask(served, FOREIGN, scope)).status).toBe(200)
  })

  it.each([
    ['a login', ''],
    ['what needs a login', CLOSED],
    ['a registry that is not mirrored', 'repository:ghcr.io/org/app:pull'],
    ['a name that is none', 'repository:docker.io/UPPER:pull'],
    ['no repository', 'registry:catalog:*'],
    ['nonsense', 'repository:'],
  ])('refuses a wrong password for %s', async (_, scope) => {
    await using served = await serve()
    const answer = await ask(served, FOREIGN, scope)
    expect(verdict(answer)).toBe('401 UNAUTHORIZED')
    // Of a Bearer challenge clients would make a loop.
    expect(answer.headers['www-authenticate']).toBe('Basic realm="entrepot"')
  })

  // containerd asks for the scope of the challenge, and for the name in the path.
  it('gives a token of nobody where one of several names needs none', async () => {
    await using served = await serve()
    for (const scope of [`${OPEN} ${CLOSED}`, `${CLOSED} ${OPEN}`]) {
      const answer = await ask(served, FOREIGN, scope)
      expect(answer.status).toBe(200)
      expect(JSON.parse(answer.body.toString())).toMatchObject({ token: NOBODYS })
    }
  })

  it('finds scopes in one parameter or in several', async () => {
    await using served = await serve()
    const several = `/token?scope=${CLOSED}&service=x&scope=${OPEN}`
    expect((await get(served, several, FOREIGN)).status).toBe(200)
    const closed = `/token?scope=${CLOSED}&service=x&scope=${CLOSED}`
    expect((await get(served, closed, FOREIGN)).status).toBe(401)
    const open = `/token?account=u&client_id=docker&offline_token=true&scope=${OPEN}&scope=${OPEN}`
    expect((await get(served, open, FOREIGN)).status).toBe(200)
  })

  it('understands the class of a resource, and knows other ports for other registries', async () => {
    await using served = await serve()
    const scopes = [
      'repository(plugin):docker.io/library/app:pull',
      'repository:quay.io:443/a:pull',
    ]
    const answers = await Promise.all(scopes.map((scope) => ask(served, FOREIGN, scope)))
    expect(answers.map(({ status }) => status)).toEqual([200, 401])
  })

  it('takes no offence at very many scopes', async () => {
    await using served = await serve()
    const scopes = Array.from({ length: 200 }, (_, place) => `repository:app-${place}:pull`)
    expect((await ask(served, FOREIGN, scopes.join(' '))).status).toBe(200)
  })

  it('lets those wait who have failed too often', async () => {
    await using served = await serve()
    const answer = await ask(served, HELD_BACK, '')
    expect(verdict(answer)).toBe('429 TOOMANYREQUESTS')
    expect(answer.headers['retry-after']).toBe('13')
  })

  it('gives a token of nobody for whatever is shown where nobody needs a login', async () => {
    const control = fakeControl({ asksForLogin: false, identities: IDENTITIES })
    await using served = await serveMirror({}, { control })
    for (const authorization of [FOREIGN, HELD_BACK, 'Bearer foreign']) {
      const answer = await ask(served, authorization, '')
      expect(JSON.parse(answer.body.toString())).toMatchObject({ token: NOBODYS })
    }
  })

  it('is not there for POST, so that clients go on with GET, and ends the connection', async () => {
    await using served = await serve()
    const body = 'grant_type=password&username=alice&password=very-secret'
    const answer = await request({ url: served.url, path: '/token', method: 'POST', body })
    expect(verdict(answer)).toBe('404 NAME_UNKNOWN')
    expect(answer.headers['connection']).toBe('close')
    expect(JSON.stringify(served.logs)).not.toContain('very-secret')
  })

  it.each(['HEAD', 'PUT', 'DELETE'])('knows no %s', async (method) => {
    await using served = await serve()
    const answer = await request({ url: served.url, path: '/token', method })
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET'])
  })

  it('is in the log without what was asked', async () => {
    await using served = await serve()
    await get(served, `/token?account=alice&scope=${CLOSED}&password=very-secret`, ALICE)
    const line = await until(() => served.logs.find(({ msg }) => msg === 'request'))
    expect(line).toMatchObject({ kind: 'token', user: 'alice', status: 200 })
    expect(JSON.stringify(line)).not.toMatch(/very-secret|Basic|team/)
  })

  it('asks for the state of the moment first', async () => {
    const refresh = (): Promise<void> => Promise.reject(new Error('The state cannot be read.'))
    const control = fakeControl({ refresh })
    await using served = await serveMirror({}, { control })
    const answer = await ask(served, undefined, '')
    expect(errorCode(answer.body.toString())).toBe('UNKNOWN')
  })
})

function serve(): Promise<Served> {
  const control = fakeControl({
    asksForLogin: true,
    anonymous: ['docker.io/**', 'registry.example:5000/**'],
    identities: IDENTITIES,
  })
  return serveMirror({}, { control })
}

function ask(
  served: Served,
  authorization: string | undefined,
  scope: string,
): Promise<ClientResponse> {
  const query = new URLSearchParams({ service: 'mirror', ...(scope !== '' && { scope }) })
  return get(served, `/token?${query.toString()}`, authorization)
}

function get({ url }: Served, path: string, authorization?: string): Promise<ClientResponse> {
  const headers = authorization === undefined ? {} : { Authorization: authorization }
  return request({ url, path, headers })
}
