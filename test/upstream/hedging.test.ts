import type { RequestListener } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createFixedIdentity } from '../../src/upstream/credential.ts'
import { createFailover } from '../../src/upstream/failover.ts'
import { hedge } from '../../src/upstream/hedge.ts'
import { createRoutes } from '../../src/upstream/route.ts'
import type { Upstream } from '../../src/upstream/upstream.ts'
import { createGate } from '../fakes/gate.ts'
import {
  createTestUpstream,
  DIGEST,
  failureOf,
  patience,
  REPOSITORY,
  serve,
  TAG,
  until,
} from './loopback.ts'
import { answer, sendManifest } from './registry.ts'

const USER = { username: 'one', password: '1' }
const PATIENT = { connect: 60_000, firstByte: 60_000, idle: 60_000 }
/** The second is asked as soon as a timer can. */
const HASTY = { ...PATIENT, hedge: 1 }

const OPERATIONS: [string, (upstream: Upstream) => Promise<unknown>][] = [
  ['headManifest', (upstream) => upstream.headManifest(REPOSITORY, TAG, patience())],
  ['getManifest', (upstream) => upstream.getManifest(REPOSITORY, TAG, patience())],
  ['headBlob', (upstream) => upstream.headBlob(REPOSITORY, DIGEST, patience())],
  ['getBlob', readBlob],
  ['getTags', (upstream) => upstream.getTags(REPOSITORY, '', patience())],
  ['getReferrers', (upstream) => upstream.getReferrers(REPOSITORY, DIGEST, '', patience())],
]

async function readBlob(upstream: Upstream): Promise<string> {
  const { body } = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
  return (await buffer(body)).toString()
}

/** Answers when the gate opens. */
async function serveBehindGate(
  listener: RequestListener = (_, response) => sendManifest(response),
) {
  const gate = createGate()
  const server = await serve((request, response) => {
    void gate.pass().then(() => listener(request, response))
  })
  return { gate, server }
}

