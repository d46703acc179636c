/** Whatever an upstream answers: the client gets a clean error, and nothing of it is stored. */
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { Faults } from '../fakes/faults.ts'
import { buildArtifact, buildImage, randomBlob } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import type { ClientResponse } from '../support/client.ts'
import { startMirror } from '../support/mirror.ts'
import { contentHeaders, verdict } from './answers.ts'
import { handmade, IMAGE_MEMBERS, imageOf, OCI_MANIFEST } from './handmade.ts'
import { storedDigests } from './stored-digests.ts'

const MIB = 1024 * 1024
const BLOB = randomBlob(MIB, 'lies')
const IMAGE = imageOf(BLOB)
const BASE = '/v2/docker.io/library/app'
const BLOB_PATH = `${BASE}/blobs/${IMAGE.layer}`

const CORRUPT = '502 UPSTREAM_INVALID'
const UNAVAILABLE = '503 UNAVAILABLE'
const UNREADABLE = '502 MANIFEST_INVALID'

/** What is done to a manifest, and the verdicts by tag and by digest. */
type ManifestLie = [what: string, fault: Faults, byTag: string, byDigest?: string]

const HEADER_BOMB = Object.fromEntries(
  Array.from({ length: 40 }, (_, index) => [`x-bomb-${index}`, 'x'.repeat(1000)]),
)

describe('manifests', () => {
  it.each<ManifestLie>([
    ['a web page', { html200: true }, UNREADABLE, CORRUPT],
    ['one wrong byte', { wrongByteAt: 40 }, CORRUPT],
    ['another manifest', { body: buildImage({ seed: 'another' }).bytes }, CORRUPT],
    ['a false digest', { wrongDigestHeader: true }, CORRUPT, '200'],
    ['endless', { endless: true }, CORRUPT],
    ['endless, and says so', { endless: true, claimLength: 2 ** 40 }, CORRUPT],
    ['more than 4 MiB', { body: Buffer.alloc(4 * MIB + 1, ' ') }, CORRUPT],
    ['less than announced', { claimLength: IMAGE.bytes.length + 10 }, UNAVAILABLE],
    ['more than announced', { claimLength: IMAGE.bytes.length - 10 }, CORRUPT],
    ['cut', { cutAfter: 100 }, UNAVAILABLE],
    ['a reset', { resetConnection: true }, UNAVAILABLE],
    ['a reset in the middle', { resetConnection: true, cutAfter: 100 }, UNAVAILABLE],
    ['an encoding that nobody asked for', { headers: { 'content-encoding': 'br' } }, CORRUPT],
    ['several encodings', { headers: { 'content-encoding': 'gzip, gzip, gzip' } }, CORRUPT],
    ['a false encoding', { gzipLabel: true }, CORRUPT],
    ['a gzip bomb', { gzip: true, body: Buffer.alloc(16 * MIB) }, CORRUPT],
    ['a header bomb', { headers: HEADER_BOMB }, CORRUPT],
    ['a redirect to itself', { redirectLoop: true }, CORRUPT],
    ['a redirect to nowhere', { redirectTo: () => '' }, CORRUPT],
    ['another media type', { contentType: 'application/vnd.oci.image.index.v1+json' }, UNREADABLE],
    ['206', { status: 206, body: 'x' }, CORRUPT],
    ['203', { status: 203, body: 'x' }, CORRUPT],
    ['300', { status: 300, body: 'x' }, CORRUPT],
    ['400', { status: 400 }, CORRUPT],
    ['418', { status: 418 }, CORRUPT],
    ['407', { status: 407 }, CORRUPT],
    ['500', { status: 500, body: '<html>' }, UNAVAILABLE],
    ['599', { status: 599, body: 'x'.repeat(MIB) }, UNAVAILABLE],
    ['410', { status: 410 }, '404 MANIFEST_UNKNOWN'],
    ['451', { status: 451 }, '404 MANIFEST_UNKNOWN'],
  ])('%s', async (_what, fault, byTag, byDigest = byTag) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.fault(fault)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expectClean(await mirror.get(`${BASE}/manifests/v1`), byTag)
    expect(await storedDigests(mirror.dataDir)).toEqual([])
    expectClean(await mirror.get(`${BASE}/manifests/${IMAGE.digest}`), byDigest)
    expect(await storedDigests(mirror.dataDir)).toEqual(byDigest === '200' ? [IMAGE.digest] : [])
    // Nothing was read beyond the limit, but for what lay in buffers.
    expect(Math.max(...registry.requests.map(({ bytesSent }) => bytesSent))).toBeLessThan(32 * MIB)
    registry.clearFaults()
    expect((await mirror.head(`${BASE}/manifests/v1`)).status).toBe(200)
  })

  it.each([
    ['nested too deeply', Buffer.from('['.repeat(100_000) + ']'.repeat(100_000))],
    ['nested too deeply, in an annotation', nested(40)],
    ['with too many entries', manyLayers(10_001)],
    ['an index and an image', handmade({ ...IMAGE_MEMBERS, manifests: [] }).bytes],
    ['a number', Buffer.from('1')],
    ['null', Buffer.from('null')],
    ['two values', Buffer.from('{}{}')],
  ])('%s', async (_what, bytes) => {
    await using registry = await startRegistry()
    const image = handmade(bytes)
    registry.push('library/app', 'v1', image)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    for (const reference of ['v1', image.digest]) {
      expectClean(await mirror.get(`${BASE}/manifests/${reference}`), UNREADABLE)
    }
    expect(await storedDigests(mirror.dataDir)).toEqual([])
  })

  it('descriptors of any kind do no harm, and pass unchanged', async () => {
    const size = [-1, 1.5, 1e308, '9', null, [], {}]
    const digests = ['sha256:../../../etc/passwd', 'sha256:', '', 1, null, '__proto__', IMAGE.layer]
    const layers = digests.flatMap((digest) => size.map((it) => ({ digest, size: it })))
    const text = JSON.stringify({ ...IMAGE_MEMBERS, mediaType: OCI_MANIFEST, layers })
    const bytes = Buffer.from(text.replace('{', '{"__proto__":{"polluted":true},"constructor":1,'))
    await using registry = await startRegistry()
    const image = handmade(bytes)
    registry.push('library/app', 'v1', image)
    registry.pushBlob('library/app', BLOB)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect((await mirror.get(`${BASE}/manifests/v1`)).body.equals(bytes)).toBe(true)
    expect(digestOf((await mirror.get(BLOB_PATH)).body)).toBe(IMAGE.layer)
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })
})

