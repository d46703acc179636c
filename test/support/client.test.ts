import { createServer, type AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { randomBlob } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { download, openStream, request } from './client.ts'
import { exchangeRaw, rawBody } from './raw-socket.ts'
import { until, within } from './until.ts'

/** A server that says the same to everybody. */
async function serveText(answer: string): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.write(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

describe('request', () => {
  it('sends the target unchanged', async () => {
    await using registry = await startRegistry()
    await request({ url: registry.url, path: '/v2//a/../%2F?x=%zz' })
    expect(registry.requests[0]).toMatchObject({ path: '/v2//a/../%2F', query: 'x=%zz' })
  })

  it('fails when the server is silent, before the answer or within', async () => {
    await using silent = await serveText('')
    await expect(request({ url: silent.url, path: '/', idleMs: 50 })).rejects.toThrow(
      'the server was silent for 50 ms',
    )
    await using stuck = await serveText('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc')
    await expect(request({ url: stuck.url, path: '/', idleMs: 50 })).rejects.toThrow(
      'the server was silent for 50 ms',
    )
  })
})

describe('download', () => {
  it('hashes, and tells a short body', async () => {
    await using registry = await startRegistry()
    const bytes = randomBlob(200_000, 'download')
    const path = `/v2/app/blobs/${registry.pushBlob('app', bytes)}`
    expect(await download({ url: registry.url, path })).toMatchObject({
      status: 200,
      digest: digestOf(bytes),
      bytes: 200_000,
      complete: true,
    })
    registry.fault({ cutAfter: 100 })
    expect(await download({ url: registry.url, path })).toMatchObject({
      digest: digestOf(bytes.subarray(0, 100)),
      bytes: 100,
      complete: false,
    })
  })
})

describe('openStream', () => {
  it('reads exactly what is asked for, and fewer only at the end', async () => {
    await using registry = await startRegistry()
    const bytes = randomBlob(100_000, 'stream')
    const path = `/v2/app/blobs/${registry.pushBlob('app', bytes)}`
    const stream = await openStream({ url: registry.url, path })
    const parts = [await stream.read(1), await stream.read(70_000), await stream.read(50_000)]
    expect(parts.map(({ length }) => length)).toEqual([1, 70_000, 29_999])
    expect(Buffer.concat(parts).equals(bytes)).toBe(true)
    expect(stream.complete).toBe(true)
    expect(await stream.rest()).toHaveLength(0)
  })
})

describe('exchangeRaw', () => {
  it('sends and collects bytes until the server closes', async () => {
    await using registry = await startRegistry()
    const answer = await exchangeRaw({
      url: registry.url,
      send: ['GET /v2/ HTTP/1.1\r\n', 'host: fake\r\nconnection: close\r\n\r\n'],
    })
    expect(answer.closed).toBe(true)
    expect(answer.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(rawBody(answer)).toBe('{}')
  })

  it('stops at the deadline, or when there is enough', async () => {
    await using server = await serveText('hello')
    const late = await exchangeRaw({ url: server.url, send: 'x', deadlineMs: 50 })
    expect(late).toEqual({ text: 'hello', closed: false })
    const enough = await exchangeRaw({
      url: server.url,
      send: 'x',
      enough: (text) => text === 'hello',
      deadlineMs: 60_000,
    })
    expect(enough).toEqual({ text: 'hello', closed: false })
  })
})

describe('until and within', () => {
  it('give what the condition gave', async () => {
    let asked = 0
    expect(await until(() => (asked += 1) === 3 && 'third')).toBe('third')
    expect(await within(Promise.resolve(1))).toBe(1)
  })

  it('say what they waited for in vain', async () => {
    await expect(until(() => false, { deadlineMs: 10, what: 'never' })).rejects.toThrow(
      'Waited 10 ms in vain until: never',
    )
    await expect(
      within(new Promise(() => undefined), { deadlineMs: 10, what: 'nothing' }),
    ).rejects.toThrow('Waited 10 ms in vain for: nothing')
  })
})
