/** Every path by which a tag is served, with something at its end that must not be. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { MirroredUpstream } from '../../src/cache/upstreams.ts'
import { parseRepository } from '../../src/oci/reference.ts'
import { APP, type ManifestsUnderTest, outage } from './manifests-under-test.ts'
import {
  DAY,
  forgetFailures,
  head,
  holdFailureClock,
  HOUR,
  moved,
  OLD,
  releaseFailureClock,
  storeYoung,
  V2,
  YOUNG,
} from './probation-under-test.ts'

const OTHER = { ...APP, repository: parseRepository('library/other') }

beforeEach(holdFailureClock)
afterEach(releaseFailureClock)

interface Path {
  readonly settings?: Partial<MirroredUpstream>
  readonly setUp?: (it: ManifestsUnderTest) => void
  readonly prepare?: (it: ManifestsUnderTest) => unknown
  /** The trouble ends before what was young is asked for again. */
  readonly end?: (it: ManifestsUnderTest) => unknown
}

const PATHS: Record<string, Path> = {
  'a tag that upstream is asked for': {},
  'a tag whose news are fresh': { settings: { tagTtl: HOUR }, prepare: head },
  'a tag that is always asked for': { settings: { tagTtl: 0 }, prepare: head },
  'a tag that is served while it is asked for': {
    settings: { staleWhileRevalidate: 30 * DAY },
    prepare: async (it) => {
      expect((await it.pull()).outcome).toBe('stale')
      await it.work.idle()
    },
  },
  'a tag that means the stored new manifest, served while it is asked for': {
    settings: { staleWhileRevalidate: 30 * DAY },
    prepare: storeYoung,
  },
  'an outage after the news': {
    prepare: async (it) => {
      await head(it)
      it.clock.now += 1000
      it.upstream.mood.failure = outage()
    },
    end: (it) => (it.upstream.mood.failure = undefined),
  },
  'an outage after the new manifest was stored': {
    prepare: async (it) => {
      await storeYoung(it)
      it.upstream.mood.failure = outage()
    },
    end: (it) => (it.upstream.mood.failure = undefined),
  },
  'an outage after the new manifest was lost again': {
    prepare: async (it) => {
      await storeYoung(it)
      await it.lose(YOUNG.digest)
      it.upstream.mood.failure = outage()
    },
    end: (it) => (it.upstream.mood.failure = undefined),
  },
  'an outage for longer than what was served before is believed': {
    settings: { staleIfError: HOUR },
    prepare: async (it) => {
      await head(it)
      it.clock.now += HOUR - 1000
      it.upstream.mood.failure = outage()
    },
    end: (it) => (it.upstream.mood.failure = undefined),
  },
  'a mirror that is offline': {
    settings: { staleIfError: 0 },
    prepare: async (it) => {
      await storeYoung(it)
      it.upstream.mood.offline = true
      it.upstream.mood.failure = outage()
    },
    end: (it) => (it.upstream.mood.failure = undefined),
  },
  'a tag that upstream has deleted': {
    prepare: async (it) => {
      await storeYoung(it)
      it.upstream.removeTag('v1')
    },
    end: (it) => it.upstream.push('v1', YOUNG.bytes),
  },
  'news whose manifest was pulled by digest': {
    prepare: async (it) => {
      await head(it)
      await it.manifests.byDigest(APP, YOUNG.digest, true)
    },
  },
  'a manifest that another repository brought': {
    prepare: async (it) => {
      it.upstream.push('v2', YOUNG.bytes)
      await it.manifests.byTag(OTHER, V2, true)
    },
  },
  'an upstream whose HEAD tells nothing': {
    setUp: (it) => (it.upstream.mood.vague = true),
  },
  'a budget of pulls that is scarce': {
    prepare: (it) => (it.upstream.mood.pullBudget = 'scarce'),
    end: (it) => (it.upstream.mood.pullBudget = 'ample'),
  },
  'a budget of pulls that is spent, with the new manifest stored': {
    prepare: async (it) => {
      await storeYoung(it)
      it.upstream.mood.pullBudget = 'spent'
    },
    end: (it) => (it.upstream.mood.pullBudget = 'ample'),
  },
}

describe('content on probation', () => {
  it.each(Object.entries(PATHS))('is not served by %s', async (_, path) => {
    await using it = await moved(path.settings, path.setUp)
    await path.prepare?.(it)
    const before = it.pulled.length
    const pulled = () => new Set(it.pulled.slice(before).map(({ digest }) => digest))

    for (let round = 0; round < 2; round += 1) {
      const all = [it.pull(), head(it), it.pull(), head(it)]
      for (const answer of await Promise.all(all)) expect(answer.digest).toBe(OLD.digest)
      expect((await it.pull()).bytes).toEqual(OLD.bytes)
      expect((await head(it)).bytes).toBeUndefined()
      await it.work.idle()
      it.clock.now += 1000
    }
    expect(pulled()).toEqual(new Set([OLD.digest]))

    path.end?.(it)
    forgetFailures()
    it.clock.now += 3 * DAY
    await it.pull()
    await it.work.idle()
    expect(await it.pull()).toMatchObject({ digest: YOUNG.digest, bytes: YOUNG.bytes })
    expect(pulled()).toContain(YOUNG.digest)
  })
})
