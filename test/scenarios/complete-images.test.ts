/** An image that was pulled can be pulled whole later, although its first client had some layers already. */
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import {
  AMD64,
  ARM64,
  buildArtifact,
  buildImage,
  buildIndex,
  type FakeImage,
} from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { openStream } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { until } from '../support/until.ts'
import { CLIENTS, pullAs } from './clients.ts'
import { BLOB_REQUEST } from './cold-layer.ts'
import { metric } from './metrics-page.ts'
import { SHAPES } from './shapes.ts'
import { storedBlobs } from './stored-blobs.ts'

const NAME = 'docker.io/library/app'
const LAYERS = [100, 1000, 70_000, 200_000]
const INTEL = buildImage({ seed: 'complete/amd64', layers: LAYERS, platform: AMD64 })
const ARM = buildImage({ seed: 'complete/arm64', layers: LAYERS, platform: ARM64 })
const INDEX = buildIndex({
  children: [
    { image: INTEL, platform: AMD64 },
    { image: ARM, platform: ARM64 },
  ],
})
const CLIENT = CLIENTS.find(({ name }) => name === 'containerd')

describe('an image of which the first client pulled one layer', () => {
  it('is pulled whole by the second, with upstream down; other platforms stay upstream', async () => {
    await using registry = await startRegistry()
    await using mirror = await startCompleting(registry)
    registry.push('library/app', 'v1', INDEX)
    await mirror.get(manifestPath('v1'))
    await mirror.get(manifestPath(INTEL.digest))
    await mirror.get(`/v2/${NAME}/blobs/${INTEL.blobs.at(-1)?.digest}`)
    await mirror.app.idle()

    expect(registry.count(BLOB_REQUEST)).toBe(INTEL.blobs.length)
    expect(blobRequests(registry, ARM)).toEqual([])
    await registry.goDown()
    await mirror.restart()
    expect(new Set(await pullIntel(mirror))).toEqual(
      new Set([INDEX.digest, INTEL.digest, ...INTEL.blobs.map(({ digest }) => digest)]),
    )
    for (const { digest } of INTEL.blobs) {
      const { body } = await mirror.get(`/v2/${NAME}/blobs/${digest}`)
      expect(digestOf(body)).toBe(digest)
    }
  })

  it('is left as it is where this is off', async () => {
    await using registry = await startRegistry()
    await using mirror = await startCompleting(registry, 'off')
    registry.push('library/app', 'v1', INTEL)
    await mirror.get(manifestPath('v1'))
    await mirror.app.idle()

    expect(registry.count(BLOB_REQUEST)).toBe(0)
  })

  it('is completed once, however often it is pulled', async () => {
    await using registry = await startRegistry()
    await using mirror = await startCompleting(registry)
    registry.push('library/app', 'v1', INTEL)
    for (let pull = 0; pull < 20; pull += 1) await mirror.get(manifestPath('v1'))
    await mirror.app.idle()
    for (let pull = 0; pull < 20; pull += 1) await mirror.get(manifestPath(INTEL.digest))
    await mirror.app.idle()

    expect(registry.count(BLOB_REQUEST)).toBe(INTEL.blobs.length)
    for (const { digest, bytes } of INTEL.blobs) {
      expect(registry.bodyBytes(digest)).toBe(bytes.length)
    }
    expect(await storedBlobs(mirror)).toEqual(
      [INTEL, ...INTEL.blobs].map(({ digest }) => digest).toSorted(),
    )
  })

  it('is completed by the next pull where upstream lacked a layer', async () => {
    await using registry = await startRegistry()
    await using mirror = await startCompleting(registry)
    registry.push('library/app', 'v1', INTEL)
    const lost = INTEL.blobs[3]?.digest ?? INTEL.digest
    registry.remove('library/app', lost)
    await mirror.get(manifestPath('v1'))
    await mirror.app.idle()
    expect(await storedBlobs(mirror)).not.toContain(lost)
    expect(await metric(mirror, 'entrepot_prefetches_total', { result: 'failed' })).toBe(1)

    registry.push('library/app', 'v1', INTEL)
    await mirror.get(manifestPath('v1'))
    await mirror.app.idle()

    expect(await storedBlobs(mirror)).toContain(lost)
    expect(registry.count(BLOB_REQUEST)).toBe(INTEL.blobs.length + 1)
  })
})

