import { describe, expect, test } from 'vitest'
import { createFixedIdentity } from '../../src/upstream/credential.ts'
import { createFailover, type Operation } from '../../src/upstream/failover.ts'
import { createRoutes, type Route } from '../../src/upstream/route.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import type { UpstreamFailure } from '../../src/metrics.ts'
import { createGate } from '../fakes/gate.ts'
import { failureOf, patience } from './loopback.ts'

const USERS = [
  { username: 'one', password: '1' },
  { username: 'two', password: '2' },
  { username: 'three', password: '3' },
] as const

/** Runs an operation whose attempts fail as the table says, and tells which routes were asked. */
function createHarness(endpoints: readonly string[], users = 0) {
  let time = 0
  const failures = new Map<string, UpstreamError>()
  const delays = new Map<string, number>()
  const left = new Map<string, number>()
  const credentials = USERS.slice(0, users)
  const routes = createRoutes(endpoints, credentials, () => createFixedIdentity(USERS[0]))
  const nameOf = ({ endpoint, account }: Route): string =>
    account === 'anonymous' ? endpoint.hostname : `${endpoint.hostname} ${account}`
  const failover = createFailover(routes, {
    hedgeAfter: 60_000,
    pullsLeft: (route) => left.get(nameOf(route)) ?? Infinity,
    hedged: () => undefined,
    now: () => time,
  })
  const operation = (
    attempt: (route: Route) => Promise<void>,
    isCounted = false,
    lane?: number,
  ): Operation<void> => ({
    isCounted,
    lane,
    attempt,
    discard: () => undefined,
    onEnd: (_, release) => release(),
  })

  return {
    failover,
    operation,
    routes,
    wait: (milliseconds: number): void => void (time += milliseconds),
    delay: (route: string, milliseconds: number): void => void delays.set(route, milliseconds),
    leave: (route: string, pulls: number): void => void left.set(route, pulls),
    fail: (
      route: string,
      reason: UpstreamFailure,
      options: ConstructorParameters<typeof UpstreamError>[2] = {},
    ): void => void failures.set(route, new UpstreamError(reason, `${route} failed`, options)),
    mend: (): void => failures.clear(),
    /** What was asked, and the message of the error at the end. */
    run: async ({ isCounted = false, lane = 0 } = {}): Promise<string[]> => {
      const asked: string[] = []
      const attempt = (route: Route): Promise<void> => {
        asked.push(nameOf(route))
        time += delays.get(nameOf(route)) ?? 0
        const failure = failures.get(nameOf(route))
        return failure === undefined ? Promise.resolve() : Promise.reject(failure)
      }
      const running = failover.run(operation(attempt, isCounted, lane), patience())
      const error = await running.catch((caught: unknown) => caught)
      return error instanceof Error ? [...asked, error.message] : asked
    },
  }
}

