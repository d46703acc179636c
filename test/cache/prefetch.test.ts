import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createPrefetcher, type Prefetcher } from '../../src/cache/prefetch.ts'
import type { StoredManifest } from '../../src/cache/manifest-store.ts'
import type { CacheSettings, MirroredUpstream } from '../../src/cache/upstreams.ts'
import type { RepositoryKey } from '../../src/catalog/catalog.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import { parseRepository } from '../../src/oci/reference.ts'
import { StorageError } from '../../src/storage-error.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { createGate, type Gate } from '../fakes/gate.ts'
import { buildArtifact, buildImage, buildMultiPlatform, type FakeImage } from '../fakes/images.ts'
import { until } from '../support/until.ts'
import { OCI_IMAGE, ORDINARY, scriptManifests } from './scripted-manifests.ts'

const APP = { upstream: 'docker.io', repository: parseRepository('library/app') }
const OTHER = { upstream: 'docker.io', repository: parseRepository('library/other') }
const IMAGE = buildImage({ seed: 'image', layers: [1, 2, 3] })
const DIGESTS = IMAGE.blobs.map(({ digest }) => digest)
const TEN_MINUTES = 600_000

type Ensured = 'present' | 'stored' | Error

interface UnderTest extends AsyncDisposable {
  readonly prefetcher: Prefetcher
  /** Blobs that were begun, in order. */
  readonly begun: readonly Digest[]
  readonly lines: readonly string[]
  /** How many are being ensured now, and were at most. */
  readonly parallel: { now: number; most: number }
  readonly world: {
    /** Stood before by everything that begins. */
    calm: Gate | undefined
    /** Stood before by the end of each. */
    gate: Gate | undefined
    answer: (digest: Digest) => Ensured
    admits: (key: RepositoryKey) => boolean
    settings: Partial<MirroredUpstream>
  }
  readonly mood: ReturnType<typeof scriptManifests>['mood']
  page(): Promise<string>
}

function createUnderTest(): UnderTest {
  const begun: Digest[] = []
  const lines: string[] = []
  const parallel = { now: 0, most: 0 }
  const world: UnderTest['world'] = {
    calm: undefined,
    gate: undefined,
    answer: () => 'stored',
    admits: () => true,
    settings: { complete: 'pulled' },
  }
  const { client, mood } = scriptManifests('docker.io')
  const metrics = createMetrics()
  const settings = (): CacheSettings => ({
    upstreams: new Map([['docker.io', { ...ORDINARY, ...world.settings, client }]]),
    rateLimitStatus: 503,
    admits: world.admits,
    minAge: () => 0,
    isApproved: () => false,
    frozenTo: () => undefined,
    frozenDigests: () => [],
    isPinned: () => false,
  })
  const prefetcher = createPrefetcher({
    blobs: {
      async ensure(_key, digest, signal) {
        begun.push(digest)
        parallel.now += 1
        parallel.most = Math.max(parallel.most, parallel.now)
        try {
          await Promise.race([world.gate?.pass(), aborted(signal)])
          signal.throwIfAborted()
        } finally {
          parallel.now -= 1
        }
        const answer = world.answer(digest)
        if (answer instanceof Error) throw answer
        return answer
      },
    },
    fills: {
      async onceCalm(signal) {
        await Promise.race([world.calm?.pass(), aborted(signal)])
        signal.throwIfAborted()
      },
    },
    settings,
    metrics,
    log: createLog({ write: (line) => void lines.push(line) }, 'debug'),
  })
  return {
    prefetcher,
    begun,
    lines,
    parallel,
    world,
    mood,
    page: async () => (await metrics.render()).text,
    [Symbol.asyncDispose]: () => prefetcher.close(),
  }
}

