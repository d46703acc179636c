import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { OciError } from '../../src/oci/error.ts'
import { parseRepository, parseTag } from '../../src/oci/reference.ts'
import { type PullBudget, UpstreamError } from '../../src/upstream/upstream.ts'
import { createGate } from '../fakes/gate.ts'
import { buildImage } from '../fakes/images.ts'
import { APP, type ManifestsUnderTest, openManifests, outage, V1 } from './manifests-under-test.ts'

const OLD = buildImage({ seed: 'old' })
const NEW = buildImage({ seed: 'new' })
const HOUR = 3_600_000

describe('a tag', () => {
  it('costs nothing within its time to live, and one HEAD for all after it', async () => {
    await using it = await openManifests()
    it.upstream.push('v1', OLD.bytes)
    await it.pull()
    for (let pull = 0; pull < 100; pull += 1) expect((await it.pull()).outcome).toBe('hit')
    expect(it.upstream.asked).toEqual(['GET v1'])

    it.clock.now += 1000
    const outcomes = (await Promise.all(Array.from({ length: 20 }, () => it.pull()))).map(
      ({ outcome }) => outcome,
    )

    expect(new Set(outcomes)).toEqual(new Set(['revalidated']))
    expect(it.upstream.asked).toEqual(['GET v1', 'HEAD v1'])
    expect((await it.pull()).outcome).toBe('hit')
  })

  it('that is new in this repository moves to a manifest that another one brought', async () => {
    await using it = await openManifests()
    const other = { ...APP, repository: parseRepository('library/other') }
    const layer = NEW.blobs[1]?.digest ?? NEW.digest
    it.upstream.push('v1', NEW.bytes)
    await it.manifests.byTag(other, V1, true)
    it.upstream.push('v1', OLD.bytes)
    await it.pull()
    it.upstream.push('v1', NEW.bytes)
    it.clock.now += 1000

    expect((await it.pull()).digest).toBe(NEW.digest)

    expect(it.upstream.asked.slice(2)).toEqual(['HEAD v1'])
    expect(await it.content.catalog.tags.find(APP, V1)).toMatchObject({ digest: NEW.digest })
    expect(await it.content.catalog.tags.leadingTo(APP, layer)).toEqual([V1])
  })
})

describe('an upstream whose HEAD tells nothing', () => {
  it('is asked by GET, for tags and digests', async () => {
    await using it = await openManifests()
    await warm(it)
    it.upstream.mood.vague = true
    it.upstream.push('v1', NEW.bytes)
    it.clock.now += 1000

    expect(await it.pull()).toMatchObject({ digest: NEW.digest, outcome: 'miss' })
    const newest = buildImage({ seed: 'newest' })
    it.upstream.push('v2', newest.bytes)
    const head = await it.manifests.byDigest(APP, newest.digest, false)
    expect(head).toMatchObject({ digest: newest.digest, size: newest.bytes.length })

    expect(it.upstream.asked.slice(1)).toEqual([
      'HEAD v1',
      'GET v1',
      `HEAD ${newest.digest}`,
      `GET ${newest.digest}`,
    ])
    expect(it.pulled.map(({ digest }) => digest)).toEqual([OLD.digest, NEW.digest])
  })
})

describe('a manifest that another repository brought, asked for by its digest', () => {
  it('is served once upstream has confirmed it, and links what it refers to', async () => {
    await using it = await openManifests()
    const other = { ...APP, repository: parseRepository('library/other') }
    it.upstream.push('v1', OLD.bytes)
    await it.pull()

    for (const wantsBody of [true, false]) {
      const got = await it.manifests.byDigest(other, OLD.digest, wantsBody)
      expect(got).toMatchObject({ outcome: 'hit', size: OLD.bytes.length })
    }

    expect(it.upstream.asked).toEqual(['GET v1', `HEAD ${OLD.digest}`])
    const { tags } = it.content.catalog
    await tags.lead(other, V1, OLD.digest)
    expect(await tags.leadingTo(other, OLD.blobs[1]?.digest ?? OLD.digest)).toEqual([V1])
  })
})