describe('when the first endpoint does not answer', () => {
  test.each(OPERATIONS)(
    '%s: the second does, and the first is left alone',
    async (_, operation) => {
      const { server: first } = await serveBehindGate()
      const second = await serve((__, response) => sendManifest(response))
      const { upstream, seen } = createTestUpstream([first.url, second.url], { timeouts: HASTY })
      await operation(upstream)
      expect([first.requests.length, second.requests.length]).toEqual([1, 1])
      expect(seen).toMatchObject({ hedges: ['second'], failures: [] })
      await until(() => first.open() === 0)
    },
  )

  test('the first may still win; a blob of the second is closed', async () => {
    const { gate: one, server: first } = await serveBehindGate(answer(200, {}, 'first'))
    const { gate: two, server: second } = await serveBehindGate((_, response) => {
      response.writeHead(200, { 'Content-Length': 100 }).write('second')
    })
    const { upstream, seen } = createTestUpstream([first.url, second.url], { timeouts: HASTY })
    const reading = readBlob(upstream)
    await Promise.all([one.reached, two.reached])
    one.open()
    expect(await reading).toBe('first')
    two.open()
    await until(() => second.open() === 0)
    expect(seen).toMatchObject({ hedges: ['first'], failures: [] })
  })

  test('both blobs at once: one is read, the other closed', async () => {
    const gate = createGate()
    const listener: RequestListener = (_, response) => {
      void gate.pass().then(() => response.writeHead(200, { 'Content-Length': 3 }).write('one'))
    }
    const [first, second] = [await serve(listener), await serve(listener)]
    const { upstream, seen } = createTestUpstream([first.url, second.url], { timeouts: HASTY })
    const reading = readBlob(upstream)
    await until(() => first.requests.length + second.requests.length === 2)
    gate.open()
    expect(await reading).toBe('one')
    expect(seen.hedges).toHaveLength(1)
    await upstream.close()
    await until(() => first.open() + second.open() === 0)
  })

  test('the first may fail, and the second goes on', async () => {
    const { gate: one, server: first } = await serveBehindGate(answer(500))
    const { gate: two, server: second } = await serveBehindGate()
    const { upstream, seen } = createTestUpstream([first.url, second.url], { timeouts: HASTY })
    const head = upstream.headManifest(REPOSITORY, TAG, patience())
    await Promise.all([one.reached, two.reached])
    one.open()
    await until(() => (upstream.state().endpoints[0]?.restsFor ?? 0) > 0)
    two.open()
    expect((await head).digest).toBe(DIGEST)
    expect([first.requests.length, second.requests.length]).toEqual([1, 1])
    expect(seen.failures).toEqual([])
  })

  test.each([
    ['is out of order', 500],
    ['says no', 404],
    ['sends what is wrong', 204],
  ])('the second %s: the first is waited for', async (_, status) => {
    const { gate, server: first } = await serveBehindGate()
    const second = await serve(answer(status))
    const { upstream, seen } = createTestUpstream([first.url, second.url], { timeouts: HASTY })
    const head = upstream.headManifest(REPOSITORY, TAG, patience())
    await Promise.all([gate.reached, until(() => second.requests.length === 1)])
    gate.open()
    expect((await head).digest).toBe(DIGEST)
    expect(first.requests).toHaveLength(1)
    expect(seen.failures).toEqual([])
  })

  test('the first says no: that is the answer, and the second is left alone', async () => {
    const { gate: one, server: first } = await serveBehindGate(answer(404))
    const { gate: two, server: second } = await serveBehindGate()
    const { upstream } = createTestUpstream([first.url, second.url], { timeouts: HASTY })
    const failure = failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    await Promise.all([one.reached, two.reached])
    one.open()
    expect((await failure).reason).toBe('not-found')
    await until(() => second.open() === 0)
  })

  test('the second is out of order: a third is asked beside the first, a fourth is not', async () => {
    const { server: first } = await serveBehindGate()
    const second = await serve(answer(500))
    const third = await serve((_, response) => sendManifest(response))
    const fourth = await serve((_, response) => sendManifest(response))
    const servers = [first, second, third, fourth]
    const endpoints = servers.map(({ url }) => url)
    const { upstream, seen } = createTestUpstream(endpoints, { timeouts: HASTY })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(servers.map(({ requests }) => requests.length)).toEqual([1, 1, 1, 0])
    expect(seen).toMatchObject({ hedges: ['second'], failures: [] })
    await until(() => first.open() === 0)
  })

  test('both fail: one failure is told', async () => {
    const { gate: one, server: first } = await serveBehindGate(answer(500))
    const { gate: two, server: second } = await serveBehindGate(answer(429))
    const { upstream, seen } = createTestUpstream([first.url, second.url], { timeouts: HASTY })
    const failure = failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    await Promise.all([one.reached, two.reached])
    one.open()
    two.open()
    expect((await failure).reason).toBe('rate-limited')
    expect(seen).toMatchObject({ failures: ['rate-limited'], hedges: [] })
  })

  test('whoever gives up ends both', async () => {
    const { gate: one, server: first } = await serveBehindGate()
    const { gate: two, server: second } = await serveBehindGate()
    const { upstream, seen } = createTestUpstream([first.url, second.url], { timeouts: HASTY })
    const impatience = new AbortController()
    const reason = new Error('the client left')
    const head = upstream.headManifest(REPOSITORY, TAG, impatience.signal)
    await Promise.all([one.reached, two.reached])
    impatience.abort(reason)
    await expect(head).rejects.toBe(reason)
    await until(() => first.open() + second.open() === 0)
    expect(seen.failures).toEqual([])
  })

  test('a blob that was won is still aborted by its signal', async () => {
    const { server: first } = await serveBehindGate()
    const second = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': 10 }).write('0123')
    })
    const { upstream } = createTestUpstream([first.url, second.url], { timeouts: HASTY })
    const impatience = new AbortController()
    const window = { first: 0 }
    const { body } = await upstream.getBlob(REPOSITORY, DIGEST, window, impatience.signal)
    const received = buffer(body)
    impatience.abort(new Error('enough'))
    await expect(received).rejects.toThrow('enough')
    await until(() => second.open() === 0)
  })

  test('it is asked second after it was outrun twice', async () => {
    const { server: first } = await serveBehindGate()
    const second = await serve((_, response) => sendManifest(response))
    const { upstream } = createTestUpstream([first.url, second.url], { timeouts: HASTY })
    for (const _ of [1, 2, 3]) await upstream.headManifest(REPOSITORY, TAG, patience())
    expect([first.requests.length, second.requests.length]).toEqual([2, 3])
  })
})