describe('what nobody pulled', () => {
  it('is not fetched: for a HEAD, an index, or the subject of an artifact', async () => {
    await using registry = await startRegistry()
    await using mirror = await startCompleting(registry)
    registry.push('library/app', 'v1', INDEX)
    registry.push('library/app', 'v2', INTEL)
    const artifact = buildArtifact({ seed: 'signature', subject: INTEL })
    registry.push('library/app', undefined, artifact)

    await mirror.get(manifestPath('v1'))
    await mirror.head(manifestPath('v2'))
    await mirror.head(manifestPath(ARM.digest))
    await mirror.get(manifestPath(artifact.digest))
    await mirror.app.idle()

    expect(blobRequests(registry, INTEL)).toEqual([])
    expect(blobRequests(registry, ARM)).toEqual([])
    expect(blobRequests(registry, artifact)).toHaveLength(artifact.blobs.length)
  })
})

describe('what is fetched in the background', () => {
  it('waits for what clients wait for', async () => {
    await using registry = await startRegistry()
    await using mirror = await startCompleting(registry)
    const large = registry.pushBlob('library/other', new Uint8Array(1_000_000))
    registry.push('library/app', 'v1', INTEL)
    const gate = createGate()
    registry.fault({ match: { digest: large }, hold: { after: 1000, gate } })

    const client = await openStream({
      url: mirror.url,
      path: `/v2/docker.io/library/other/blobs/${large}`,
    })
    await gate.reached
    await mirror.get(manifestPath('v1'))
    await until(
      async () => (await metric(mirror, 'entrepot_prefetches_waiting')) === INTEL.blobs.length,
    )
    expect(blobRequests(registry, INTEL)).toEqual([])

    gate.open()
    expect(await client.rest()).toHaveLength(1_000_000)
    await mirror.app.idle()
    expect(blobRequests(registry, INTEL)).toHaveLength(INTEL.blobs.length)
    expect(registry.requests.filter(({ path }) => path.endsWith(large))).toHaveLength(1)
  })

  it('is two blobs at a time, and is joined by a client who wants one of them', async () => {
    await using registry = await startRegistry()
    await using mirror = await startCompleting(registry)
    registry.push('library/app', 'v1', INTEL)
    const gate = createGate()
    registry.fault({ match: { kind: 'blob' }, delayHeaders: gate })
    await mirror.get(manifestPath('v1'))

    await until(async () => registry.count(BLOB_REQUEST) === 2)
    expect(await metric(mirror, 'entrepot_prefetches_waiting')).toBe(INTEL.blobs.length - 2)
    const digest = INTEL.blobs[0]?.digest
    const joined = mirror.get(`/v2/${NAME}/blobs/${digest}`)
    await until(async () => (await metric(mirror, 'entrepot_fill_joined_readers_total')) === 1)
    gate.open()

    expect(digestOf((await joined).body)).toBe(digest)
    await mirror.app.idle()
    expect(registry.count(BLOB_REQUEST)).toBe(INTEL.blobs.length)
  })
})

function startCompleting(
  registry: FakeRegistry,
  complete: 'pulled' | 'off' = 'pulled',
): Promise<Mirror> {
  return startMirror({ upstreams: { 'docker.io': { registry, complete } } })
}

function manifestPath(reference: string): string {
  return `/v2/${NAME}/manifests/${reference}`
}

async function pullIntel({ url }: Mirror): Promise<string[]> {
  const [shape] = SHAPES
  if (!shape || !CLIENT) throw new Error('There are shapes and clients.')
  const target = { url, shape, upstream: 'docker.io', repository: 'library/app', tag: 'v1' }
  return pullAs(CLIENT, target)
}

/** Requests for the blobs of an image. */
function blobRequests({ requests }: FakeRegistry, { blobs }: FakeImage): string[] {
  return requests
    .map(({ path }) => path)
    .filter((path) => blobs.some(({ digest }) => path.endsWith(`/blobs/${digest}`)))
}