describe('the order of endpoints', () => {
  test('as configured', async () => {
    const { run } = createHarness(['http://a', 'http://b'])
    expect(await run()).toEqual(['a'])
  })

  test.each<[UpstreamFailure, boolean]>([
    ['unavailable', true],
    ['rate-limited', true],
    ['not-found', false],
    ['unauthorized', false],
    ['forbidden', false],
    ['corrupt', false],
  ])('%s moves on: %s', async (reason, movesOn) => {
    const { run, fail } = createHarness(['http://a', 'http://b'])
    fail('a', reason)
    expect(await run()).toEqual(movesOn ? ['a', 'b'] : ['a', 'a failed'])
  })

  test('an endpoint that failed is asked last for a second', async () => {
    const { failover, run, fail, mend, wait } = createHarness(['http://a', 'http://b'])
    fail('a', 'unavailable')
    expect(await run()).toEqual(['a', 'b'])
    mend()
    expect(failover.endpoints()).toEqual([
      { origin: 'http://a', restsFor: 1000 },
      { origin: 'http://b', restsFor: 0 },
    ])
    wait(999)
    expect(await run()).toEqual(['b'])
    wait(1)
    expect(await run()).toEqual(['a'])
  })

  test('one that fails again and again is asked last until that fades', async () => {
    const { run, fail, mend, wait } = createHarness(['http://a', 'http://b'])
    fail('a', 'unavailable')
    expect(await run()).toEqual(['a', 'b'])
    wait(1000)
    expect(await run()).toEqual(['a', 'b'])
    mend()
    wait(2000)
    expect(await run()).toEqual(['b'])
    wait(60_000)
    expect(await run()).toEqual(['a'])
  })

  test('one that is slow is asked last until nobody remembers', async () => {
    const { run, delay, fail, mend, wait } = createHarness(['http://a', 'http://b'])
    delay('a', 2500)
    delay('b', 500)
    expect(await run()).toEqual(['a'])
    expect(await run()).toEqual(['a'])
    fail('a', 'unavailable')
    expect(await run()).toEqual(['a', 'b'])
    mend()
    wait(2000)
    expect(await run()).toEqual(['b'])
    wait(5 * 60_000)
    expect(await run()).toEqual(['a'])
  })

  test('a little slower, or only a few times, is no reason', async () => {
    for (const [slow, fast] of [
      [900, 100],
      [5000, 2000],
    ]) {
      const { run, delay, fail, mend, wait } = createHarness(['http://a', 'http://b'])
      delay('a', slow ?? 0)
      delay('b', fast ?? 0)
      await run()
      fail('a', 'unavailable')
      await run()
      mend()
      wait(2000)
      expect(await run()).toEqual(['a'])
    }
  })

  test('one that sent wrong bytes is asked after all others for five minutes', async () => {
    const { failover, routes, run, fail, mend, wait } = createHarness(['http://a', 'http://b'])
    const [a] = routes
    if (a === undefined) throw new Error('no route')
    failover.distrust(a)
    expect(failover.endpoints()[0]?.restsFor).toBe(300_000)
    fail('b', 'unavailable')
    expect(await run()).toEqual(['b', 'a'])
    expect(await run()).toEqual(['b', 'a'])
    mend()
    wait(299_999)
    expect(await run()).toEqual(['b'])
    wait(1)
    expect(await run()).toEqual(['a'])
  })

  test('it is asked where it is the only one', async () => {
    const { failover, routes, run } = createHarness(['http://a'])
    for (const route of routes) failover.distrust(route)
    expect(await run()).toEqual(['a'])
  })

  test('when all rest, all are tried, the one that rests shortest first', async () => {
    const { run, fail, wait } = createHarness(['http://a', 'http://b', 'http://c'])
    fail('a', 'rate-limited', { retryAfter: 100 })
    fail('b', 'unavailable')
    fail('c', 'unavailable', { retryAfter: 50 })
    expect(await run()).toEqual(['a', 'b', 'c', 'a failed'])
    wait(500)
    expect(await run()).toEqual(['b', 'c', 'a', 'a failed'])
  })

  test.each<[string, UpstreamFailure | undefined]>([
    ['an answer', undefined],
    ['a no', 'not-found'],
  ])('%s ends the rest', async (_, reason) => {
    const { run, fail, mend } = createHarness(['http://a', 'http://b'])
    fail('a', 'rate-limited', { retryAfter: 100 })
    expect(await run()).toEqual(['a', 'b'])
    mend()
    fail('b', 'unavailable')
    if (reason !== undefined) fail('a', reason)
    expect((await run()).slice(0, 2)).toEqual(['b', 'a'])
    expect((await run())[0]).toBe('a')
  })

  test('an answer ends the rest of an endpoint that is asked all the same', async () => {
    const { failover, run, fail, mend } = createHarness(['http://a'])
    fail('a', 'unavailable')
    await run()
    expect(failover.endpoints()).toEqual([{ origin: 'http://a', restsFor: 1000 }])
    mend()
    expect(await run()).toEqual(['a'])
    expect(failover.endpoints()).toEqual([{ origin: 'http://a', restsFor: 0 }])
  })

  test('a limit is more telling than an outage, the first outage more than the next', async () => {
    const { run, fail } = createHarness(['http://a', 'http://b'])
    fail('a', 'unavailable')
    fail('b', 'unavailable')
    expect((await run()).at(-1)).toBe('a failed')
    const other = createHarness(['http://a', 'http://b'])
    other.fail('a', 'unavailable')
    other.fail('b', 'rate-limited')
    expect((await other.run()).at(-1)).toBe('b failed')
  })

  test.each<UpstreamFailure>(['not-found', 'unauthorized', 'forbidden', 'corrupt'])(
    '%s from another than the first does not count while the first is down',
    async (reason) => {
      const { run, fail, mend, wait } = createHarness(['http://a', 'http://b', 'http://c'])
      fail('a', 'unavailable')
      fail('b', reason)
      expect(await run()).toEqual(['a', 'b', 'c'])
      wait(1000)
      fail('c', reason)
      expect(await run()).toEqual(['a', 'b', 'c', 'a failed'])
      mend()
      fail('b', reason)
      fail('c', reason)
      expect(await run()).toEqual(['b', 'c', 'a'])
    },
  )

  test('other errors and aborted signals end it at once', async () => {
    const { failover, operation } = createHarness(['http://a', 'http://b'])
    let attempts = 0
    const bug = new TypeError('bug')
    const failing = (error: Error) => () => {
      attempts++
      return Promise.reject(error)
    }
    await expect(failover.run(operation(failing(bug)), patience())).rejects.toBe(bug)
    const outage = new UpstreamError('unavailable', 'aborted')
    await expect(failover.run(operation(failing(outage)), AbortSignal.abort())).rejects.toBe(outage)
    expect(attempts).toBe(2)
  })

  test('without endpoints nothing can be done', async () => {
    const { run } = createHarness([])
    expect(await run()).toEqual(['It has no endpoint.'])
  })
})

