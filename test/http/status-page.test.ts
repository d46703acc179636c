import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/storage-error.ts'
import { verdict } from '../protocol/answers.ts'
import { request } from '../support/client.ts'
import { serveMirror } from './fake-mirror.ts'
import { BUSY } from './statuses.ts'

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
    expect(JSON.parse(body.toString())).toEqual(JSON.parse(JSON.stringify(BUSY)))
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
