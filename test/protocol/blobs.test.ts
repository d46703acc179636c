/** Blobs: who may have them, what is stored of them, and what an upstream may do to them. */
import { readdir, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { digestHex, digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { buildImage, EMPTY_JSON, randomBlob } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { startSink } from '../fakes/sink.ts'
import { openStream } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { until, within } from '../support/until.ts'
import { verdict } from './answers.ts'
import { askedSince } from './asked.ts'
import { handmade, IMAGE_MEMBERS, imageOf } from './handmade.ts'
import { openConnection } from './raw-connection.ts'
import { storedDigests } from './stored-digests.ts'

const MIB = 1024 * 1024
const HELD_BACK = 64 * 1024
const BLOB = randomBlob(MIB, 'blobs')
const DIGEST = digestOf(BLOB)

/** Where the blob lies for a client, and where upstream. */
function at(repository: string, digest: string = DIGEST): string {
  return `/v2/docker.io/${repository}/blobs/${digest}`
}

describe('E-4 a digest is no permission', () => {
  it('E-4 what is stored for one repository is not served for another that lacks it', async () => {
    const image = buildImage({ seed: 'e4' })
    const layer = image.blobs[1]?.digest ?? ''
    await using registry = await startRegistry()
    registry.push('a/private', 'v1', image)
    registry.push('b/public', 'v1', buildImage({ seed: 'other' }))
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.pull('docker.io/a/private', 'v1')
    await mirror.get('/v2/docker.io/b/public/manifests/v1')

    expect(verdict(await mirror.get(at('b/public', layer)))).toBe('404 BLOB_UNKNOWN')
    expect((await mirror.head(at('b/public', layer))).status).toBe(404)
    const manifest = `/v2/docker.io/b/public/manifests/${image.digest}`
    expect(verdict(await mirror.get(manifest))).toBe('404 MANIFEST_UNKNOWN')
    expect((await mirror.head(manifest)).status).toBe(404)

    await registry.goDown()
    expect(verdict(await mirror.get(at('c/unknown', layer)))).toBe('503 UNAVAILABLE')
    expect((await mirror.get(at('a/private', layer))).status).toBe(200)
  })

  it('E-4 nor while it is being downloaded', async () => {
    await using registry = await startRegistry()
    registry.pushBlob('a/private', BLOB)
    const gate = createGate()
    registry.fault({ match: { method: 'GET' }, hold: { after: 1000, gate } })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const stream = await openStream({ url: mirror.url, path: at('a/private') })

    expect(verdict(await mirror.get(at('b/public')))).toBe('404 BLOB_UNKNOWN')
    expect((await mirror.head(at('b/public'))).status).toBe(404)
    gate.open()
    expect(digestOf(await stream.rest())).toBe(DIGEST)
  })

  it('E-4 and what is no longer allowed is no longer served', async () => {
    await using registry = await startRegistry()
    registry.pushBlob('a/private', BLOB)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect((await mirror.get(at('a/private'))).status).toBe(200)
    mirror.reload({ deny: ['docker.io/a/**'] })
    expect(verdict(await mirror.get(at('a/private')))).toBe('403 DENIED')
  })
})

describe('E-35 the same digest elsewhere', () => {
  it('E-35 another repository, another upstream: a HEAD proves it, and no byte comes twice', async () => {
    await using hub = await startRegistry()
    await using quay = await startRegistry()
    for (const registry of [hub, quay]) registry.pushBlob('a/one', BLOB)
    hub.pushBlob('a/two', BLOB)
    await using mirror = await startMirror({ upstreams: { 'docker.io': hub, 'quay.io': quay } })

    await mirror.get(`/v2/quay.io/a/one/blobs/${DIGEST}`)
    await mirror.app.idle()
    for (const repository of ['a/one', 'a/two']) {
      const answer = await mirror.get(at(repository))
      expect(answer.headers['cache-status']).toBe('entrepot; hit')
      expect(digestOf(answer.body)).toBe(DIGEST)
    }
    expect(askedSince(hub)).toEqual(
      ['a/one', 'a/two'].map((it) => `HEAD /v2/${it}/blobs/${DIGEST}`),
    )
    expect(quay.bodyBytes(DIGEST)).toBe(MIB)
  })
})

describe('E-14 wrong bytes', () => {
  it('E-14 are never complete, never stored, and a resume gets the right ones', async () => {
    await using registry = await startRegistry()
    registry.pushBlob('a/one', BLOB)
    registry.fault({ wrongByteAt: 700_000, times: 1 })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })

    const broken = await mirror.get(at('a/one'))
    expect(broken.status).toBe(200)
    expect(broken.complete).toBe(false)
    expect(broken.body.length).toBeLessThanOrEqual(MIB - HELD_BACK)
    await mirror.app.idle()
    expect(await storedDigests(mirror.dataDir)).toEqual([])

    const range = `bytes=${broken.body.length}-`
    const resumed = await mirror.get(at('a/one'), { headers: { range } })
    expect(resumed.status).toBe(206)
    expect(resumed.body.equals(BLOB.subarray(broken.body.length))).toBe(true)
    expect(askedSince(registry)).toHaveLength(2)
    await mirror.app.idle()
    expect(await storedDigests(mirror.dataDir)).toEqual([DIGEST])
  })

  it('E-14 end the connection, also where it would be kept alive', async () => {
    await using registry = await startRegistry()
    registry.pushBlob('a/one', BLOB)
    registry.fault({ wrongByteAt: 700_000 })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    using connection = openConnection(mirror.url)
    connection.send(`GET ${at('a/one')} HTTP/1.1\r\nHost: mirror.example\r\n\r\n`)
    await within(connection.closed)
    expect(connection.received()).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(connection.received().length).toBeLessThan(MIB)
  })
})

