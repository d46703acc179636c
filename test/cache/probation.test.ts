import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ManifestAnswer } from '../../src/cache/manifest-answer.ts'
import type { MirroredUpstream } from '../../src/cache/upstreams.ts'
import { parseRepository, parseTag } from '../../src/oci/reference.ts'
import { StorageError } from '../../src/storage-error.ts'
import { createGate } from '../fakes/gate.ts'
import { buildImage } from '../fakes/images.ts'
import { APP, type ManifestsUnderTest, openManifests, outage, V1 } from './manifests-under-test.ts'

const OLD = buildImage({ seed: 'old' })
const YOUNG = buildImage({ seed: 'young' })
const YOUNGER = buildImage({ seed: 'younger' })
const V2 = parseTag('v2')
const OTHER = { ...APP, repository: parseRepository('library/other') }
const HOUR = 3_600_000
const DAY = 24 * HOUR
const ON_PROBATION = expect.stringMatching(
  /^docker\.io has newer content for this tag, which is on probation until 2023-11-2\dT/,
)

/** `v1` means something old, is under a rule of three days, and moves at upstream. */
async function moved(
  settings: Partial<MirroredUpstream> = {},
  setUp: (it: ManifestsUnderTest) => void = () => undefined,
): Promise<ManifestsUnderTest> {
  const it = await openManifests(settings)
  setUp(it)
  it.upstream.push('v1', OLD.bytes)
  await it.pull()
  it.clock.now += 4 * DAY
  it.rules.minAge.set(V1, 3 * DAY)
  it.upstream.push('v1', YOUNG.bytes)
  return it
}

const head = ({ manifests }: ManifestsUnderTest) => manifests.byTag(APP, V1, false)