describe('an image that was pulled', () => {
  it('is completed: config and layers, each once, and not by those who hold it', async () => {
    await using it = createUnderTest()
    it.world.answer = (digest) => (digest === DIGESTS[0] ? 'present' : 'stored')

    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    await it.prefetcher.idle()

    expect(it.begun).toEqual(DIGESTS)
    expect(await it.page()).toMatch(/entrepot_prefetches_total\{\S+result="stored"\} 3/)
    expect(await it.page()).toMatch(/entrepot_prefetches_waiting 0/)
  })

  it('is completed two blobs at a time', async () => {
    await using it = createUnderTest()
    it.world.gate = createGate()
    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    it.prefetcher.manifestPulled(APP, manifestOf(buildImage({ seed: 'second' })))

    await until(() => it.begun.length === 2)
    expect(it.prefetcher.waiting()).toBe(5)
    it.world.gate.open()
    await it.prefetcher.idle()

    expect(it.begun).toHaveLength(7)
    expect(it.parallel.most).toBe(2)
  })

  it('is completed by two at a time, though the second came while the first was busy', async () => {
    await using it = createUnderTest()
    it.world.gate = createGate()
    it.prefetcher.manifestPulled(APP, manifestOf(buildImage({ seed: 'one', layers: [] })))
    await until(() => it.begun.length === 1)
    it.prefetcher.manifestPulled(APP, manifestOf(buildImage({ seed: 'two', layers: [] })))

    await until(() => it.begun.length === 2)
    expect(it.parallel.now).toBe(2)
    it.world.gate.open()
  })

  it('waits until no client waits for anything', async () => {
    await using it = createUnderTest()
    const calm = createGate()
    it.world.calm = calm
    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    await calm.reached
    expect(it.begun).toEqual([])
    expect(it.prefetcher.waiting()).toBe(DIGESTS.length)

    calm.open()
    await it.prefetcher.idle()

    expect(it.begun).toEqual(DIGESTS)
  })

  it('shares its layers with others of the repository, and with none of another', async () => {
    await using it = createUnderTest()
    it.world.gate = createGate()
    const twin = { ...manifestOf(IMAGE), digest: digestOf(Buffer.from('twin')) }
    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    it.prefetcher.manifestPulled(APP, twin)
    it.prefetcher.manifestPulled(OTHER, manifestOf(IMAGE))
    it.world.gate.open()
    await it.prefetcher.idle()

    expect(it.begun).toEqual([...DIGESTS, ...DIGESTS])
  })

  it.each([
    ['an index', manifestOf(buildMultiPlatform('index'))],
    [
      'a layer that is not to be passed on',
      withLayer('application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'),
    ],
    ['a foreign layer', withLayer('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip')],
  ])('is left as it is where it is %s', async (_, manifest) => {
    await using it = createUnderTest()

    it.prefetcher.manifestPulled(APP, manifest)
    await it.prefetcher.idle()

    expect(it.begun).toEqual([])
  })

  it('does not bring its subject', async () => {
    await using it = createUnderTest()
    const artifact = buildArtifact({ seed: 'sbom', subject: IMAGE })

    it.prefetcher.manifestPulled(APP, manifestOf(artifact))
    await it.prefetcher.idle()

    expect(it.begun).toEqual(artifact.blobs.map(({ digest }) => digest))
  })

  it.each<[string, (it: UnderTest) => void]>([
    ['this is off', ({ world }) => (world.settings = { complete: 'off' })],
    ['no rule allows it', ({ world }) => (world.admits = () => false)],
    ['few pulls are left', ({ mood }) => (mood.pullBudget = 'scarce')],
    ['no pulls are left', ({ mood }) => (mood.pullBudget = 'spent')],
    ['the mirror is offline', ({ mood }) => (mood.offline = true)],
  ])('is left as it is when %s, before it begins and while it waits', async (_, forbid) => {
    await using it = createUnderTest()
    const calm = createGate()
    it.world.calm = calm
    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    await calm.reached
    forbid(it)
    calm.open()
    await it.prefetcher.idle()
    expect(it.begun).toEqual([])

    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    await it.prefetcher.idle()
    expect(it.begun).toEqual([])
    expect(await it.page()).toMatch(/result="dropped"\} 4/)
  })

  it('of an upstream that is mirrored no more is left as it is', async () => {
    await using it = createUnderTest()
    it.prefetcher.manifestPulled({ ...APP, upstream: 'gone.example' }, manifestOf(IMAGE))
    await it.prefetcher.idle()
    expect(it.begun).toEqual([])
  })
})

describe('a manifest that is hot', () => {
  let elapsed = 1000

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    vi.spyOn(performance, 'now').mockImplementation(() => elapsed)
  })
  afterEach(() => {
    vi.restoreAllMocks()
    vi.useRealTimers()
  })

  it('is looked at once in ten minutes', async () => {
    await using it = createUnderTest()
    for (let pull = 0; pull < 100; pull += 1) {
      it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
      await it.prefetcher.idle()
    }
    expect(it.begun).toHaveLength(DIGESTS.length)

    elapsed += TEN_MINUTES + 1
    vi.advanceTimersByTime(1)
    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    await it.prefetcher.idle()
    expect(it.begun).toHaveLength(2 * DIGESTS.length)
  })

  it.each([
    new UpstreamError('unavailable', 'The connection was refused.'),
    new StorageError('full', 'The disk is full.'),
  ])('is looked at again when it could not be completed: %s', async (failure) => {
    await using it = createUnderTest()
    it.world.answer = (digest) => (digest === DIGESTS[1] ? failure : 'stored')
    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    await it.prefetcher.idle()
    expect(it.begun).toEqual(DIGESTS)
    expect(it.lines.filter((line) => line.includes(failure.message))).toHaveLength(1)
    expect(await it.page()).toMatch(/result="failed"\} 1/)

    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    await it.prefetcher.idle()
    expect(it.begun).toEqual([...DIGESTS, ...DIGESTS])
  })
})

