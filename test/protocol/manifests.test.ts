/** Manifests: what HEAD must say, what is asked upstream, and what is believed. */
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { buildImage, buildMultiPlatform } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { startMirror } from '../support/mirror.ts'
import { contentHeaders, verdict } from './answers.ts'
import { askedSince } from './asked.ts'
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  handmade,
  IMAGE_MEMBERS,
  manifestOfSize,
  OCI_INDEX,
  OCI_MANIFEST,
} from './handmade.ts'

const INDEX = buildMultiPlatform('manifests')
const IMAGE = buildImage({ seed: 'manifests' })
const UPSTREAM = '/v2/library/app/manifests'
const PATH = '/v2/docker.io/library/app/manifests'
const MIB = 1024 * 1024

describe('E-1 HEAD is complete', () => {
  it('E-1 a HEAD of a tag costs a HEAD upstream, and says everything', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', INDEX)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })

    const head = await mirror.head(`${PATH}/v1`)
    expect(head.status).toBe(200)
    expect(head.body).toHaveLength(0)
    expect(contentHeaders(head)).toEqual({
      'content-type': INDEX.mediaType,
      'content-length': String(INDEX.bytes.length),
      'docker-content-digest': INDEX.digest,
      etag: `"${INDEX.digest}"`,
      'cache-status': 'entrepot; fwd=miss; stored',
    })
    expect(askedSince(registry)).toEqual([`HEAD ${UPSTREAM}/v1`])

    // As containerd goes on: the digest that the HEAD has said, and nothing twice.
    const got = await mirror.get(`${PATH}/${INDEX.digest}`)
    expect(got.body.equals(INDEX.bytes)).toBe(true)
    expect((await mirror.head(`${PATH}/v1`)).headers['docker-content-digest']).toBe(INDEX.digest)
    expect(askedSince(registry, 1)).toEqual([`GET ${UPSTREAM}/${INDEX.digest}`])
  })

  it.each([
    ['a digest', { noDigestHeader: true }],
    ['a length', { noLength: true }],
    ['a type', { contentType: null }],
  ] as const)('E-1 an upstream HEAD without %s is followed by one GET', async (_what, fault) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', INDEX)
    registry.fault({ match: { method: 'HEAD' }, ...fault })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })

    const head = await mirror.head(`${PATH}/v1`)
    expect(contentHeaders(head)).toMatchObject({
      'content-type': INDEX.mediaType,
      'content-length': String(INDEX.bytes.length),
      'docker-content-digest': INDEX.digest,
    })
    expect((await mirror.get(`${PATH}/v1`)).body.equals(INDEX.bytes)).toBe(true)
    expect(askedSince(registry)).toEqual([`HEAD ${UPSTREAM}/v1`, `GET ${UPSTREAM}/v1`])
  })
})

describe('E-2 upstreams without HEAD', () => {
  it.each([405, 501])('E-2 %i to the HEAD of a manifest: a GET takes its place', async (status) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', INDEX)
    registry.fault({ match: { method: 'HEAD' }, status })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect((await mirror.head(`${PATH}/v1`)).headers).toMatchObject({
      'content-length': String(INDEX.bytes.length),
      'docker-content-digest': INDEX.digest,
    })
    expect(askedSince(registry)).toEqual([`HEAD ${UPSTREAM}/v1`, `GET ${UPSTREAM}/v1`])
  })

  it('E-2 401 to the HEAD of a blob: a GET whose body is not read', async () => {
    const image = buildImage({ seed: 'ecr', layers: [8 * MIB] })
    const layer = image.blobs[1]?.digest ?? ''
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', image)
    registry.fault({ match: { method: 'HEAD', kind: 'blob' }, status: 401 })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })

    const head = await mirror.head(`/v2/docker.io/library/app/blobs/${layer}`)
    expect(head.status).toBe(200)
    expect(head.headers['content-length']).toBe(String(8 * MIB))
    expect(registry.bodyBytes(layer)).toBeLessThan(8 * MIB)
  })
})

describe('E-3 children of an index', () => {
  it('E-3 are fetched once, never revalidated, and served when upstream is down', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', INDEX)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '0s' } },
    })
    const [, pulled, other] = INDEX.manifests
    await mirror.get(`${PATH}/v1`)
    await mirror.get(`${PATH}/${pulled?.digest}`)
    const before = registry.requests.length
    expect((await mirror.get(`${PATH}/${pulled?.digest}`)).headers['cache-status']).toBe(
      'entrepot; hit',
    )
    expect(askedSince(registry, before)).toEqual([])

    await registry.goDown()
    expect((await mirror.get(`${PATH}/v1`)).headers['warning']).toMatch(/^299 - "stale: /)
    expect((await mirror.get(`${PATH}/${pulled?.digest}`)).status).toBe(200)
    expect(verdict(await mirror.get(`${PATH}/${other?.digest}`))).toBe('503 UNAVAILABLE')
  })
})

