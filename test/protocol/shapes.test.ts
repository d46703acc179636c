/**
 * Every resource in every shape of path that clients send, by GET and HEAD: the same answer, with
 * exactly the headers that clients read.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import {
  buildArtifact,
  buildImage,
  buildMultiPlatform,
  buildReferrersIndex,
  type FakeImage,
} from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import type { ClientResponse } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { contentHeaders } from './answers.ts'

const REPOSITORY = 'coreos/etcd'
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'

/** What an upstream holds; each has content of its own, so that an answer tells where it came from. */
interface Content {
  readonly index: FakeImage
  readonly sha512: FakeImage
  readonly artifact: FakeImage
}

interface Shape {
  readonly name: string
  readonly upstream: 'docker.io' | 'quay.io'
  /** The path up to the repository, inclusive. */
  readonly base: string
  readonly query?: string
  readonly headers?: Record<string, string>
  /** What the answer to a content request has in addition. */
  readonly extra?: Record<string, string>
}

const SHAPES: Shape[] = [
  { name: 'prefix', upstream: 'quay.io', base: `/v2/quay.io/${REPOSITORY}` },
  {
    name: 'namespace',
    upstream: 'quay.io',
    base: `/v2/${REPOSITORY}`,
    query: 'ns=quay.io',
    extra: { 'oci-namespace': 'quay.io' },
  },
  {
    name: 'host',
    upstream: 'quay.io',
    base: `/v2/${REPOSITORY}`,
    headers: { host: 'quay.mirror.lan' },
  },
  { name: 'path before v2', upstream: 'quay.io', base: `/quay.io/v2/${REPOSITORY}` },
  { name: 'bare', upstream: 'docker.io', base: `/v2/${REPOSITORY}` },
]

const registries: FakeRegistry[] = []
let mirror: Mirror

/** Docker Hub with a referrers API, quay.io without: there the list lies under a tag. */
const CONTENT = {
  'docker.io': contentOf('docker.io'),
  'quay.io': contentOf('quay.io'),
}

beforeAll(async () => {
  for (const [upstream, { index, sha512, artifact }] of Object.entries(CONTENT)) {
    const registry = await startRegistry({ referrers: upstream === 'docker.io' })
    registry.push(REPOSITORY, 'v1', index)
    registry.push(REPOSITORY, 'v2', index)
    registry.push(REPOSITORY, undefined, sha512)
    registry.push(REPOSITORY, undefined, artifact)
    if (upstream === 'quay.io') {
      const list = buildReferrersIndex([artifact])
      const tag = index.digest.replace(':', '-')
      registry.push(REPOSITORY, tag, { ...list, manifests: [list], blobs: [] })
    }
    registries.push(registry)
  }
  const [hub, quay] = registries as [FakeRegistry, FakeRegistry]
  mirror = await startMirror({
    upstreams: { 'docker.io': hub, 'quay.io': quay },
    yaml: { defaultUpstream: 'docker.io', hosts: { 'quay.mirror.lan': 'quay.io' } },
  })
})

afterAll(async () => {
  await mirror[Symbol.asyncDispose]()
  for (const registry of registries) await registry.close()
})

