/** Stored only when digest and size match, never complete when wrong, resumed where it was cut. */
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { buildImage, randomBlob } from '../fakes/images.ts'
import type { FaultRule } from '../fakes/faults.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { download, openStream } from '../support/client.ts'
import { spoolFiles } from '../support/leaks.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { exchangeRaw, rawBody } from '../support/raw-socket.ts'
import { until } from '../support/until.ts'
import { BLOB_REQUEST, coldLayer, type ColdLayer, holdAt, joinedReaders } from './cold-layer.ts'
import { expectOciError } from './oci-error.ts'
import { storedBlobs } from './stored-blobs.ts'

const MIB = 1024 * 1024
/** What is kept back until the digest is known to be right. */
const HELD_BACK = 64 * 1024
/** What sockets and streams may hold of a download when its connection breaks. */
const IN_FLIGHT = 256 * 1024
const BLOB_GET = { kind: 'blob', method: 'GET' } as const

describe('an upstream that cuts the download', () => {
  it('three times is asked for the rest each time, and the clients notice nothing', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, bytes, path } = await coldLayer(registry, mirror, {
      size: 8 * MIB,
      seed: 'cut',
    })
    const cuts = [3_000_001, 3_000_002, 5 * MIB]
    for (const [index, cut] of cuts.entries()) {
      const after = cut - (cuts[index - 1] ?? 0)
      registry.fault({
        match: BLOB_GET,
        after: index,
        times: 1,
        hold: { after, gate: createGate() },
      })
    }

    const watching = await openStream({ url: mirror.url, path, idleMs: 20_000 })
    const others = Array.from({ length: 4 }, () => download({ url: mirror.url, path }))
    const seen: Buffer[] = []
    let read = 0
    for (const cut of cuts) {
      seen.push(await watching.read(cut - read))
      read = cut
      await registry.goDown()
      await registry.comeUp()
    }

    expect(digestOf(Buffer.concat([...seen, await watching.rest()]))).toBe(digest)
    for (const got of await Promise.all(others)) {
      expect(got).toMatchObject({ status: 200, digest, complete: true })
    }
    await mirror.app.idle()
    expect(rangesAsked(registry)).toEqual([undefined, ...cuts.map((cut) => `bytes=${cut}-`)])
    expect(registry.bodyBytes(digest)).toBe(bytes.length)
  })

  it('in full flow is not asked for much more than the rest', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, bytes, path } = await coldLayer(registry, mirror, {
      size: 8 * MIB,
      seed: 'flow',
    })
    for (const [after, cutAfter] of [3_000_001, 1, 2 * MIB].entries()) {
      registry.fault({ match: BLOB_GET, cutAfter, times: 1, after })
    }

    const clients = Array.from({ length: 5 }, () => download({ url: mirror.url, path }))
    for (const got of await Promise.all(clients)) {
      expect(got).toMatchObject({ status: 200, digest, complete: true })
    }
    await mirror.app.idle()
    expect(registry.count(BLOB_REQUEST)).toBe(4)
    // What was on its way when the connection broke is fetched again.
    expect(registry.bodyBytes(digest) - bytes.length).toBeLessThan(3 * IN_FLIGHT)
  })

  it('may answer the rest with everything', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, bytes, path } = await coldLayer(registry, mirror, { size: MIB, seed: 'whole' })
    registry.fault({ match: BLOB_GET, cutAfter: 500_000, times: 1 })
    registry.fault({ match: { ...BLOB_GET, ranged: true }, ignoreRange: true })

    expect(await download({ url: mirror.url, path })).toMatchObject({ digest, complete: true })
    await mirror.app.idle()
    expect(rangesAsked(registry)).toEqual([undefined, expect.stringMatching(/^bytes=\d+-$/)])
    expect(registry.bodyBytes(digest)).toBe(500_000 + bytes.length)
  })

  it('is followed by the next endpoint at the same byte', async () => {
    await using first = await startRegistry()
    await using second = await startRegistry()
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry: [first, second] } },
    })
    const { digest, bytes, path } = await coldLayer(first, mirror, { size: MIB, seed: 'moved' })
    second.pushBlob('library/moved', bytes)
    holdAt(first, 700_000)

    const client = await openStream({ url: mirror.url, path })
    expect((await client.read(700_000)).equals(bytes.subarray(0, 700_000))).toBe(true)
    await first.goDown()

    expect((await client.rest()).equals(bytes.subarray(700_000))).toBe(true)
    await mirror.app.idle()
    expect(rangesAsked(second)).toEqual(['bytes=700000-'])
    expect(first.bodyBytes(digest) + second.bodyBytes(digest)).toBe(bytes.length)
  })

  it('and then sends another part is not believed', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const layer = await coldLayer(registry, mirror, { size: MIB, seed: 'shifted' })
    registry.fault({ match: BLOB_GET, cutAfter: 500_000, times: 1 })
    registry.fault({ match: { ...BLOB_GET, ranged: true }, shiftRange: 1 })

    const got = await download({ url: mirror.url, path: layer.path })
    expect(got.complete).toBe(false)
    expect(got.bytes).toBeLessThanOrEqual(500_000)
    await expectHealed(registry, mirror, layer)
  })
})

