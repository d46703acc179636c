/** Nothing that no rule allows is fetched or served: in no shape, by no digest trick, by no upload. */
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { buildImage, randomBlob } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { download, request } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { BLOB_REQUEST, coldLayer, holdAt } from './cold-layer.ts'
import { expectOciError } from './oci-error.ts'
import { BARE, mirrorHosts, SHAPES } from './shapes.ts'

const IMAGE = buildImage({ seed: 'secret' })
const LAYER = IMAGE.blobs.at(-1)?.digest ?? ''
const PUSHED = randomBlob(1000, 'pushed')
const RESOURCES = [
  'manifests/v1',
  `manifests/${IMAGE.digest}`,
  `blobs/${LAYER}`,
  'tags/list',
  `referrers/${IMAGE.digest}`,
]

describe.each([...SHAPES, BARE])('a name that no rule allows, as $name', ({ request: shaped }) => {
  it('is refused with a sentence that helps, and upstream is not asked', async () => {
    await using registry = await startSecretRegistry()
    await using mirror = await startGuarded(registry)

    for (const { path, headers } of RESOURCES.map((rest) =>
      shaped('quay.io', 'secret/app', rest),
    )) {
      const answer = await mirror.get(path, { headers })
      const { code, message } = expectOciError(answer, 403)
      expect(code).toBe('DENIED')
      expect(message).toMatch(/^quay\.io\/secret\/app.* is not allowed .* request r-[a-z2-9]{10}\./)
      expect((await mirror.head(path, { headers })).status).toBe(403)
    }
    expectUntouched(registry)
  })
})

describe('a name that no rule allows', () => {
  it.each([
    ['with dot segments', '/v2/quay.io/public/../secret/app/manifests/v1'],
    ['with encoded dot segments', '/v2/quay.io/public/%2e%2e/secret/app/manifests/v1'],
    ['with an encoded slash', '/v2/quay.io/public%2F..%2Fsecret/app/manifests/v1'],
    ['with an empty component', '/v2/quay.io//secret/app/manifests/v1'],
    ['in upper case', '/v2/QUAY.IO/secret/app/manifests/v1'],
    ['with another namespace', '/v2/quay.io/secret/app/manifests/v1?ns=docker.io'],
    ['with two namespaces', '/v2/secret/app/manifests/v1?ns=docker.io&ns=quay.io'],
    ['as a repository of another upstream', '/v2/docker.io/quay.io/secret/app/manifests/v1'],
    ['behind a port', '/v2/quay.io:443/secret/app/manifests/v1'],
    ['in an absolute target', 'http://quay.io.mirror.lan/v2/quay.io/secret/app/manifests/v1'],
  ])('%s is refused as well', async (_how, path) => {
    await using registry = await startSecretRegistry()
    await using mirror = await startGuarded(registry)

    const { status } = await mirror.get(path)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
    expectUntouched(registry)
  })
})

describe('a digest that is stored for one repository', () => {
  it('is no permission for another: upstream says whether that one holds it', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, bytes, path } = await coldLayer(registry, mirror, { size: 1000, seed: 'one' })
    await download({ url: mirror.url, path })
    await mirror.app.idle()
    registry.push('library/other', 'v1', IMAGE)
    registry.pushBlob('library/holder', bytes)

    const other = `/v2/docker.io/library/other/blobs/${digest}`
    expect(expectOciError(await mirror.get(other), 404).code).toBe('BLOB_UNKNOWN')
    expect((await mirror.head(other)).status).toBe(404)
    const holder = await mirror.get(`/v2/docker.io/library/holder/blobs/${digest}`)
    expect(digestOf(holder.body)).toBe(digest)

    expect(asked(registry, BLOB_REQUEST)).toEqual([
      `GET /v2/library/one/blobs/${digest}`,
      `HEAD /v2/library/other/blobs/${digest}`,
      `HEAD /v2/library/holder/blobs/${digest}`,
    ])
  })

  it('is none while it is being fetched either', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, path } = await coldLayer(registry, mirror, { size: 200_000, seed: 'one' })
    registry.push('library/other', 'v1', IMAGE)
    const [gate] = holdAt(registry, 1000)

    const client = download({ url: mirror.url, path })
    await gate.reached
    const other = await mirror.get(`/v2/docker.io/library/other/blobs/${digest}`)
    expect(expectOciError(other, 404).code).toBe('BLOB_UNKNOWN')
    gate.open()
    expect(await client).toMatchObject({ digest, complete: true })
  })

  it('is none where it is a manifest', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    registry.push('library/one', 'v1', IMAGE)
    registry.push('library/other', 'v1', buildImage({ seed: 'other' }))
    await mirror.pull('docker.io/library/one', 'v1')

    const answer = await mirror.get(`/v2/docker.io/library/other/manifests/${IMAGE.digest}`)
    expect(expectOciError(answer, 404).code).toBe('MANIFEST_UNKNOWN')
  })

  it('is none for a repository that is not allowed', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      allow: ['docker.io/library/one'],
    })
    const { digest, bytes, path } = await coldLayer(registry, mirror, { size: 1000, seed: 'one' })
    await download({ url: mirror.url, path })
    registry.pushBlob('library/denied', bytes)
    const before = registry.requests.length

    const denied = `/v2/docker.io/library/denied/blobs/${digest}`
    expect(expectOciError(await mirror.get(denied), 403).code).toBe('DENIED')
    expect((await mirror.head(denied)).status).toBe(403)
    expect(registry.requests).toHaveLength(before)
  })
})