describe('E-8, E-9 Accept', () => {
  it.each([
    ['E-8', [DOCKER_MANIFEST]],
    ['E-8', ['application/vnd.docker.distribution.manifest.v1+prettyjws']],
    ['E-8', [OCI_INDEX, OCI_MANIFEST]],
    ['E-9', [OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_LIST, OCI_INDEX]],
    ['E-9', [`${OCI_MANIFEST};q=0.1, ${OCI_INDEX} ; q=0, */*`]],
    ['E-9', ['*/*']],
    ['E-9', ['text/html']],
    ['E-9', ['']],
    ['E-9', []],
  ])('%s what a tag means does not depend on Accept: %j', async (_case, accept) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', INDEX)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const headers = accept.length === 0 ? {} : { accept }
    for (const answer of [
      await mirror.head(`${PATH}/v1`, { headers }),
      await mirror.get(`${PATH}/v1`, { headers }),
    ]) {
      expect(answer.status).toBe(200)
      expect(answer.headers['content-type']).toBe(OCI_INDEX)
      expect(answer.headers['docker-content-digest']).toBe(INDEX.digest)
    }
    const sent = new Set(registry.requests.map(({ headers: { accept: asked } }) => asked))
    expect(sent.size).toBe(1)
    for (const type of [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST]) {
      expect([...sent][0]).toContain(type)
    }
  })
})

describe('E-18 Range on a manifest', () => {
  it.each(['bytes=0-', 'bytes=0-99', 'bytes=999999-', 'bytes=5-2', 'bytes=-1'])(
    'E-18 %s gets the whole: never 416, never a part',
    async (range) => {
      await using registry = await startRegistry()
      registry.push('library/app', 'v1', IMAGE)
      await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
      for (const reference of ['v1', IMAGE.digest]) {
        const answer = await mirror.get(`${PATH}/${reference}`, { headers: { range } })
        expect(answer.status).toBe(200)
        expect(answer.headers['content-range']).toBeUndefined()
        expect(answer.body.equals(IMAGE.bytes)).toBe(true)
      }
      expect(registry.requests.map(({ headers }) => headers['range'])).toEqual([undefined])
    },
  )
})

describe('E-21 other algorithms', () => {
  it.each(['sha512', 'sha384'] as const)(
    'E-21 %s, asked and answered as such',
    async (algorithm) => {
      const image = buildImage({ seed: algorithm, algorithm })
      await using registry = await startRegistry()
      registry.push('library/app', 'v1', image)
      await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })

      const pulled = await mirror.pull('library/app', image.digest, { ns: 'docker.io' })
      expect(pulled.digest).toMatch(new RegExp(`^${algorithm}:`))
      expect((await mirror.get(`${PATH}/v1`)).headers['docker-content-digest']).toBe(image.digest)
      await registry.goDown()
      await mirror.pull('docker.io/library/app', image.digest)
    },
  )

  it('E-21 the same bytes have a digest of each algorithm', async () => {
    await using registry = await startRegistry()
    const { bytes, mediaType } = IMAGE
    const sha512 = digestOf(bytes, 'sha512')
    registry.push('library/app', 'v1', IMAGE)
    registry.pushManifest('library/app', { bytes, mediaType, digest: sha512 })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    for (const digest of [IMAGE.digest, sha512]) {
      for (const answer of [
        await mirror.get(`${PATH}/${digest}`),
        await mirror.head(`${PATH}/${digest}`),
      ]) {
        expect(answer.headers['docker-content-digest']).toBe(digest)
      }
    }
  })

  it('E-21 bytes that are not their sha512 are refused', async () => {
    const image = buildImage({ seed: 'e21', algorithm: 'sha512' })
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', image)
    registry.fault({ match: { method: 'GET' }, wrongByteAt: 30 })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect(verdict(await mirror.get(`${PATH}/${image.digest}`))).toBe('502 UPSTREAM_INVALID')
  })

  it.each(['md5', 'sha1', 'sha224', 'blake3'])('E-21 %s is refused', async (algorithm) => {
    await using mirror = await startMirror({ upstreams: {}, yaml: 'upstreams: { docker.io: {} }' })
    const answer = await mirror.get(`${PATH}/${algorithm}:${'a'.repeat(64)}`)
    expect(verdict(answer)).toBe('400 DIGEST_INVALID')
  })
})

