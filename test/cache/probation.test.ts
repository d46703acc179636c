import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseRepository } from '../../src/oci/reference.ts'
import { StorageError } from '../../src/storage-error.ts'
import type { UpstreamError } from '../../src/upstream/upstream.ts'
import { buildImage } from '../fakes/images.ts'
import { APP, openManifests, outage, V1 } from './manifests-under-test.ts'
import {
  DAY,
  forgetFailures,
  head,
  holdFailureClock,
  HOUR,
  moved,
  OLD,
  ON_PROBATION,
  releaseFailureClock,
  storeYoung,
  V2,
  YOUNG,
  YOUNGER,
} from './probation-under-test.ts'

const OTHER = { ...APP, repository: parseRepository('library/other') }

beforeEach(holdFailureClock)
afterEach(releaseFailureClock)

describe('a young digest', () => {
  it('is not fetched, and the digest before it is served with the reason', async () => {
    await using it = await moved()

    expect(await it.pull()).toMatchObject({ digest: OLD.digest, outcome: 'hit', bytes: OLD.bytes })
    expect(await head(it)).toMatchObject({ staleBecause: ON_PROBATION, size: OLD.bytes.length })

    expect(it.upstream.asked).toEqual(['GET v1', 'HEAD v1'])
  })

  it('is fetched once when its time has come, to the millisecond', async () => {
    await using it = await moved({ tagTtl: 4 * DAY })
    await it.pull()
    it.clock.now += 3 * DAY - 1
    expect((await it.pull()).digest).toBe(OLD.digest)
    it.clock.now += 1

    const pulls = await Promise.all([it.pull(), it.pull(), head(it)])

    expect(new Set(pulls.map(({ digest }) => digest))).toEqual(new Set([YOUNG.digest]))
    expect(pulls.map(({ outcome }) => outcome)).toContain('miss')
    expect(it.upstream.asked).toEqual(['GET v1', 'HEAD v1', `GET ${YOUNG.digest}`])
    expect(await it.pull()).toMatchObject({ outcome: 'hit', staleBecause: undefined })
  })

  it('is young from when it was seen, also after a start', async () => {
    await using it = await moved()
    await it.pull()
    it.clock.now += 3 * DAY

    expect(await it.restarted().byTag(APP, V1, true)).toMatchObject({ digest: YOUNG.digest })
  })

  it('is served at once when it is approved, and no longer when that is withdrawn', async () => {
    await using it = await moved()
    expect((await it.pull()).digest).toBe(OLD.digest)
    it.rules.approved.add(YOUNG.digest)
    expect(await it.pull()).toMatchObject({ digest: YOUNG.digest, outcome: 'miss' })
    expect(await it.pull()).toMatchObject({ digest: YOUNG.digest, outcome: 'hit' })
    it.rules.approved.delete(YOUNG.digest)
    expect(await it.pull()).toMatchObject({ digest: OLD.digest, staleBecause: ON_PROBATION })
  })

  it('is refused where nothing older is here, with what to do and no promise to clients', async () => {
    await using it = await openManifests()
    it.rules.minAge.set(V1, 3 * DAY)
    it.upstream.push('v1', YOUNG.bytes)
    const since = new Date(it.clock.now).toISOString()
    const until = new Date(it.clock.now + 3 * DAY).toISOString()

    for (const refused of [it.pull(), head(it)]) {
      await expect(refused).rejects.toMatchObject({
        code: 'DENIED',
        retryAfter: undefined,
        detail: {
          name: 'docker.io/library/app',
          tag: 'v1',
          digest: YOUNG.digest,
          firstSeenAt: since,
          servableAt: until,
        },
        message: expect.stringContaining(
          `entrepot content approve docker.io/library/app@${YOUNG.digest}`,
        ),
      })
    }
    it.clock.now += HOUR
    await expect(it.pull()).rejects.toThrow(`first seen at docker.io at ${since}`)
    await expect(it.pull()).rejects.toThrow(`from ${until} on`)
    expect(it.upstream.asked).toEqual(['HEAD v1', 'HEAD v1'])
    expect(it.pulled).toEqual([])
  })

  it('keeps back a tag only under its own rule', async () => {
    await using it = await moved()
    it.upstream.push('v2', YOUNG.bytes)

    expect((await it.manifests.byTag(APP, V2, true)).digest).toBe(YOUNG.digest)
    expect((await it.pull()).digest).toBe(OLD.digest)
  })

  it('is not let through by its age in another repository', async () => {
    await using it = await openManifests()
    it.upstream.push('v1', OLD.bytes)
    await it.manifests.byTag(OTHER, V1, true)
    it.clock.now += 4 * DAY
    it.rules.minAge.set(V1, 3 * DAY)

    await expect(it.pull()).rejects.toMatchObject({ code: 'DENIED' })
  })

  it('that cannot be remembered is refused rather than served', async () => {
    await using it = await openManifests({}, ({ catalog }) => ({
      catalog: {
        ...catalog,
        tags: { ...catalog.tags, lead: full, put: full },
        contents: { ...catalog.contents, prove: full, putManifest: full },
      },
    }))
    it.rules.minAge.set(V1, 3 * DAY)
    it.upstream.push('v1', YOUNG.bytes)

    for (let pull = 0; pull < 2; pull += 1) {
      const seenNow = `first seen at docker.io at ${new Date(it.clock.now).toISOString()}`
      await expect(it.pull()).rejects.toMatchObject({
        code: 'DENIED',
        message: expect.stringContaining(seenNow),
      })
      it.clock.now += 4 * DAY
    }
  })

  it('whose age cannot be read is served only when it is approved', async () => {
    await using it = await openManifests({}, ({ catalog }) => ({
      catalog: { ...catalog, contents: { ...catalog.contents, firstSeen: full } },
    }))
    it.rules.minAge.set(V1, 3 * DAY)
    it.upstream.push('v1', YOUNG.bytes)

    await expect(it.pull()).rejects.toThrow(StorageError)
    it.rules.approved.add(YOUNG.digest)
    expect((await it.pull()).digest).toBe(YOUNG.digest)
  })
})