describe('blobs', () => {
  it.each<[string, Faults, string]>([
    ['a web page', { html200: true }, CORRUPT],
    ['another length', { body: 'x' }, CORRUPT],
    ['endless, and says so', { endless: true, claimLength: 2 ** 40 }, CORRUPT],
    ['a reset', { resetConnection: true }, UNAVAILABLE],
    ['a header bomb', { headers: HEADER_BOMB }, CORRUPT],
    ['a redirect to itself', { redirectLoop: true }, CORRUPT],
    ['a part that nobody asked for', { status: 206, body: 'x' }, CORRUPT],
    ['compressed', { gzip: true }, CORRUPT],
    ['500', { status: 500 }, UNAVAILABLE],
    ['401', { status: 401 }, '404 BLOB_UNKNOWN'],
    ['one wrong byte', { wrongByteAt: MIB - 1 }, 'cut'],
    ['one wrong byte at the front', { wrongByteAt: 0 }, 'cut'],
    ['endless', { endless: true }, 'cut'],
  ])('%s', async (_what, fault, expected) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.get(`${BASE}/manifests/v1`)
    registry.fault({ match: { kind: 'blob' }, ...fault })
    const answer = await mirror.get(BLOB_PATH)
    if (expected === 'cut') expectCut(answer)
    else expectClean(answer, expected)
    await mirror.app.idle()
    expect(await storedDigests(mirror.dataDir)).toEqual([IMAGE.digest])
    registry.clearFaults()
    expect(digestOf((await mirror.get(BLOB_PATH)).body)).toBe(IMAGE.layer)
  })

  it.each<[string, Faults]>([
    ['begins elsewhere', { shiftRange: 10 }],
    ['has another total', partial(`bytes 500000-${MIB}/${MIB + 1}`)],
    ['has a Content-Range that is none', partial('none')],
    ['has no Content-Range', { status: 206, body: BLOB.subarray(500_000) }],
    ['is of other bytes', { wrongByteAt: 900_000 }],
    ['is a web page', { html200: true }],
    ['is the whole of something else', { ignoreRange: true, body: randomBlob(MIB, 'else') }],
    ['is no longer there', { status: 404 }],
    ['cannot be satisfied', { status: 416 }],
  ])('the resume of a cut download that %s: nobody gets a complete blob', async (_what, fault) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.get(`${BASE}/manifests/v1`)
    registry.fault({ match: { kind: 'blob', ranged: false }, cutAfter: 500_000 })
    const lie = registry.fault({ match: { kind: 'blob', ranged: true }, ...fault })
    expectCut(await mirror.get(BLOB_PATH))
    expect(lie.happened).toBe(1)
    await mirror.app.idle()
    expect(await storedDigests(mirror.dataDir)).toEqual([IMAGE.digest])
  })

  it(
    'endless, where nobody knows the length: refused, and not for ever',
    { timeout: 20_000 },
    async () => {
      await using registry = await startRegistry()
      registry.pushBlob('library/app', BLOB)
      registry.fault({ endless: true })
      await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
      expectClean(await mirror.get(BLOB_PATH, { idleMs: 15_000 }), CORRUPT)
      await mirror.app.idle()
      expect(await storedDigests(mirror.dataDir)).toEqual([])
    },
  )
})