describe('E-22 Docker-Content-Digest of upstream', () => {
  it('E-22 missing: the digest is that of the bytes', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.fault({ noDigestHeader: true })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    for (const reference of ['v1', IMAGE.digest]) {
      const answer = await mirror.get(`${PATH}/${reference}`)
      expect(answer.headers['docker-content-digest']).toBe(IMAGE.digest)
    }
    const head = await mirror.head(`${PATH}/v1`)
    expect(head.headers['docker-content-digest']).toBe(IMAGE.digest)
  })

  it('E-22 of another algorithm: accepted where the bytes agree', async () => {
    const sha512 = digestOf(IMAGE.bytes, 'sha512')
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.fault({ wrongDigestHeader: sha512 })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const answer = await mirror.get(`${PATH}/v1`)
    expect(answer.headers['docker-content-digest']).toBe(sha512)
  })

  it('E-22 false: refused by tag, of no account by digest', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.fault({ wrongDigestHeader: true })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect(verdict(await mirror.get(`${PATH}/v1`))).toBe('502 UPSTREAM_INVALID')
    const answer = await mirror.get(`${PATH}/${IMAGE.digest}`)
    expect(answer.headers['docker-content-digest']).toBe(IMAGE.digest)
  })
})

describe('E-23 media types', () => {
  const LIST_MEMBERS = { schemaVersion: 2, manifests: [] }

  it.each([
    ['text/plain', IMAGE, OCI_MANIFEST],
    ['application/json', IMAGE, OCI_MANIFEST],
    ['application/octet-stream', INDEX, OCI_INDEX],
    [null, buildImage({ seed: 'docker', format: 'docker' }), DOCKER_MANIFEST],
    [`${OCI_MANIFEST}; charset=utf-8`, IMAGE, OCI_MANIFEST],
    [OCI_MANIFEST.toUpperCase(), IMAGE, OCI_MANIFEST],
    ['text/plain', handmade(IMAGE_MEMBERS), OCI_MANIFEST],
    ['text/plain', handmade(LIST_MEMBERS), OCI_INDEX],
    [DOCKER_LIST, handmade(LIST_MEMBERS), DOCKER_LIST],
  ])('E-23 %s is served as what it is', async (contentType, image, expected) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', image)
    registry.fault({ contentType })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    for (const answer of [
      await mirror.head(`${PATH}/v1`),
      await mirror.get(`${PATH}/v1`),
      await mirror.head(`${PATH}/${image.digest}`),
      await mirror.get(`${PATH}/${image.digest}`),
    ]) {
      expect(answer.headers['content-type']).toBe(expected)
    }
  })

  it.each([
    ['header and field disagree', OCI_INDEX, IMAGE],
    ['header and field disagree', DOCKER_MANIFEST, IMAGE],
    ['an index with layers', OCI_INDEX, handmade({ ...IMAGE_MEMBERS, manifests: [] })],
    ['an image that says it is an index', OCI_INDEX, handmade(IMAGE_MEMBERS)],
    ['an index that says it is an image', OCI_MANIFEST, handmade(LIST_MEMBERS)],
    ['neither of the two', 'application/json', handmade({ schemaVersion: 2 })],
    ['JSON that is no object', OCI_MANIFEST, handmade([])],
    ['no JSON', OCI_MANIFEST, handmade(Buffer.from('<html>'))],
    ['no UTF-8', OCI_MANIFEST, handmade(Buffer.from([0x22, 0xff, 0x22]))],
    ['nothing', OCI_MANIFEST, handmade(Buffer.alloc(0))],
  ])('E-23 refused: %s', async (_what, contentType, image) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', image)
    registry.fault({ contentType })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    for (const reference of ['v1', image.digest]) {
      const answer = await mirror.get(`${PATH}/${reference}`)
      expect(verdict(answer)).toBe('502 MANIFEST_INVALID')
    }
  })

  it('E-23 decided differently: schema 1 is not mirrored', async () => {
    await using registry = await startRegistry()
    const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
    registry.push('library/app', 'v1', handmade({ schemaVersion: 1, fsLayers: [] }, type))
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect(verdict(await mirror.get(`${PATH}/v1`))).toBe('404 MANIFEST_UNKNOWN')
  })
})

describe('E-24 the size of a manifest', () => {
  it.each([
    [3.9 * MIB, '200'],
    [4 * MIB, '200'],
    [4 * MIB + 1, '502 UPSTREAM_INVALID'],
  ])('E-24 %i bytes: %s', async (size, expected) => {
    const image = manifestOfSize(Math.floor(size))
    const served = expected === '200'
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', image)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect(verdict(await mirror.get(`${PATH}/v1`))).toBe(expected)

    registry.fault({ noLength: true })
    const unannounced = await mirror.get(`${PATH}/${image.digest}`)
    expect(verdict(unannounced)).toBe(expected)
    expect(unannounced.body.equals(image.bytes)).toBe(served)
  })
})
