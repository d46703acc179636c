/** Every route of the API: what it asks of the operator, what it answers, and who gets that far. */
import { describe, expect, it } from 'vitest'
import { ControlError, type ControlErrorCode } from '../../../src/control/error.ts'
import type { Operator } from '../../../src/control/operator.ts'
import { createApi } from '../../../src/http/api/routes.ts'
import { actionOf } from '../../../src/http/require-action.ts'
import type { ClientResponse } from '../../support/client.ts'
import { until } from '../../support/until.ts'
import { API_ROUTES, type ApiRoute } from './api-routes.ts'
import {
  createFakeOperator,
  CREATED_TOKEN,
  DIGEST,
  EXPLANATION,
  RULE,
  TOKEN,
  USER,
} from './fake-operator.ts'
import { fakeDependencies, serveApi, type AskOptions, type ServedApi } from './serve-api.ts'

const CASES = API_ROUTES.map((route) => [`${route.method} ${route.path}`, route] as const)
const WRITES = CASES.filter(([, { json }]) => json !== undefined)
const CHANGES = CASES.filter(([, { method }]) => method !== 'GET')

const CREATED = '2026-01-31T12:00:00.000Z'
const EXPIRES = '2026-02-14T12:00:00.000Z'
const RULE_JSON = {
  id: '7',
  effect: 'allow',
  pattern: 'docker.io/library/redis',
  origin: 'operator',
  reason: 'The shop runs on it.',
  owner: 'alice',
  createdAt: CREATED,
  expiresAt: EXPIRES,
  minAgeSeconds: 259_200,
}
const LISTED_RULE_JSON = {
  ...RULE_JSON,
  standing: 'overridden',
  overriddenBy: 'file:deny:0',
  decides: false,
}
const REQUEST_JSON = {
  id: 'r-7f3kabcdef',
  address: '192.0.2.1',
  name: 'docker.io/library/redis',
  tag: '7',
  reason: 'rule',
  userAgent: 'containerd/2.0',
  count: 3,
  firstAt: CREATED,
  lastAt: EXPIRES,
  state: 'open',
}
const GRANTS_JSON = [{ role: 'pull', pattern: 'docker.io/**' }]
const USER_JSON = { name: 'alice', origin: 'operator', grants: GRANTS_JSON, createdAt: CREATED }
const TOKEN_JSON = {
  id: 't1',
  name: 'ci',
  grants: GRANTS_JSON,
  owner: 'alice',
  createdAt: CREATED,
}
const APPROVAL_JSON = {
  upstream: 'docker.io',
  repository: 'library/redis',
  digest: DIGEST,
  owner: 'alice',
  createdAt: CREATED,
}
const FROZEN_JSON = { ...APPROVAL_JSON, tag: '7', reason: 'Tested.' }

const LOG_LEVEL_JSON = { level: 'info', configured: 'info', until: null }

const ANSWERS: Readonly<Record<string, unknown>> = {
  'GET /whoami': { kind: 'user', name: 'alice', grants: GRANTS_JSON },
  'GET /rules': { rules: [LISTED_RULE_JSON] },
  'POST /rules': LISTED_RULE_JSON,
  'DELETE /rules/{id}': LISTED_RULE_JSON,
  'GET /requests': { requests: [REQUEST_JSON] },
  'POST /requests/{id}/approve': LISTED_RULE_JSON,
  'POST /requests/{id}/dismiss': REQUEST_JSON,
  'GET /explain': {
    image: 'docker.io/library/redis:7',
    upstream: 'docker.io',
    repository: 'library/redis',
    tag: '7',
    allowed: true,
    verdict: 'It would be pulled.',
    rule: RULE_JSON,
    anonymous: true,
    probationEndsAt: EXPIRES,
    content: {
      digest: DIGEST,
      checkedAt: CREATED,
      freshness: 'fresh',
      isStored: true,
      blobs: { stored: 1, missing: 2, missingBytes: 3 },
      firstSeenAt: CREATED,
      upstream: { offline: false, pullsLeft: 90 },
    },
    cost: { heads: 1, pulls: 0 },
  },
  'GET /users': { users: [USER_JSON] },
  'POST /users': USER_JSON,
  'PUT /users/{name}/password': USER_JSON,
  'PUT /users/{name}/grants': USER_JSON,
  'DELETE /users/{name}': USER_JSON,
  'GET /tokens': { tokens: [TOKEN_JSON] },
  'POST /tokens': { ...TOKEN_JSON, token: 'entp_t1_secret' },
  'DELETE /tokens/{id}': TOKEN_JSON,
  'GET /approvals': { approvals: [APPROVAL_JSON] },
  'POST /approvals': APPROVAL_JSON,
  'DELETE /approvals': APPROVAL_JSON,
  'GET /frozen-tags': { frozenTags: [FROZEN_JSON] },
  'POST /frozen-tags': FROZEN_JSON,
  'DELETE /frozen-tags': FROZEN_JSON,
  'GET /log-level': LOG_LEVEL_JSON,
  'PUT /log-level': { ...LOG_LEVEL_JSON, level: 'debug' },
  'DELETE /log-level': LOG_LEVEL_JSON,
}