const full = () => Promise.reject(new StorageError('full', 'The disk is full.'))

describe('what a tag meant earlier', () => {
  it('is the latest that is old enough and stored', async () => {
    await using it = await moved()
    const older = buildImage({ seed: 'older' })
    it.rules.minAge.clear()
    for (const image of [older, OLD]) {
      it.upstream.push('v1', image.bytes)
      it.clock.now += 4 * DAY
      expect((await it.pull()).digest).toBe(image.digest)
    }
    it.rules.minAge.set(V1, 3 * DAY)
    it.clock.now += 4 * DAY
    for (const image of [YOUNG, YOUNGER]) {
      it.upstream.push('v1', image.bytes)
      it.clock.now += HOUR
      expect((await it.pull()).digest).toBe(OLD.digest)
    }

    await it.lose(OLD.digest)
    expect((await it.pull()).digest).toBe(older.digest)
    await it.lose(older.digest)
    await expect(it.pull()).rejects.toMatchObject({ code: 'DENIED' })
  })

  it('is not one that is young as well', async () => {
    await using it = await moved()
    await storeYoung(it)
    it.upstream.push('v1', YOUNGER.bytes)

    expect((await it.pull()).digest).toBe(OLD.digest)
    expect(await it.content.catalog.tags.meanings(APP, V1)).toHaveLength(3)
  })

  it('hides no mistake of ours', async () => {
    await using it = await moved()
    await storeYoung(it)
    const mistake = new TypeError('Cannot read properties of undefined')
    it.upstream.mood.failure = mistake as unknown as UpstreamError

    await expect(it.pull()).rejects.toBe(mistake)
  })

  it('may be approved itself', async () => {
    await using it = await moved()
    await it.pull()
    await storeYoung(it)
    it.upstream.push('v1', YOUNGER.bytes)
    it.rules.approved.add(YOUNG.digest)

    expect(await it.pull()).toMatchObject({ digest: YOUNG.digest, staleBecause: ON_PROBATION })
  })

  it('is not served where upstream deleted the tag and that is to count', async () => {
    await using it = await moved({ keepDeleted: false })
    await storeYoung(it)
    it.upstream.removeTag('v1')

    await expect(it.pull()).rejects.toMatchObject({ reason: 'not-found' })
    forgetFailures()
    it.upstream.mood.failure = outage()
    await expect(it.pull()).rejects.toMatchObject({ reason: 'unavailable' })
  })

  it('is not served in an outage that lasts longer than is allowed', async () => {
    await using it = await moved({ staleIfError: HOUR })
    await it.pull()
    it.upstream.mood.failure = outage()
    it.clock.now += HOUR
    expect((await it.pull()).digest).toBe(OLD.digest)
    it.clock.now += 1

    await expect(it.pull()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})

describe('a list under a tag', () => {
  it('is read as it is, since what it lists is judged when that is pulled', async () => {
    await using it = await moved()

    expect((await it.manifests.listUnder(APP, V1)).digest).toBe(YOUNG.digest)
  })
})
