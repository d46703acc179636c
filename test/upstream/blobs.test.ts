import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import {
  createTestUpstream,
  DIGEST,
  failureOf,
  patience,
  REPOSITORY,
  serve,
  until,
} from './loopback.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { answer, start } from './registry.ts'

describe('blobs', () => {
  const content = Buffer.from('0123456789')

  test('the whole', async () => {
    const { server, upstream, seen } = await start(answer(200, { 'Content-Length': 10 }, content))
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    expect(blob).toMatchObject({ offset: 0, size: 10 })
    expect(await buffer(blob.body)).toEqual(content)
    expect(seen).toMatchObject({ bytes: 10, failures: [] })
    expect(server.requests[0]?.headers.range).toBeUndefined()
  })

  test('an empty one, and one of unknown size', async () => {
    const empty = await start(answer(200, { 'Content-Length': 0 }))
    const blob = await empty.upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    expect(blob.size).toBe(0)
    expect(await buffer(blob.body)).toHaveLength(0)
    const chunked = await start(answer(200, { 'Transfer-Encoding': 'chunked' }, content))
    const other = await chunked.upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    expect(other.size).toBeUndefined()
    expect(await buffer(other.body)).toEqual(content)
  })

  test.each([
    ['with total', 'bytes 4-9/10', 10],
    ['without total', 'bytes 4-9/*', undefined],
  ])('the rest, %s', async (_, contentRange, size) => {
    const { server, upstream } = await start(
      answer(206, { 'Content-Range': contentRange }, content.subarray(4)),
    )
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 4 }, patience())
    expect(blob).toMatchObject({ offset: 4, size })
    expect(await buffer(blob.body)).toEqual(content.subarray(4))
    expect(server.requests[0]?.headers.range).toBe('bytes=4-')
  })

  test.each([
    ['from within', { first: 4, last: 6 }, 'bytes=4-6', 'bytes 4-6/10', '456'],
    ['from the start', { first: 0, last: 6 }, 'bytes=0-6', 'bytes 0-6/10', '0123456'],
    ['of one byte', { first: 9, last: 9 }, 'bytes=9-9', 'bytes 9-9/10', '9'],
    ['that ends behind the blob', { first: 8, last: 99 }, 'bytes=8-99', 'bytes 8-9/10', '89'],
    ['of which less came', { first: 4, last: 8 }, 'bytes=4-8', 'bytes 4-5/10', '45'],
    ['to the end, of which less came', { first: 4 }, 'bytes=4-', 'bytes 4-5/10', '45'],
  ])('a window %s', async (_, window, range, contentRange, body) => {
    const { server, upstream } = await start(answer(206, { 'Content-Range': contentRange }, body))
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, window, patience())
    expect(blob).toMatchObject({ offset: window.first, size: 10 })
    expect((await buffer(blob.body)).toString()).toBe(body)
    expect(server.requests[0]?.headers.range).toBe(range)
  })

  test.each([
    ['more than the window', 'bytes 4-7/10', undefined],
    ['a window beyond the blob', 'bytes 4-6/6', undefined],
    ['a window that ends before it begins', 'bytes 4-3/10', undefined],
    ['a length of more', 'bytes 4-6/10', 4],
    ['a length of less', 'bytes 4-6/10', 2],
  ])('%s is refused', async (_, contentRange, length) => {
    const { server, upstream, seen } = await start(
      answer(206, {
        'Content-Range': contentRange,
        ...(length !== undefined && { 'Content-Length': length }),
      }),
    )
    const failure = await failureOf(
      upstream.getBlob(REPOSITORY, DIGEST, { first: 4, last: 6 }, patience()),
    )
    expect(failure.reason).toBe('corrupt')
    expect(seen.failures).toEqual(['corrupt'])
    await until(() => server.open() === 0)
  })

  test('a body that goes on behind its window is cut off, and told', async () => {
    const { server, upstream, seen } = await start((_, response) => {
      response.writeHead(206, { 'Content-Range': 'bytes 4-6/10' })
      response.write('456789')
    })
    const window = { first: 4, last: 6 }
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, window, patience())
    let received = ''
    blob.body.on('data', (chunk: Buffer) => (received += chunk.toString()))
    const error = await new Promise((resolve) => blob.body.on('error', resolve))
    expect(error).toMatchObject({ name: 'UpstreamError', reason: 'corrupt' })
    expect('456'.startsWith(received)).toBe(true)
    expect(seen.failures).toEqual(['corrupt'])
    await until(() => server.open() === 0)
  })

  test('a window beyond the end fails as corrupt', async () => {
    const { upstream } = await start(answer(416, { 'Content-Range': 'bytes */10' }))
    const window = { first: 10, last: 11 }
    const failure = await failureOf(upstream.getBlob(REPOSITORY, DIGEST, window, patience()))
    expect(failure.reason).toBe('corrupt')
  })

  test('an endpoint whose bytes were wrong is asked after the other', async () => {
    const wrong = await serve(answer(200, { 'Content-Length': 10 }, 'wrong bits'))
    const right = await serve(answer(200, { 'Content-Length': 10 }, content))
    const { upstream } = createTestUpstream([wrong.url, right.url])
    const window = { first: 0 }
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, window, patience())
    await buffer(blob.body)
    blob.distrust()
    const other = await upstream.getBlob(REPOSITORY, DIGEST, window, patience())
    expect(await buffer(other.body)).toEqual(content)
    expect(upstream.state().endpoints.map(({ restsFor }) => restsFor > 0)).toEqual([true, false])
  })

  test('the whole instead of the rest', async () => {
    const { upstream } = await start(answer(200, { 'Content-Length': 10 }, content))
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 4 }, patience())
    expect(blob).toMatchObject({ offset: 0, size: 10 })
    expect(await buffer(blob.body)).toEqual(content)
  })

  test.each([
    ['another start', { 'Content-Range': 'bytes 3-9/10' }],
    ['no Content-Range', {}],
    ['several parts', { 'Content-Type': 'multipart/byteranges; boundary=x' }],
    ['another unit', { 'Content-Range': 'items 4-9/10' }],
    ['nonsense', { 'Content-Range': 'bytes 4-' }],
  ])('a part with %s is refused', async (_, headers) => {
    const { upstream, seen } = await start(answer(206, headers, content))
    const failure = await failureOf(upstream.getBlob(REPOSITORY, DIGEST, { first: 4 }, patience()))
    expect(failure.reason).toBe('corrupt')
    expect(seen).toMatchObject({ bytes: 0, failures: ['corrupt'] })
  })

  test('a part that was not asked for is refused', async () => {
    const { upstream } = await start(answer(206, { 'Content-Range': 'bytes 0-9/10' }, content))
    const failure = await failureOf(upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience()))
    expect(failure.reason).toBe('corrupt')
  })

  test('protocol E-26: a layer that is labelled gzip passes as it is', async () => {
    const layer = gzipSync('layer')
    const { upstream } = await start(
      answer(200, { 'Content-Encoding': 'gzip', 'Content-Length': layer.byteLength }, layer),
    )
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    expect(await buffer(blob.body)).toEqual(layer)
  })

  test('one that breaks off fails with what was received before', async () => {
    const { upstream, seen } = await start((_, response) => {
      response.writeHead(200, { 'Content-Length': 10 })
      response.write('0123', () => response.destroy())
    })
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    let received = ''
    blob.body.on('data', (chunk: Buffer) => (received += chunk.toString()))
    const error = await new Promise((resolve) => blob.body.on('error', resolve))
    expect(error).toMatchObject({ name: 'UpstreamError', reason: 'unavailable' })
    expect(received).toBe('0123')
    expect(seen).toMatchObject({ bytes: 4, failures: ['unavailable'] })
  })

  test('one that stops is given up', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': 10 }).write('0123')
    })
    const timeouts = { connect: 1000, firstByte: 1000, idle: 100 }
    const { upstream } = createTestUpstream([server.url], { timeouts })
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    await expect(buffer(blob.body)).rejects.toMatchObject({ reason: 'unavailable' })
    await until(() => server.open() === 0)
  })

  test('whoever aborts gets the reason from the body', async () => {
    const { server, upstream, seen } = await start((_, response) => {
      response.writeHead(200, { 'Content-Length': 10 }).write('0123')
    })
    for (const reason of [new Error('enough'), 'enough']) {
      const controller = new AbortController()
      const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, controller.signal)
      const received = buffer(blob.body)
      controller.abort(reason)
      await expect(received).rejects.toThrow(reason instanceof Error ? 'enough' : 'aborted')
    }
    await until(() => server.open() === 0)
    expect(seen.failures).toEqual([])
  })

  test('one that is destroyed closes the connection, read or not', async () => {
    const { server, upstream, seen } = await start((_, response) => {
      response.writeHead(200, { 'Content-Length': 10 }).write('0123')
    })
    for (const reads of [false, true]) {
      const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
      if (reads) await new Promise((resolve) => blob.body.once('data', resolve))
      blob.body.destroy()
      await until(() => server.open() === 0)
    }
    expect(seen.failures).toEqual([])
  })

  test('one that is destroyed for what it sent counts as a failure', async () => {
    const { server, upstream, seen } = await start((_, response) => {
      response.writeHead(200, { 'Content-Length': 10 }).write('0123')
    })
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    blob.body.destroy(new UpstreamError('unavailable', 'It is too slow.'))
    await until(() => server.open() === 0)
    expect(seen.failures).toEqual(['unavailable'])
    expect(upstream.state().endpoints[0]?.restsFor).toBeGreaterThan(0)
  })

  test('a slow reader slows upstream down, nothing piles up', async () => {
    const total = 64 * 1024 * 1024
    let sent = 0
    const { upstream, seen } = await start((_, response) => {
      response.writeHead(200, { 'Content-Length': total })
      const pour = (): void => {
        while (sent < total) {
          sent += 65_536
          if (!response.write(Buffer.alloc(65_536))) return
        }
        response.end()
      }
      response.on('drain', pour)
      pour()
    })
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    await new Promise((resolve) => blob.body.once('readable', resolve))
    await standstill(() => sent)
    expect(seen.bytes).toBeLessThan(3 * 1024 * 1024)
    expect(sent).toBeLessThan(total)
    let received = 0
    for await (const chunk of blob.body as AsyncIterable<Buffer>) received += chunk.byteLength
    expect(received).toBe(total)
    expect(seen.bytes).toBe(total)
  })
})

/** Waits until the number no longer grows. */
async function standstill(read: () => number): Promise<void> {
  for (let before = -1; before !== read();) {
    before = read()
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