function send(served: ServedApi, { method, target, json }: ApiRoute, options: AskOptions = {}) {
  return served.ask(target, { method, ...(json !== undefined && { json }), ...options })
}

function problemOf({ status, headers, body }: ClientResponse): string {
  expect(headers['content-type']).toBe('application/problem+json')
  expect(headers['cache-control']).toBe('no-store')
  const problem = JSON.parse(body.toString()) as { status: number; type: string }
  expect(problem.status).toBe(status)
  return `${status} ${problem.type}`
}

describe('each route', () => {
  it.each(CASES)('%s asks the operator, and says what he answers', async (name, route) => {
    const operator = createFakeOperator()
    await using served = await serveApi(operator)
    const { status, headers, body } = await send(served, route)
    expect([status, operator.calls]).toEqual([route.status, route.call ? [route.call] : []])
    expect(headers['cache-control']).toBe('no-store')
    expect(headers).not.toHaveProperty('access-control-allow-origin')
    // Their answers are of many lines.
    if (name === 'GET /audit' || name === 'POST /warm') return
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': String(body.length),
    })
    expect(JSON.parse(body.toString())).toEqual(ANSWERS[name])
  })

  it('leaves out of the filters what was not said', async () => {
    const operator = createFakeOperator()
    await using served = await serveApi(operator)
    for (const path of ['/rules', '/requests', '/audit']) await served.ask(path)
    await served.ask('/rules/7', { method: 'DELETE' })
    await served.ask('/requests/r-1/dismiss', { method: 'POST', json: {} })
    expect(operator.calls).toEqual([
      ['rules', {}],
      ['requests', {}],
      ['audit', {}],
      ['removeRule', '7', undefined],
      ['dismissRequest', 'r-1', undefined],
    ])
  })

  it('is in the access log as one of the API, with the bytes that were sent', async () => {
    await using served = await serveApi(createFakeOperator())
    const { body } = await served.ask('/rules')
    const line = await until(() => served.logs.find(({ msg }) => msg === 'request'))
    expect(line).toMatchObject({ kind: 'api', status: 200, bytes: body.length })
  })

  it('answers HEAD with the headers of GET', async () => {
    await using served = await serveApi(createFakeOperator())
    const whole = await served.ask('/rules')
    const head = await served.ask('/rules', { method: 'HEAD' })
    expect([head.status, head.body.length]).toEqual([200, 0])
    expect(head.headers['content-length']).toBe(String(whole.body.length))
  })

  it('R37: says nothing of users and tokens that is not meant to be said', async () => {
    const hash = { passwordHash: '$2b$10$hash', secretHash: 'hash', isFirst: true }
    const token = { ...TOKEN, ...hash }
    const operator = createFakeOperator({
      users: async () => [{ ...USER, ...hash }],
      tokens: async () => [token],
      addToken: async () => ({ ...CREATED_TOKEN, ...hash }),
    })
    await using served = await serveApi(operator)
    const json = { name: 'ci', grants: [] }
    const answers = [
      await served.ask('/users'),
      await served.ask('/tokens'),
      await served.ask('/tokens', { method: 'POST', json }),
    ]
    for (const { status, body } of answers) {
      expect(status).toBeLessThan(300)
      expect(body.toString()).not.toMatch(/hash|isFirst/i)
    }
  })

  it('says what a rule of the file does not have by leaving it out', async () => {
    const bare = { owner: undefined, createdAt: undefined, overriddenBy: undefined, minAge: 0 }
    const operator = createFakeOperator({
      rules: async () => [{ ...RULE, ...bare }],
      explain: async () => ({ ...EXPLANATION, rule: undefined }),
    })
    await using served = await serveApi(operator)
    const { rules } = JSON.parse((await served.ask('/rules')).body.toString())
    expect(rules[0]).toMatchObject({ minAgeSeconds: 0 })
    expect(Object.keys(rules[0])).not.toContain('owner')
    const explained = JSON.parse((await served.ask('/explain?image=redis')).body.toString())
    expect(explained).not.toHaveProperty('rule')
  })
})

