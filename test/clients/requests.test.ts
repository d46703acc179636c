import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CLIENT_NAMES, type ClientName } from '../../src/clients/client-config.ts'
import { type ClientRequests, requestsOf } from '../../src/clients/requests.ts'
import { buildMultiPlatform } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'

const IMAGES = [
  { upstream: 'docker.io', repository: 'library/busybox' },
  { upstream: 'quay.io', repository: 'coreos/etcd' },
]

/** The whole conversation, as protocol A.2 has it: its steps, by kind and reference. */
async function replay(mirror: Mirror, client: ClientRequests, tag: string): Promise<string[]> {
  const steps: string[] = []
  const get = async (path: string, isManifest: boolean): Promise<Buffer> => {
    const headers = isManifest ? { accept: client.accept } : {}
    const { status, body, complete } = await mirror.get(path, { headers })
    expect({ path, status, complete }).toEqual({ path, status: 200, complete: true })
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
    expect(path.includes('sha256:') ? path : digest).toContain(digest)
    steps.push(digest)
    return body
  }
  const ping = client.ping === undefined ? { status: 200 } : await mirror.get(client.ping)
  expect(ping.status).toBe(200)
  const root = await get(client.manifest(await resolved(mirror, client, tag)), true)
  const { manifests } = JSON.parse(root.toString()) as { manifests: { digest: string }[] }
  const child = await get(client.manifest(manifests[0]?.digest ?? ''), true)
  const { config, layers } = JSON.parse(child.toString()) as Record<
    'config',
    { digest: string }
  > & {
    layers: { digest: string }[]
  }
  for (const { digest } of [config, ...layers]) await get(client.blob(digest), false)
  return steps
}

async function resolved(mirror: Mirror, client: ClientRequests, tag: string): Promise<string> {
  if (!client.headFirst) return tag
  const head = await mirror.head(client.manifest(tag), { headers: { accept: client.accept } })
  expect(head.status).toBe(200)
  return head.headers['docker-content-digest'] ?? ''
}

describe.each(['docker.io', 'quay.io'])(
  'the requests of clients, where %s is the default',
  (defaultUpstream) => {
    let hub: FakeRegistry
    let quay: FakeRegistry
    let mirror: Mirror

    beforeAll(async () => {
      hub = await startRegistry()
      quay = await startRegistry()
      const upstreams = { 'docker.io': hub, 'quay.io': quay }
      mirror = await startMirror({ upstreams, yaml: { defaultUpstream } })
    })

    afterAll(async () => {
      await mirror[Symbol.asyncDispose]()
      await hub.close()
      await quay.close()
    })

    it.each(CLIENT_NAMES)('pull an image of each upstream, every part once: %s', async (client) => {
      for (const image of IMAGES) {
        const registry = image.upstream === 'docker.io' ? hub : quay
        const content = buildMultiPlatform(`${client} ${image.upstream}`, [700, 900])
        registry.push(image.repository, client, content)
        const requests = requestsOf(client, { defaultUpstream }, image)
        const parts = await replay(mirror, requests, client)
        expect(parts[0]).toBe(content.digest)
        expect(parts).toHaveLength(5)
        expect(await replay(mirror, requests, client)).toEqual(parts)
        for (const digest of parts.slice(1)) {
          expect(registry.count(new RegExp(`^GET .*${digest}`))).toBe(1)
        }
        const other = registry === hub ? quay : hub
        expect(other.count(new RegExp(image.repository))).toBe(0)
      }
    })
  },
)

describe('requestsOf', () => {
  const HUB = { upstream: 'docker.io', repository: 'busybox' }
  const QUAY = { upstream: 'quay.io', repository: 'coreos/etcd' }
  const paths: readonly [ClientName, string | undefined, string, string][] = [
    ['docker', '/v2/', '/v2/library/busybox', '/v2/quay.io/coreos/etcd ?ns=quay.io'],
    [
      'docker-patched',
      '/docker.io/v2/',
      '/docker.io/v2/library/busybox',
      '/quay.io/v2/coreos/etcd',
    ],
    [
      'containerd',
      undefined,
      '/v2/docker.io/library/busybox ?ns=docker.io',
      '/v2/quay.io/coreos/etcd ?ns=quay.io',
    ],
    ['podman', '/v2/', '/v2/docker.io/library/busybox', '/v2/quay.io/coreos/etcd'],
    ['jib', undefined, '/docker.io/v2/library/busybox', '/quay.io/v2/coreos/etcd'],
    [
      'regctl',
      undefined,
      '/v2/library/busybox ?ns=registry-1.docker.io',
      '/v2/coreos/etcd ?ns=quay.io',
    ],
    ['oras', undefined, '/v2/docker.io/library/busybox', '/v2/quay.io/coreos/etcd'],
  ]

  it.each(paths)('asks as %s does', (client, ping, hub, quay) => {
    const facts = { defaultUpstream: 'docker.io' }
    expect(requestsOf(client, facts, HUB).ping).toBe(ping)
    for (const [image, expected] of [
      [HUB, hub],
      [QUAY, quay],
    ] as const) {
      const [base, query = ''] = expected.split(' ')
      const requests = requestsOf(client, facts, image)
      expect(requests.manifest('v1')).toBe(`${base}/manifests/v1${query}`)
      expect(requests.blob('sha256:00')).toBe(`${base}/blobs/sha256:00${query}`)
    }
  })

  it('puts a port into the namespace so that it stays one value', () => {
    const image = { upstream: 'registry.lan:5000', repository: 'a/b' }
    expect(requestsOf('containerd', { defaultUpstream: undefined }, image).manifest('v1')).toBe(
      '/v2/registry.lan:5000/a/b/manifests/v1?ns=registry.lan%3A5000',
    )
  })

  it('wants tokens for the name that the client was given', () => {
    const facts = { defaultUpstream: 'docker.io' }
    expect(requestsOf('containerd', facts, HUB).scope).toBe('repository:library/busybox:pull')
    expect(requestsOf('podman', facts, HUB).scope).toBe('repository:docker.io/library/busybox:pull')
  })

  it('has docker name the registry where the default upstream is another', () => {
    const requests = requestsOf('docker', { defaultUpstream: 'quay.io' }, HUB)
    expect(requests.manifest('v1')).toBe('/docker.io/v2/library/busybox/manifests/v1')
  })
})
