/** Several requests for parts of one blob at a time. */
import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { createTestUpstream, DIGEST, patience, REPOSITORY, serve } from './loopback.ts'
import { answer, start } from './registry.ts'

describe('parts of a blob', () => {
  test('come from the endpoints in turn, all of them under way at a time', async () => {
    const send = answer(206, { 'Content-Range': 'bytes 4-9/10' }, '456789')
    const first = await serve(send)
    const second = await serve(send)
    const { upstream } = createTestUpstream([first.url, second.url])
    const blobs = await Promise.all(
      [0, 1, 2, undefined].map((lane) =>
        upstream.getBlob(REPOSITORY, DIGEST, { first: 4, last: 9, lane }, patience()),
      ),
    )
    for (const { body } of blobs) expect((await buffer(body)).toString()).toBe('456789')
    expect([first.requests.length, second.requests.length]).toEqual([3, 1])
  })

  test.each([
    ['a part', 206, { 'Content-Range': 'bytes 0-3/10' }, false],
    ['the whole', 200, {}, true],
  ])('%s for a part is told as that', async (_, status, headers, ignoresRange) => {
    const { upstream } = await start(answer(status, headers, '0123'))
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0, last: 3 }, patience())
    expect(blob.ignoresRange).toBe(ignoresRange)
    await buffer(blob.body)
  })

  test('the whole for the whole ignores nothing', async () => {
    const { upstream } = await start(answer(200, {}, '0123'))
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    expect(blob.ignoresRange).toBe(false)
    await buffer(blob.body)
  })
})