describe('who may use it', () => {
  it('R17: every route declares what is done by it', () => {
    const api = createApi(fakeDependencies(createFakeOperator()))
    // The first of them runs for each request, and decides nothing.
    const [, ...routes] = api.routes
    const actions = new Map<string, unknown>()
    for (const { method, path, handler } of routes) {
      const name = `${method} ${path.replace(/:(\w+)/g, '{$1}')}`
      actions.set(name, actions.get(name) ?? actionOf(handler))
    }
    const expected = API_ROUTES.map(({ method, path, action }) => [`${method} ${path}`, action])
    expect(Object.fromEntries(actions)).toMatchObject(Object.fromEntries(expected))
    // Those beside them only say that nothing is there, or what could be done.
    const others = [...actions].filter(([name]) => !expected.some(([known]) => known === name))
    expect(new Set(others.map(([, action]) => action))).toEqual(new Set(['public']))
    expect(others.filter(([name]) => !name.startsWith('ALL '))).toEqual([
      ['GET /openapi.json', 'public'],
    ])
  })

  const GUARDED = CASES.filter(([, { path }]) => path !== '/whoami')

  it.each(GUARDED)('%s is nothing for those who show nothing', async (_name, route) => {
    const operator = createFakeOperator()
    await using served = await serveApi(operator)
    const answer = await send(served, route, { as: 'nobody' })
    expect(problemOf(answer)).toBe('401 urn:entrepot:unauthenticated')
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="entrepot"')
    expect(operator.calls).toEqual([])
  })

  // A password of one's own is for everybody who has one; whose it is the use-case looks at.
  const OPERATED = GUARDED.filter(([name]) => !name.endsWith('/password'))

  it.each(OPERATED)('%s is nothing for those who may only pull', async (_name, route) => {
    const operator = createFakeOperator()
    await using served = await serveApi(operator)
    const answer = await send(served, route, { as: 'puller' })
    expect([problemOf(answer), operator.calls]).toEqual(['403 urn:entrepot:forbidden', []])
  })

  it.each(CASES)('%s refuses a credential that is wrong', async (_name, route) => {
    await using served = await serveApi(createFakeOperator())
    const answer = await send(served, route, { as: 'stranger' })
    expect(problemOf(answer)).toBe('401 urn:entrepot:unauthenticated')
  })

  it.each(CASES)('%s holds back those who have tried too often', async (_name, route) => {
    await using served = await serveApi(createFakeOperator())
    const headers = { Authorization: 'Bearer held-back' }
    const { status, headers: answered } = await send(served, route, { headers })
    expect([status, answered['retry-after']]).toEqual([429, '12'])
  })

  it.each([
    ['/users', 403],
    ['/tokens', 403],
    ['/audit', 403],
    ['/rules', 200],
    ['/requests', 200],
    ['/approvals', 200],
    ['/frozen-tags', 200],
    ['/explain?image=redis', 200],
    ['/whoami', 200],
  ])('lets an operator of some images GET %s: %i', async (path, status) => {
    await using served = await serveApi(createFakeOperator())
    expect((await served.ask(path, { as: 'operator' })).status).toBe(status)
  })

  it.each(WRITES)('%s tells strangers nothing of what is wrong with a body', async (_, route) => {
    await using served = await serveApi(createFakeOperator())
    const { method, target } = route
    for (const body of ['{', '{"nonsense": 1}', '[]']) {
      const answer = await served.ask(target, { method, as: 'nobody', body })
      expect(problemOf(answer)).toBe('401 urn:entrepot:unauthenticated')
    }
  })

  it('tells whoever asks without a name that they are nobody', async () => {
    const operator = createFakeOperator({
      whoami: async () => ({ kind: 'anonymous', name: 'anonymous', grants: [] }),
    })
    await using served = await serveApi(operator)
    const { status, body } = await served.ask('/whoami', { as: 'nobody' })
    expect([status, JSON.parse(body.toString())]).toEqual([
      200,
      { kind: 'anonymous', name: 'anonymous', grants: [] },
    ])
  })
})

