import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { type ClientResponse, openStream, request } from '../support/client.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { until, within } from '../support/until.ts'
import { createGate } from './gate.ts'
import { buildImage, randomBlob } from './images.ts'
import { type FakeRegistry, startRegistry } from './registry.ts'

const SIZE = 300_000
const bytes = randomBlob(SIZE, 'faults')
const digest = digestOf(bytes)
const path = `/v2/app/blobs/${digest}`

let registry: FakeRegistry
beforeEach(async () => {
  registry = await startRegistry()
  registry.pushBlob('app', bytes)
  registry.push('app', 'v1', buildImage({ seed: 'faults' }))
})
afterEach(() => registry.close())

const get = (headers: Record<string, string> = {}): Promise<ClientResponse> =>
  request({ url: registry.url, path, headers })

describe('which requests a fault sees', () => {
  it('happens so many times, after so many that are spared', async () => {
    const fault = registry.fault({ status: 500, times: 2, after: 1 })
    const statuses = []
    for (let asked = 0; asked < 5; asked += 1) statuses.push((await get()).status)
    expect(statuses).toEqual([200, 500, 500, 200, 200])
    expect(fault.happened).toBe(2)
  })

  it.each([
    [{ kind: 'blob' }, true],
    [{ kind: 'manifest' }, false],
    [{ method: 'GET' }, true],
    [{ method: 'HEAD' }, false],
    [{ repository: 'app' }, true],
    [{ repository: 'other' }, false],
    [{ digest }, true],
    [{ tag: 'v1' }, false],
    [{ ranged: false }, true],
    [{ ranged: true }, false],
    [{ kind: 'blob', method: 'HEAD' }, false],
  ] as const)('matches a GET of a blob by %o: %s', async (match, expected) => {
    registry.fault({ match, status: 500 })
    expect((await get()).status).toBe(expected ? 500 : 200)
  })

  it('can be removed, one or all', async () => {
    const fault = registry.fault({ status: 500 })
    fault.remove()
    expect((await get()).status).toBe(200)
    registry.fault({ status: 500 })
    registry.clearFaults()
    expect((await get()).status).toBe(200)
  })

  it('adds to others, the later before the earlier', async () => {
    registry.fault({ noDigestHeader: true, contentType: 'x/earlier' })
    registry.fault({ contentType: 'x/later' })
    const { headers } = await get()
    expect(headers['docker-content-digest']).toBeUndefined()
    expect(headers['content-type']).toBe('x/later')
  })
})

describe('answers in the place of the content', () => {
  it('status, with an OCI body or one of its own, and headers', async () => {
    registry.fault({ status: 429, headers: { 'retry-after': '7' }, times: 1 })
    const limited = await get()
    expect([limited.status, limited.headers['retry-after']]).toEqual([429, '7'])
    expect(JSON.parse(limited.body.toString())).toMatchObject({
      errors: [{ code: 'TOOMANYREQUESTS' }],
    })
    registry.fault({ status: 503, body: 'later' })
    const busy = await get()
    expect([busy.status, busy.body.toString()]).toEqual([503, 'later'])
  })

  it('redirectTo another host, built from the request', async () => {
    await using cdn = await startRegistry()
    cdn.pushBlob('app', bytes)
    registry.fault({
      redirectTo: ({ pathname }) => `${cdn.url}${pathname}?signature=s`,
      redirectStatus: 302,
    })
    const { status, headers } = await get()
    expect([status, headers['location']]).toEqual([302, `${cdn.url}${path}?signature=s`])
    const { body } = await request({ url: cdn.url, path: `${path}?signature=s` })
    expect(digestOf(body)).toBe(digest)
  })

  it('redirectLoop', async () => {
    registry.fault({ redirectLoop: true })
    const { status, headers } = await get()
    expect([status, headers['location']]).toEqual([307, path])
  })

  it('html200', async () => {
    registry.fault({ html200: true })
    const { status, headers, body } = await get()
    expect([status, headers['content-type']]).toEqual([200, 'text/html'])
    expect(body.toString()).toContain('<!doctype html>')
    expect(headers['docker-content-digest']).toBeUndefined()
  })

  it('resetConnection instead of an answer', async () => {
    registry.fault({ resetConnection: true, times: 1 })
    await expect(get()).rejects.toMatchObject({ code: 'ECONNRESET' })
    await until(() => registry.requests[0]?.ending === 'cut')
    expect(registry.requests[0]?.status).toBeUndefined()
    expect((await get()).status).toBe(200)
  })
})