describe('tokens', () => {
  it.each<[string, Faults]>([
    ['a web page', { html200: true }],
    ['no token', { body: '{}' }],
    ['a token of another type', { body: '{"token":{"a":1},"access_token":5}' }],
    ['a token with a line break', { body: '{"token":"a\\r\\nX-Injected: 1"}' }],
    ['no JSON', { body: 'fake-token-1' }],
    ['more than 64 KiB', { body: `{"token":"fake-token-1","x":"${'x'.repeat(70_000)}"}` }],
    ['endless', { endless: true }],
    ['a redirect to itself', { redirectLoop: true }],
    ['500', { status: 500 }],
    ['404', { status: 404 }],
  ])('%s', async (_what, fault) => {
    await using registry = await startRegistry({ auth: { kind: 'token' } })
    registry.push('library/app', 'v1', IMAGE)
    registry.tokenServer?.fault(fault)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const answer = await mirror.get(`${BASE}/manifests/v1`)
    expect(verdict(answer)).toMatch(/^50[23] (UNAVAILABLE|UPSTREAM_INVALID)$/)
    expect(answer.headers['x-injected']).toBeUndefined()
    expect(JSON.stringify(mirror.logs)).not.toContain('fake-token-1')
    expect(await storedDigests(mirror.dataDir)).toEqual([])
  })
})

describe('lists', () => {
  it.each<[string, Faults]>([
    ['a web page', { html200: true }],
    ['no object', { body: '[]' }],
    ['null', { body: 'null' }],
    ['more than 4 MiB', { body: `{"tags":["${'x'.repeat(4 * MIB)}"],"manifests":[]}` }],
    ['endless', { endless: true }],
    ['a redirect to itself', { redirectLoop: true }],
    ['compressed beyond the limit', { gzip: true, body: Buffer.alloc(16 * MIB, ' ') }],
  ])('%s', async (_what, fault) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.fault({ match: { kind: 'tags' }, ...fault })
    registry.fault({ match: { kind: 'referrers' }, ...fault })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expectClean(await mirror.get(`${BASE}/tags/list`), CORRUPT)
    expectClean(await mirror.get(`${BASE}/referrers/${IMAGE.digest}`), CORRUPT)
    expect(Math.max(...registry.requests.map(({ bytesSent }) => bytesSent))).toBeLessThan(32 * MIB)
  })

  it.each(['{}', '{"manifests":null}', '{"manifests":{}}', '{"errors":[]}'])(
    'referrers that are %s',
    async (body) => {
      await using registry = await startRegistry()
      registry.push('library/app', 'v1', IMAGE)
      registry.fault({ match: { kind: 'referrers' }, body })
      await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
      const answer = await mirror.get(`${BASE}/referrers/${IMAGE.digest}`)
      expect(verdict(answer)).toBe(CORRUPT)
    },
  )
})

describe('headers of upstream', () => {
  it('are not handed on, whatever they are', async () => {
    const artifact = buildArtifact({ seed: 'headers', subject: IMAGE })
    const hostile = {
      'set-cookie': 'session=1',
      'www-authenticate': 'Bearer realm="https://evil.example/token"',
      'strict-transport-security': 'max-age=31536000',
      'alt-svc': 'h3="evil.example:443"',
      'x-registry-supports-signatures': '1',
      'docker-ratelimit-source': '192.0.2.1',
      'access-control-allow-origin': '*',
      'content-disposition': 'attachment',
      'cache-control': 'max-age=1',
      'x-powered-by': 'upstream',
      server: 'upstream',
      via: '1.1 upstream',
      location: 'https://evil.example/',
      warning: '299 - "of upstream"',
      age: '5',
    }
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.push('library/app', undefined, artifact)
    registry.fault({ headers: hostile })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    for (const rest of [
      'manifests/v1',
      `manifests/${IMAGE.digest}`,
      `blobs/${IMAGE.layer}`,
      'tags/list',
      `referrers/${IMAGE.digest}`,
      'manifests/none',
    ]) {
      for (const answer of [
        await mirror.get(`${BASE}/${rest}`),
        await mirror.head(`${BASE}/${rest}`),
      ]) {
        const names = Object.keys(contentHeaders(answer))
        expect(names.filter((name) => name in hostile)).toEqual([])
      }
    }
  })
})

/** An error in the words of the protocol that tells nothing of what upstream sent. */
function expectClean(answer: ClientResponse, expected: string): void {
  expect(verdict(answer)).toBe(expected)
  expect(answer.complete).toBe(true)
  expect(answer.body.length).toBeLessThan(1000)
}

/** The head had been sent already: all that the client sees is a body that ends too early. */
function expectCut(answer: ClientResponse): void {
  expect(answer.status).toBe(200)
  expect(answer.complete).toBe(false)
  expect(answer.body.length).toBeLessThan(MIB)
}

function partial(range: string): Faults {
  return { status: 206, headers: { 'content-range': range }, body: BLOB.subarray(500_000) }
}

function nested(levels: number): Buffer {
  const value = `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
  return Buffer.from(JSON.stringify({ ...IMAGE_MEMBERS, a: 0 }).replace('"a":0', `"a":${value}`))
}

function manyLayers(count: number): Buffer {
  const layers = Array.from({ length: count }, () => ({ digest: IMAGE.layer, size: 1 }))
  return Buffer.from(JSON.stringify({ ...IMAGE_MEMBERS, layers }))
}