describe('a tag that is served while it is asked for', () => {
  it('comes at once, and upstream is asked once for all', async () => {
    await using it = await openManifests({ staleWhileRevalidate: HOUR })
    await warm(it)
    it.clock.now += 1000
    it.upstream.mood.gate = createGate()

    for (let pull = 0; pull < 20; pull += 1) {
      expect(await it.pull()).toMatchObject({
        digest: OLD.digest,
        outcome: 'stale',
        staleBecause: 'docker.io is being asked whether this tag has changed',
      })
    }
    it.upstream.mood.gate.open()
    await it.work.idle()

    expect(it.upstream.asked).toEqual(['GET v1', 'HEAD v1'])
    expect((await it.pull()).outcome).toBe('hit')
  })

  it('is new at the next pull when it has changed', async () => {
    await using it = await openManifests({ staleWhileRevalidate: HOUR })
    await warm(it)
    it.clock.now += 1000
    it.upstream.push('v1', NEW.bytes)

    expect(await it.pull()).toMatchObject({ digest: OLD.digest, outcome: 'stale' })
    await it.work.idle()

    expect(await it.pull()).toMatchObject({ digest: NEW.digest, outcome: 'miss' })
    expect(it.upstream.asked).toEqual(['GET v1', 'HEAD v1', `GET ${NEW.digest}`])
  })

  it('comes at once in an outage too, and only for so long', async () => {
    await using it = await openManifests({ staleWhileRevalidate: HOUR, staleIfError: 0 })
    await warm(it)
    it.upstream.mood.failure = outage()

    it.clock.now += HOUR + 999
    expect(await it.pull()).toMatchObject({ digest: OLD.digest, outcome: 'stale' })
    await it.work.idle()
    it.clock.now += 1
    await expect(it.pull()).rejects.toThrow(OciError)
  })
})

describe('an upstream that does not answer', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('holds up nobody for longer than three seconds, and is listened to when it answers', async () => {
    await using it = await openManifests()
    await warm(it)
    it.upstream.push('v1', NEW.bytes)
    it.clock.now += 1000
    const gate = createGate()
    it.upstream.mood.gate = gate

    const first = it.pull()
    await gate.reached
    expect(await stateAfter(2_999, first)).toBe('waiting')
    expect(await stateAfter(1, first)).toBe('settled')
    const stale = {
      digest: OLD.digest,
      outcome: 'stale',
      staleBecause: 'docker.io takes long to confirm this tag',
    }
    expect(await first).toMatchObject(stale)
    // Nobody waits again for what is known to hang.
    expect(await it.pull()).toMatchObject(stale)
    expect(it.upstream.asked).toEqual(['GET v1', 'HEAD v1'])

    gate.open()
    await it.work.idle()
    expect(await it.pull()).toMatchObject({ digest: NEW.digest, outcome: 'hit' })
  })

  it('is waited for where nothing may be served in its place', async () => {
    await using it = await openManifests({ staleIfError: 1000 })
    await warm(it)
    it.clock.now += 1001
    const gate = createGate()
    it.upstream.mood.gate = gate

    const pull = it.pull()
    await gate.reached
    expect(await stateAfter(10_000, pull)).toBe('waiting')
    gate.open()

    expect(await pull).toMatchObject({ outcome: 'revalidated' })
  })
})

