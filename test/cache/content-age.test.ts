import { describe, expect, it } from 'vitest'
import { createContentAge, type ContentAge } from '../../src/cache/content-age.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { parseManifest } from '../../src/oci/manifest.ts'
import { parseRepository, parseTag, type Tag } from '../../src/oci/reference.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { buildImage, buildMultiPlatform, type FakeImage } from '../fakes/images.ts'
import { openStoredContent, type StoredContent } from './stored-content.ts'

const APP = { upstream: 'docker.io', repository: parseRepository('library/app') }
const OTHER = { upstream: 'docker.io', repository: parseRepository('library/other') }
const V1 = parseTag('v1')
const IMAGE = buildImage({ seed: 'image' })
const INDEX = buildMultiPlatform('index')
const HOUR = 3_600_000

interface UnderTest extends AsyncDisposable {
  readonly age: ContentAge
  readonly content: StoredContent
  readonly clock: { now: number }
  readonly approved: Set<Digest>
  readonly frozen: Map<Tag, Digest>
  /** Manifests that upstream was asked for. */
  readonly asked: readonly Digest[]
  /** What upstream has. */
  readonly had: Set<Digest>
  /** How often the catalog was asked for a time. */
  readonly lookUps: () => number
  /** Upstream gave it, and everything below it, to this repository. */
  pulled(image: FakeImage, key?: typeof APP): Promise<void>
}

async function openAge(): Promise<UnderTest> {
  const clock = { now: 1_700_000_000_000 }
  const content = await openStoredContent(() => clock.now)
  const approved = new Set<Digest>()
  const frozen = new Map<Tag, Digest>()
  const asked: Digest[] = []
  const had = new Set<Digest>()
  let lookUps = 0
  const { contents } = content.catalog
  const catalog = {
    ...content.catalog,
    contents: {
      ...contents,
      firstSeen(key: typeof APP, digest: Digest) {
        lookUps += 1
        return contents.firstSeen(key, digest)
      },
    },
  }
  const age = createContentAge({
    catalog,
    requests: {
      isProven: (key, digest) => contents.isProven(key, digest),
      async headDigest(key, digest) {
        asked.push(digest)
        if (!had.has(digest)) throw new UpstreamError('not-found', 'There is none.')
        await contents.prove(key, [digest])
        return undefined
      },
    },
    settings: () => ({
      isApproved: (_key, digest) => approved.has(digest),
      frozenTo: (_key, tag) => frozen.get(tag),
    }),
    now: () => clock.now,
  })
  return {
    age,
    content,
    clock,
    approved,
    frozen,
    asked,
    had,
    lookUps: () => lookUps,
    async pulled({ manifests }, key = APP) {
      for (const { digest, bytes, mediaType } of manifests) {
        const facts = parseManifest(bytes, mediaType)
        await contents.putManifest(key, { digest, size: bytes.length, ...facts })
      }
    },
    [Symbol.asyncDispose]: () => content[Symbol.asyncDispose](),
  }
}

const layerOf = ({ blobs, digest }: FakeImage): Digest => blobs.at(-1)?.digest ?? digest

