/** What clients are told to do before they may pull. */
import { describe, expect, it } from 'vitest'
import { errorCode, verdict } from '../protocol/answers.ts'
import { expectOciError } from '../scenarios/oci-error.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { until } from '../support/until.ts'
import { fakeControl, principal, REQUEST_ID } from './fake-control.ts'
import { serveMirror, type Served, type ServedOptions } from './fake-mirror.ts'

const NOBODY = 'Bearer of-nobody'
const ALICE = 'Basic alice'
const IDENTITIES = {
  [NOBODY]: { credential: 'accepted' },
  [ALICE]: { principal: principal('user', 'alice', 'pull=**') },
  'Bearer alice': { principal: principal('user', 'alice', 'pull=**') },
} as const

const REALM = 'realm="http://mirror.example:5000/token",service="mirror.example:5000"'
const SCOPED = `Bearer ${REALM},scope="repository:quay.io/org/app:pull"`

describe('/v2/', () => {
  it.each([
    ['nothing', undefined, `Bearer ${REALM}`],
    ['a Bearer that is not ours', 'Bearer foreign', `Bearer ${REALM},error="invalid_token"`],
    ['a password that is wrong', 'Basic wrong', `Bearer ${REALM}`],
  ])('is 401 with one challenge for %s', async (_, authorization, challenge) => {
    await using served = await serve({ asksForLogin: true })
    const answer = await ask(served, '/v2/', authorization)
    expect(verdict(answer)).toBe('401 UNAUTHORIZED')
    expect(answer.headers['www-authenticate']).toBe(challenge)
  })

  it.each([NOBODY, ALICE])('is 200 for %s', async (authorization) => {
    await using served = await serve({ asksForLogin: true })
    expect(verdict(await ask(served, '/v2/', authorization))).toBe('200')
  })

  it.each([undefined, 'Basic wrong', 'Bearer foreign', 'Negotiate abc'])(
    'is 200 for %s where nobody needs a login',
    async (authorization) => {
      await using served = await serve({ asksForLogin: false })
      const answer = await ask(served, '/v2/', authorization)
      expect(verdict(answer)).toBe('200')
      expect(answer.headers['www-authenticate']).toBeUndefined()
    },
  )

  it('is 401 in each of its shapes, and for HEAD', async () => {
    await using served = await serve({ asksForLogin: true })
    for (const path of ['/v2', '/v2/quay.io/', '/quay.io/v2/']) {
      expect(verdict(await ask(served, path))).toBe('401 UNAUTHORIZED')
    }
    const head = await ask(served, '/v2/', undefined, { method: 'HEAD' })
    expect([head.status, head.headers['www-authenticate']]).toEqual([401, `Bearer ${REALM}`])
  })
})