describe('an upload', () => {
  it.each([
    ['POST', 'blobs/uploads/'],
    ['POST', `blobs/uploads/?mount=${LAYER}&from=public/app`],
    ['PATCH', 'blobs/uploads/some-id'],
    ['PUT', `blobs/uploads/some-id?digest=${LAYER}`],
    ['PUT', 'manifests/v1'],
    ['DELETE', 'manifests/v1'],
    ['DELETE', `blobs/${LAYER}`],
  ])('by %s %s is refused with 405, also where pulls are allowed', async (method, rest) => {
    await using registry = await startSecretRegistry()
    await using mirror = await startGuarded(registry)

    for (const repository of ['public/app', 'secret/app']) {
      const path = `/v2/quay.io/${repository}/${rest}`
      const answer = await request({ url: mirror.url, path, method, body: PUSHED })
      expect(expectOciError(answer, 405).code).toBe('UNSUPPORTED')
      expect(answer.headers['allow']).toBe('GET, HEAD')
    }
    expectUntouched(registry)
  })
})

describe('a change of the rules', () => {
  it('holds for the next request, in both directions', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry }, allow: [] })
    const paths = RESOURCES.map((rest) => `/v2/docker.io/library/app/${rest}`)
    const statuses = async (): Promise<Set<number>> =>
      new Set(
        (await Promise.all(paths.map((path) => mirror.get(path)))).map(({ status }) => status),
      )

    expect(await statuses()).toEqual(new Set([403]))
    expect(registry.requests).toHaveLength(0)
    mirror.reload({ allow: ['docker.io/library/*'] })
    expect(await statuses()).toEqual(new Set([200]))
    mirror.reload({ deny: ['docker.io/library/app'] })
    expect(await statuses()).toEqual(new Set([403]))
    mirror.reload({ deny: [] })
    expect(await statuses()).toEqual(new Set([200]))
  })

  it('lets a transfer that is running come to its end', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, path } = await coldLayer(registry, mirror, { size: 200_000, seed: 'running' })
    const [gate] = holdAt(registry, 1000)

    const client = download({ url: mirror.url, path })
    await gate.reached
    mirror.reload({ allow: [] })
    expect((await mirror.get(path)).status).toBe(403)
    gate.open()
    expect(await client).toMatchObject({ digest, complete: true })
  })
})

/** It would give a token to anybody who asked. */
async function startSecretRegistry(): Promise<FakeRegistry> {
  const registry = await startRegistry({ auth: { kind: 'token' } })
  registry.push('secret/app', 'v1', IMAGE)
  registry.push('public/app', 'v1', IMAGE)
  return registry
}

function startGuarded(registry: FakeRegistry): Promise<Mirror> {
  return startMirror({
    upstreams: { 'docker.io': registry, 'quay.io': registry },
    yaml: { defaultUpstream: 'quay.io', hosts: mirrorHosts('quay.io') },
    allow: ['quay.io/public/*', 'docker.io/library/*'],
  })
}

/** Not one request, for a token neither. */
function expectUntouched(registry: FakeRegistry): void {
  expect(registry.requests).toEqual([])
  expect(registry.tokenServer?.requests).toEqual([])
}

function asked({ requests }: FakeRegistry, which: RegExp): string[] {
  return requests
    .map(({ method, path }) => `${method} ${path}`)
    .filter((target) => which.test(target))
}