describe('content that is not what it says', () => {
  it('wrongByteAt, also in a range over it', async () => {
    registry.fault({ wrongByteAt: 1000 })
    const whole = await get()
    expect(whole.body.length).toBe(SIZE)
    expect(whole.body.findIndex((byte, index) => byte !== bytes[index])).toBe(1000)
    expect(whole.body.subarray(1001).equals(bytes.subarray(1001))).toBe(true)
    const part = await get({ range: 'bytes=1000-1001' })
    expect([part.body[0], part.body[1]]).toEqual([(bytes[1000] ?? 0) ^ 0xff, bytes[1001]])
  })

  it('body, another one under the same digest', async () => {
    registry.fault({ body: 'something else' })
    const { body, headers } = await get()
    expect(body.toString()).toBe('something else')
    expect(headers['content-length']).toBe('14')
    expect(headers['docker-content-digest']).toBe(digest)
  })

  it('noDigestHeader and wrongDigestHeader', async () => {
    registry.fault({ noDigestHeader: true, times: 1 })
    expect((await get()).headers['docker-content-digest']).toBeUndefined()
    registry.fault({ wrongDigestHeader: true, times: 1 })
    expect((await get()).headers['docker-content-digest']).toMatch(/^sha256:[0-9a-f]{64}$/)
    registry.fault({ wrongDigestHeader: 'md5:00' })
    const { headers, body } = await get()
    expect(headers['docker-content-digest']).toBe('md5:00')
    expect(digestOf(body)).toBe(digest)
  })

  it('contentType, another or none', async () => {
    registry.fault({ contentType: 'text/plain; charset=utf-8', times: 1 })
    expect((await get()).headers['content-type']).toBe('text/plain; charset=utf-8')
    registry.fault({ contentType: null })
    expect((await get()).headers['content-type']).toBeUndefined()
  })

  it('gzipLabel on raw bytes, gzip on compressed ones', async () => {
    registry.fault({ gzipLabel: true, times: 1 })
    const labelled = await get()
    expect(labelled.headers['content-encoding']).toBe('gzip')
    expect(digestOf(labelled.body)).toBe(digest)
    registry.fault({ gzip: true })
    const compressed = await get()
    expect(compressed.headers['content-encoding']).toBe('gzip')
    expect(digestOf(gunzipSync(compressed.body))).toBe(digest)
  })

  it('ignoreRange and shiftRange', async () => {
    registry.fault({ ignoreRange: true, times: 1 })
    const ignored = await get({ range: 'bytes=100-' })
    expect([ignored.status, ignored.body.length]).toEqual([200, SIZE])
    registry.fault({ shiftRange: 50 })
    const shifted = await get({ range: 'bytes=100-' })
    expect(shifted.status).toBe(206)
    expect(shifted.headers['content-range']).toBe(`bytes 150-${SIZE - 1}/${SIZE}`)
    expect(shifted.body.equals(bytes.subarray(150))).toBe(true)
  })

  it('claimLength beyond the body: the connection ends short', async () => {
    registry.fault({ claimLength: SIZE + 1 })
    const { headers, body, complete } = await get()
    expect(headers['content-length']).toBe(String(SIZE + 1))
    expect([body.length, complete]).toEqual([SIZE, false])
  })

  it('claimLength before the end of the body: the rest follows all the same', async () => {
    registry.fault({ claimLength: 10 })
    const { closed, text } = await exchangeRaw({
      url: registry.url,
      send: `GET ${path} HTTP/1.1\r\nhost: fake\r\n\r\n`,
    })
    expect(closed).toBe(true)
    expect(text).toMatch(/\r\ncontent-length: 10\r\n/i)
    expect(text.length - text.indexOf('\r\n\r\n') - 4).toBe(SIZE)
  })

  it.each([
    ['chunked', 'transfer-encoding: chunked'],
    ['close', 'connection: close'],
  ] as const)('noLength: %s', async (noLength, framing) => {
    registry.fault({ noLength })
    expect(digestOf((await get()).body)).toBe(digest)
    const { text } = await exchangeRaw({
      url: registry.url,
      send: `GET ${path} HTTP/1.1\r\nhost: fake\r\n\r\n`,
      enough: (soFar) => soFar.includes('\r\n\r\n'),
    })
    const head = text.slice(0, text.indexOf('\r\n\r\n')).toLowerCase().split('\r\n')
    expect(
      head.filter((line) => /^(content-length|transfer-|connection: close)/.test(line)),
    ).toEqual([framing])
  })

  it('noLength by close, cut: nothing shows that bytes are missing', async () => {
    registry.fault({ noLength: 'close', cutAfter: 1000 })
    const { body, complete } = await get()
    expect([body.length, complete]).toEqual([1000, true])
  })

  it('endless: goes on until the client leaves', async () => {
    registry.fault({ endless: true })
    const stream = await openStream({ url: registry.url, path })
    expect(stream.headers['content-length']).toBeUndefined()
    const read = await stream.read(SIZE * 20)
    expect(read.length).toBe(SIZE * 20)
    expect(digestOf(read.subarray(0, SIZE))).toBe(digest)
    stream.abort()
    await until(() => registry.requests[0]?.ending === 'aborted')
  })
})

