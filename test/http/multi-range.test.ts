/** Several ranges in one request, as podman asks for the missing chunks of a zstd:chunked layer. */
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { randomBlob } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type ClientResponse, openStream } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { until } from '../support/until.ts'
import { contentHeaders, verdict } from '../protocol/answers.ts'
import { parseMultipart, type Part } from './multipart.ts'

const MIB = 1024 * 1024
/** More than the lines around a part have. */
const MOST_OVERHEAD = 300

const BLOB = randomBlob(MIB, 'multi-range')
const DIGEST = digestOf(BLOB)
const PATH = `/v2/docker.io/a/one/blobs/${DIGEST}`

let registry: FakeRegistry
let mirror: Mirror
beforeAll(async () => {
  registry = await startRegistry()
  registry.pushBlob('a/one', BLOB)
  mirror = await startMirror({ upstreams: { 'docker.io': registry } })
  await mirror.get(PATH)
  await mirror.app.idle()
})
afterAll(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

describe('several ranges', () => {
  it('are answered in the order asked, each with its bytes, or with the whole where that is shorter', async () => {
    const ranges = fc
      .tuple(fc.nat({ max: MIB + 1000 }), fc.nat({ max: 200_000 }))
      .map(([first, more]) => ({ first, last: first + more }))
    await fc.assert(
      fc.asyncProperty(fc.array(ranges, { minLength: 2, maxLength: 20 }), async (asked) => {
        const answer = await askFor(asked.map(({ first, last }) => `${first}-${last}`).join())
        expect(possibleAnswers(asked)).toContainEqual(contentOf(answer))
      }),
      { numRuns: 150 },
    )
  })

  it('are on the wire what the specification says', async () => {
    const head = `GET ${PATH} HTTP/1.1\r\nHost: mirror.example\r\nConnection: close\r\n`
    const send = `${head}Range: bytes=0-1, 1048575-1048580\r\n\r\n`
    const { text, closed } = await exchangeRaw({ url: mirror.url, send })

    const [, boundary = ''] = /boundary=(\w+)\r\n/.exec(text) ?? []
    const bytes = (position: number, count: number): string =>
      Buffer.from(BLOB.subarray(position, position + count)).toString('latin1')
    const body =
      `--${boundary}\r\nContent-Type: application/octet-stream\r\n` +
      `Content-Range: bytes 0-1/1048576\r\n\r\n${bytes(0, 2)}\r\n` +
      `--${boundary}\r\nContent-Type: application/octet-stream\r\n` +
      `Content-Range: bytes 1048575-1048575/1048576\r\n\r\n${bytes(1_048_575, 1)}\r\n` +
      `--${boundary}--\r\n`
    expect(closed).toBe(true)
    expect(text).toMatch(/^HTTP\/1\.1 206 Partial Content\r\n/)
    expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe(body)
    expect(text).toContain(`\r\nContent-Length: ${body.length}\r\n`)
  })

  it('have their own boundary in each answer', async () => {
    const answers = await Promise.all([askFor('0-1,3-4'), askFor('0-1,3-4')])
    expect(new Set(answers.map(({ headers }) => headers['content-type'])).size).toBe(2)
  })

  it('come with the headers of the blob, and without a Content-Range beside those of the parts', async () => {
    const { 'content-type': type, ...headers } = contentHeaders(await askFor('0-1,3-4'))
    expect(type).toMatch(/^multipart\/byteranges; boundary=/)
    expect(headers).toEqual({
      'content-length': expect.stringMatching(/^\d+$/),
      'docker-content-digest': DIGEST,
      etag: `"${DIGEST}"`,
      'accept-ranges': 'bytes',
      'cache-status': 'entrepot; hit',
    })
  })

  it.each(['7-9,1048576-', '1048576-,7-9', '9-7,7-9', '-0,7-9'])(
    'of which one is left are never answered with a lone part: %s',
    async (ranges) => {
      expect(contentOf(await askFor(ranges))).toEqual([{ first: 7, last: 9 }])
    },
  )

  it('are 416 when none is left', async () => {
    const answer = await askFor('1048576-,2000000-2000001')
    expect(verdict(answer)).toBe('416 RANGE_INVALID')
    expect(answer.headers['content-range']).toBe(`bytes */${MIB}`)
  })

  it('may be as many as podman asks for, and no more', async () => {
    const ranges = (count: number): string =>
      Array.from({ length: count }, (_, index) => `${10 * index}-${10 * index}`).join()
    const many = await askFor(ranges(1024))
    expect(parseMultipart(many.headers['content-type'], many.body)).toHaveLength(1024)
    expect(contentOf(await askFor(ranges(1025)))).toBe('whole')
  })

  it.each([
    ['a thousand times the whole', Array.from({ length: 1000 }, () => '0-').join()],
    ['two that overlap', '0-600000,500000-'],
    ['one after the other', '0-,0-0'],
    ['one that is none', '0-1,3-4,x'],
  ])('never make the answer longer than the blob: %s', async (_what, ranges) => {
    expect(contentOf(await askFor(ranges))).toBe('whole')
  })

  it('of a small blob are the whole, as the lines around the parts are longer', async () => {
    const small = randomBlob(200, 'small')
    const path = `/v2/docker.io/a/one/blobs/${registry.pushBlob('a/one', small)}`
    const answer = await mirror.get(path, { headers: { range: 'bytes=0-1,3-4' } })
    expect([answer.status, answer.body.equals(small)]).toEqual([200, true])
  })

  it('of an empty blob are the whole', async () => {
    const path = `/v2/docker.io/a/one/blobs/${registry.pushBlob('a/one', Buffer.alloc(0))}`
    const answer = await mirror.get(path, { headers: { range: 'bytes=0-1,3-4' } })
    expect([answer.status, answer.body.length, answer.complete]).toEqual([200, 0, true])
  })

  it('count only for who holds the same blob', async () => {
    const range = 'bytes=0-1,3-4'
    const ask = (ifRange: string) => mirror.get(PATH, { headers: { range, 'if-range': ifRange } })
    expect(contentOf(await ask(`"${DIGEST}"`))).toEqual([
      { first: 0, last: 1 },
      { first: 3, last: 4 },
    ])
    expect(contentOf(await ask(`"sha256:${'0'.repeat(64)}"`))).toBe('whole')
    expect(contentOf(await ask(`W/"${DIGEST}"`))).toBe('whole')
  })

  it('mean nothing to HEAD', async () => {
    const answer = await mirror.head(PATH, { headers: { range: 'bytes=0-1,3-4' } })
    expect([answer.status, answer.headers['content-length']]).toEqual([200, String(MIB)])
    expect(answer.headers['content-type']).toBe('application/octet-stream')
  })
})

describe('several ranges of a blob that is still coming', () => {
  it('go out as their bytes are there, whichever order they are asked in', async () => {
    await using upstream = await startRegistry()
    const digest = upstream.pushBlob('a/one', BLOB)
    const gate = createGate()
    upstream.fault({ match: { kind: 'blob', ranged: false }, hold: { after: 500_000, gate } })
    await using cold = await startMirror({ upstreams: { 'docker.io': upstream } })
    const path = `/v2/docker.io/a/one/blobs/${digest}`
    const whole = openStream({ url: cold.url, path })
    await gate.reached

    const range = 'bytes=300000-300099,0-99,900000-900099,-10'
    const stream = await openStream({ url: cold.url, path, headers: { range } })
    expect(stream.status).toBe(206)
    const early = await stream.read(400)
    expect(early.includes(Buffer.from(BLOB.subarray(300_000, 300_100)))).toBe(true)
    gate.open()
    const body = Buffer.concat([early, await stream.rest()])

    expect(contentOf({ ...stream, body, complete: stream.complete })).toEqual([
      { first: 300_000, last: 300_099 },
      { first: 0, last: 99 },
      { first: 900_000, last: 900_099 },
      { first: MIB - 10, last: MIB - 1 },
    ])
    expect(digestOf(await (await whole).rest())).toBe(digest)
  })

  it('are cut, and never end properly, when upstream fails in the middle', async () => {
    await using upstream = await startRegistry()
    const digest = upstream.pushBlob('a/one', BLOB)
    upstream.fault({ match: { kind: 'blob', ranged: false }, cutAfter: 500_000 })
    upstream.fault({ match: { kind: 'blob', ranged: true }, status: 500 })
    await using cold = await startMirror({ upstreams: { 'docker.io': upstream } })
    const path = `/v2/docker.io/a/one/blobs/${digest}`

    const headers = { range: 'bytes=0-99,600000-600099' }
    const { status, body, complete, ...answer } = await cold.get(path, { headers })
    expect([status, complete]).toEqual([206, false])
    expect(body.length).toBeLessThan(Number(answer.headers['content-length']))
    const line = await until(() => cold.logs.find(({ kind }) => kind === 'blob'))
    expect(line).toMatchObject({ cut: true, reason: expect.any(String), bytes: body.length })
  })

  it('leave nothing behind when the client goes in the middle', async () => {
    await using upstream = await startRegistry()
    const digest = upstream.pushBlob('a/one', BLOB)
    const gate = createGate()
    upstream.fault({ match: { kind: 'blob' }, hold: { after: 500_000, gate } })
    await using cold = await startMirror({ upstreams: { 'docker.io': upstream } })
    const path = `/v2/docker.io/a/one/blobs/${digest}`
    const headers = { range: 'bytes=0-99,-10' }
    const stream = await openStream({ url: cold.url, path, headers })
    await stream.read(100)
    stream.abort()
    const line = await until(() => cold.logs.find(({ kind }) => kind === 'blob'))
    expect(line).toMatchObject({ status: 206, cut: true })
    gate.open()
    await cold.app.idle()
    expect(digestOf((await cold.get(path)).body)).toBe(digest)
  })
})

function askFor(ranges: string): Promise<ClientResponse> {
  return mirror.get(PATH, { headers: { range: `bytes=${ranges}` } })
}

type Content = 'whole' | '416 RANGE_INVALID' | Pick<Part, 'first' | 'last'>[]

/**
 * Which bytes of the blob the answer holds.
 * @throws when they are not those bytes, or the answer does not say what it holds
 */
function contentOf(answer: ClientResponse): Content {
  const { status, headers, body, complete } = answer
  if (verdict(answer) === '416 RANGE_INVALID') return '416 RANGE_INVALID'
  const isOdd = !complete || headers['content-range'] !== undefined
  if (isOdd || headers['content-length'] !== String(body.length)) throw new Error('It is odd.')
  if (status === 200 && body.equals(BLOB)) return 'whole'
  if (status !== 206) throw new Error(`It has the status ${status}.`)
  return parseMultipart(headers['content-type'], body).map(
    ({ first, last, bytes, total, contentType }) => {
      const isRight = total === MIB && contentType === 'application/octet-stream'
      if (isRight && bytes.equals(BLOB.subarray(first, last + 1))) return { first, last }
      throw new Error(`The part from ${first} to ${last} is wrong.`)
    },
  )
}

/** Either the whole or the parts, where it depends on how long the lines around the parts are. */
function possibleAnswers(asked: readonly { first: number; last: number }[]): Content[] {
  const inside = asked
    .filter(({ first }) => first < MIB)
    .map(({ first, last }) => ({ first, last: Math.min(last, MIB - 1) }))
  const bytes = inside.reduce((sum, { first, last }) => sum + last - first + 1, 0)
  if (inside.length === 0) return ['416 RANGE_INVALID']
  if (bytes > MIB) return ['whole']
  return bytes + (inside.length + 1) * MOST_OVERHEAD <= MIB ? [inside] : ['whole', inside]
}
