/** Parts of blobs, and conditions on requests. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { buildImage, randomBlob } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { openStream } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { until } from '../support/until.ts'
import { contentHeaders, verdict } from './answers.ts'
import { askedSince } from './asked.ts'
import { imageOf } from './handmade.ts'
import { storedDigests } from './stored-digests.ts'

const MIB = 1024 * 1024

describe('E-16 a part of a blob that is still coming', () => {
  it('E-16 what is there is sent, what is ahead is waited for, and nothing is fetched twice', async () => {
    const bytes = randomBlob(MIB, 'e16')
    const image = imageOf(bytes)
    const { layer: digest } = image
    await using registry = await startRegistry()
    registry.push('a/one', 'v1', image)
    const gate = createGate()
    registry.fault({ match: { kind: 'blob' }, hold: { after: 500_000, gate } })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.get('/v2/docker.io/a/one/manifests/v1')
    const path = `/v2/docker.io/a/one/blobs/${digest}`
    const ask = (range: string) => mirror.get(path, { headers: { range } })

    const whole = openStream({ url: mirror.url, path })
    await gate.reached
    const there = await Promise.all(['bytes=0-99', 'bytes=100000-299999'].map(ask))
    const coming = ['bytes=400000-599999', 'bytes=900000-', 'bytes=-10'].map(ask)
    gate.open()
    const parts = [...there, ...(await Promise.all(coming))]

    expect(parts.map(({ status, headers }) => [status, headers['content-range']])).toEqual([
      [206, `bytes 0-99/${MIB}`],
      [206, `bytes 100000-299999/${MIB}`],
      [206, `bytes 400000-599999/${MIB}`],
      [206, `bytes 900000-${MIB - 1}/${MIB}`],
      [206, `bytes ${MIB - 10}-${MIB - 1}/${MIB}`],
    ])
    const expected = [
      bytes.subarray(0, 100),
      bytes.subarray(100_000, 300_000),
      bytes.subarray(400_000, 600_000),
      bytes.subarray(900_000),
      bytes.subarray(-10),
    ]
    expect(parts.map(({ body }) => digestOf(body))).toEqual(expected.map((it) => digestOf(it)))
    expect(digestOf(await (await whole).rest())).toBe(digest)
    expect(askedSince(registry, 1)).toEqual([`GET /v2/a/one/blobs/${digest}`])
  })
})

describe('E-17 parallel ranges without an end', () => {
  it('E-17 of which each is closed early: one fetch, no error, nothing left open', async () => {
    const [chunk, chunks] = [4 * MIB, 6]
    const bytes = randomBlob(chunk * chunks, 'e17')
    const image = imageOf(bytes)
    const { layer: digest } = image
    await using registry = await startRegistry()
    registry.push('a/one', 'v1', image)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.get('/v2/docker.io/a/one/manifests/v1')
    const path = `/v2/docker.io/a/one/blobs/${digest}`

    const fetchChunk = async (index: number): Promise<Buffer> => {
      const range = `bytes=${index * chunk}-`
      const stream = await openStream({ url: mirror.url, path, headers: { range } })
      expect(stream.status).toBe(206)
      const part = await stream.read(chunk)
      stream.abort()
      return part
    }
    const parts = await Promise.all(Array.from({ length: chunks }, (_, index) => fetchChunk(index)))
    expect(digestOf(Buffer.concat(parts))).toBe(digest)
    await mirror.app.idle()
    // On a slow machine a part far ahead may get a connection of its own; none is fetched by each.
    expect(registry.bodyBytes(digest)).toBeLessThan(2 * bytes.length)
    expect(await storedDigests(mirror.dataDir)).toContain(digest)

    // The last range ends by itself.
    const lines = await until(() => {
      const blobs = mirror.logs.filter(({ kind }) => kind === 'blob')
      return blobs.length === chunks && blobs
    })
    expect(lines.filter(({ cut }) => cut === true).length).toBeGreaterThanOrEqual(1)
    const sent = lines.reduce((sum, line) => sum + Number(line['bytes']), 0)
    const promised = (bytes.length * (chunks + 1)) / 2
    expect(sent).toBeLessThan(promised)
    expect(mirror.logs.filter(({ level }) => level !== 'info')).toEqual([])
  })
})

describe('E-19 and E-20, hot and cold', () => {
  const BLOB = randomBlob(2048, 'e19')
  const DIGEST = digestOf(BLOB)
  const IMAGE = buildImage({ seed: 'e20' })
  const OTHER = buildImage({ seed: 'e20 moved' })
  let registry: FakeRegistry
  let mirror: Mirror
  let cold = 0

  beforeAll(async () => {
    registry = await startRegistry()
    registry.pushBlob('a/one', BLOB)
    registry.push('a/one', 'v1', IMAGE)
    mirror = await startMirror({ upstreams: { 'docker.io': registry } })
  })
  afterAll(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  /** A blob that nobody has asked for. */
  function coldBlob(): { bytes: Uint8Array; digest: string } {
    const bytes = randomBlob(2048, `cold ${(cold += 1)}`)
    return { bytes, digest: registry.pushBlob('a/one', bytes) }
  }

  it.each([
    ['bytes=500-1499', 500, 1499],
    ['bytes=500-', 500, 2047],
    ['bytes=-500', 1548, 2047],
    ['bytes=0-', 0, 2047],
    ['bytes=0-0', 0, 0],
    ['bytes=2047-2047', 2047, 2047],
    ['bytes=2000-2048', 2000, 2047],
    ['bytes=2000-5000', 2000, 2047],
    ['bytes=-5000', 0, 2047],
    ['bytes=000-009', 0, 9],
    ['BYTES=1-2', 1, 2],
    ['bytes= 1-2', 1, 2],
  ])('E-19 %s is bytes %i to %i', async (range, first, last) => {
    for (const { bytes, digest } of [coldBlob(), { bytes: BLOB, digest: DIGEST }]) {
      const path = `/v2/docker.io/a/one/blobs/${digest}`
      const answer = await mirror.get(path, { headers: { range } })
      expect(answer.status).toBe(206)
      expect(answer.body.equals(bytes.subarray(first, last + 1))).toBe(true)
      expect(answer.headers).toMatchObject({
        'content-range': `bytes ${first}-${last}/2048`,
        'content-length': String(last - first + 1),
        'docker-content-digest': digest,
        'accept-ranges': 'bytes',
      })
    }
  })

  it.each(['bytes=500-0', 'bytes=5000-10000', 'bytes=2048-', 'bytes=-0'])(
    'E-19 %s is 416',
    async (range) => {
      for (const { digest } of [coldBlob(), { digest: DIGEST }]) {
        const path = `/v2/docker.io/a/one/blobs/${digest}`
        const answer = await mirror.get(path, { headers: { range } })
        expect(verdict(answer)).toBe('416 RANGE_INVALID')
        expect(answer.headers['content-range']).toBe('bytes */2048')
      }
    },
  )

  it.each([
    'lines=0-5',
    'bytes=x-y',
    'bytes=1-2-3',
    'bytes=',
    'bytes=-',
    'bytes 0-5',
    'bytes=0-99,500-699,x',
    'bytes=0-2000,0-2000',
  ])('E-19 %s is ignored: the whole, never a lone part', async (range) => {
    const answer = await mirror.get(`/v2/docker.io/a/one/blobs/${DIGEST}`, { headers: { range } })
    expect(answer.status).toBe(200)
    expect(answer.headers['content-range']).toBeUndefined()
    expect(answer.body.equals(BLOB)).toBe(true)
  })

  it.each([
    [`"${DIGEST}"`, 206],
    [`"sha256:${'0'.repeat(64)}"`, 200],
    [`W/"${DIGEST}"`, 200],
    [DIGEST, 200],
    ['Sun, 22 Nov 2026 00:00:00 GMT', 200],
  ])('E-19 If-Range: %s gets %i', async (ifRange, status) => {
    const headers = { range: 'bytes=0-9', 'if-range': ifRange }
    const answer = await mirror.get(`/v2/docker.io/a/one/blobs/${DIGEST}`, { headers })
    expect(answer.status).toBe(status)
    expect(answer.body).toHaveLength(status === 206 ? 10 : 2048)
  })

  it('E-19 HEAD takes no part', async () => {
    const headers = { range: 'bytes=0-9' }
    const answer = await mirror.head(`/v2/docker.io/a/one/blobs/${DIGEST}`, { headers })
    expect([answer.status, answer.headers['content-length']]).toEqual([200, '2048'])
  })

  it.each<[string, (digest: string) => string]>([
    ['quoted', (digest) => `"${digest}"`],
    ['bare', (digest) => digest],
    ['weak', (digest) => `W/"${digest}"`],
    ['any', () => '*'],
    ['in a list', (digest) => `"x", W/"y" , "${digest}"`],
  ])('E-20 If-None-Match, %s: 304 and no body', async (_form, condition) => {
    for (const [path, digest] of [
      ['manifests/v1', IMAGE.digest],
      [`manifests/${IMAGE.digest}`, IMAGE.digest],
      [`blobs/${DIGEST}`, DIGEST],
    ] as const) {
      const options = { headers: { 'if-none-match': condition(digest) } }
      for (const answer of [
        await mirror.get(`/v2/docker.io/a/one/${path}`, options),
        await mirror.head(`/v2/docker.io/a/one/${path}`, options),
      ]) {
        expect(answer.status).toBe(304)
        expect(answer.body).toHaveLength(0)
        expect(contentHeaders(answer)).toMatchObject({
          etag: `"${digest}"`,
          'docker-content-digest': digest,
        })
      }
    }
  })

  it.each(['"x"', '""', `"${OTHER.digest}"`, `x${IMAGE.digest}`, `${IMAGE.digest}x`])(
    'E-20 If-None-Match: %s is no match',
    async (condition) => {
      const headers = { 'if-none-match': condition }
      const answer = await mirror.get('/v2/docker.io/a/one/manifests/v1', { headers })
      expect(answer.status).toBe(200)
      expect(answer.body.equals(IMAGE.bytes)).toBe(true)
    },
  )

  it('E-20 no 304 for a tag that has moved, nor for one that could not be asked for', async () => {
    await using moving = await startRegistry()
    moving.push('a/one', 'v1', IMAGE)
    await using asking = await startMirror({
      upstreams: { 'docker.io': { registry: moving, tagTtl: '0s' } },
    })
    const path = '/v2/docker.io/a/one/manifests/v1'
    const ask = (digest: string) =>
      asking.get(path, { headers: { 'if-none-match': `"${digest}"` } })
    await asking.get(path)
    expect((await ask(IMAGE.digest)).status).toBe(304)
    expect(askedSince(moving).at(-1)).toBe('HEAD /v2/a/one/manifests/v1')

    moving.push('a/one', 'v1', OTHER)
    const changed = await ask(IMAGE.digest)
    expect([changed.status, changed.headers['docker-content-digest']]).toEqual([200, OTHER.digest])

    await moving.goDown()
    const stale = await ask(OTHER.digest)
    expect(stale.status).toBe(200)
    expect(stale.headers['warning']).toMatch(/^299 - "stale: /)
  })
})