describe('content that needs a login', () => {
  it.each([
    ['nothing', undefined, SCOPED],
    ['a token of nobody', NOBODY, `${SCOPED},error="insufficient_scope"`],
    ['a token that is not ours', 'Bearer foreign', `${SCOPED},error="invalid_token"`],
    ['a foreign password', 'Basic foreign', SCOPED],
  ])('is 401 with its scope for %s', async (_, authorization, challenge) => {
    await using served = await serve({ anonymous: [] })
    const answer = await ask(served, '/v2/quay.io/org/app/manifests/v1', authorization)
    expect(verdict(answer)).toBe('401 UNAUTHORIZED')
    const { message } = expectOciError(answer, 401)
    expect(message).toContain('docker login mirror.example:5000')
    const described = challenge.includes('error=') ? `,error_description="${message}"` : ''
    expect(answer.headers['www-authenticate']).toBe(`${challenge}${described}`)
  })

  it('is remembered for operators only when somebody insists', async () => {
    const control = fakeControl({ anonymous: [], identities: IDENTITIES })
    await using served = await serveMirror({}, { control })
    const path = '/v2/quay.io/org/app/manifests/v1'
    const first = await ask(served, path)
    expect([first.body.includes(REQUEST_ID), control.refusals.length]).toEqual([false, 0])
    const second = await ask(served, path, NOBODY)
    expect(second.body.toString()).toContain(REQUEST_ID)
    expect(control.refusals).toMatchObject([
      { name: 'quay.io/org/app', tag: 'v1', reason: 'right', caller: { address: '127.0.0.1' } },
    ])
  })

  it('has the name in the scope as the client sent it', async () => {
    await using served = await serve({ anonymous: [] })
    const answer = await ask(served, '/v2/quay.io/org/app/tags/list')
    expect(answer.headers['www-authenticate']).toContain(',scope="repository:quay.io/org/app:pull"')
  })

  it.each(['/v2/org/app/tags/list?ns=quay.io', '/quay.io/v2/org/app/tags/list'])(
    'has the registry in the scope where that stood apart, in %s',
    async (path) => {
      await using served = await serve({ anonymous: [] })
      const { headers } = await ask(served, path)
      expect(headers['www-authenticate']).toContain(',scope="repository:quay.io/org/app:pull"')
    },
  )

  it('has no registry in the scope where the request names none', async () => {
    await using served = await serve({ anonymous: [] })
    const answer = await ask(served, '/v2/library/app/tags/list')
    expect(answer.headers['www-authenticate']).toContain(',scope="repository:library/app:pull"')
  })

  it('is told to HEAD in the same headers', async () => {
    await using served = await serve({ anonymous: [] })
    const path = '/v2/quay.io/org/app/manifests/v1'
    const head = await ask(served, path, undefined, { method: 'HEAD' })
    expect([head.status, head.headers['www-authenticate']]).toEqual([401, SCOPED])
  })

  it('which anonymous callers may pull is not refused for a foreign credential', async () => {
    const control = fakeControl({ asksForLogin: true, identities: IDENTITIES })
    const tags = async () =>
      ({ tags: ['v1'], nextQuery: undefined, outcome: 'hit', staleBecause: undefined }) as const
    await using served = await serveMirror({ tags }, { control })
    for (const authorization of ['Basic foreign', 'Bearer foreign', 'Negotiate abc', undefined]) {
      const answer = await ask(served, '/v2/quay.io/org/app/tags/list', authorization)
      expect(verdict(answer)).toBe('200')
      expect(answer.headers['cache-control']).toBeUndefined()
    }
  })

  it('is private once it is given, so that no cache in front hands it on', async () => {
    const control = fakeControl({ anonymous: [], identities: IDENTITIES })
    const tags = async () =>
      ({ tags: ['v1'], nextQuery: undefined, outcome: 'hit', staleBecause: undefined }) as const
    await using served = await serveMirror({ tags }, { control })
    const answer = await ask(served, '/v2/quay.io/org/app/tags/list', ALICE)
    expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'private'])
  })
})

describe('the realm', () => {
  const forwarded = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'public.example' }

  it.each<[string, ServedOptions, Record<string, string>, string]>([
    ['as the client called us', {}, {}, 'http://mirror.example:5000/token'],
    ['not as a stranger says', {}, forwarded, 'http://mirror.example:5000/token'],
    ['as a trusted proxy says', { behindProxy: true }, forwarded, 'https://public.example/token'],
    ['as configured', { publicUrl: 'https://m.example/' }, forwarded, 'https://m.example/token'],
  ])('is %s', async (_, options, headers, realm) => {
    await using served = await serve({ asksForLogin: true }, options)
    const answer = await ask(served, '/v2/', undefined, { headers })
    const host = new URL(realm).host
    expect(answer.headers['www-authenticate']).toBe(`Bearer realm="${realm}",service="${host}"`)
  })

  it('never holds what is no host', async () => {
    await using served = await serve({ asksForLogin: true }, { behindProxy: true })
    const headers = { 'X-Forwarded-Host': 'evil",realm="http://evil.example' }
    const answer = await ask(served, '/v2/', undefined, { headers })
    expect(answer.headers['www-authenticate']).toBe(`Bearer ${REALM}`)
  })
})

describe('the access log', () => {
  it('tells the client behind the proxy and the user, and no credential', async () => {
    await using served = await serve({ asksForLogin: true }, { behindProxy: true })
    await ask(served, '/v2/', 'Bearer alice', { headers: { 'X-Forwarded-For': '198.51.100.7' } })
    await ask(served, '/v2/', 'Bearer foreign')
    await until(() => served.logs.length === 2)
    expect(served.logs).toMatchObject([
      { client: '198.51.100.7', user: 'alice', kind: 'ping', status: 200 },
      { client: '127.0.0.1', kind: 'ping', status: 401 },
    ])
    expect(served.logs[1]).not.toHaveProperty('user')
    expect(JSON.stringify(served.logs)).not.toMatch(/Bearer|foreign/)
  })
})

function serve(
  options: Parameters<typeof fakeControl>[0],
  served: ServedOptions = {},
): Promise<Served> {
  return serveMirror(
    {},
    { control: fakeControl({ identities: IDENTITIES, ...options }), ...served },
  )
}

async function ask(
  { url }: Served,
  path: string,
  authorization?: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<ClientResponse> {
  const answer = await request({
    url,
    path,
    method,
    headers: {
      Host: 'mirror.example:5000',
      ...(authorization !== undefined && { Authorization: authorization }),
      ...headers,
    },
  })
  expect(method === 'HEAD' || answer.status < 400 || errorCode(answer.body.toString())).toBeTruthy()
  return answer
}
