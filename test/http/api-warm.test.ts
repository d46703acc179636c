/** POST /api/v1/warm: a job that is told line by line, for as long as somebody listens. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ControlError } from '../../src/control/error.ts'
import type { HttpDependencies } from '../../src/http/context.ts'
import { createGate, type Gate } from '../fakes/gate.ts'
import { openStream, type ClientResponse } from '../support/client.ts'
import { until, within } from '../support/until.ts'
import { createFakeOperator, EXPLANATION } from './api/fake-operator.ts'
import { fakeDependencies, serveApi, type ServedApi } from './api/serve-api.ts'

afterEach(() => {
  vi.useRealTimers()
})

const IMAGE = 'docker.io/library/redis:7'

function post(served: ServedApi, json: object, as: 'admin' | 'operator' = 'admin') {
  return served.ask('/warm', { method: 'POST', json, as })
}

function eventsOf({ body }: ClientResponse): Record<string, unknown>[] {
  const lines = body.toString().split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line))
}

/** A mirror that lists no tags before the gate is open. */
function waiting(gate: Gate, more: object = {}): Partial<HttpDependencies> {
  const mirror = {
    async tags() {
      await gate.pass()
      return { tags: ['1', '2'], nextQuery: undefined, outcome: 'miss', staleBecause: undefined }
    },
    ...more,
  }
  return { mirror: mirror as unknown as HttpDependencies['mirror'] }
}

const LOOKING = { selections: [{ repository: 'docker.io/library/redis' }], dryRun: true }

/** Reads nothing but the head of the answer. */
function open({ url }: ServedApi, json: object) {
  return openStream({
    url,
    path: '/api/v1/warm',
    method: 'POST',
    headers: { Authorization: 'Bearer admin', 'Content-Type': 'application/json' },
    body: JSON.stringify(json),
  })
}

describe('/warm', () => {
  it('has an event in each line, the summary last', async () => {
    await using served = await serveApi(createFakeOperator())
    const answer = await post(served, { images: [IMAGE], dryRun: true })
    expect([answer.status, answer.complete]).toEqual([200, true])
    expect(answer.headers).toMatchObject({
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
    })
    expect(eventsOf(answer).map(({ event }) => event)).toEqual([
      'images-selected',
      'image-started',
      'image-would-be-fetched',
      'summary',
    ])
    const line = await until(() => served.logs.find(({ msg }) => msg === 'request'))
    expect(line).toMatchObject({ bytes: answer.body.length })
  })

  it('says of each image that it is none of the caller, or none at all', async () => {
    const refused = new ControlError('forbidden', 'bob may not do this.')
    const wrong = new ControlError('invalid', 'That is no image.')
    const operator = createFakeOperator({
      explain: (image) => Promise.reject(image === IMAGE ? refused : wrong),
    })
    await using served = await serveApi(operator)
    const events = eventsOf(await post(served, { images: [IMAGE, 'X'] }, 'operator'))
    expect(events.filter(({ event }) => event === 'image-failed')).toEqual([
      { event: 'image-failed', image: IMAGE, reason: 'denied', message: 'bob may not do this.' },
      { event: 'image-failed', image: 'X', reason: 'invalid', message: 'That is no image.' },
    ])
    expect(events.at(-1)).toMatchObject({ event: 'summary', images: 2, failed: 2 })
  })

  it.each([
    [{}, 'images: Name at least one image or selection.'],
    [{ images: [] }, 'images: Name at least one image or selection.'],
    [{ images: [1] }, 'images[0]: '],
    [{ images: ['a'], more: 1 }, 'more: There is no such field.'],
    [{ images: ['a'], concurrency: 17 }, 'concurrency: '],
    [{ images: ['a'], platforms: ['amd64'] }, 'platforms: "amd64" is not a platform'],
    [{ images: Array.from({ length: 1001 }, String) }, 'images: '],
    [{ selections: [{ repository: 'a', matching: '(' }] }, 'selections[0].matching: This is not a'],
    [{ selections: [{ repository: 'a', semver: 'one' }] }, 'selections[0].semver: This is not a'],
    [
      { selections: [{ repository: 'a', semver: '1', matching: 'a' }] },
      'selections[0].matching: Say matching or semver',
    ],
  ])('refuses %j', async (json, message) => {
    await using served = await serveApi(createFakeOperator())
    const { status, body } = await post(served, json)
    expect([status, JSON.parse(body.toString())]).toEqual([
      400,
      expect.objectContaining({ detail: expect.stringContaining(message) }),
    ])
  })

  it('has two jobs at a time, and a place again when one has ended', async () => {
    const gate = createGate()
    await using served = await serveApi(createFakeOperator(), waiting(gate))
    const running = [post(served, LOOKING), post(served, LOOKING)]
    await until(async () => (await post(served, LOOKING)).status === 429)
    const { status, headers } = await post(served, LOOKING)
    expect([status, headers['retry-after']]).toEqual([429, '30'])
    gate.open()
    for (const answer of await Promise.all(running)) expect(answer.status).toBe(200)
    expect((await post(served, LOOKING)).status).toBe(200)
  })

  it('ends the job with whoever asked for it', async () => {
    const gate = createGate()
    let aborted: AbortSignal | undefined
    const digest = EXPLANATION.content.digest
    const mirror = {
      upstreamState: async () => undefined,
      confirmTag: async () => undefined,
      manifest: async () => ({
        digest,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        bytes: Buffer.from(
          JSON.stringify({ schemaVersion: 2, config: { digest }, layers: [{ digest }] }),
        ),
      }),
      ensureBlob(_key: unknown, _digest: unknown, signal: AbortSignal) {
        aborted = signal
        return gate.pass()
      },
      blobProgress: async () => undefined,
    }
    await using served = await serveApi(createFakeOperator(), waiting(gate, mirror))
    const stream = await open(served, { images: [IMAGE] })
    await within(gate.reached)
    expect(aborted?.aborted).toBe(false)
    stream.abort()
    await until(() => aborted?.aborted === true)
    gate.open()
    const line = await until(() => served.logs.find(({ msg }) => msg === 'request'))
    expect(line).toMatchObject({ status: 200, cut: true })
  })

  it('gives nothing more to whoever was removed meanwhile', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const gate = createGate()
    const operator = createFakeOperator()
    const { control } = fakeDependencies(operator)
    let isRemoved = false
    const overrides = {
      ...waiting(gate),
      control: {
        ...control,
        identify: (shown: string | undefined, address: string) =>
          control.identify(isRemoved ? 'Bearer removed' : shown, address),
      },
    }
    await using served = await serveApi(operator, overrides)
    const running = post(served, { ...LOOKING, images: [IMAGE] })
    await within(gate.reached)
    isRemoved = true
    vi.advanceTimersByTime(2000)
    gate.open()
    const failures = eventsOf(await running).filter(({ event }) => event === 'image-failed')
    expect(failures).toHaveLength(2)
    expect(failures[0]).toMatchObject({
      reason: 'denied',
      message: expect.stringMatching(/changed meanwhile/),
    })
    expect((await post(served, LOOKING)).status).toBe(401)
  })

  it('breaks off where the program fails, so that nobody takes it for the whole', async () => {
    const operator = createFakeOperator({ explain: () => Promise.reject(new Error('a fault')) })
    await using served = await serveApi(operator)
    const answer = await post(served, { images: [IMAGE] })
    expect([answer.status, answer.complete]).toEqual([200, false])
    expect(answer.body.toString()).not.toContain('a fault')
  })
})