describe('E-15 another length than the manifest says', () => {
  it.each([
    ['shorter, as announced', { body: BLOB.subarray(0, 500_000) }],
    ['longer, as announced', { body: Buffer.concat([BLOB, BLOB]) }],
    ['nothing', { body: '' }],
    ['shorter, in chunks', { body: BLOB.subarray(0, 500_000), noLength: true }],
    ['longer, in chunks', { body: Buffer.concat([BLOB, BLOB]), noLength: true }],
    ['endless', { endless: true }],
  ] as const)('E-15 %s: nobody gets a complete blob, nothing is stored', async (_what, fault) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await learnSize(registry, mirror)
    registry.fault({ match: { kind: 'blob' }, ...fault })

    const answer = await mirror.get(at('a/one'))
    const refused = answer.complete && verdict(answer) === '502 UPSTREAM_INVALID'
    const cut = !answer.complete && answer.body.length < MIB
    expect(refused || cut).toBe(true)
    await mirror.app.idle()
    expect(await storedDigests(mirror.dataDir)).toHaveLength(1)
    registry.clearFaults()
    expect(digestOf((await mirror.get(at('a/one'))).body)).toBe(DIGEST)
  })

  it('E-15 where nobody knows the length, the digest decides', async () => {
    await using registry = await startRegistry()
    registry.pushBlob('a/one', BLOB)
    registry.fault({ noLength: true, body: BLOB.subarray(1) })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect(verdict(await mirror.get(at('a/one')))).toBe('502 UPSTREAM_INVALID')
    registry.clearFaults()
    registry.fault({ noLength: true })
    expect(digestOf((await mirror.get(at('a/one'))).body)).toBe(DIGEST)
  })

  /** Pulls a manifest that has the blob for a layer. */
  async function learnSize(registry: FakeRegistry, mirror: Mirror): Promise<void> {
    registry.push('a/one', 'v1', imageOf(BLOB))
    await mirror.get('/v2/docker.io/a/one/manifests/v1')
  }
})

describe('E-25 tiny blobs', () => {
  it.each([
    ['0 bytes', new Uint8Array(0)],
    ['2 bytes', EMPTY_JSON.bytes],
  ])('E-25 %s: cold, hot, by HEAD, in part, without upstream', async (_what, bytes) => {
    await using registry = await startRegistry()
    const digest = registry.pushBlob('a/one', bytes)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const path = at('a/one', digest)
    for (const temperature of ['cold', 'hot', 'alone']) {
      if (temperature === 'alone') await registry.goDown()
      const answer = await mirror.get(path)
      expect([answer.status, answer.complete]).toEqual([200, true])
      expect(answer.headers['content-length']).toBe(String(bytes.length))
      expect(answer.headers['docker-content-digest']).toBe(digest)
      expect(answer.body.equals(bytes)).toBe(true)
      await mirror.app.idle()
    }
    const head = await mirror.head(path)
    expect([head.status, head.headers['content-length']]).toEqual([200, String(bytes.length)])
    const part = await mirror.get(path, { headers: { range: 'bytes=0-' } })
    expect(part.status).toBe(bytes.length === 0 ? 200 : 206)
    expect(part.body.equals(bytes)).toBe(true)
    expect(await storedDigests(mirror.dataDir)).toEqual([digest])
  })
})

