import { describe, expect, test } from 'vitest'
import { createBudget } from '../../src/upstream/budget.ts'
import { createRoutes, type Route } from '../../src/upstream/route.ts'
import { createFixedIdentity } from '../../src/upstream/credential.ts'
import type { HopResponse } from '../../src/upstream/response.ts'
import { createTestUpstream, failureOf, patience, REPOSITORY, serve, TAG } from './loopback.ts'
import { answer, sendManifest, start } from './registry.ts'

const USER = { username: 'someone', password: 'secret' }
const HUB_WINDOW = 21_600

function createHarness(endpoints = ['http://hub'], users = 0) {
  let time = 1
  const limited = new Set<string>()
  const credentials = Array.from({ length: users }, () => USER)
  const routes = createRoutes(endpoints, credentials, () => createFixedIdentity(USER))
  const budget = createBudget(routes, () => time)
  const nameOf = ({ endpoint, account }: Route): string => `${endpoint.hostname} ${account}`
  const routeOf = (name: string): Route => {
    const found = routes.find((route) => nameOf(route) === name)
    if (found === undefined) throw new Error(`There is no ${name}.`)
    return found
  }
  return {
    budget,
    routeOf,
    limit: (name: string): void => void limited.add(name),
    wait: (seconds: number): void => void (time += seconds * 1000),
    total: () => budget.total((route) => limited.has(nameOf(route))),
    say: (name: string, headers: Record<string, string>) =>
      budget.note(routeOf(name), { headers } as unknown as HopResponse),
    remain: (name: string, remaining: number, limit = 100): void =>
      void budget.note(routeOf(name), {
        headers: {
          'ratelimit-limit': `${limit};w=${HUB_WINDOW}`,
          'ratelimit-remaining': `${remaining};w=${HUB_WINDOW}`,
        },
      } as unknown as HopResponse),
  }
}

describe('what upstream says', () => {
  test.each([
    ['100;w=21600', '99;w=21600', { limit: 100, remaining: 99, window: 21_600 }],
    [' 100 ', ' 0;w=60 ', { limit: 100, remaining: 0, window: 60 }],
    ['100;w=21600', '', { limit: 100, remaining: undefined, window: 21_600 }],
    ['many', '5', { limit: undefined, remaining: 5, window: undefined }],
    ['100', '1.5', { limit: 100, remaining: undefined, window: undefined }],
    ['', '-1', undefined],
    ['99999999999', 'x1', undefined],
  ])('%s and %s', (limit, remaining, expected) => {
    const { say } = createHarness()
    const headers = { 'ratelimit-limit': limit, 'ratelimit-remaining': remaining }
    expect(say('hub anonymous', headers)).toEqual(expected)
  })

  test('counts for its window, or for a minute, and at most for a day', () => {
    for (const [text, seconds] of [
      ['3;w=21600', 21_600],
      ['3', 60],
      ['3;w=999999999', 86_400],
    ] as const) {
      const { budget, routeOf, say, wait } = createHarness()
      say('hub anonymous', { 'ratelimit-remaining': text })
      wait(seconds - 1)
      expect(budget.left(routeOf('hub anonymous'))).toBe(3)
      expect(budget.accounts()[0]?.remaining).toBe(3)
      wait(1)
      expect(budget.left(routeOf('hub anonymous'))).toBe(Infinity)
      expect(budget.accounts()[0]?.remaining).toBeUndefined()
    }
  })

  test('is kept by account and endpoint, and shown by account', () => {
    const { budget, remain, routeOf } = createHarness(['http://hub', 'http://other'], 2)
    remain('other credentials[0]', 3)
    remain('hub credentials[1]', 7)
    expect(budget.left(routeOf('hub credentials[0]'))).toBe(Infinity)
    expect(budget.left(routeOf('other credentials[0]'))).toBe(3)
    expect(budget.accounts()).toEqual([
      { account: 'credentials[0]', limit: 100, remaining: 3, window: HUB_WINDOW },
      { account: 'credentials[1]', limit: 100, remaining: 7, window: HUB_WINDOW },
    ])
  })
})

