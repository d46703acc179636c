/** Manifests and blobs pass byte for byte: every platform, media type, artifact and algorithm. */
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import {
  buildArtifact,
  buildImage,
  buildIndex,
  buildReferrersIndex,
  EMPTY_JSON,
  type FakeImage,
  type FakeManifest,
  randomBlob,
} from '../fakes/images.ts'
import { type FakeRegistry, type RegistryOptions, startRegistry } from '../fakes/registry.ts'
import { request } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import {
  dockerList,
  layersOfEveryType,
  manifestOf,
  multiPlatform,
  withAttestation,
} from './unusual-images.ts'

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
const LAYER = buildImage({ seed: 'layer' }).blobs[0] ?? EMPTY_JSON

describe('a manifest', () => {
  const config = `"config":{"mediaType":"application/x","digest":"${LAYER.digest}","size":1}`
  const oddities: readonly [string, string, string][] = [
    [
      'with odd whitespace',
      OCI_MANIFEST,
      `\n{ "layers" :[ ]\t,\r\n${config}, "schemaVersion":2}\n\n`,
    ],
    ['with fields nobody knows', OCI_MANIFEST, `{"x-new":{"b":[1,null]},"layers":[],${config}}`],
    [
      'with escapes',
      OCI_MANIFEST,
      `{"layers":[],"annotations":{"a\\u002fb":"\\u00e9\\/"},${config}}`,
    ],
    [
      'with text that is not ASCII',
      OCI_MANIFEST,
      `{"layers":[],"annotations":{"é":"日本"},${config}}`,
    ],
    [
      'with numbers written oddly',
      OCI_MANIFEST,
      `{"schemaVersion":2.0,"n":1e3,"layers":[],${config}}`,
    ],
    ['with large numbers', OCI_INDEX, `{"manifests":[],"n":12345678901234567890}`],
    ['with a key twice', OCI_INDEX, `{"annotations":{"a":"1","a":"2"},"manifests":[]}`],
    ['without a mediaType', DOCKER_MANIFEST, `{"schemaVersion":2,${config},"layers":[]}`],
    ['that is empty', OCI_INDEX, '{"schemaVersion":2,"manifests":[]}'],
  ]
  it.each(oddities)('%s passes byte for byte', async (_oddity, mediaType, text) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const manifest = manifestOf(text, mediaType)
    registry.pushManifest('app', manifest)
    registry.setTag('app', 'odd', manifest.digest)

    for (const reference of ['odd', manifest.digest]) {
      expect(await served(mirror, reference)).toEqual(unchanged(manifest))
      expect(await served(mirror, reference)).toEqual(unchanged(manifest))
    }
    await mirror.restart()
    expect(await served(mirror, 'odd')).toEqual(unchanged(manifest))
    expect(await served(mirror, manifest.digest)).toEqual(unchanged(manifest))
  })

  it.each([
    `${OCI_INDEX}; charset=utf-8`,
    `${OCI_INDEX};charset="utf-8"; profile=x`,
    OCI_INDEX.toUpperCase(),
    'text/plain; charset=utf-8',
    'application/octet-stream',
    null,
  ])('that upstream calls %s is served under its own media type', async (contentType) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const manifest = manifestOf(`{"mediaType":"${OCI_INDEX}","manifests":[]}`, OCI_INDEX)
    registry.pushManifest('app', manifest)
    registry.setTag('app', 'typed', manifest.digest)
    registry.fault({ match: { kind: 'manifest' }, contentType })

    expect(await served(mirror, 'typed')).toEqual(unchanged(manifest))
    expect(await served(mirror, manifest.digest)).toEqual(unchanged(manifest))
  })

  it('that only its Content-Type tells apart is served under that, without parameters', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const manifest = manifestOf(`{"schemaVersion":2,${config},"layers":[]}`, DOCKER_MANIFEST)
    registry.pushManifest('app', manifest)
    registry.setTag('app', 'typed', manifest.digest)
    registry.fault({ contentType: `${DOCKER_MANIFEST}; charset=utf-8` })

    const head = await mirror.head('/v2/quay.io/app/manifests/typed')
    expect(head.headers['content-type']).toBe(DOCKER_MANIFEST)
    expect(await served(mirror, 'typed')).toEqual(unchanged(manifest))
  })

  it('without a digest header is served under the digest of its bytes', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const image = buildImage({ seed: 'no digest' })
    registry.push('app', 'v1', image)
    registry.fault({ noDigestHeader: true })
    expect(await served(mirror, 'v1')).toEqual(unchanged(image))
  })

  it('is asked for and served in the same way whatever a client accepts', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const image = multiPlatform()
    registry.push('app', 'v1', image)

    for (const accept of [DOCKER_MANIFEST, OCI_MANIFEST, 'application/json', 'text/html']) {
      const { headers, body } = await mirror.get('/v2/quay.io/app/manifests/v1', {
        headers: { accept, 'accept-encoding': 'gzip, zstd, br' },
      })
      expect(headers['content-type']).toBe(OCI_INDEX)
      expect(headers['content-encoding']).toBeUndefined()
      expect(digestOf(body)).toBe(image.digest)
    }
    expect(registry.requests[0]?.headers.accept).toContain(OCI_INDEX)
    expect(registry.requests[0]?.headers.accept).toContain(DOCKER_MANIFEST)
  })
})