describe('E-26 compression', () => {
  it.each(['gzip', 'zstd;q=1.0, gzip;q=0.8', 'identity;q=0, *'])(
    'E-26 a client that accepts %s gets the same bytes and length',
    async (encoding) => {
      const image = buildImage({ seed: 'e26' })
      await using registry = await startRegistry()
      registry.push('a/one', 'v1', image)
      await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
      await mirror.pull('docker.io/a/one', 'v1', { headers: { 'accept-encoding': encoding } })
      for (const path of ['manifests/v1', `blobs/${image.blobs[0]?.digest}`, 'tags/list']) {
        const headers = { 'accept-encoding': encoding }
        const answer = await mirror.get(`/v2/docker.io/a/one/${path}`, { headers })
        expect(answer.headers['content-encoding']).toBeUndefined()
        expect(answer.headers['content-length']).toBe(String(answer.body.length))
      }
      const asked = registry.requests.map(({ headers }) => headers['accept-encoding'])
      expect(new Set(asked)).toEqual(new Set(['identity']))
    },
  )

  it('E-26 a blob that is called gzip and is stored as such goes out bare', async () => {
    const zipped = gzipSync(BLOB)
    await using registry = await startRegistry()
    const digest = registry.pushBlob('a/one', zipped)
    registry.fault({ gzipLabel: true })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const answer = await mirror.get(at('a/one', digest))
    expect(answer.headers['content-encoding']).toBeUndefined()
    expect(answer.body.equals(zipped)).toBe(true)
  })

  it('E-26 a manifest that comes compressed is decoded', async () => {
    const image = buildImage({ seed: 'e26 manifest' })
    await using registry = await startRegistry()
    registry.push('a/one', 'v1', image)
    registry.fault({ gzip: true })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    for (const answer of [
      await mirror.head('/v2/docker.io/a/one/manifests/v1'),
      await mirror.get('/v2/docker.io/a/one/manifests/v1'),
    ]) {
      expect(answer.headers).toMatchObject({
        'content-length': String(image.bytes.length),
        'docker-content-digest': image.digest,
      })
      expect(answer.headers['content-encoding']).toBeUndefined()
    }
  })

  it('E-26 decided differently: a blob that comes compressed is refused, not decoded', async () => {
    await using registry = await startRegistry()
    registry.push('a/one', 'v1', imageOf(BLOB))
    registry.fault({ match: { kind: 'blob' }, gzip: true })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.get('/v2/docker.io/a/one/manifests/v1')
    expect(verdict(await mirror.get(at('a/one')))).toBe('502 UPSTREAM_INVALID')
  })
})

describe('E-33 a client that leaves', () => {
  it('E-33 does not end the download, which the next client finds', async () => {
    await using registry = await startRegistry()
    registry.pushBlob('a/one', BLOB)
    const gate = createGate()
    registry.fault({ hold: { after: 300_000, gate } })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })

    const stream = await openStream({ url: mirror.url, path: at('a/one') })
    await stream.read(1000)
    stream.abort()
    await until(() => mirror.logs.find(({ cut }) => cut === true))
    gate.open()
    await mirror.app.idle()
    const answer = await mirror.get(at('a/one'))
    expect(answer.headers['cache-status']).toBe('entrepot; hit')
    expect(digestOf(answer.body)).toBe(DIGEST)
    expect(registry.bodyBytes(DIGEST)).toBe(MIB)
    expect(mirror.logs.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('E-38 foreign layers', () => {
  it('E-38 the urls of a layer are never followed; what upstream lacks is 404', async () => {
    await using sink = await startSink()
    await using registry = await startRegistry()
    const layer = {
      mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
      digest: DIGEST,
      size: MIB,
      urls: [`${sink.url}/layer`, `http://169.254.169.254/latest`],
    }
    registry.push('a/windows', 'v1', handmade({ ...IMAGE_MEMBERS, layers: [layer] }))
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect((await mirror.get('/v2/docker.io/a/windows/manifests/v1')).status).toBe(200)
    expect(verdict(await mirror.get(at('a/windows')))).toBe('404 BLOB_UNKNOWN')
    expect((await mirror.head(at('a/windows'))).status).toBe(404)
    expect(sink.connections).toBe(0)
  })
})

describe('E-44 the store', () => {
  it('E-44 a stop in the middle of a download leaves nothing that could be served', async () => {
    await using registry = await startRegistry()
    registry.pushBlob('a/one', BLOB)
    const gate = createGate()
    registry.fault({ hold: { after: 800_000, gate }, times: 1 })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const stream = await openStream({ url: mirror.url, path: at('a/one') })
    await stream.read(1000)

    await mirror.restart()
    gate.open()
    await stream.rest()
    expect(stream.complete).toBe(false)
    expect(await readdir(join(mirror.dataDir, 'spool'))).toEqual([])
    expect(await storedDigests(mirror.dataDir)).toEqual([])
    expect(digestOf((await mirror.get(at('a/one'))).body)).toBe(DIGEST)
  })

  it('E-44 a file that was cut behind our back is fetched again', async () => {
    const image = imageOf(BLOB)
    await using registry = await startRegistry()
    registry.push('a/one', 'v1', image)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.pull('docker.io/a/one', 'v1')
    await mirror.app.idle()
    for (const { digest } of [image, ...image.blobs]) {
      const hex = digestHex(digest)
      await truncate(join(mirror.dataDir, 'blobs-v1', 'sha256', hex.slice(0, 2), hex), 1)
    }
    await mirror.restart()
    const head = await mirror.head(at('a/one'))
    expect(head.headers['content-length']).toBe(String(MIB))
    await mirror.pull('docker.io/a/one', 'v1')
  })

  it('E-44 a blob that is removed while it is read is read to its end', async () => {
    await using registry = await startRegistry()
    const removed = registry.pushBlob('a/one', randomBlob(12 * MIB, 'first'))
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.get(at('a/one', removed))
    await mirror.app.idle()
    const stream = await openStream({ url: mirror.url, path: at('a/one', removed) })
    const beginning = await stream.read(1000)
    await rm(join(mirror.dataDir, 'blobs-v1', 'sha256'), { recursive: true })
    expect(await storedDigests(mirror.dataDir)).toEqual([])
    expect(digestOf(Buffer.concat([beginning, await stream.rest()]))).toBe(removed)
  })
})
