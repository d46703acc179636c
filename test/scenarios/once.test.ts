/** However many clients ask at the same time, upstream is asked once, and nobody waits for the whole. */
import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { buildImage, buildMultiPlatform } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { type ClientStream, download, openStream } from '../support/client.ts'
import { startMirror } from '../support/mirror.ts'
import { until, within } from '../support/until.ts'
import { BLOB_REQUEST, coldLayer, holdAt, joinedReaders } from './cold-layer.ts'
import { createHerd } from './herd.ts'

const MIB = 1024 * 1024
/** What is kept back until the digest is known to be right. */
const HELD_BACK = 64 * 1024

afterEach(() => {
  vi.useRealTimers()
})

describe('a cold layer', () => {
  it('is fetched once for 100 clients who join at any point of its download', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, bytes, path } = await coldLayer(registry, mirror, {
      // Below the size from which a blob is divided between connections.
      size: 63 * MIB,
      seed: 'herd',
    })

    const gates = holdAt(registry, ...Array.from({ length: 10 }, (_, step) => step * 7_000_000))
    const herd = createHerd({ url: mirror.url, path })
    for (const gate of gates) {
      herd.join(10)
      await gate.reached
      await until(async () => (await joinedReaders(mirror)) === herd.size - 1, {
        deadlineMs: 20_000,
        what: 'all who asked so far have joined',
      })
      gate.open()
    }

    const whole = { status: 200, digest, bytes: bytes.length, complete: true }
    expect(await herd.all()).toEqual(Array.from({ length: 100 }, () => whole))
    await mirror.app.idle()
    expect(registry.bodyBytes(digest) / bytes.length).toBe(1)
    expect(registry.count(BLOB_REQUEST)).toBe(1)
  }, 120_000)

  it('reaches its clients while it is being downloaded', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { bytes, path } = await coldLayer(registry, mirror, { size: 4 * MIB, seed: 'streamed' })
    const [half, end] = holdAt(registry, 2 * MIB, 4 * MIB - 1)

    const first = await openStream({ url: mirror.url, path })
    expect(first).toMatchObject({ status: 200, headers: { 'content-length': String(4 * MIB) } })
    const start = await first.read(2 * MIB)
    expect(start.equals(bytes.subarray(0, 2 * MIB))).toBe(true)

    const joiner = await openStream({ url: mirror.url, path })
    expect(joiner.headers['cache-status']).toBe('entrepot; fwd=miss; collapsed')
    expect((await joiner.read(2 * MIB)).equals(start)).toBe(true)

    half.open()
    await end.reached
    const rest = await first.read(2 * MIB - HELD_BACK)
    expect(rest.equals(bytes.subarray(2 * MIB, 4 * MIB - HELD_BACK))).toBe(true)
    end.open()
    expect((await first.rest()).equals(bytes.subarray(4 * MIB - HELD_BACK))).toBe(true)
    expect((await joiner.rest()).equals(bytes.subarray(2 * MIB))).toBe(true)
  })

  it.each([
    ['a part far ahead of the download', 4 * MIB, 3 * MIB],
    ['a layer no larger than what is held back', HELD_BACK, 0],
  ])('sends the headers of %s at once', async (_what, size, start) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { bytes, path } = await coldLayer(registry, mirror, { size, seed: 'headers' })
    const [gate] = holdAt(registry, 1000)

    // containerd gives up after 30 s without headers, however well the download goes.
    const headers = { range: `bytes=${start}-` }
    const stream = await within(openStream({ url: mirror.url, path, headers }), {
      deadlineMs: 5000,
      what: 'headers, while the bytes are still to come',
    }).finally(() => gate.open())

    expect(stream.status).toBe(206)
    expect((await stream.rest()).equals(bytes.subarray(start))).toBe(true)
  })

  it('serves any range from the one download', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { bytes, path } = await coldLayer(registry, mirror, { size: 4 * MIB, seed: 'ranges' })
    const [gate] = holdAt(registry, MIB)

    const ranges = [
      ['bytes=0-0', 0, 1],
      ['bytes=1000-2000', 1000, 2001],
      ['bytes=1048570-1048585', 1_048_570, 1_048_586],
      ['bytes=2097152-', 2 * MIB, 4 * MIB],
      ['bytes=-1', 4 * MIB - 1, 4 * MIB],
      ['bytes=4194303-4194304', 4 * MIB - 1, 4 * MIB],
    ] as const
    const answers = ranges.map(([range]) => mirror.get(path, { headers: { range } }))
    await gate.reached
    await until(async () => (await joinedReaders(mirror)) === ranges.length - 1)
    gate.open()

    for (const [index, answer] of (await Promise.all(answers)).entries()) {
      const [range, start, end] = ranges[index] ?? ['', 0, 0]
      const { status, headers, body } = answer
      expect({ range, status, contentRange: headers['content-range'] }).toEqual({
        range,
        status: 206,
        contentRange: `bytes ${start}-${end - 1}/${4 * MIB}`,
      })
      expect(body.equals(bytes.subarray(start, end))).toBe(true)
    }
    await mirror.app.idle()
    expect(registry.count(BLOB_REQUEST)).toBe(1)
  })
})

