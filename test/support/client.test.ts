import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { randomBlob } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { download, openStream, request } from './client.ts'
import { serveText } from './serve-text.ts'

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