describe('a digest', () => {
  it('is of age when it has been known for so long, to the millisecond', async () => {
    await using it = await openAge()
    await it.pulled(IMAGE)

    for (const digest of [IMAGE.digest, layerOf(IMAGE)]) {
      it.clock.now = 1_700_000_000_000 + HOUR - 1
      expect(await it.age.isOfAge(APP, digest, HOUR, 'blob')).toBe(false)
      it.clock.now += 1
      expect(await it.age.isOfAge(APP, digest, HOUR, 'blob')).toBe(true)
      expect(await it.age.isOfAge(APP, digest, HOUR + 1, 'blob')).toBe(false)
      expect(await it.age.isOfAge(APP, digest, 0, 'blob')).toBe(true)
    }
  })

  it('has the age of the oldest that contains it', async () => {
    await using it = await openAge()
    await it.content.catalog.tags.lead(APP, V1, INDEX.digest)
    it.clock.now += HOUR
    await it.pulled(INDEX)

    for (const { digest } of [...INDEX.manifests, ...INDEX.blobs]) {
      expect(await it.age.isOfAge(APP, digest, HOUR, 'blob')).toBe(true)
    }
  })

  it('has no age from another repository', async () => {
    await using it = await openAge()
    await it.pulled(IMAGE, OTHER)
    it.clock.now += HOUR

    expect(await it.age.isOfAge(OTHER, layerOf(IMAGE), HOUR, 'blob')).toBe(true)
    expect(await it.age.isOfAge(APP, layerOf(IMAGE), HOUR, 'blob')).toBe(false)
  })

  it('is looked up no more once it is of age', async () => {
    await using it = await openAge()
    await it.pulled(IMAGE)
    await it.age.isOfAge(APP, IMAGE.digest, HOUR, 'manifest')
    it.clock.now += HOUR
    await it.age.isOfAge(APP, IMAGE.digest, HOUR, 'manifest')
    const before = it.lookUps()

    for (let pull = 0; pull < 3; pull += 1) {
      expect(await it.age.isOfAge(APP, IMAGE.digest, HOUR, 'manifest')).toBe(true)
    }

    expect(it.lookUps()).toBe(before)
  })

  it('is young where the clock was set back behind it', async () => {
    await using it = await openAge()
    await it.pulled(IMAGE)
    it.clock.now -= 2 * HOUR

    expect(await it.age.isOfAge(APP, IMAGE.digest, HOUR, 'manifest')).toBe(false)
  })
})

describe('a digest that was never seen', () => {
  it('is asked for once when it is a manifest, which starts its time', async () => {
    await using it = await openAge()
    it.had.add(IMAGE.digest)

    for (let ask = 0; ask < 3; ask += 1) {
      expect(await it.age.isOfAge(APP, IMAGE.digest, HOUR, 'manifest')).toBe(false)
    }
    expect(it.asked).toEqual([IMAGE.digest])
    it.clock.now += HOUR
    expect(await it.age.isOfAge(APP, IMAGE.digest, HOUR, 'manifest')).toBe(true)
  })

  it('is the failure of upstream where upstream does not have it', async () => {
    await using it = await openAge()

    const asking = it.age.isOfAge(APP, IMAGE.digest, HOUR, 'manifest')
    await expect(asking).rejects.toMatchObject({ reason: 'not-found' })
  })

  it('is young without asking when it is a blob', async () => {
    await using it = await openAge()

    expect(await it.age.isOfAge(APP, layerOf(IMAGE), HOUR, 'blob')).toBe(false)
    expect(it.asked).toEqual([])
  })
})

describe.each([
  ['is approved', (it: UnderTest) => it.approved.add(INDEX.digest), true],
  ['a tag is frozen to', (it: UnderTest) => it.frozen.set(V1, INDEX.digest), false],
])('a young index that %s', (_, decide, alsoForTags) => {
  it('lets everything through that it contains, and nothing else', async () => {
    await using it = await openAge()
    await it.content.catalog.tags.lead(APP, V1, INDEX.digest)
    await it.pulled(INDEX)
    await it.pulled(IMAGE)
    await it.content.catalog.tags.lead(APP, V1, IMAGE.digest)
    decide(it)

    for (const { digest } of [...INDEX.manifests, ...INDEX.blobs]) {
      expect(await it.age.isOfAge(APP, digest, HOUR, 'blob')).toBe(true)
      expect(await it.age.isServable(APP, digest, HOUR)).toBe(alsoForTags)
    }
    expect(await it.age.isOfAge(APP, IMAGE.digest, HOUR, 'manifest')).toBe(false)
    expect(await it.age.isOfAge(APP, layerOf(IMAGE), HOUR, 'blob')).toBe(false)
    expect(await it.age.isOfAge(OTHER, layerOf(INDEX), HOUR, 'blob')).toBe(false)
  })
})

describe('an approval', () => {
  it('is asked for anew each time', async () => {
    await using it = await openAge()
    await it.pulled(IMAGE)
    it.approved.add(IMAGE.digest)
    expect(await it.age.isOfAge(APP, layerOf(IMAGE), HOUR, 'blob')).toBe(true)
    it.approved.clear()

    expect(await it.age.isOfAge(APP, layerOf(IMAGE), HOUR, 'blob')).toBe(false)
  })
})
