/** What was pulled once can be pulled again, whatever has become of its upstream. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { buildArtifact, buildImage, buildMultiPlatform } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { startSink } from '../fakes/sink.ts'
import { openStream } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import type { PulledImage } from '../support/pull.ts'
import { until } from '../support/until.ts'
import { coldLayer, holdAt } from './cold-layer.ts'
import { expectOciError } from './oci-error.ts'

const MIB = 1024 * 1024

const IMAGE = buildMultiPlatform('outage', [0, 2, 100_000])
const BLOBS = new Map(IMAGE.blobs.map(({ digest, bytes }) => [digest, bytes.length]))
const CONTENT = {
  digest: IMAGE.digest,
  blobs: [...BLOBS].map(([digest, bytes]) => ({ digest, bytes })),
}
const PULLED = [CONTENT, CONTENT]
const NAME = 'docker.io/library/app'
const DAY = 24 * 3600 * 1000
const TIMEOUTS = { connect: '1s', firstByte: '1s', idle: '1s' }

interface Outage {
  readonly name: string
  readonly begin: (registry: FakeRegistry) => void | Promise<void>
}

const OUTAGES: readonly Outage[] = [
  { name: 'refuses connections', begin: (registry) => registry.goDown() },
  { name: 'answers 503', begin: (registry) => void registry.fault({ status: 503 }) },
  { name: 'accepts and is silent', begin: silence },
  { name: 'answers 429', begin: (registry) => void registry.fault({ status: 429 }) },
  {
    name: 'resets connections',
    begin: (registry) => void registry.fault({ resetConnection: true }),
  },
]

const CHANGES_OF_MIND: readonly Outage[] = [
  { name: 'wants credentials', begin: (registry) => void registry.fault({ status: 401 }) },
  { name: 'denies', begin: (registry) => void registry.fault({ status: 403 }) },
  { name: 'has removed the tag', begin: (registry) => registry.removeTag('library/app', 'v1') },
  { name: 'has removed the repository', begin: removeAll },
  { name: 'answers with a web page', begin: (registry) => void registry.fault({ html200: true }) },
]

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe.each([...OUTAGES, ...CHANGES_OF_MIND])('when upstream $name', ({ begin }) => {
  it('what was pulled can be pulled, by tag and digest, at once and a day later', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    await begin(registry)

    const fresh = await mirror.get(`/v2/${NAME}/manifests/v1`)
    expect(fresh).toMatchObject({ status: 200, headers: { 'cache-status': 'entrepot; hit' } })
    expect(fresh.headers['warning']).toBeUndefined()
    expect(await pullAll(mirror)).toEqual(PULLED)

    vi.setSystemTime(Date.now() + DAY)
    const stale = await mirror.get(`/v2/${NAME}/manifests/v1`)
    expect(stale.headers).toMatchObject({
      'docker-content-digest': IMAGE.digest,
      'cache-status': 'entrepot; hit; ttl=-1; detail=stale',
      warning: expect.stringMatching(/^299 - "stale: docker\.io [^"]+"$/),
    })
    expect(digestOf(stale.body)).toBe(IMAGE.digest)
    expect((await mirror.head(`/v2/${NAME}/manifests/v1`)).headers['warning']).toMatch(/^299 /)
    await until(() => mirror.logs.some(({ outcome }) => outcome === 'stale'))
    expect(await pullAll(mirror)).toEqual(PULLED)
  })

  it('what was pulled can be pulled right after a start', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    await begin(registry)
    vi.setSystemTime(Date.now() + DAY)

    await mirror.restart()
    expect(await pullAll(mirror)).toEqual(PULLED)
  })
})

describe.each(OUTAGES)('when upstream $name', ({ begin }) => {
  it('what is not cached is answered 503 within five seconds', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    await begin(registry)

    const paths = [
      'manifests/other',
      `manifests/${digestOf(Buffer.from('unknown manifest'))}`,
      `blobs/${digestOf(Buffer.from('unknown blob'))}`,
      'tags/list',
      `referrers/${IMAGE.digest}`,
    ].map((path) => `/v2/${NAME}/${path}`)
    const soon = { idleMs: 5000 }
    const [answers, heads] = await Promise.all([
      Promise.all(paths.map((path) => mirror.get(path, soon))),
      Promise.all(paths.map((path) => mirror.head(path, soon))),
    ])
    for (const answer of answers) {
      expect(expectOciError(answer, 503).code).toBe('UNAVAILABLE')
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    }
    expect(heads.map(({ status }) => status)).toEqual(paths.map(() => 503))
  })
})

describe('when upstream limits us', () => {
  it('clients are told so with 429, where this is configured', async () => {
    await using registry = await startRegistry()
    registry.fault({ status: 429, headers: { 'retry-after': '77' } })
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { rateLimitStatus: 429 },
    })
    const answer = await mirror.get(`/v2/${NAME}/manifests/v1`)
    expect(expectOciError(answer, 429).code).toBe('TOOMANYREQUESTS')
    expect(answer.headers['retry-after']).toBe('77')
  })

  it('no counted pull is spent on a tag that has not changed', async () => {
    await using registry = await startRegistry({ pullsLeft: 3 })
    await using mirror = await startWarm(registry)
    for (let day = 0; day < 10; day += 1) {
      vi.setSystemTime(Date.now() + DAY)
      const { headers } = await mirror.get(`/v2/${NAME}/manifests/v1`)
      expect(headers['cache-status']).toBe('entrepot; fwd=stale; fwd-status=304')
    }
    expect(registry.count(/^GET .*\/manifests\//)).toBe(3)
  })
})

describe('when an outage ends', () => {
  it('tags are confirmed again, and what was missing can be pulled', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    const other = registry.push('library/app', 'other', buildImage({ seed: 'other' }))
    await registry.goDown()
    vi.setSystemTime(Date.now() + DAY)
    await mirror.get(`/v2/${NAME}/manifests/v1`)
    expectOciError(await mirror.get(`/v2/${NAME}/manifests/other`), 503)

    await registry.comeUp()
    await until(async () => {
      const { headers } = await mirror.get(`/v2/${NAME}/manifests/v1`)
      return headers['cache-status'] === 'entrepot; fwd=stale; fwd-status=304'
    })
    expect((await mirror.pull(NAME, 'other')).digest).toBe(other)
  })
})

describe('a tag that was resolved by HEAD and pulled by digest', () => {
  it('can be pulled by tag in an outage, and has cost no GET of the tag', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })

    await mirror.head(`/v2/${NAME}/manifests/v1`)
    expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD'])
    await mirror.pull(NAME, 'v1')
    expect(registry.count(/ \/v2\/library\/app\/manifests\/v1$/)).toBe(1)

    await registry.goDown()
    vi.setSystemTime(Date.now() + DAY)
    await mirror.restart()
    expect(await pullAll(mirror)).toEqual(PULLED)
  })

  it('keeps its earlier meaning until the new manifest has been pulled', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    const next = buildImage({ seed: 'next' })
    registry.push('library/app', 'v1', next)
    vi.setSystemTime(Date.now() + DAY)

    const head = await mirror.head(`/v2/${NAME}/manifests/v1`)
    expect(head.headers['docker-content-digest']).toBe(next.digest)
    await registry.goDown()
    await mirror.restart()
    expect(await pullAll(mirror)).toEqual(PULLED)
  })
})

describe('lists', () => {
  it('that were fetched before serve an outage, and say so', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    registry.push('library/app', undefined, buildArtifact({ seed: 'sbom', subject: IMAGE }))
    const paths = [`/v2/${NAME}/tags/list`, `/v2/${NAME}/referrers/${IMAGE.digest}`]
    const before = await Promise.all(paths.map((path) => mirror.get(path)))
    await registry.goDown()

    for (const [index, path] of paths.entries()) {
      const answer = await mirror.get(path)
      expect(answer.body.toString()).toBe(before[index]?.body.toString())
      expect(answer.headers['warning']).toMatch(/^299 - "stale: /)
    }
  })
})

describe('offline: true', () => {
  it('serves what is there, and connects to nobody', async () => {
    await using registry = await startRegistry()
    await using sink = await startSink()
    await using mirror = await startWarm(registry)
    vi.setSystemTime(Date.now() + DAY)
    const before = registry.requests.length

    await mirror.restart({ yaml: offline(sink.url) })
    expect(await pullAll(mirror)).toEqual(PULLED)
    for (const path of ['manifests/other', `blobs/${digestOf(Buffer.from('x'))}`, 'tags/list']) {
      expectOciError(await mirror.get(`/v2/${NAME}/${path}`), 503)
    }
    expect(sink.connections).toBe(0)

    await mirror.restart({ yaml: {} })
    mirror.reload({ yaml: offline(sink.url) })
    expect(await pullAll(mirror)).toEqual(PULLED)
    expectOciError(await mirror.get(`/v2/${NAME}/manifests/other`), 503)
    expect(sink.connections).toBe(0)
    expect(registry.requests).toHaveLength(before)
  })

  it('ends the downloads that run, and back online they go on where they were', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const layer = await coldLayer(registry, mirror, { size: 6 * MIB, seed: 'interrupted' })
    const [gate] = holdAt(registry, 4 * MIB)
    const stream = await openStream({ url: mirror.url, path: layer.path })
    await stream.read(3 * MIB)
    await gate.reached

    mirror.reload({ yaml: { offline: true } })
    await until(() => registry.connections() === 0, { what: 'no connection to upstream is left' })
    await stream.rest()
    expect(stream.complete).toBe(false)
    await mirror.app.idle()
    gate.open()

    mirror.reload({ yaml: { offline: false } })
    const before = registry.bodyBytes(layer.digest)
    const { body } = await mirror.get(layer.path)
    expect(digestOf(body)).toBe(layer.digest)
    expect(registry.bodyBytes(layer.digest) - before).toBeLessThan(4 * MIB)
  })
})

/** A mirror from which the image has been pulled. */
async function startWarm(registry: FakeRegistry): Promise<Mirror> {
  registry.push('library/app', 'v1', IMAGE)
  const mirror = await startMirror({
    upstreams: { 'docker.io': registry },
    yaml: { timeouts: TIMEOUTS },
  })
  await mirror.pull(NAME, 'v1')
  await mirror.app.idle()
  return mirror
}

/** By tag and by digest; every byte is hashed on the way. */
async function pullAll(mirror: Mirror): Promise<Pick<PulledImage, 'digest' | 'blobs'>[]> {
  const pulled = await Promise.all(
    ['v1', IMAGE.digest].map((reference) => mirror.pull(NAME, reference)),
  )
  return pulled.map(({ digest, blobs }) => ({ digest, blobs }))
}

function silence(registry: FakeRegistry): void {
  registry.fault({ delayHeaders: createGate() })
}

function removeAll(registry: FakeRegistry): void {
  registry.removeRepository('library/app')
}

/** The endpoint is a server that would notice. */
function offline(url: string): Record<string, unknown> {
  const upstream = { endpoints: [url], networks: ['127.0.0.0/8'], insecure: true }
  return { offline: true, upstreams: { 'docker.io': upstream } }
}