describe('how the body comes', () => {
  it('cutAfter, once: exactly so many bytes, then whole', async () => {
    registry.fault({ match: { kind: 'blob', digest }, cutAfter: 123_456, times: 1 })
    const cut = await get()
    expect([cut.body.length, cut.complete]).toEqual([123_456, false])
    expect(cut.headers['content-length']).toBe(String(SIZE))
    expect(registry.bodyBytes(digest)).toBe(123_456)
    expect(registry.requests[0]?.ending).toBe('cut')

    const rest = await get({ range: 'bytes=123456-' })
    expect(digestOf(Buffer.concat([cut.body, rest.body]))).toBe(digest)
    expect(registry.bodyBytes(digest)).toBe(SIZE)
  })

  it('cutAfter closes a connection that the client would keep', async () => {
    registry.fault({ cutAfter: 1000 })
    const { closed, text } = await exchangeRaw({
      url: registry.url,
      send: `GET ${path} HTTP/1.1\r\nhost: fake\r\n\r\n`,
    })
    expect(closed).toBe(true)
    expect(text.length - text.indexOf('\r\n\r\n') - 4).toBe(1000)
  })

  it('cutAfter nothing: headers only', async () => {
    registry.fault({ cutAfter: 0 })
    const { status, body, complete } = await get()
    expect([status, body.length, complete]).toEqual([200, 0, false])
  })

  it('cutAfter with a reset', async () => {
    registry.fault({ cutAfter: 1000, resetConnection: true })
    const { complete } = await get()
    expect(complete).toBe(false)
  })

  it('hold: so many bytes are on the wire, and no more until the gate opens', async () => {
    const [first, second] = [createGate(), createGate()]
    registry.fault({
      hold: [
        { after: 200_000, gate: second },
        { after: 1000, gate: first },
      ],
    })
    const stream = await openStream({ url: registry.url, path })
    await within(first.reached, { what: 'the first gate' })
    expect((await stream.read(1000)).equals(bytes.subarray(0, 1000))).toBe(true)
    const next = stream.read(1)
    expect(registry.bodyBytes(digest)).toBe(1000)
    first.open()
    expect(await next).toHaveLength(1)
    await within(second.reached, { what: 'the second gate' })
    expect(registry.bodyBytes(digest)).toBe(200_000)
    second.open()
    expect(await stream.rest()).toHaveLength(SIZE - 1001)
    expect(stream.complete).toBe(true)
  })

  it('hold after nothing: headers come, no byte', async () => {
    const gate = createGate()
    registry.fault({ hold: { after: 0, gate } })
    const stream = await openStream({ url: registry.url, path })
    expect(stream.status).toBe(200)
    await within(gate.reached)
    expect(registry.bodyBytes(digest)).toBe(0)
    gate.open()
    expect(digestOf(await stream.rest())).toBe(digest)
  })

  it('a client that leaves at a gate is noticed', async () => {
    registry.fault({ hold: { after: 10, gate: createGate() } })
    const stream = await openStream({ url: registry.url, path })
    await stream.read(10)
    stream.abort()
    await until(() => registry.connections() === 0)
    await until(() => registry.requests[0]?.ending)
    expect(registry.requests[0]?.ending).toBe('aborted')
  })

  it('delayHeaders: no answer at all until then', async () => {
    const gate = createGate()
    registry.fault({ delayHeaders: gate, times: 1 })
    let answered = false
    const answer = get().finally(() => (answered = true))
    await within(gate.reached)
    // Others are not delayed, and what they see has had its turn on the same loop.
    expect((await get()).status).toBe(200)
    expect(answered).toBe(false)
    gate.open()
    expect((await answer).status).toBe(200)
  })

  it('bytesPerSecond: takes the time that it must', async () => {
    registry.fault({ bytesPerSecond: SIZE * 10 })
    const started = performance.now()
    expect(digestOf((await get()).body)).toBe(digest)
    expect(performance.now() - started).toBeGreaterThan(80)
  })

  it('a client that does not read holds the body back', async () => {
    const large = randomBlob(32 * 1024 * 1024, 'large')
    const largeDigest = registry.pushBlob('app', large)
    const stream = await openStream({ url: registry.url, path: `/v2/app/blobs/${largeDigest}` })
    await stream.read(1)
    let seen = -1
    await until(
      async () => {
        const before = seen
        seen = registry.bodyBytes(largeDigest)
        await get()
        return before === seen
      },
      { what: 'the body stands still' },
    )
    expect(seen).toBeLessThan(large.length)
    expect((await stream.rest()).length).toBe(large.length - 1)
    expect(registry.bodyBytes(largeDigest)).toBe(large.length)
  })
})
