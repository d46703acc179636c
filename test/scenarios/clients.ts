/**
 * How the clients of this world pull one image: in which order they ask, by which method, with which
 * headers, and what they cannot do without in an answer. What they write into paths is in `shapes.ts`.
 */
import { digestAlgorithm, digestOf, isDigest } from '../../src/oci/digest.ts'
import { type ClientResponse, request } from '../support/client.ts'
import type { Shape } from './shapes.ts'

export interface PullingClient {
  readonly name: string
  /** Names of the shapes that its configuration can make. */
  readonly shapes: readonly string[]
  readonly userAgent: string
  /** Asks `GET /v2/` first, and goes elsewhere unless that is answered 200. */
  readonly pings: boolean
  /** How it finds out what a tag means; after HEAD it asks for the digest. */
  readonly resolvesBy: 'GET' | 'HEAD'
  /** One line, or several. */
  readonly accept: string | readonly string[]
  /** On every GET but the ping. */
  readonly headers?: Readonly<Record<string, string>>
  /** Fetches every platform, attestations too. */
  readonly allPlatforms?: boolean
}

const OCI = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
] as const
const DOCKER = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
] as const
const SCHEMA1 = [
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.docker.distribution.manifest.v1+json',
] as const
const CONTAINERD_ACCEPT = [...DOCKER, ...OCI, '*/*'].join(', ')

export const CLIENTS: readonly PullingClient[] = [
  {
    name: 'dockerd with its graph drivers',
    shapes: ['bare', 'prefix', 'path before v2'],
    userAgent: 'docker/20.10.24 go/go1.19.8 os/linux UpstreamClient(Docker-Client/20.10.24)',
    pings: true,
    resolvesBy: 'HEAD',
    accept: [SCHEMA1[0], 'application/json', ...OCI, ...DOCKER],
    headers: { 'accept-encoding': 'gzip' },
  },
  {
    name: 'the historic patched engine',
    shapes: ['host', 'path before v2'],
    userAgent: 'docker/17.09.1-ce go/go1.8.3 os/linux',
    pings: true,
    resolvesBy: 'GET',
    accept: [SCHEMA1[0], 'application/json', ...DOCKER],
    headers: { connection: 'close' },
  },
  {
    name: 'dockerd with the containerd store',
    shapes: ['path before v2 and namespace', 'prefix and namespace'],
    userAgent: 'docker/29.0.0 containerd-client/2.2 storage-driver/overlayfs',
    pings: false,
    resolvesBy: 'HEAD',
    accept: CONTAINERD_ACCEPT,
    allPlatforms: true,
  },
  {
    name: 'containerd',
    shapes: ['namespace', 'prefix and namespace', 'path before v2 and namespace'],
    userAgent: 'containerd/v2.1.4',
    pings: false,
    resolvesBy: 'HEAD',
    accept: CONTAINERD_ACCEPT,
    headers: { 'accept-encoding': 'zstd;q=1.0, gzip;q=0.8, deflate;q=0.5' },
  },
  {
    name: 'containerd 2.1.0, which asks for ranges of everything',
    shapes: ['namespace'],
    userAgent: 'containerd/v2.1.0',
    pings: false,
    resolvesBy: 'HEAD',
    accept: CONTAINERD_ACCEPT,
    headers: { range: 'bytes=0-' },
  },
  {
    name: 'BuildKit and k3s',
    shapes: ['prefix and namespace'],
    userAgent: 'buildkit/v0.25',
    pings: false,
    resolvesBy: 'HEAD',
    accept: CONTAINERD_ACCEPT,
    allPlatforms: true,
  },
  {
    name: 'podman, CRI-O and skopeo',
    shapes: ['prefix'],
    userAgent: 'containers/5.36.2 (github.com/containers/image)',
    pings: true,
    resolvesBy: 'GET',
    accept: [OCI[0], DOCKER[0], ...SCHEMA1, DOCKER[1], OCI[1]],
    headers: { 'docker-distribution-api-version': 'registry/2.0' },
  },
  {
    name: 'crane, ko and kaniko',
    shapes: ['prefix'],
    userAgent: 'crane/0.21.0 go-containerregistry/0.21.0',
    pings: true,
    resolvesBy: 'GET',
    accept: [...SCHEMA1, ...DOCKER, ...OCI].join(','),
    headers: { 'accept-encoding': 'gzip' },
  },
  {
    name: 'JIB',
    shapes: ['path before v2', 'bare'],
    userAgent: 'jib 3.4.6 jib-maven-plugin',
    pings: false,
    resolvesBy: 'GET',
    accept: [OCI[0], DOCKER[0], SCHEMA1[1], DOCKER[1], OCI[1]].join(','),
  },
  {
    name: 'regctl',
    shapes: ['prefix', 'prefix and the namespace of the API host'],
    userAgent: 'regclient/regctl (v0.9.2)',
    pings: false,
    resolvesBy: 'HEAD',
    accept: [...OCI, ...DOCKER, ...SCHEMA1],
  },
  {
    name: 'oras',
    shapes: ['prefix'],
    userAgent: 'oras/1.3.0',
    pings: false,
    resolvesBy: 'HEAD',
    accept: [...DOCKER, ...OCI, 'application/vnd.oci.artifact.manifest.v1+json'].join(', '),
    allPlatforms: true,
  },
]