describe('what an operator refuses', () => {
  const CODES: readonly (readonly [ControlErrorCode, number])[] = [
    ['invalid', 400],
    ['unauthenticated', 401],
    ['forbidden', 403],
    ['not-found', 404],
    ['conflict', 409],
    ['last-admin', 409],
  ]

  it.each(CODES)('%s is %i on every route', async (code, status) => {
    const field = { path: 'grants[0].role', message: 'No.' }
    const refuse = () => Promise.reject(new ControlError(code, 'Because.', [field]))
    const methods = Object.keys(createFakeOperator()).filter((name) => name !== 'calls')
    const refusing = Object.fromEntries(methods.map((name) => [name, refuse]))
    const audit = () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) })
    const operator = createFakeOperator({ ...(refusing as Partial<Operator>), audit })
    await using served = await serveApi(operator)
    // Of several images, it is said of each by itself.
    const routes = API_ROUTES.filter(({ path }) => path !== '/warm')
    for (const route of routes.filter(({ call }) => call !== undefined)) {
      const answer = await send(served, route)
      expect(problemOf(answer)).toBe(`${status} urn:entrepot:${code}`)
      expect(JSON.parse(answer.body.toString())).toMatchObject({
        detail: 'Because.',
        errors: [field],
      })
    }
  })

  it('what nobody thought of is 500, told without details', async () => {
    const rules = () => Promise.reject(new TypeError('/srv/secret'))
    await using served = await serveApi(createFakeOperator({ rules }))
    const answer = await served.ask('/rules')
    expect(problemOf(answer)).toMatch(/^500 /)
    expect(answer.body.toString()).not.toContain('/srv/secret')
  })
})

describe('paths', () => {
  it.each([
    ['/whoami', 'POST', 'GET, HEAD'],
    ['/rules', 'PUT', 'GET, HEAD, POST'],
    ['/rules/7', 'GET', 'DELETE'],
    ['/rules/7', 'PATCH', 'DELETE'],
    ['/requests/r-1/approve', 'GET', 'POST'],
    ['/users/alice', 'OPTIONS', 'DELETE'],
    ['/users/alice/grants', 'POST', 'PUT'],
    ['/audit', 'DELETE', 'GET, HEAD'],
    ['/openapi.json', 'POST', 'GET, HEAD'],
  ])('%s cannot be asked for by %s, and says what can be done', async (path, method, allow) => {
    await using served = await serveApi(createFakeOperator())
    const answer = await served.ask(path, { method })
    expect([problemOf(answer), answer.headers['allow']]).toEqual(['405 about:blank', allow])
  })

  it.each([
    '',
    '/',
    '/nothing',
    '/rules/',
    '/rules/7/more',
    '//rules',
    '/rules%2f7',
    '/rules/%37',
    '/users/a%2e',
    '/users/%',
  ])('there is nothing at %s', async (path) => {
    const operator = createFakeOperator()
    await using served = await serveApi(operator)
    expect(problemOf(await served.ask(path))).toBe('404 about:blank')
    expect(problemOf(await served.ask(path, { method: 'DELETE' }))).toBe('404 about:blank')
    expect(operator.calls).toEqual([])
  })

  it.each(['/users/a*', '/users/a:b', '/tokens/(x)', '/rules/a;b', `/rules/${'a'.repeat(129)}`])(
    '%s is no name',
    async (path) => {
      await using served = await serveApi(createFakeOperator())
      const answer = await served.ask(path, { method: 'DELETE' })
      expect(problemOf(answer)).toBe('400 urn:entrepot:invalid')
    },
  )
})

describe('pages of other sites', () => {
  const FOREIGN = ['http://elsewhere.example', 'null', 'nonsense', 'file://', 'http://localhost:1']

  it.each(CHANGES)('%s is refused to them', async (_name, route) => {
    const operator = createFakeOperator()
    await using served = await serveApi(operator)
    for (const Origin of FOREIGN) {
      const answer = await send(served, route, { headers: { Origin } })
      expect(problemOf(answer)).toBe('403 urn:entrepot:forbidden')
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin')
    }
    expect(operator.calls).toEqual([])
  })

  it('are told apart from our own, by the name that the client or the configuration uses', async () => {
    const publicUrl = () => 'https://mirror.example'
    await using served = await serveApi(createFakeOperator(), { publicUrl })
    const { host } = new URL(served.url)
    for (const Origin of [served.url, `https://${host}`, 'https://mirror.example']) {
      const answer = await served.ask('/users/alice', { method: 'DELETE', headers: { Origin } })
      expect(answer.status).toBe(200)
    }
  })

  it('are believed to be our own by the name that a trusted proxy says', async () => {
    const isTrustedProxy = () => true
    await using served = await serveApi(createFakeOperator(), { isTrustedProxy })
    await using doubting = await serveApi(createFakeOperator())
    const headers = {
      Origin: 'https://mirror.example',
      'X-Forwarded-Host': 'mirror.example:443',
      'X-Forwarded-Proto': 'https',
    }
    const options = { method: 'DELETE', headers }
    const statuses = [served, doubting].map(
      async (api) => (await api.ask('/users/alice', options)).status,
    )
    expect(await Promise.all(statuses)).toEqual([200, 403])
  })

  it('may be where a link to the API is', async () => {
    await using served = await serveApi(createFakeOperator())
    const headers = { Origin: 'http://elsewhere.example' }
    expect((await served.ask('/rules', { headers })).status).toBe(200)
  })
})