describe('the clients of one download', () => {
  it('are not slowed by one that reads nothing', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, bytes, path } = await coldLayer(registry, mirror, {
      size: 32 * MIB,
      seed: 'lazy',
    })
    const ask = { url: mirror.url, path, idleMs: 60_000 }

    const lazy = await openStream(ask)
    const others = await Promise.all(Array.from({ length: 5 }, () => download(ask)))
    for (const other of others) expect(other).toMatchObject({ digest, complete: true })
    await mirror.app.idle()

    expect(await hashOf(lazy)).toBe(digest)
    expect(lazy.complete).toBe(true)
    expect(registry.bodyBytes(digest)).toBe(bytes.length)
  })

  it('may leave in the middle without the others noticing', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, bytes, path } = await coldLayer(registry, mirror, {
      size: 8 * MIB,
      seed: 'leaving',
    })
    const [gate] = holdAt(registry, 4 * MIB)
    const ask = { url: mirror.url, path }

    const leaving = await Promise.all(Array.from({ length: 10 }, () => openStream(ask)))
    const staying = Array.from({ length: 5 }, () => download(ask))
    await until(async () => (await joinedReaders(mirror)) === 14)
    for (const [index, client] of leaving.entries()) {
      await client.read(index * 100_000)
      client.abort()
    }
    gate.open()

    for (const got of await Promise.all(staying)) {
      expect(got).toMatchObject({ digest, complete: true })
    }
    await mirror.app.idle()
    expect(registry.count(BLOB_REQUEST)).toBe(1)
    expect(registry.bodyBytes(digest)).toBe(bytes.length)
  })

  it('may all leave: the download goes on, and the next pull is a hit', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, path } = await coldLayer(registry, mirror, { size: 8 * MIB, seed: 'left' })
    const [gate] = holdAt(registry, MIB)
    const ask = { url: mirror.url, path }

    const clients = await Promise.all(Array.from({ length: 3 }, () => openStream(ask)))
    for (const client of clients) client.abort()
    await until(() => mirror.logs.filter(({ cut }) => cut === true).length === 3, {
      what: 'the mirror has seen all of them leave',
    })
    gate.open()
    await mirror.app.idle()

    const next = await download(ask)
    expect(next).toMatchObject({ digest, complete: true })
    expect(next.headers['cache-status']).toBe('entrepot; hit')
    expect(registry.count(BLOB_REQUEST)).toBe(1)
    expect(registry.requests.at(-1)?.ending).toBe('complete')
  })
})

describe('a manifest', () => {
  it.each(['tag', 'digest'])('is fetched once for 50 clients, by %s', async (by) => {
    await using registry = await startRegistry()
    const image = buildMultiPlatform('fifty')
    registry.push('library/app', 'v1', image)
    const gate = createGate()
    registry.fault({ match: { kind: 'manifest' }, delayHeaders: gate })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const path = manifestPath(by === 'tag' ? 'v1' : image.digest)

    const clients = Array.from({ length: 50 }, () => mirror.get(path))
    await gate.reached
    gate.open()

    for (const got of await Promise.all(clients)) {
      expect(got.status).toBe(200)
      expect(digestOf(got.body)).toBe(image.digest)
    }
    expect(registry.requests.map(({ method }) => method)).toEqual(['GET'])
  })

  it('costs nothing upstream within the time to live of its tag', async () => {
    await using registry = await startRegistry()
    const tags = Array.from({ length: 10 }, (_, index) => `1.${index}`)
    const digests = tags.map((tag) => registry.push('library/app', tag, buildImage({ seed: tag })))
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    for (const tag of tags) await mirror.get(manifestPath(tag))
    const before = registry.requests.length

    for (let round = 0; round < 100; round += 1) {
      const answers = await Promise.all(tags.map((tag) => mirror.get(manifestPath(tag))))
      expect(answers.map(({ body }) => digestOf(body))).toEqual(digests)
    }
    expect(before).toBe(10)
    expect(registry.requests).toHaveLength(before)
  })

  it('costs one HEAD for all clients once the time to live is over', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'revalidated' })
    registry.push('library/app', 'v1', image)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '1h' } },
    })
    await mirror.get(manifestPath('v1'))
    vi.setSystemTime(Date.now() + 3_600_001)

    const clients = Array.from({ length: 50 }, () => mirror.get(manifestPath('v1')))
    for (const got of await Promise.all(clients)) expect(digestOf(got.body)).toBe(image.digest)
    expect(registry.requests.map(({ method }) => method)).toEqual(['GET', 'HEAD'])
  })

  it('that has changed is fetched once, by digest', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', buildImage({ seed: 'old' }))
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '1h' } },
    })
    await mirror.get(manifestPath('v1'))
    const image = buildImage({ seed: 'new' })
    registry.push('library/app', 'v1', image)
    vi.setSystemTime(Date.now() + 3_600_001)

    const clients = Array.from({ length: 50 }, () => mirror.get(manifestPath('v1')))
    for (const got of await Promise.all(clients)) expect(digestOf(got.body)).toBe(image.digest)
    expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /v2/library/app/manifests/v1',
      'HEAD /v2/library/app/manifests/v1',
      `GET /v2/library/app/manifests/${image.digest}`,
    ])
  })
})

function manifestPath(reference: string): string {
  return `/v2/docker.io/library/app/manifests/${reference}`
}

async function hashOf(stream: ClientStream): Promise<string> {
  const hash = createHash('sha256')
  for (;;) {
    const piece = await stream.read(MIB)
    hash.update(piece)
    if (piece.length < MIB) return `sha256:${hash.digest('hex')}`
  }
}