describe('what waits', () => {
  it('is bounded: the oldest goes, and is asked for again by the next pull', async () => {
    await using it = createUnderTest()
    const calm = createGate()
    it.world.calm = calm
    const layers = Array.from({ length: 999 }, (_, at) => at)
    const many = manifestOf(buildImage({ seed: 'many', layers }))
    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    it.prefetcher.manifestPulled(APP, many)
    expect(it.prefetcher.waiting()).toBe(1000)
    expect(await it.page()).toMatch(/entrepot_prefetches_waiting 1000/)
    expect(await it.page()).toMatch(/result="dropped"\} 4/)
    calm.open()
    await it.prefetcher.idle()
    expect(it.begun).toHaveLength(1000)
    expect(it.begun).not.toContain(DIGESTS[0])

    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    await it.prefetcher.idle()
    expect(it.begun.slice(1000)).toEqual(DIGESTS)
  })

  it('is left when the mirror closes, and whoever waited is told', async () => {
    const it = createUnderTest()
    it.world.gate = createGate()
    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    await until(() => it.begun.length === 2)
    const [running, waiting] = [DIGESTS[0], DIGESTS[3]].map((digest) =>
      it.prefetcher.request(APP, digest ?? IMAGE.digest),
    )

    await it.prefetcher.close()

    expect([await running, await waiting]).toEqual([false, false])
    expect(it.begun).toHaveLength(2)
    expect(it.parallel.now).toBe(0)
    it.prefetcher.manifestPulled(OTHER, manifestOf(IMAGE))
    expect(await it.prefetcher.request(OTHER, IMAGE.digest)).toBe(false)
    await it.prefetcher.idle()
    expect(it.begun).toHaveLength(2)
    expect(it.lines).toEqual([])
  })
})

describe('a blob that is requested', () => {
  it('comes before what was pulled, and says whether it worked', async () => {
    await using it = createUnderTest()
    const calm = createGate()
    it.world.calm = calm
    const [good, bad] = ['good', 'bad'].map((name) => digestOf(Buffer.from(name)))
    if (!good || !bad) throw new Error('There are two.')
    it.world.answer = (digest) =>
      digest === bad ? new UpstreamError('not-found', 'Not there.') : 'present'
    it.prefetcher.manifestPulled(APP, manifestOf(IMAGE))
    const last = DIGESTS.at(-1) ?? IMAGE.digest
    const results = [good, bad, last, good].map((digest) => it.prefetcher.request(APP, digest))
    calm.open()

    expect(await Promise.all(results)).toEqual([true, false, true, true])
    await it.prefetcher.idle()
    expect(it.begun).toEqual([good, bad, last, ...DIGESTS.slice(0, -1)])
  })

  it('is fetched where images are not completed and few pulls are left', async () => {
    await using it = createUnderTest()
    it.world.settings = { complete: 'off' }
    it.mood.pullBudget = 'scarce'

    expect(await it.prefetcher.request(APP, IMAGE.digest)).toBe(true)
  })

  it.each<[string, (it: UnderTest) => void]>([
    ['no rule allows it', ({ world }) => (world.admits = () => false)],
    ['the mirror is offline', ({ mood }) => (mood.offline = true)],
  ])('is not fetched when %s', async (_, forbid) => {
    await using it = createUnderTest()
    forbid(it)

    expect(await it.prefetcher.request(APP, IMAGE.digest)).toBe(false)
    expect(it.begun).toEqual([])
  })

  it('joins what is running already', async () => {
    await using it = createUnderTest()
    it.world.gate = createGate()
    const first = it.prefetcher.request(APP, IMAGE.digest)
    await until(() => it.begun.length === 1)
    const second = it.prefetcher.request(APP, IMAGE.digest)
    it.world.gate.open()

    expect(await Promise.all([first, second])).toEqual([true, true])
    expect(it.begun).toHaveLength(1)
  })
})

function manifestOf({ digest, mediaType, bytes }: FakeImage): StoredManifest {
  return { digest, mediaType, bytes }
}

/** An image whose one layer is of this type, and whose config is of an algorithm that nobody knows. */
function withLayer(mediaType: string): StoredManifest {
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: { digest: 'md5:1', size: 1 },
      layers: [{ mediaType, digest: IMAGE.digest, size: 1 }],
    }),
  )
  return { digest: digestOf(bytes), mediaType: OCI_IMAGE, bytes }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
}