describe('an outage', () => {
  it('is bridged up to the limit, and then told with the limit', async () => {
    await using it = await openManifests({ staleIfError: HOUR })
    await warm(it)
    it.upstream.mood.failure = outage()

    it.clock.now += HOUR
    expect(await it.pull()).toMatchObject({
      digest: OLD.digest,
      outcome: 'stale',
      staleBecause: 'docker.io could not confirm this tag (unavailable)',
    })
    it.clock.now += 1
    const refused = it.pull()

    await expect(refused).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      retryAfter: 5,
      message: expect.stringMatching(/unavailable.*staleIfError allows \(3600 s\)/),
    })
    expect((await it.manifests.byDigest(APP, OLD.digest, true)).outcome).toBe('hit')
  })

  it('has no limit where the mirror was told to be offline', async () => {
    await using it = await openManifests({ staleIfError: HOUR })
    await warm(it)
    it.upstream.mood.failure = outage()
    it.upstream.mood.offline = true
    it.clock.now += 1000 * HOUR

    expect(await it.pull()).toMatchObject({ digest: OLD.digest, outcome: 'stale' })
  })
})

describe('a tag that upstream has deleted', () => {
  let elapsed = 1000

  // The memory of failures reads this clock, and keeps what it read until a timer of 1 ms fires.
  function forgetFailures(): void {
    elapsed += 60_000
    vi.advanceTimersByTime(1)
  }
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    vi.spyOn(performance, 'now').mockImplementation(() => elapsed)
  })
  afterEach(() => {
    vi.restoreAllMocks()
    vi.useRealTimers()
  })

  it('keeps pulling, however old it is', async () => {
    await using it = await openManifests({ staleIfError: HOUR, keepDeleted: true })
    await warm(it)
    it.upstream.removeTag('v1')
    it.clock.now += 1000 * HOUR

    for (let pull = 0; pull < 2; pull += 1) {
      expect(await it.pull()).toMatchObject({
        digest: OLD.digest,
        staleBecause: 'docker.io could not confirm this tag (not-found)',
      })
    }
  })

  it('is refused where this is set, in an outage afterwards too, until it is there again', async () => {
    await using it = await openManifests({ keepDeleted: false, staleWhileRevalidate: HOUR })
    await warm(it)
    it.upstream.removeTag('v1')
    it.clock.now += 1000
    expect((await it.pull()).outcome).toBe('stale')
    await it.work.idle()

    await expect(it.pull()).rejects.toMatchObject({ reason: 'not-found' })
    expect((await it.manifests.byDigest(APP, OLD.digest, true)).outcome).toBe('hit')
    it.upstream.mood.failure = outage()
    forgetFailures()
    await expect(it.pull()).rejects.toMatchObject({ reason: 'unavailable' })

    it.upstream.mood.failure = undefined
    it.upstream.push('v1', OLD.bytes)
    forgetFailures()
    expect((await it.pull()).outcome).toBe('revalidated')
    it.upstream.mood.failure = outage()
    it.clock.now += 2 * HOUR
    expect((await it.pull()).outcome).toBe('stale')
  })

  it('is not confused with a manifest that is missing', async () => {
    await using it = await openManifests({ keepDeleted: false })
    await warm(it)
    it.clock.now += 1000
    it.upstream.push('v1', NEW.bytes)
    await it.manifests.byTag(APP, V1, false)
    it.upstream.mood.failure = new UpstreamError('not-found', 'No such manifest.')

    expect(await it.pull()).toMatchObject({ digest: OLD.digest, outcome: 'stale' })
  })
})