describe('several operations at a time', () => {
  const lanes = [0, 1, 2, 3]

  test('go to the endpoints in turn', async () => {
    const { run } = createHarness(['http://a', 'http://b', 'http://c'])
    const asked = await Promise.all(lanes.map((lane) => run({ lane })))
    expect(asked).toEqual([['a'], ['b'], ['c'], ['a']])
  })

  test('go to those that are well', async () => {
    const { run, failover, fail, mend, routes } = createHarness([
      'http://a',
      'http://b',
      'http://c',
    ])
    const [a] = routes
    if (a === undefined) throw new Error('no route')
    failover.distrust(a)
    expect(await Promise.all(lanes.map((lane) => run({ lane })))).toEqual([
      ['b'],
      ['c'],
      ['b'],
      ['c'],
    ])
    fail('c', 'unavailable')
    await run({ lane: 1 })
    mend()
    expect(await Promise.all(lanes.map((lane) => run({ lane })))).toEqual([
      ['b'],
      ['b'],
      ['b'],
      ['b'],
    ])
  })

  test('ask the others where theirs is down, or does not have it', async () => {
    const { run, fail } = createHarness(['http://a', 'http://b', 'http://c'])
    fail('b', 'not-found')
    expect(await run({ lane: 1 })).toEqual(['b', 'a'])
    fail('c', 'unavailable')
    expect(await run({ lane: 2 })).toEqual(['c', 'a'])
  })

  test('keep to the accounts of their endpoint', async () => {
    const { run, fail } = createHarness(['http://a', 'http://b'], 2)
    const [one, two] = ['credentials[0]', 'credentials[1]']
    expect(await run({ lane: 1 })).toEqual([`b ${one}`])
    fail(`b ${one}`, 'rate-limited')
    expect(await run({ lane: 1 })).toEqual([`b ${one}`, `b ${two}`])
  })

  test('go where they can when nobody is well', async () => {
    const { run, failover, routes } = createHarness(['http://a', 'http://b'])
    for (const route of routes) failover.distrust(route)
    expect(await run({ lane: 1 })).toEqual(['a'])
  })
})

