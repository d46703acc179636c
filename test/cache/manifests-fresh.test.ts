/** Until when an answer may be given again without asking. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ManifestAnswer } from '../../src/cache/manifest-answer.ts'
import { parseRepository } from '../../src/oci/reference.ts'
import { buildImage } from '../fakes/images.ts'
import { APP, type ManifestsUnderTest, openManifests, outage, V1 } from './manifests-under-test.ts'
import { HOUR, holdFailureClock, releaseFailureClock } from './probation-under-test.ts'

const OLD = buildImage({ seed: 'old' })
const NEW = buildImage({ seed: 'new' })
const TTL = 10_000

beforeEach(holdFailureClock)
afterEach(releaseFailureClock)

async function open(): Promise<ManifestsUnderTest> {
  const it = await openManifests({ tagTtl: TTL })
  it.upstream.push('v1', OLD.bytes)
  return it
}

const heads = ({ manifests }: ManifestsUnderTest): Promise<ManifestAnswer> =>
  manifests.byTag(APP, V1, false)

describe('a tag', () => {
  it('is the same until it has to be confirmed, whenever it is asked for', async () => {
    await using it = await open()
    await it.pull()
    const until = it.clock.now + TTL
    for (const later of [0, 1, TTL / 2, TTL - 1]) {
      it.clock.now = until - TTL + later
      for (const found of [await it.pull(), await heads(it)]) {
        expect(found).toMatchObject({ outcome: 'hit', freshUntil: until })
      }
    }
    it.clock.now = until
    expect(await it.pull()).toMatchObject({ outcome: 'revalidated', freshUntil: 0 })
    expect((await it.pull()).freshUntil).toBe(until + TTL)
  })

  it('has to be asked for again where it was just fetched or confirmed', async () => {
    await using it = await open()
    expect(await it.pull()).toMatchObject({ outcome: 'miss', freshUntil: 0 })
    it.upstream.push('v1', NEW.bytes)
    it.clock.now += TTL
    expect((await heads(it)).freshUntil).toBe(0)
    expect((await it.pull()).freshUntil).toBe(0)
  })

  it('has to be asked for again where it is stale', async () => {
    await using it = await open()
    await it.pull()
    it.clock.now += TTL
    it.upstream.mood.failure = outage()
    expect(await it.pull()).toMatchObject({ outcome: 'stale', freshUntil: 0 })
    expect(await heads(it)).toMatchObject({ outcome: 'stale', freshUntil: 0 })
  })

  it('has to be asked for again while upstream is asked behind it', async () => {
    await using it = await openManifests({ tagTtl: TTL, staleWhileRevalidate: HOUR })
    it.upstream.push('v1', OLD.bytes)
    await it.pull()
    it.clock.now += TTL
    expect(await it.pull()).toMatchObject({ digest: OLD.digest, freshUntil: 0 })
    await it.work.idle()
  })

  it('has to be asked for again while what was announced is not here', async () => {
    await using it = await open()
    await it.pull()
    it.upstream.push('v1', NEW.bytes)
    it.clock.now += TTL
    await heads(it)
    expect((await heads(it)).freshUntil).toBe(0)
    expect((await it.pull()).freshUntil).toBe(0)
    expect((await it.pull()).freshUntil).toBe(it.clock.now + TTL)
  })

  it('under a rule on age has to be asked for again each time', async () => {
    await using it = await open()
    await it.pull()
    it.rules.minAge.set(V1, HOUR)
    it.clock.now += HOUR
    await it.pull()
    for (const found of [await it.pull(), await heads(it)]) {
      expect(found).toMatchObject({ outcome: 'hit', digest: OLD.digest, freshUntil: 0 })
    }
  })

  it('that is frozen is the same for as long as it is', async () => {
    await using it = await open()
    await it.pull()
    it.rules.frozen.set(V1, OLD.digest)
    it.upstream.push('v1', NEW.bytes)
    it.clock.now += 2 * TTL
    for (const found of [await it.pull(), await heads(it)]) {
      expect(found).toMatchObject({ outcome: 'hit', digest: OLD.digest, freshUntil: Infinity })
    }
  })

  it('that moves changes the number by which others see it, and a confirmation does not', async () => {
    await using it = await open()
    await it.pull()
    const first = it.manifests.tagsVersion()
    it.clock.now += TTL
    await it.pull()
    expect(it.manifests.tagsVersion()).toBe(first)
    it.upstream.push('v1', NEW.bytes)
    it.clock.now += TTL
    await it.pull()
    expect(it.manifests.tagsVersion()).not.toBe(first)
  })

  it('that upstream removes changes it as well', async () => {
    await using it = await open()
    await it.pull()
    const first = it.manifests.tagsVersion()
    it.upstream.removeTag('v1')
    it.clock.now += TTL
    await it.pull().catch(() => undefined)
    expect(it.manifests.tagsVersion()).not.toBe(first)
  })
})

describe('a digest', () => {
  it('is the same for ever, once it is here', async () => {
    await using it = await open()
    await it.pull()
    for (const wantsBody of [true, false]) {
      const found = await it.manifests.byDigest(APP, OLD.digest, wantsBody)
      expect(found).toMatchObject({ outcome: 'hit', freshUntil: Infinity })
    }
  })

  it('has to be asked for again where it was not', async () => {
    await using it = await open()
    const other = { ...APP, repository: parseRepository('library/other') }
    expect((await it.manifests.byDigest(APP, OLD.digest, false)).freshUntil).toBe(0)
    expect((await it.manifests.byDigest(other, OLD.digest, true)).freshUntil).toBe(0)
  })
})