describe.each([
  ['that it does not have', undefined],
  ['under which it has something else', buildImage({ seed: 'something else' }).bytes],
])('an upstream that announces a digest %s', (_, bytes) => {
  it('is asked again by the next pull, and what was known is served', async () => {
    await using it = await openManifests()
    await warm(it)
    it.upstream.announce('v1', NEW.digest, bytes)
    it.clock.now += 1000

    for (let pull = 0; pull < 3; pull += 1) {
      expect(await it.pull()).toMatchObject({ digest: OLD.digest, outcome: 'stale' })
    }
    // Within the two seconds that a failure is remembered, the digest is not asked for again.
    const heads = ['HEAD v1', 'HEAD v1', 'HEAD v1']
    expect(it.upstream.asked.filter((line) => line.startsWith('HEAD'))).toEqual(heads)
    expect(it.upstream.asked.filter((line) => line === `GET ${NEW.digest}`)).toHaveLength(1)

    it.upstream.push('v1', OLD.bytes)
    expect((await it.pull()).outcome).toBe('revalidated')
  })

  it('is believed by no HEAD after that, until the manifest is there', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let elapsed = 1000
    vi.spyOn(performance, 'now').mockImplementation(() => elapsed)
    onTestFinished(() => {
      vi.restoreAllMocks()
      vi.useRealTimers()
    })
    await using it = await openManifests()
    await warm(it)
    it.upstream.announce('v1', NEW.digest, bytes)
    it.clock.now += 1000
    const head = () => it.manifests.byTag(APP, V1, false)

    expect(await head()).toMatchObject({ digest: NEW.digest, outcome: 'miss' })
    await expect(it.manifests.byDigest(APP, NEW.digest, true)).rejects.toThrow(UpstreamError)
    for (let ask = 0; ask < 2; ask += 1) {
      expect(await head()).toMatchObject({ digest: OLD.digest, outcome: 'stale' })
    }

    it.upstream.push('v1', NEW.bytes)
    elapsed += 60_000
    vi.advanceTimersByTime(1)
    expect((await head()).digest).toBe(NEW.digest)
    expect(await it.pull()).toMatchObject({ digest: NEW.digest, outcome: 'hit' })
  })
})

describe.each<PullBudget>(['scarce', 'spent'])('a budget of pulls that is %s', (pullBudget) => {
  it('is not spent on a tag that has changed', async () => {
    await using it = await openManifests()
    await warm(it)
    it.upstream.push('v1', NEW.bytes)
    it.upstream.mood.pullBudget = pullBudget
    it.clock.now += 1000

    for (const wantsBody of [true, false, true]) {
      expect(await it.manifests.byTag(APP, V1, wantsBody)).toMatchObject({
        digest: OLD.digest,
        outcome: 'stale',
        staleBecause: 'docker.io has another manifest for this tag, but few pulls are left',
      })
    }
    expect(it.upstream.asked).toEqual(['GET v1', 'HEAD v1'])

    it.upstream.mood.pullBudget = 'ample'
    expect(await it.pull()).toMatchObject({ digest: NEW.digest, outcome: 'miss' })
  })

  it('does not keep a tag that has not changed from being confirmed', async () => {
    await using it = await openManifests()
    await warm(it)
    it.upstream.mood.pullBudget = pullBudget
    it.clock.now += 1000

    expect((await it.pull()).outcome).toBe('revalidated')
  })

  it('is spent on what is not here, and on what is too old', async () => {
    await using it = await openManifests({ staleIfError: HOUR })
    await warm(it)
    it.upstream.mood.pullBudget = pullBudget
    it.upstream.push('v2', NEW.bytes)
    expect((await it.manifests.byTag(APP, parseTag('v2'), true)).outcome).toBe('miss')

    it.upstream.push('v1', buildImage({ seed: 'newest' }).bytes)
    it.clock.now += HOUR + 1
    expect((await it.pull()).outcome).toBe('miss')
  })

  it('is not spent on healing', async () => {
    await using it = await openManifests()
    await warm(it)
    it.upstream.mood.pullBudget = pullBudget

    await expect(it.manifests.refetch(APP, OLD.digest)).rejects.toMatchObject({
      reason: 'rate-limited',
    })
    expect(it.upstream.asked).toEqual(['GET v1'])
  })
})

async function warm(it: ManifestsUnderTest): Promise<void> {
  it.upstream.push('v1', OLD.bytes)
  await it.pull()
}

/** After so many milliseconds of the clock that timers see. */
async function stateAfter(
  milliseconds: number,
  promise: Promise<unknown>,
): Promise<'waiting' | 'settled'> {
  await vi.advanceTimersByTimeAsync(milliseconds)
  return Promise.race([
    promise.then(
      () => 'settled' as const,
      () => 'settled' as const,
    ),
    new Promise<'waiting'>((resolve) => setImmediate(() => resolve('waiting'))),
  ])
}