describe('one wrong byte', () => {
  it.each([
    ['first', 0],
    ['middle', 2 * MIB],
    ['last', 4 * MIB - 1],
  ])('(the %s) leaves nobody with a complete layer', async (_which, wrongByteAt) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const layer = await coldLayer(registry, mirror, { size: 4 * MIB, seed: 'wrong' })
    const [gate] = holdAt(registry, 3 * MIB)
    registry.fault({ match: BLOB_GET, wrongByteAt })

    const ask = { url: mirror.url, path: layer.path }
    const clients = [download(ask), download({ ...ask, headers: { range: 'bytes=1000-' } })]
    await gate.reached
    clients.push(download(ask), download({ ...ask, headers: { range: 'bytes=-1' } }))
    await until(async () => (await joinedReaders(mirror)) === clients.length - 1)
    gate.open()

    const [whole, part, late, end] = await Promise.all(clients)
    expect(whole).toMatchObject({ status: 200, complete: false })
    expect(part).toMatchObject({ status: 206, complete: false })
    expect(late).toMatchObject({ status: 200, complete: false })
    // Who asked for the end alone may have it: then another piece is kept from everybody.
    expect(end).toMatchObject({ status: 206 })
    expect(whole?.bytes).toBeLessThanOrEqual(4 * MIB - HELD_BACK)
    expect(late?.bytes).toBeLessThanOrEqual(4 * MIB - HELD_BACK)
    await expectHealed(registry, mirror, layer)
  })

  it('in a small layer lets no byte of it out', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const layer = await coldLayer(registry, mirror, { size: 1000, seed: 'small' })
    registry.fault({ match: BLOB_GET, wrongByteAt: 500 })

    const got = await download({ url: mirror.url, path: layer.path })
    expect(got).toMatchObject({ bytes: 0, complete: false })
    await expectHealed(registry, mirror, layer)
  })

  it('ends the connection of a client that would keep it for more', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const layer = await coldLayer(registry, mirror, { size: MIB, seed: 'kept' })
    registry.fault({ match: BLOB_GET, wrongByteAt: 500 })

    const send = `GET ${layer.path} HTTP/1.1\r\nHost: mirror\r\n\r\n`
    const answer = await exchangeRaw({ url: mirror.url, send, deadlineMs: 10_000 })
    expect(answer.text).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer.closed).toBe(true)
    expect(rawBody(answer).length).toBeLessThanOrEqual(MIB - HELD_BACK)
  })

  it('of one upstream does not reach the clients of another', async () => {
    await using good = await startRegistry()
    await using bad = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': good, 'bad.lan': bad } })
    const { digest, bytes, path } = await coldLayer(good, mirror, { size: MIB, seed: 'both' })
    bad.pushBlob('app', bytes)
    bad.fault({ match: BLOB_GET, wrongByteAt: 0 })
    const [gate] = holdAt(good, 500_000)

    const client = download({ url: mirror.url, path })
    await gate.reached
    const fooled = await download({ url: mirror.url, path: `/v2/bad.lan/app/blobs/${digest}` })
    gate.open()

    expect(fooled.complete).toBe(false)
    expect(await client).toMatchObject({ digest, complete: true })
  })
})