test('what comes after the end is got rid of', async () => {
  const gates = new Map([
    ['a', createGate()],
    ['b', createGate()],
  ])
  const waiting = [...gates.keys()]
  const discarded: string[] = []
  const running = hedge(
    {
      next: () => waiting.shift(),
      // Deaf to its signal.
      ask: async (candidate) => {
        await gates.get(candidate)?.pass()
        return { result: candidate }
      },
      patience: () => 1,
      discard: (result) => void discarded.push(result),
    },
    patience(),
  )
  await Promise.all([...gates.values()].map(({ reached }) => reached))
  gates.get('b')?.open()
  expect(await running).toMatchObject({ result: 'b', lane: 'second', loser: 'a' })
  expect(discarded).toEqual([])
  gates.get('a')?.open()
  await until(() => discarded.length > 0)
  expect(discarded).toEqual(['a'])
})

describe('no second request', () => {
  test('to an only endpoint, however many users there are', async () => {
    const { gate, server } = await serveBehindGate()
    const credentials = [
      { username: 'one', password: '1' },
      { username: 'two', password: '2' },
    ]
    const { upstream, seen } = createTestUpstream([server.url], { credentials, timeouts: HASTY })
    const head = upstream.headManifest(REPOSITORY, TAG, patience())
    await gate.reached
    // Longer than the timer that would ask again.
    await new Promise((resolve) => setTimeout(resolve, 50))
    gate.open()
    await head
    expect(server.requests).toHaveLength(1)
    expect(seen.hedges).toEqual([])
  })

  test('to an endpoint that is in trouble', async () => {
    const { gate, server: first } = await serveBehindGate()
    const second = await serve(answer(200, { 'Content-Length': 5 }, 'wrong'))
    const { upstream } = createTestUpstream([second.url, first.url], { timeouts: HASTY })
    const wrong = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    await buffer(wrong.body)
    wrong.distrust()
    const head = upstream.headManifest(REPOSITORY, TAG, patience())
    await gate.reached
    await new Promise((resolve) => setTimeout(resolve, 50))
    gate.open()
    await head
    expect(second.requests).toHaveLength(1)
  })

  test('when the first answers soon enough', async () => {
    const first = await serve((_, response) => sendManifest(response))
    const second = await serve((_, response) => sendManifest(response))
    const { upstream, seen } = createTestUpstream([first.url, second.url])
    for (const [, operation] of OPERATIONS) await operation(upstream)
    expect([first.requests.length, second.requests.length]).toEqual([OPERATIONS.length, 0])
    expect(seen.hedges).toEqual([])
  })
})

describe('how long the first has', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  test.each([
    ['the time that is set', 100, 300],
    ['twice the time that it usually takes, where that is longer', 1000, 2000],
  ])('%s', async (_, usual, patient) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let time = 0
    const failover = createFailover(
      createRoutes(['http://a', 'http://b'], [], () => createFixedIdentity(USER)),
      { hedgeAfter: 300, pullsLeft: () => Infinity, hedged: () => undefined, now: () => time },
    )
    const asked: string[] = []
    let delay = usual
    const gate = createGate()
    const run = (): Promise<void> =>
      failover.run(
        {
          isCounted: false,
          attempt: async ({ endpoint }) => {
            asked.push(endpoint.hostname)
            time += delay
            if (delay === 0) await gate.pass()
          },
          discard: () => undefined,
          onEnd: (__, release) => release(),
        },
        new AbortController().signal,
      )
    await run()
    delay = 0
    const second = run()
    vi.advanceTimersByTime(patient - 1)
    expect(asked).toEqual(['a', 'a'])
    vi.advanceTimersByTime(1)
    expect(asked).toEqual(['a', 'a', 'b'])
    gate.open()
    await second
    expect(vi.getTimerCount()).toBe(0)
  })
})