describe('what upstream asked for with Retry-After', () => {
  const WAIT = { retryAfter: 100, mustWait: true }

  test.each<[string, UpstreamFailure]>([
    ['an endpoint', 'unavailable'],
    ['an account', 'rate-limited'],
  ])('%s is not asked before, not even when nobody else answers', async (_, reason) => {
    const { run, fail, mend, wait } = createHarness(['http://a', 'http://b'])
    fail('a', reason, WAIT)
    expect(await run()).toEqual(['a', 'b'])
    mend()
    fail('b', 'unavailable')
    expect((await run())[0]).toBe('b')
    wait(99_999)
    expect(await run()).not.toContain('a')
    mend()
    wait(1)
    expect(await run()).toEqual(['a'])
  })

  test('when that is all there is, nothing is asked and the failure is told again', async () => {
    const { failover, operation, run, fail, wait } = createHarness(['http://a', 'http://b'])
    fail('a', 'rate-limited', WAIT)
    fail('b', 'unavailable', { retryAfter: 50, mustWait: true })
    await run()
    wait(40_001)
    const never = operation(() => Promise.reject(new Error('asked')))
    const failure = await failureOf(failover.run(never, patience()))
    expect(failure).toMatchObject({ reason: 'unavailable', retryAfter: 10, mustWait: true })
    expect(failure.message).toContain('b failed')
    wait(10_000)
    expect((await run())[0]).toBe('b')
  })

  test('an answer to an earlier request does not end it', async () => {
    const { failover, operation, run, fail } = createHarness(['http://a'])
    const gate = createGate()
    const early = failover.run(
      operation(() => gate.pass()),
      patience(),
    )
    fail('a', 'rate-limited', WAIT)
    await run()
    gate.open()
    await early
    expect(await run()).toHaveLength(1)
  })

  test('a limit is that of one account, an outage that of all', async () => {
    const { run, fail, mend } = createHarness(['http://a'], 2)
    fail('a credentials[0]', 'rate-limited', WAIT)
    expect(await run()).toEqual(['a credentials[0]', 'a credentials[1]'])
    mend()
    expect(await run()).toEqual(['a credentials[1]'])
    fail('a credentials[1]', 'unavailable', WAIT)
    await run()
    mend()
    expect(await run()).toHaveLength(1)
  })
})

describe('several users', () => {
  test('a limit moves on to the next user, an outage to the next endpoint', async () => {
    const { run, fail } = createHarness(['http://a', 'http://b'], 2)
    fail('a credentials[0]', 'rate-limited')
    expect(await run()).toEqual(['a credentials[0]', 'a credentials[1]'])
    const other = createHarness(['http://a', 'http://b'], 2)
    other.fail('a credentials[0]', 'unavailable')
    expect(await other.run()).toEqual(['a credentials[0]', 'b credentials[0]'])
    expect(await other.run()).toEqual(['b credentials[0]'])
  })

  test('trouble with the credentials is not one of the endpoint', async () => {
    const { failover, run, fail } = createHarness(['http://a'], 2)
    fail('a credentials[0]', 'unavailable', { blames: 'account' })
    expect(await run()).toEqual(['a credentials[0]', 'a credentials[1]'])
    expect(await run()).toEqual(['a credentials[1]'])
    expect(failover.endpoints()).toEqual([{ origin: 'http://a', restsFor: 0 }])
  })

  test('a no to another account than the first is put to the first', async () => {
    const { run, fail, leave } = createHarness(['http://a'], 2)
    leave('a credentials[0]', 5)
    fail('a credentials[1]', 'unauthorized')
    expect(await run()).toEqual(['a credentials[1]', 'a credentials[0]'])
    fail('a credentials[0]', 'unauthorized')
    expect((await run()).at(-1)).toBe('a credentials[0] failed')
    fail('a credentials[0]', 'rate-limited')
    expect((await run()).at(-1)).toBe('a credentials[0] failed')
  })

  test('the one with most pulls left is asked first, one without a limit before all', async () => {
    const { run, leave } = createHarness(['http://a', 'http://b'], 3)
    leave('a credentials[0]', 5)
    leave('a credentials[1]', 7)
    expect(await run()).toEqual(['a credentials[2]'])
    leave('a credentials[2]', 6)
    expect(await run()).toEqual(['a credentials[1]'])
    leave('a credentials[1]', 6)
    expect(await run()).toEqual(['a credentials[1]'])
  })

  test('one without any is asked last of all for what is counted, else behind the others of its endpoint', async () => {
    const { run, fail, leave } = createHarness(['http://a', 'http://b'], 2)
    leave('a credentials[0]', 0)
    leave('a credentials[1]', 0)
    expect(await run({ isCounted: true })).toEqual(['b credentials[0]'])
    expect(await run()).toEqual(['a credentials[0]'])
    fail('b credentials[0]', 'rate-limited')
    fail('b credentials[1]', 'rate-limited')
    expect(await run({ isCounted: true })).toEqual([
      'b credentials[0]',
      'b credentials[1]',
      'a credentials[0]',
    ])
    leave('a credentials[1]', 1)
    expect(await run()).toEqual(['a credentials[1]'])
  })
})