export interface PullTarget {
  readonly url: string
  readonly shape: Shape
  readonly upstream: string
  readonly repository: string
  readonly tag: string
}

interface Descriptor {
  readonly digest: string
  readonly mediaType: string
  readonly size: number
  readonly platform?: { readonly architecture?: string }
}

/**
 * Pulls as the client does.
 * @returns the digests of all that came, the root first
 * @throws where the client would give up
 */
export async function pullAs(client: PullingClient, target: PullTarget): Promise<string[]> {
  const ask = asker(client, target)
  if (client.pings) await ping(client, target)
  const root = await resolve(client, target, ask)
  const pulled = new Set([root.digest])
  const manifests = [root]
  for (const { body } of manifests) {
    const { children, blobs } = read(body, client)
    for (const child of children) {
      pulled.add(child.digest)
      manifests.push({ digest: child.digest, body: await fetchManifest(ask, child) })
    }
    for (const blob of blobs) pulled.add(blob.digest)
    await Promise.all(blobs.map((blob) => fetchBlob(ask, blob)))
  }
  return [...pulled]
}

type Ask = (method: 'GET' | 'HEAD', rest: string) => Promise<ClientResponse>

function asker({ userAgent, accept, headers = {} }: PullingClient, target: PullTarget): Ask {
  const { url, shape, upstream, repository } = target
  return async (method, rest) => {
    const shaped = shape.request(upstream, repository, rest)
    const own = { 'user-agent': userAgent, ...(rest.startsWith('manifests/') && { accept }) }
    const more = method === 'GET' ? headers : {}
    const answer = await request({
      url,
      method,
      path: shaped.path,
      headers: { ...own, ...more, ...shaped.headers },
    })
    const expected = 'range' in more && answer.body.length > 0 ? [200, 206] : [200]
    demand(expected.includes(answer.status), method, rest, `was answered ${answer.status}`)
    demand(answer.complete, method, rest, 'was cut')
    return answer
  }
}

/** At the place where the shape has its `/v2/`. */
async function ping(client: PullingClient, target: PullTarget): Promise<void> {
  const { path, headers } = target.shape.request(target.upstream, 'x', 'y')
  const at = `${path.slice(0, path.indexOf('/v2/'))}/v2/`
  const answer = await request({
    url: target.url,
    path: at,
    headers: { 'user-agent': client.userAgent, ...headers },
  })
  const version = answer.headers['docker-distribution-api-version']
  demand(answer.status === 200, 'GET', at, `was answered ${answer.status}`)
  demand(version === 'registry/2.0', 'GET', at, 'is not that of a version 2 registry')
}

async function resolve(
  { resolvesBy }: PullingClient,
  { tag }: PullTarget,
  ask: Ask,
): Promise<{ digest: string; body: Buffer }> {
  const { headers, body } = await ask(resolvesBy, `manifests/${tag}`)
  const digest = headers['docker-content-digest'] ?? ''
  const mediaType = headers['content-type'] ?? ''
  demand(isDigest(digest), resolvesBy, tag, 'lacks a digest')
  demand(/^[a-z./+0-9-]+$/.test(mediaType), resolvesBy, tag, `is of type ${mediaType}`)
  if (resolvesBy === 'GET') {
    demand(digestLike(digest, body) === digest, 'GET', tag, `is not ${digest}`)
    return { digest, body }
  }
  const size = Number(headers['content-length'])
  demand(size > 0, 'HEAD', tag, 'lacks a length')
  return { digest, body: await fetchManifest(ask, { digest, mediaType, size }) }
}

async function fetchManifest(ask: Ask, expected: Descriptor): Promise<Buffer> {
  const rest = `manifests/${expected.digest}`
  const { headers, body } = await ask('GET', rest)
  demand(headers['content-type'] === expected.mediaType, 'GET', rest, 'is of another type')
  demandSame(rest, expected, headers, body)
  return body
}

async function fetchBlob(ask: Ask, expected: Descriptor): Promise<void> {
  const rest = `blobs/${expected.digest}`
  const { headers, body } = await ask('GET', rest)
  demandSame(rest, expected, headers, body)
}

function demandSame(
  rest: string,
  { digest, size }: Descriptor,
  headers: ClientResponse['headers'],
  body: Buffer,
): void {
  demand(headers['docker-content-digest'] === digest, 'GET', rest, 'says another digest')
  demand(headers['content-length'] === String(size), 'GET', rest, 'says another length')
  demand(headers['content-encoding'] === undefined, 'GET', rest, 'is encoded')
  demand(digestLike(digest, body) === digest, 'GET', rest, 'is something else')
}

function read(
  body: Buffer,
  { allPlatforms = false }: PullingClient,
): { children: Descriptor[]; blobs: Descriptor[] } {
  const { manifests, config, layers } = JSON.parse(body.toString()) as {
    manifests?: Descriptor[]
    config?: Descriptor
    layers?: Descriptor[]
  }
  const children = (manifests ?? []).filter(
    ({ platform }) => allPlatforms || platform?.architecture === 'amd64',
  )
  return { children, blobs: [...(config ? [config] : []), ...(layers ?? [])] }
}

function digestLike(digest: string, bytes: Uint8Array): string {
  return isDigest(digest) ? digestOf(bytes, digestAlgorithm(digest)) : ''
}

function demand(condition: boolean, method: string, rest: string, what: string): void {
  if (!condition) throw new Error(`${method} ${rest} ${what}`)
}