describe('an image', () => {
  const nested = buildIndex({ children: [{ image: multiPlatform() }, { image: multiPlatform() }] })
  const images: readonly [string, FakeImage][] = [
    ['of several platforms, with attestations', withAttestation()],
    ['that is an index of indexes', nested],
    ['in the format of Docker', buildImage({ seed: 'docker', format: 'docker' })],
    ['in the format of Docker, with a list', dockerList()],
    [
      'that is an artifact with a subject',
      buildArtifact({ seed: 'sbom', subject: multiPlatform() }),
    ],
    ['of sha512 digests', buildImage({ seed: 'sha512', algorithm: 'sha512', layers: [10_000, 0] })],
    ['of a 0-byte and a 2-byte layer', buildImage({ seed: 'tiny', layers: [0, 2] })],
    ['without layers', buildImage({ seed: 'none', layers: [] })],
    ['of layers in every media type', layersOfEveryType()],
  ]
  it.each(images)('%s passes as it is', async (_which, image) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    registry.push('app', 'v1', image)

    for (const reference of ['v1', image.digest, 'v1']) {
      const pulled = await mirror.pull('quay.io/app', reference)
      expect(pulled.digest).toBe(image.digest)
      expect(new Set(pulled.manifests.map(describeManifest))).toEqual(
        new Set(image.manifests.map(describeManifest)),
      )
      expect(new Set(pulled.blobs.map(({ digest }) => digest))).toEqual(
        new Set(image.blobs.map(({ digest }) => digest)),
      )
    }
  })
})

describe('a blob', () => {
  it.each([
    ['of 0 bytes', new Uint8Array(0)],
    ['of 2 bytes', EMPTY_JSON.bytes],
    ['as large as what is held back', randomBlob(64 * 1024, 'held back')],
    ['one byte larger than that', randomBlob(64 * 1024 + 1, 'held back')],
    ['of a megabyte', randomBlob(1_048_576, 'megabyte')],
  ])('%s is the same cold, hot, and for HEAD', async (_size, bytes) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const path = `/v2/quay.io/app/blobs/${registry.pushBlob('app', bytes)}`

    const before = await mirror.head(path)
    const cold = await mirror.get(path)
    await mirror.app.idle()
    const hot = await mirror.get(path)
    const after = await mirror.head(path)
    for (const answer of [cold, hot]) {
      expect(answer.complete).toBe(true)
      expect(answer.body.equals(bytes)).toBe(true)
    }
    for (const answer of [before, cold, hot, after]) {
      expect(answer).toMatchObject({
        status: 200,
        headers: {
          'content-length': String(bytes.length),
          'content-type': 'application/octet-stream',
          'docker-content-digest': digestOf(bytes),
          etag: `"${digestOf(bytes)}"`,
          'accept-ranges': 'bytes',
        },
      })
      expect(answer.headers['content-encoding']).toBeUndefined()
    }
    expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET'])
  })

  it.each(['sha256', 'sha512'] as const)('is found under its %s digest', async (algorithm) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const bytes = randomBlob(100_000, algorithm)
    const digest = registry.pushBlob('app', bytes, algorithm)
    for (const state of ['cold', 'hot']) {
      const { headers, body } = await mirror.get(`/v2/quay.io/app/blobs/${digest}`)
      expect([state, headers['docker-content-digest'], body.equals(bytes)]).toEqual([
        state,
        digest,
        true,
      ])
      await mirror.app.idle()
    }
  })

  it('that a content delivery network calls gzip is passed on as it came', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const bytes = randomBlob(100_000, 'labelled')
    const path = `/v2/quay.io/app/blobs/${registry.pushBlob('app', bytes)}`
    registry.fault({ gzipLabel: true })

    const { headers, body } = await mirror.get(path)
    expect(body.equals(bytes)).toBe(true)
    expect(headers['content-encoding']).toBeUndefined()
  })
})

