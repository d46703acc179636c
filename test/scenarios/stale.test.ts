/** For how long, and when, something is served that upstream has not confirmed. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { until } from '../support/until.ts'
import { expectOciError } from './oci-error.ts'

const OLD = buildImage({ seed: 'stale/old' })
const NEW = buildImage({ seed: 'stale/new' })
const NAME = 'docker.io/library/app'
const V1 = `/v2/${NAME}/manifests/v1`
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const HIT = 'entrepot; hit'
const STALE = 'entrepot; hit; ttl=-1; detail=stale'
const REVALIDATED = 'entrepot; fwd=stale; fwd-status=304'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a tag within its time of grace', () => {
  it('is served at once while upstream is asked, once for all', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry, { staleWhileRevalidate: '1h' })
    const gate = createGate()
    registry.fault({ match: { kind: 'manifest' }, delayHeaders: gate })
    pass(2 * MINUTE)

    for (let pull = 0; pull < 20; pull += 1) {
      const got = await mirror.get(V1)
      expect(digestOf(got.body)).toBe(OLD.digest)
      expect(got.headers).toMatchObject({
        'cache-status': STALE,
        warning: '299 - "stale: docker.io is being asked whether this tag has changed"',
      })
    }
    await gate.reached
    gate.open()
    await mirror.app.idle()

    expect(await outcomeOf(mirror)).toBe(HIT)
    expect(manifestRequests(registry)).toEqual(['GET v1', 'HEAD v1'])
  })

  it('is new at the next pull when it has changed', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry, { staleWhileRevalidate: '1h' })
    registry.push('library/app', 'v1', NEW)
    pass(2 * MINUTE)

    expect((await mirror.get(V1)).headers['docker-content-digest']).toBe(OLD.digest)
    await mirror.app.idle()
    expect(digestOf((await mirror.get(V1)).body)).toBe(NEW.digest)
  })

  it('is asked for first when that time is over', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry, { staleWhileRevalidate: '1h' })
    registry.push('library/app', 'v1', NEW)
    pass(HOUR + MINUTE)

    expect(digestOf((await mirror.get(V1)).body)).toBe(NEW.digest)
  })
})

describe('an upstream that hangs', () => {
  it('does not make clients hang, and is listened to once it answers', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    registry.push('library/app', 'v1', NEW)
    const gate = createGate()
    registry.fault({ match: { kind: 'manifest' }, delayHeaders: gate })
    pass(2 * MINUTE)

    const answers = await Promise.all(Array.from({ length: 20 }, () => mirror.get(V1)))
    for (const { headers, body } of [...answers, await mirror.get(V1)]) {
      expect(digestOf(body)).toBe(OLD.digest)
      expect(headers['warning']).toBe('299 - "stale: docker.io takes long to confirm this tag"')
    }
    expect(manifestRequests(registry)).toEqual(['GET v1', 'HEAD v1'])

    gate.open()
    await mirror.app.idle()
    const next = await mirror.get(V1)
    expect(digestOf(next.body)).toBe(NEW.digest)
    expect(next.headers['cache-status']).toBe(HIT)
  })
})

describe('an outage', () => {
  it('is bridged up to its limit; after that a tag is refused, and what it meant is not', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry, { staleIfError: '1h' })
    const list = `/v2/${NAME}/tags/list`
    await mirror.get(list)
    await registry.goDown()

    pass(HOUR)
    expect(await outcomeOf(mirror)).toBe(STALE)
    expect((await mirror.get(list)).status).toBe(200)

    pass(1)
    const refused = await mirror.get(V1)
    const { code, message } = expectOciError(refused, 503)
    expect(code).toBe('UNAVAILABLE')
    expect(message).toContain('staleIfError allows (3600 s)')
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect((await mirror.head(V1)).status).toBe(503)
    expectOciError(await mirror.get(list), 503)
    expect((await mirror.get(`/v2/${NAME}/manifests/${OLD.digest}`)).status).toBe(200)

    await registry.comeUp()
    await until(async () => (await outcomeOf(mirror)) === REVALIDATED)
  })

  it('that was ordered has no limit', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry, { staleIfError: '1h' })
    const before = registry.requests.length
    mirror.reload({ yaml: { offline: true } })
    pass(1000 * HOUR)

    expect(await outcomeOf(mirror)).toBe(STALE)
    expect(registry.requests).toHaveLength(before)
  })

  it('at the start is nothing unusual', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', OLD)
    await registry.goDown()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })

    expect((await mirror.get('/v2/')).status).toBe(200)
    expect((await mirror.get('/readyz')).status).toBe(200)
    expectOciError(await mirror.get(V1), 503)
    await registry.comeUp()
    await until(async () => (await mirror.get(V1)).status === 200)
  })
})

describe.each([
  ['name', (registry: FakeRegistry) => registry.removeTag('library/app', 'v1')],
  ['repository', (registry: FakeRegistry) => registry.removeRepository('library/app')],
])('a tag whose %s upstream has deleted', (_, remove) => {
  it('keeps pulling, however long ago that was', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry, { staleIfError: '1h', keepDeleted: true })
    remove(registry)
    pass(1000 * HOUR)

    expect(await outcomeOf(mirror)).toBe(STALE)
    await mirror.restart()
    expect((await mirror.pull(NAME, 'v1')).digest).toBe(OLD.digest)
  })

  it('is refused where that is set, and served again when it is back', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry, { keepDeleted: false })
    remove(registry)
    expect(await outcomeOf(mirror)).toBe(HIT)
    pass(2 * MINUTE)

    expect(expectOciError(await mirror.get(V1), 404).code).toBe('MANIFEST_UNKNOWN')
    expect((await mirror.get(`/v2/${NAME}/manifests/${OLD.digest}`)).status).toBe(200)

    registry.push('library/app', 'v1', OLD)
    await mirror.restart()
    expect(await outcomeOf(mirror)).toBe(REVALIDATED)
    pass(2 * MINUTE)
    await registry.goDown()
    expect(await outcomeOf(mirror)).toBe(STALE)
  })
})

/** A mirror from which the image has been pulled, whose tags live for a minute. */
async function startWarm(
  registry: FakeRegistry,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<Mirror> {
  registry.push('library/app', 'v1', OLD)
  const upstreams = { 'docker.io': { registry, tagTtl: '1m', ...settings } }
  const mirror = await startMirror({ upstreams })
  await mirror.get(V1)
  for (const { digest } of OLD.blobs) await mirror.get(`/v2/${NAME}/blobs/${digest}`)
  await mirror.app.idle()
  return mirror
}

function pass(milliseconds: number): void {
  vi.setSystemTime(Date.now() + milliseconds)
}

async function outcomeOf(mirror: Mirror): Promise<string | undefined> {
  return (await mirror.get(V1)).headers['cache-status']
}

/** E.g. `HEAD v1`. */
function manifestRequests({ requests }: FakeRegistry): string[] {
  return requests
    .filter(({ path }) => path.includes('/manifests/'))
    .map(({ method, path }) => `${method} ${path.slice(path.lastIndexOf('/') + 1)}`)
    .filter((asked) => asked.endsWith(' v1'))
}