describe.each(SHAPES)('rules 1-5 and 11-20: $name', (shape) => {
  const { upstream, extra = {} } = shape
  const { index, sha512, artifact } = CONTENT[upstream]
  const layer = index.blobs[1] ?? index

  it('rules 11-15: a manifest by tag, by sha256 and by sha512', async () => {
    for (const [reference, image] of [
      ['v1', index],
      [index.digest, index],
      [sha512.digest, sha512],
    ] as const) {
      const answer = await getLikeHead(shape, `manifests/${reference}`)
      expect(answer.status).toBe(200)
      expect(answer.body.equals(image.bytes)).toBe(true)
      expect(contentHeaders(answer)).toEqual({
        'content-type': image.mediaType,
        'content-length': String(image.bytes.length),
        'docker-content-digest': image.digest,
        etag: `"${image.digest}"`,
        'cache-status': 'entrepot; hit',
        ...extra,
      })
    }
  })

  it('rules 11-14 and 18: a blob', async () => {
    const answer = await getLikeHead(shape, `blobs/${layer.digest}`)
    expect(answer.status).toBe(200)
    expect(digestOf(answer.body)).toBe(layer.digest)
    expect(contentHeaders(answer)).toEqual({
      'content-type': 'application/octet-stream',
      'content-length': String(layer.bytes.length),
      'docker-content-digest': layer.digest,
      etag: `"${layer.digest}"`,
      'accept-ranges': 'bytes',
      'cache-status': 'entrepot; hit',
      ...extra,
    })
  })

  it('rule 18: a part of a blob', async () => {
    const answer = await ask('GET', shape, `blobs/${layer.digest}`, { range: 'bytes=10-19' })
    expect(answer.status).toBe(206)
    expect(answer.body.equals(layer.bytes.subarray(10, 20))).toBe(true)
    expect(answer.headers).toMatchObject({
      'content-length': '10',
      'content-range': `bytes 10-19/${layer.bytes.length}`,
      'docker-content-digest': layer.digest,
    })
    const beyond = await ask('GET', shape, `blobs/${layer.digest}`, { range: 'bytes=9999999-' })
    expect(beyond.status).toBe(416)
    expect(beyond.headers['content-range']).toBe(`bytes */${layer.bytes.length}`)
  })

  it('tags, in pages whose links have the same shape', async () => {
    const answer = await getLikeHead(shape, 'tags/list', 'n=1')
    const fallback = upstream === 'quay.io' ? [index.digest.replace(':', '-')] : []
    const tags = [...fallback, 'v1', 'v2']
    const query = ['n=1', `last=${tags[0]}`, shape.query].filter(Boolean).join('&')
    expect(contentHeaders(answer)).toEqual({
      'content-type': 'application/json',
      'content-length': String(answer.body.length),
      'cache-status': 'entrepot; fwd=bypass',
      link: `<${shape.base}/tags/list?${query}>; rel="next"`,
      ...extra,
    })
    const pages = await allPages(shape, answer)
    const name = shape.name === 'prefix' ? `quay.io/${REPOSITORY}` : REPOSITORY
    expect(pages).toEqual(tags.map((tag) => ({ name, tags: [tag] })))
  })

  it(`referrers, ${upstream === 'quay.io' ? 'from the fallback tag' : 'from the API'}`, async () => {
    const answer = await getLikeHead(shape, `referrers/${index.digest}`)
    expect(contentHeaders(answer)).toEqual({
      'content-type': OCI_INDEX,
      'content-length': String(answer.body.length),
      'cache-status': expect.stringMatching(/^entrepot; (hit|fwd=bypass)$/) as string,
      ...extra,
    })
    expect(digestsIn(answer)).toEqual([artifact.digest])

    const filter = 'artifactType=application/vnd.other'
    const filtered = await getLikeHead(shape, `referrers/${index.digest}`, filter)
    expect(filtered.headers['oci-filters-applied']).toBe('artifactType')
    expect(digestsIn(filtered)).toEqual([])
  })

  it('rules 11, 13 and 22: what is not there', async () => {
    for (const rest of [
      'manifests/none',
      `blobs/sha256:${'0'.repeat(64)}`,
      'tags',
      'nothing/at/all',
    ]) {
      const answer = await getLikeHead(shape, rest)
      expect(answer.status).toBe(404)
      expect(contentHeaders(answer)).toMatchObject({
        'content-type': 'application/json',
        'content-length': String(answer.body.length),
      })
      expect(JSON.parse(answer.body.toString())).toMatchObject({
        errors: [{ code: expect.stringMatching(/^(MANIFEST|BLOB|NAME)_UNKNOWN$/) as string }],
      })
    }
  })
})

describe('rule 2: pings', () => {
  it.each(['/v2/', '/v2', '/v2/quay.io/', '/quay.io/v2/', '/quay.io/v2', '/v2/?ns=quay.io'])(
    '%s',
    async (path) => {
      const got = await mirror.get(path)
      const head = await mirror.head(path)
      expect([got.status, head.status]).toEqual([200, 200])
      expect(contentHeaders(got)).toEqual({
        'content-type': 'application/json',
        'content-length': '2',
      })
      expect(contentHeaders(head)).toEqual(contentHeaders(got))
      expect([got.body.toString(), head.body.length]).toEqual(['{}', 0])
    },
  )

  it('of a registry that is not mirrored are 404', async () => {
    expect((await mirror.get('/gcr.io/v2/')).status).toBe(404)
    expect((await mirror.get('/v2/gcr.io/')).status).toBe(404)
  })
})

function contentOf(seed: string): Content {
  const index = buildMultiPlatform(seed)
  const sha512 = buildImage({ seed: `${seed}/sha512`, algorithm: 'sha512' })
  return { index, sha512, artifact: buildArtifact({ seed, subject: index }) }
}

function ask(
  method: 'GET' | 'HEAD',
  { base, query, headers }: Shape,
  rest: string,
  more: Record<string, string> = {},
  ownQuery?: string,
): Promise<ClientResponse> {
  const search = [ownQuery, query].filter(Boolean).join('&')
  const path = `${base}/${rest}${search === '' ? '' : `?${search}`}`
  const options = { headers: { ...headers, ...more } }
  return method === 'GET' ? mirror.get(path, options) : mirror.head(path, options)
}

/** The answer to a GET, once everything is cached; the one to a HEAD must be its like. */
async function getLikeHead(shape: Shape, rest: string, query?: string): Promise<ClientResponse> {
  await ask('GET', shape, rest, {}, query)
  await mirror.app.idle()
  const got = await ask('GET', shape, rest, {}, query)
  const head = await ask('HEAD', shape, rest, {}, query)
  expect(head.status).toBe(got.status)
  expect(head.body).toHaveLength(0)
  expect(contentHeaders(head)).toEqual(contentHeaders(got))
  return got
}

interface TagPage {
  readonly name: string
  readonly tags: string[]
}

async function allPages(shape: Shape, first: ClientResponse): Promise<TagPage[]> {
  const pages = [JSON.parse(first.body.toString()) as TagPage]
  let link = first.headers['link']
  while (link !== undefined) {
    const path = /^<([^>]*)>/.exec(link)?.[1] ?? ''
    const page = await mirror.get(path, { headers: shape.headers ?? {} })
    pages.push(JSON.parse(page.body.toString()) as TagPage)
    link = page.headers['link']
  }
  return pages
}

function digestsIn({ body }: ClientResponse): string[] {
  const { manifests } = JSON.parse(body.toString()) as { manifests: { digest: string }[] }
  return manifests.map(({ digest }) => digest)
}