/** A tag without a rule leads to the same, so that it is stored, and `v1` means it in the catalog. */
async function storeYoung(it: ManifestsUnderTest): Promise<void> {
  it.upstream.push('v2', YOUNG.bytes)
  await it.manifests.byTag(APP, V2, true)
  await it.pull()
  expect(await it.content.catalog.tags.find(APP, V1)).toMatchObject({ digest: YOUNG.digest })
  it.clock.now += 1000
}

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

    await expect(it.pull()).rejects.toMatchObject({ code: 'DENIED' })
    it.clock.now += 4 * DAY
    await expect(it.pull()).rejects.toMatchObject({ code: 'DENIED' })
  })

  it('whose age cannot be read is not served', async () => {
    await using it = await openManifests({}, ({ catalog }) => ({
      catalog: { ...catalog, contents: { ...catalog.contents, firstSeen: full } },
    }))
    it.rules.minAge.set(V1, 3 * DAY)
    it.upstream.push('v1', YOUNG.bytes)

    await expect(it.pull()).rejects.toThrow(StorageError)
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

describe('a tag that moves while it is asked for', () => {
  it('is served as what was judged', async () => {
    await using it = await moved()
    it.rules.approved.add(YOUNG.digest)
    await head(it)
    const gate = createGate()
    it.upstream.mood.gate = gate

    const pull = it.pull()
    await gate.reached
    it.upstream.push('v1', YOUNGER.bytes)
    gate.open()

    expect(await pull).toMatchObject({ digest: YOUNG.digest, bytes: YOUNG.bytes })
    it.clock.now += 1000
    expect(await it.pull()).toMatchObject({ digest: YOUNG.digest, staleBecause: ON_PROBATION })
  })

  it('to what is young, when what was judged cannot be had, is served as before', async () => {
    await using it = await moved()
    await storeYoung(it)
    it.upstream.announce('v1', YOUNGER.digest)
    it.rules.approved.add(YOUNGER.digest)

    expect(await it.pull()).toMatchObject({ digest: OLD.digest, staleBecause: ON_PROBATION })
    expect(it.pulled.at(-1)?.digest).toBe(OLD.digest)
  })

  it('joins no fetch by digest that began for somebody else', async () => {
    await using it = await moved()
    await head(it)
    const gate = createGate()
    it.upstream.mood.gate = gate
    const byDigest = it.manifests.byDigest(APP, YOUNG.digest, true)
    await gate.reached

    const pulls = [it.pull(), it.pull(), head(it)]
    gate.open()
    await byDigest

    for (const pull of pulls) expect((await pull).digest).toBe(OLD.digest)
  })
})

describe('an upstream that does not answer', () => {
  it('holds up nobody for longer than three seconds, and nothing young comes of it', async () => {
    await using it = await moved()
    await storeYoung(it)
    const gate = createGate()
    it.upstream.mood.gate = gate

    const pull = it.pull()
    await gate.reached
    await vi.advanceTimersByTimeAsync(3000)
    expect(await pull).toMatchObject({ digest: OLD.digest, staleBecause: ON_PROBATION })
    expect((await head(it)).digest).toBe(OLD.digest)
    gate.open()
    await it.work.idle()
  })

  it('holds up an approved manifest no longer either, with what was there before', async () => {
    await using it = await moved()
    it.rules.approved.add(YOUNG.digest)
    await head(it)
    const gate = createGate()
    it.upstream.mood.gate = gate

    const pull = it.pull()
    await gate.reached
    await vi.advanceTimersByTimeAsync(3000)
    expect(await pull).toMatchObject({ digest: OLD.digest, outcome: 'stale' })
    gate.open()
    await it.work.idle()
    expect(await it.pull()).toMatchObject({ digest: YOUNG.digest })
  })
})

describe('content of age', () => {
  it('is served as where there is no rule, at the price of no request more', async () => {
    const ask = async (minAge: number) => {
      await using it = await openManifests({ staleWhileRevalidate: HOUR })
      it.upstream.push('v1', OLD.bytes)
      await it.pull()
      it.clock.now += 4 * DAY
      it.rules.minAge.set(V1, minAge)
      const answers: (ManifestAnswer | undefined)[] = []
      const ask = async () => answers.push(await it.pull(), await head(it))
      await ask()
      it.clock.now += 1000
      await ask()
      await it.work.idle()
      it.clock.now += 2 * HOUR
      it.upstream.mood.failure = outage()
      await ask()
      return { answers, asked: it.upstream.asked, pulled: it.pulled }
    }

    expect(await ask(3 * DAY)).toEqual(await ask(0))
  })
})

describe('a frozen tag', () => {
  it('means its digest, whatever upstream says, and upstream is not asked about the tag', async () => {
    await using it = await moved({ tagTtl: 0 })
    it.rules.frozen.set(V1, OLD.digest)

    for (const wantsBody of [true, false]) {
      expect(await it.manifests.byTag(APP, V1, wantsBody)).toEqual({
        digest: OLD.digest,
        mediaType: OLD.mediaType,
        size: OLD.bytes.length,
        bytes: wantsBody ? OLD.bytes : undefined,
        outcome: 'hit',
        staleBecause: undefined,
      })
    }
    it.upstream.removeTag('v1')
    it.upstream.mood.failure = outage()
    expect((await it.pull()).digest).toBe(OLD.digest)
    expect(it.upstream.asked).toEqual(['GET v1'])

    it.rules.frozen.clear()
    it.upstream.mood.failure = undefined
    it.upstream.push('v1', YOUNG.bytes)
    it.clock.now += 1000
    expect(await it.pull()).toMatchObject({ digest: OLD.digest, staleBecause: ON_PROBATION })
  })

  it('to a digest that was never here brings it, however young, and leads to what it contains', async () => {
    await using it = await moved()
    it.upstream.push('another', YOUNGER.bytes)
    it.rules.frozen.set(V1, YOUNGER.digest)

    expect(await it.pull()).toMatchObject({ digest: YOUNGER.digest, outcome: 'miss' })
    expect(await it.pull()).toMatchObject({ digest: YOUNGER.digest, outcome: 'hit' })

    expect(it.upstream.asked.slice(1)).toEqual([`GET ${YOUNGER.digest}`])
    for (const { digest } of YOUNGER.blobs) {
      expect(await it.content.catalog.tags.leadingTo(APP, digest)).toEqual([V1])
      expect(await it.manifests.isOfAge(APP, digest, 3 * DAY, 'blob')).toBe(true)
    }
  })

  it('to a digest that upstream does not have leads nowhere', async () => {
    await using it = await moved()
    it.rules.frozen.set(V1, YOUNGER.digest)

    await expect(it.pull()).rejects.toMatchObject({ reason: 'not-found' })
    expect(await it.content.catalog.tags.leadingTo(APP, YOUNGER.digest)).toEqual([])
  })
})

describe('a list under a tag', () => {
  it('is read as it is, since what it lists is judged when that is pulled', async () => {
    await using it = await moved()

    expect((await it.manifests.listUnder(APP, V1)).digest).toBe(YOUNG.digest)
  })
})
