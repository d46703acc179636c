import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/storage-error.ts'
import { verdict } from '../protocol/answers.ts'
import { request } from '../support/client.ts'
import { serveMirror } from './fake-mirror.ts'
import { fakeControl, principal } from './fake-control.ts'
import { BUSY, NO_TRAFFIC, TRAFFIC } from './statuses.ts'

const DOWNLOADS = BUSY.fills.downloads

describe('/status', () => {
  it('tells how the mirror is doing, and is not to be kept', async () => {
    await using served = await serveMirror({ status: async () => BUSY })
    const { status, headers, body } = await request({ url: served.url, path: '/status' })
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'content-length': String(body.length),
    })
    // What is undefined has no place in JSON.
    const expected = { ...BUSY, traffic: NO_TRAFFIC }
    expect(JSON.parse(body.toString())).toEqual(JSON.parse(JSON.stringify(expected)))
  })

  it('tells what was sent and fetched since the start', async () => {
    await using served = await serveMirror({ status: async () => BUSY })
    const { metrics } = served
    const given = { kind: 'blob', upstream: 'docker.io', status: 200, milliseconds: 1 } as const
    for (let n = 0; n < 175; n += 1) metrics.requestEnded({ ...given, outcome: 'hit', bytes: 0 })
    for (let n = 0; n < 25; n += 1) metrics.requestEnded({ ...given, outcome: 'miss', bytes: 0 })
    metrics.requestEnded({ ...given, status: 404, outcome: 'miss', bytes: TRAFFIC.clientBytes })
    metrics.upstreamReceived('docker.io', TRAFFIC.upstreamBytes)
    const { body } = await request({ url: served.url, path: '/status' })
    expect(JSON.parse(body.toString())).toMatchObject({ traffic: TRAFFIC })
  })

  it('names what is being pulled to those who may pull it', async () => {
    const control = fakeControl({
      anonymous: ['docker.io/library/busybox'],
      identities: {
        'Bearer all': { principal: principal('user', 'alice', 'pull=**') },
        'Bearer none': { principal: principal('user', 'bob', 'pull=quay.io/**') },
      },
    })
    await using served = await serveMirror({ status: async () => BUSY }, { control })
    const named = async (authorization?: string): Promise<unknown[]> => {
      const headers = authorization === undefined ? {} : { authorization }
      const { body } = await request({ url: served.url, path: '/status', headers })
      const { fills } = JSON.parse(body.toString()) as typeof BUSY
      expect(fills.downloads.map(({ bytes }) => bytes)).toEqual(DOWNLOADS.map(({ bytes }) => bytes))
      return fills.downloads.map(({ repository, digest }) => [repository, digest])
    }
    const [redis, busybox] = DOWNLOADS.map(({ repository, digest }) => [repository, digest])
    const hidden = [undefined, undefined]
    expect(await named()).toEqual([hidden, busybox])
    expect(await named('Bearer none')).toEqual([hidden, busybox])
    expect(await named('Bearer wrong')).toEqual([hidden, busybox])
    expect(await named('Bearer all')).toEqual([redis, busybox])
  })

  it('answers HEAD with the same headers', async () => {
    await using served = await serveMirror({ status: async () => BUSY })
    const whole = await request({ url: served.url, path: '/status' })
    const head = await request({ url: served.url, path: '/status', method: 'HEAD' })
    expect([head.status, head.body.length]).toEqual([200, 0])
    expect(head.headers['content-length']).toBe(whole.headers['content-length'])
  })

  it('writes no log line, as pages that refresh would drown the others', async () => {
    await using served = await serveMirror({ status: async () => BUSY })
    await request({ url: served.url, path: '/status' })
    await request({ url: served.url, path: '/elsewhere' })
    expect(served.logs.map(({ status }) => status)).toEqual([404])
  })

  it('is 503 when the catalog cannot be read', async () => {
    await using served = await serveMirror({
      status: () => Promise.reject(new StorageError('damaged', 'The catalog is damaged.')),
    })
    expect(verdict(await request({ url: served.url, path: '/status' }))).toBe('503 UNAVAILABLE')
  })
})
