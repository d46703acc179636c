/** Docker Hub counts pulls: every GET of a manifest, and no HEAD. They are spent on what is not here. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { buildImage, type FakeImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { BLOB_REQUEST } from './cold-layer.ts'
import { metric } from './metrics-page.ts'
import { expectOciError } from './oci-error.ts'

const COUNTED = /^GET .*\/manifests\//
const HEADS = /^HEAD .*\/manifests\//
const HOUR = 3_600_000
const LIMIT = 20
/** What is kept for clients who want what is not here. */
const RESERVE = 2

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('ten hot tags', () => {
  it('cost nothing for 1,000 pulls within their time to live, then 10 HEADs for the next 1,000', async () => {
    await using registry = await startRegistry({ pullsLeft: 100 })
    const tags = Array.from({ length: 10 }, (_, index) => `1.${index}`)
    const images = tags.map((tag) => push(registry, tag))
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '1h' } },
    })
    for (const tag of tags) await mirror.get(manifestPath(tag))
    expect(registry.count(COUNTED)).toBe(10)
    const before = registry.requests.length

    await pullAll(mirror, images, 100)
    expect(registry.requests).toHaveLength(before)

    vi.setSystemTime(Date.now() + HOUR + 1)
    await pullAll(mirror, images, 100)
    expect(registry.count(COUNTED)).toBe(10)
    expect(registry.count(HEADS)).toBeLessThanOrEqual(10)
    expect(await metric(mirror, 'entrepot_upstream_ratelimit_limit')).toBe(100)
    expect(await metric(mirror, 'entrepot_upstream_ratelimit_remaining')).toBe(90)
  }, 60_000)
})

describe('when few pulls are left', () => {
  it('tags stay what they were, and the rest goes to what is not here', async () => {
    await using registry = await startRegistry({ pullsLeft: LIMIT })
    const old = push(registry, 'v1')
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '1h' } },
    })
    await mirror.get(manifestPath('v1'))
    await spend(registry, mirror, LIMIT - RESERVE - 1)
    const changed = buildImage({ seed: 'changed' })
    registry.push('library/app', 'v1', changed)
    vi.setSystemTime(Date.now() + HOUR + 1)

    for (const method of ['get', 'head', 'get'] as const) {
      const answer = await mirror[method](manifestPath('v1'))
      expect(answer.headers).toMatchObject({
        'docker-content-digest': old.digest,
        warning:
          '299 - "stale: docker.io has another manifest for this tag, but few pulls are left"',
      })
    }
    expect(registry.count(COUNTED)).toBe(LIMIT - RESERVE)
    expect(registry.count(HEADS)).toBe(1)

    await spend(registry, mirror, RESERVE)
    expect(await metric(mirror, 'entrepot_upstream_ratelimit_remaining')).toBe(0)
    const stale = await mirror.get(manifestPath('v1'))
    expect(digestOf(stale.body)).toBe(old.digest)
    push(registry, 'too-late')
    const refused = await mirror.get(manifestPath('too-late'))
    expect(expectOciError(refused, 503).code).toBe('UNAVAILABLE')
    expect(refused.headers['retry-after']).toMatch(/^\d+$/)
  })

  it('tags that have not changed are still confirmed', async () => {
    await using registry = await startRegistry({ pullsLeft: LIMIT })
    push(registry, 'v1')
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '1h' } },
    })
    await mirror.get(manifestPath('v1'))
    await spend(registry, mirror, LIMIT - 1)

    for (let day = 0; day < 3; day += 1) {
      vi.setSystemTime(Date.now() + HOUR + 1)
      const { headers } = await mirror.get(manifestPath('v1'))
      expect(headers['cache-status']).toBe('entrepot; fwd=stale; fwd-status=304')
    }
  })

  it('images are no longer completed', async () => {
    await using registry = await startRegistry({ pullsLeft: LIMIT })
    const image = push(registry, 'v1')
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, complete: 'pulled' } },
    })
    await mirror.get(manifestPath('v1'))
    await mirror.app.idle()
    expect(registry.count(BLOB_REQUEST)).toBe(image.blobs.length)
    mirror.reload({ upstreams: { 'docker.io': { registry, complete: 'off' } } })
    await spend(registry, mirror, LIMIT - RESERVE - 1)
    mirror.reload({ upstreams: { 'docker.io': { registry, complete: 'pulled' } } })

    push(registry, 'v2')
    const last = await mirror.get(manifestPath('v2'))
    expect(last.status).toBe(200)
    await mirror.app.idle()
    expect(registry.count(BLOB_REQUEST)).toBe(image.blobs.length)
  })
})

function push(registry: FakeRegistry, tag: string): FakeImage & { readonly tag: string } {
  const image = buildImage({ seed: `budget/${tag}`, layers: [100] })
  registry.push('library/app', tag, image)
  return { ...image, tag }
}

/** Pulls so many manifests that are not here. */
async function spend(registry: FakeRegistry, mirror: Mirror, pulls: number): Promise<void> {
  for (let pull = 0; pull < pulls; pull += 1) {
    const tag = `spent-${registry.requests.length}`
    push(registry, tag)
    expect((await mirror.get(manifestPath(tag))).status).toBe(200)
  }
}

/** So many times each: as podman does, by GET, or as containerd does, by HEAD and then by digest. */
async function pullAll(
  mirror: Mirror,
  images: readonly (FakeImage & { readonly tag: string })[],
  rounds: number,
): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    const pulls = images.map(async ({ tag, digest }) => {
      const head = round % 10 === 0 ? await mirror.head(manifestPath(tag)) : undefined
      const reference = head?.headers['docker-content-digest'] ?? tag
      const { body } = await mirror.get(manifestPath(reference))
      expect(digestOf(body)).toBe(digest)
    })
    await Promise.all(pulls)
  }
}

function manifestPath(reference: string): string {
  return `/v2/docker.io/library/app/manifests/${reference}`
}