describe('how many pulls are left in all', () => {
  test.each([
    [100, 100, 'ample'],
    [11, 100, 'ample'],
    [10, 100, 'scarce'],
    [1, 100, 'scarce'],
    [0, 100, 'spent'],
    [2, 5, 'ample'],
    [1, 5, 'scarce'],
  ])('%i of %i: %s', (remaining, limit, expected) => {
    const { remain, total } = createHarness()
    remain('hub anonymous', remaining, limit)
    expect(total()).toBe(expected)
  })

  test('nothing known is ample, and so is what was known a window ago', () => {
    const { remain, total, wait } = createHarness()
    expect(total()).toBe('ample')
    remain('hub anonymous', 0)
    wait(HUB_WINDOW)
    expect(total()).toBe('ample')
  })

  test('the account with most left counts, one without a limit above all', () => {
    const { remain, total } = createHarness(['http://hub'], 2)
    remain('hub credentials[0]', 0)
    expect(total()).toBe('ample')
    remain('hub credentials[1]', 10)
    expect(total()).toBe('scarce')
    remain('hub credentials[0]', 50)
    expect(total()).toBe('ample')
  })

  test('an account that was refused has none', () => {
    const { limit, remain, total } = createHarness(['http://hub'], 2)
    limit('hub credentials[0]')
    expect(total()).toBe('ample')
    remain('hub credentials[1]', 5)
    expect(total()).toBe('scarce')
    limit('hub credentials[1]')
    expect(total()).toBe('spent')
  })

  test('an endpoint that never spoke of a limit only keeps it from being spent', () => {
    const { remain, total } = createHarness(['http://hub', 'http://gcr'])
    remain('hub anonymous', 50)
    expect(total()).toBe('ample')
    remain('hub anonymous', 5)
    expect(total()).toBe('scarce')
    remain('hub anonymous', 0)
    expect(total()).toBe('scarce')
  })
})

describe('over the wire', () => {
  const HEADERS = { 'RateLimit-Limit': '100;w=21600', 'RateLimit-Remaining': '9;w=21600' }

  test.each([200, 404, 429, 503])('a HEAD that is answered %d tells the state', async (status) => {
    const { upstream, seen } = await start(answer(status, HEADERS))
    expect(upstream.state()).toEqual({
      offline: false,
      pullBudget: 'ample',
      endpoints: [{ origin: expect.stringMatching(/^http:\/\/127/), restsFor: 0 }],
      accounts: [
        { account: 'anonymous', limit: undefined, remaining: undefined, window: undefined },
      ],
    })
    await upstream.headManifest(REPOSITORY, TAG, patience()).catch(() => undefined)
    expect(seen.limits).toEqual({ anonymous: { limit: 100, remaining: 9 } })
    expect(upstream.state().accounts).toEqual([
      { account: 'anonymous', limit: 100, remaining: 9, window: 21_600 },
    ])
    expect(upstream.state().pullBudget).toBe(status === 429 ? 'spent' : 'scarce')
  })

  test('the account with most left is used, and neither its name nor its secret is shown', async () => {
    const credentials = [
      { username: 'one', password: 'hunter1' },
      { username: 'two', password: 'hunter2' },
    ]
    const used: string[] = []
    const left = new Map([
      ['one', 20],
      ['two', 22],
    ])
    const server = await serve((request, response) => {
      const { authorization } = request.headers
      if (authorization === undefined) {
        return response.writeHead(401, { 'WWW-Authenticate': 'Basic' }).end()
      }
      const [user = ''] = Buffer.from(authorization.slice(6), 'base64').toString().split(':')
      used.push(user)
      const remaining = (left.get(user) ?? 0) - 1
      left.set(user, remaining)
      response.setHeader('RateLimit-Remaining', `${remaining};w=60`)
      return sendManifest(response)
    })
    const { upstream, seen } = createTestUpstream([server.url], { credentials })
    for (let pull = 0; pull < 5; pull += 1) {
      await upstream.getManifest(REPOSITORY, TAG, patience())
    }
    // Who has not spoken of a limit yet counts as without.
    expect(used).toEqual(['one', 'two', 'two', 'two', 'one'])
    expect(Object.keys(seen.limits)).toEqual(['credentials[0]', 'credentials[1]'])
    expect(JSON.stringify(upstream.state())).not.toMatch(/hunter|one|two/)
  })

  test('a demand to wait is obeyed without a request, and counted as a failure', async () => {
    let time = 0
    const server = await serve(answer(429, { 'Retry-After': '100' }))
    const { upstream, seen } = createTestUpstream([server.url], {}, { now: () => time })
    await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    time = 40_000
    const failure = await failureOf(upstream.getManifest(REPOSITORY, TAG, patience()))
    expect(failure).toMatchObject({ reason: 'rate-limited', retryAfter: 60 })
    expect(server.requests).toHaveLength(1)
    expect(seen.failures).toEqual(['rate-limited', 'rate-limited'])
    expect(upstream.state().endpoints[0]?.restsFor).toBe(60_000)
    time = 100_000
    await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(server.requests).toHaveLength(2)
  })

  test.each([
    [503, { 'Retry-After': '100' }, 1],
    [503, {}, 2],
    [502, { 'Retry-After': '100' }, 2],
    [429, {}, 2],
  ])('after %d with %o an only endpoint is asked %i times', async (status, headers, times) => {
    const server = await serve(answer(status, headers))
    const { upstream } = createTestUpstream([server.url])
    for (const _ of [1, 2]) await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(server.requests).toHaveLength(times)
  })

  test('an outage where a redirect led is not one of the endpoint', async () => {
    const cdn = await serve(answer(503, { 'Retry-After': '100' }))
    const server = await serve(answer(307, { Location: `${cdn.url}/x` }))
    const { upstream } = createTestUpstream([server.url])
    for (const _ of [1, 2]) await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect([server.requests.length, cdn.requests.length]).toEqual([2, 2])
  })
})
