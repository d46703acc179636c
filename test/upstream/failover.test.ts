import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { createFailover } from '../../src/upstream/failover.ts'
import { createRoutes, type Route } from '../../src/upstream/route.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import type { UpstreamFailure } from '../../src/metrics.ts'
import {
  authorizationsOf,
  createTestUpstream,
  DIGEST,
  patience,
  REPOSITORY,
  serve,
  TAG,
} from './loopback.ts'
import { sendManifest } from './registry.ts'

const USERS = [
  { username: 'one', password: '1' },
  { username: 'two', password: '2' },
]

/** Runs an operation whose attempts fail as the table says, and tells which routes were asked. */
function createHarness(endpoints: readonly string[], users = 0) {
  let time = 0
  const failures = new Map<string, UpstreamError>()
  const failover = createFailover(createRoutes(endpoints, USERS.slice(0, users)), () => time)
  const nameOf = ({ endpoint, credential }: Route): string =>
    credential === undefined ? endpoint.hostname : `${endpoint.hostname} ${credential.username}`

  return {
    failover,
    wait: (milliseconds: number): void => void (time += milliseconds),
    fail: (route: string, reason: UpstreamFailure, options: { retryAfter?: number } = {}): void =>
      void failures.set(route, new UpstreamError(reason, `${route} failed`, options)),
    mend: (): void => failures.clear(),
    /** What was asked, and the message of the error at the end. */
    run: async (): Promise<string[]> => {
      const asked: string[] = []
      const attempt = (route: Route): Promise<void> => {
        asked.push(nameOf(route))
        const failure = failures.get(nameOf(route))
        return failure === undefined ? Promise.resolve() : Promise.reject(failure)
      }
      const error = await failover.run(attempt, patience()).catch((caught: unknown) => caught)
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

  test('an endpoint that failed is asked last for ten seconds', async () => {
    const { run, fail, mend, wait } = createHarness(['http://a', 'http://b'])
    fail('a', 'unavailable')
    expect(await run()).toEqual(['a', 'b'])
    mend()
    expect(await run()).toEqual(['b'])
    wait(9999)
    expect(await run()).toEqual(['b'])
    wait(1)
    expect(await run()).toEqual(['a'])
  })

  test('and for as long as it asked for', async () => {
    const { run, fail, mend, wait } = createHarness(['http://a', 'http://b'])
    fail('a', 'rate-limited', { retryAfter: 100 })
    await run()
    mend()
    wait(99_999)
    expect(await run()).toEqual(['b'])
    wait(1)
    expect(await run()).toEqual(['a'])
  })

  test('when all rest, all are tried, the one that rests shortest first', async () => {
    const { run, fail, wait } = createHarness(['http://a', 'http://b', 'http://c'])
    fail('a', 'rate-limited', { retryAfter: 100 })
    fail('b', 'unavailable')
    fail('c', 'unavailable', { retryAfter: 50 })
    expect(await run()).toEqual(['a', 'b', 'c', 'a failed'])
    wait(2000)
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

  test('other errors and aborted signals end it at once', async () => {
    const { failover } = createHarness(['http://a', 'http://b'])
    let attempts = 0
    const bug = new TypeError('bug')
    const failing = (error: Error) => () => {
      attempts++
      return Promise.reject(error)
    }
    await expect(failover.run(failing(bug), patience())).rejects.toBe(bug)
    const outage = new UpstreamError('unavailable', 'aborted')
    await expect(failover.run(failing(outage), AbortSignal.abort())).rejects.toBe(outage)
    expect(attempts).toBe(2)
  })

  test('without endpoints nothing can be done', async () => {
    const { run } = createHarness([])
    expect(await run()).toEqual(['It has no endpoint.'])
  })
})

describe('several users', () => {
  test('a limit moves on to the next user, an outage to the next endpoint', async () => {
    const { run, fail } = createHarness(['http://a', 'http://b'], 2)
    fail('a one', 'rate-limited')
    expect(await run()).toEqual(['a one', 'a two'])
    const other = createHarness(['http://a', 'http://b'], 2)
    other.fail('a one', 'unavailable')
    expect(await other.run()).toEqual(['a one', 'b one'])
    expect(await other.run()).toEqual(['b one'])
  })
})

describe('over the wire', () => {
  test('a second endpoint takes over, and the operation counts as done', async () => {
    const second = await serve((_, response) => sendManifest(response))
    const { upstream, seen } = createTestUpstream(['http://127.0.0.1:1', second.url])
    const { digest } = await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(digest).toBe(DIGEST)
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(seen).toMatchObject({ requests: 3, failures: [] })
  })

  test('after a cut in mid-blob the other endpoint is asked for the rest', async () => {
    const first = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': 10 })
      response.write('0123', () => response.destroy())
    })
    const second = await serve((_, response) => {
      response.writeHead(206, { 'Content-Range': 'bytes 4-9/10' }).end('456789')
    })
    const { upstream } = createTestUpstream([first.url, second.url])
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, 0, patience())
    await expect(buffer(blob.body)).rejects.toThrow('closed the connection')
    const rest = await upstream.getBlob(REPOSITORY, DIGEST, 4, patience())
    expect((await buffer(rest.body)).toString()).toBe('456789')
    expect(first.requests).toHaveLength(1)
  })

  test('a user who is limited makes room for the next', async () => {
    const basicOf = ({ username, password }: { username: string; password: string }): string =>
      `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
    const [one, two] = USERS.map(basicOf)
    const server = await serve((request, response) => {
      const { authorization } = request.headers
      if (authorization === two) return sendManifest(response)
      if (authorization === one) return response.writeHead(429).end()
      return response.writeHead(401, { 'WWW-Authenticate': 'Basic' }).end()
    })
    const { upstream } = createTestUpstream([server.url], { credentials: USERS })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server)).toEqual([undefined, one, undefined, two, two])
  })
})