describe('referrers', () => {
  const subject = multiPlatform()
  const artifacts = ['sbom', 'signature'].map((seed) =>
    buildArtifact({ seed, subject, artifactType: `application/vnd.example.${seed}` }),
  )

  it('of the API pass byte for byte, filtered or not', async () => {
    await using registry = await startReferrers({ referrers: true })
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    for (const query of ['', '?artifactType=application%2Fvnd.example.sbom']) {
      const rest = `app/referrers/${subject.digest}${query}`
      const original = await request({ url: registry.url, path: `/v2/${rest}` })
      const { headers, body } = await mirror.get(`/v2/quay.io/${rest}`)
      expect(body.equals(original.body)).toBe(true)
      expect(headers['content-type']).toBe(OCI_INDEX)
      expect(headers['oci-filters-applied']).toBe(original.headers['oci-filters-applied'])
    }
  })

  it('of the fallback tag are listed as the API would, and the tag itself passes too', async () => {
    await using registry = await startReferrers({ referrers: false })
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const index = buildReferrersIndex(artifacts)
    const tag = subject.digest.replace(':', '-')
    registry.pushManifest('app', index)
    registry.setTag('app', tag, index.digest)

    const { body } = await mirror.get(`/v2/quay.io/app/referrers/${subject.digest}`)
    const listed = JSON.parse(body.toString()) as { manifests: unknown }
    const pushed = JSON.parse(Buffer.from(index.bytes).toString()) as { manifests: unknown }
    expect(listed.manifests).toEqual(pushed.manifests)
    expect(await served(mirror, tag)).toEqual(unchanged(index))
    for (const { digest } of artifacts) {
      expect((await mirror.pull('quay.io/app', digest)).digest).toBe(digest)
    }
  })

  async function startReferrers(options: RegistryOptions): Promise<FakeRegistry> {
    const registry = await startRegistry(options)
    registry.push('app', 'v1', subject)
    for (const artifact of artifacts) registry.push('app', undefined, artifact)
    return registry
  }
})

interface ServedManifest {
  readonly status: number
  readonly mediaType: string | undefined
  readonly length: string | undefined
  readonly digest: string | undefined
  readonly text: string
}

/** What clients get to see of a manifest by GET and by HEAD. */
async function served(mirror: Mirror, reference: string): Promise<ServedManifest[]> {
  const path = `/v2/quay.io/app/manifests/${reference}`
  const answers = [await mirror.get(path), await mirror.head(path)]
  return answers.map(({ status, headers, body }) => ({
    status,
    mediaType: headers['content-type'],
    length: headers['content-length'],
    digest: headers['docker-content-digest'],
    text: body.toString(),
  }))
}

function unchanged({ digest, bytes, mediaType }: FakeManifest): ServedManifest[] {
  const head = { status: 200, mediaType, length: String(bytes.length), digest, text: '' }
  return [{ ...head, text: Buffer.from(bytes).toString() }, head]
}

function describeManifest({ digest, mediaType }: { digest: string; mediaType: string }): string {
  return `${digest} ${mediaType}`
}