describe('a wrong length', () => {
  const lies: readonly [string, FaultRule][] = [
    ['says more than its manifest', { claimLength: MIB + 1 }],
    ['says less than its manifest', { claimLength: MIB - 1 }],
    ['sends less than it says', { body: randomBlob(MIB - 1, 'wrong length'), claimLength: MIB }],
    ['sends another layer of the same length', { body: randomBlob(MIB, 'another') }],
    ['sends less, without saying how much', { body: 'short', noLength: true }],
    ['sends without end', { endless: true }],
    ['sends a web page', { html200: true }],
    ['sends nothing', { body: '' }],
  ]
  it.each(lies)('is not believed when upstream %s', async (_lie, fault) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const layer = await coldLayer(registry, mirror, { size: MIB, seed: 'length' })
    registry.fault({ match: { ...BLOB_GET, ranged: false }, ...fault })
    registry.fault({ match: { ...BLOB_GET, ranged: true }, status: 416 })

    const got = await download({ url: mirror.url, path: layer.path })
    expect(got.status === 200 && got.complete).toBe(false)
    expect(got.bytes).toBeLessThanOrEqual(MIB - HELD_BACK)
    await expectHealed(registry, mirror, layer)
  })

  it('of a layer that no manifest names ends in an error as well', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const digest = registry.pushBlob('library/app', randomBlob(MIB, 'unknown'))
    registry.fault({ match: BLOB_GET, endless: true })

    const path = `/v2/docker.io/library/app/blobs/${digest}`
    const got = await download({ url: mirror.url, path, idleMs: 20_000 }).catch(() => undefined)
    expect(got?.complete === true && got.status === 200).toBe(false)
    await mirror.app.idle()
    expect(await storedBlobs(mirror)).toEqual([])
    expect(await spoolFiles(mirror.dataDir)).toEqual([])
  })
})

describe('a wrong manifest', () => {
  it.each(['v1', 'digest'])('asked for by %s is neither served nor stored', async (by) => {
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'manifest' })
    registry.push('library/app', 'v1', image)
    // A byte within the digest of a layer: what comes is still a manifest, but another one.
    const wrongByteAt = Buffer.from(image.bytes).lastIndexOf('sha256:') + 10
    registry.fault({ match: { kind: 'manifest' }, body: withOtherDigit(image.bytes, wrongByteAt) })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const path = `/v2/docker.io/library/app/manifests/${by === 'v1' ? 'v1' : image.digest}`

    expect(expectOciError(await mirror.get(path), 502).code).toBe('UPSTREAM_INVALID')
    expect(await storedBlobs(mirror)).toEqual([])
    registry.clearFaults()
    const healed = await until(async () => {
      const answer = await mirror.get(path)
      return answer.status === 200 && answer
    })
    expect(digestOf(healed.body)).toBe(image.digest)
  })
})

describe('what has been stored', () => {
  it('is never asked for again', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, path } = await coldLayer(registry, mirror, { size: MIB, seed: 'stored' })
    await download({ url: mirror.url, path })
    await mirror.app.idle()
    const before = registry.requests.length

    for (let count = 0; count < 3; count += 1) {
      expect(await download({ url: mirror.url, path })).toMatchObject({ digest, complete: true })
    }
    await mirror.restart()
    expect(await download({ url: mirror.url, path })).toMatchObject({ digest, complete: true })
    expect(registry.requests).toHaveLength(before)
  })
})

/** Nothing of the failure is left, and the next pull is right. */
async function expectHealed(
  registry: FakeRegistry,
  mirror: Mirror,
  { digest, path }: ColdLayer,
): Promise<void> {
  await mirror.app.idle()
  expect(await spoolFiles(mirror.dataDir)).toEqual([])
  expect(await storedBlobs(mirror)).not.toContain(digest)

  registry.clearFaults()
  const next = await download({ url: mirror.url, path })
  expect(next).toMatchObject({ status: 200, digest, complete: true })
  await mirror.app.idle()
  expect(await storedBlobs(mirror)).toContain(digest)
}

function rangesAsked({ requests }: FakeRegistry): (string | undefined)[] {
  return requests
    .filter(({ method, path }) => BLOB_REQUEST.test(`${method} ${path}`))
    .map(({ headers }) => headers.range)
}

function withOtherDigit(bytes: Uint8Array, at: number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  changed[at] = changed[at] === 0x30 ? 0x31 : 0x30
  return changed
}
