import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { describeContent, type DescribeDependencies } from '../../src/cache/describe.ts'
import { readSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { parseManifest } from '../../src/oci/manifest.ts'
import { parseRepository, parseTag, type Reference } from '../../src/oci/reference.ts'
import type { UpstreamState } from '../../src/upstream/upstream.ts'
import { buildImage, buildMultiPlatform, type FakeImage } from '../fakes/images.ts'
import { openStoredContent, type StoredContent } from './stored-content.ts'

const APP = { upstream: 'docker.io', repository: parseRepository('library/app') }
const TAG: Reference = { kind: 'tag', tag: parseTag('v1') }
const NOW = 1_700_000_000_000
const IMAGE = buildImage({ seed: 'image', layers: [100, 200] })
const INDEX = buildMultiPlatform('index')
const NOTHING = { stored: 0, missing: 0, missingBytes: 0 }

const byDigestOf = (image: FakeImage): Reference => ({ kind: 'digest', digest: image.digest })

async function store({ catalog }: StoredContent, { digest, bytes, mediaType }: FakeImage) {
  const facts = parseManifest(bytes, mediaType)
  await catalog.contents.putManifest(APP, { digest, size: bytes.length, ...facts })
  await catalog.blobs.put({ digest, size: bytes.length }, NOW)
}

function describing(
  { catalog }: Pick<StoredContent, 'catalog'>,
  reference: Reference,
  more: Partial<DescribeDependencies> = {},
) {
  const limitsOf = () => ({ tagTtl: 1000, staleWhileRevalidate: 1000 })
  const common = { catalog, limitsOf, frozenTo: () => undefined, now: () => NOW }
  return describeContent({ ...common, ...more }, APP, reference)
}

describe('what is known of an image', () => {
  it('is nothing at first', async () => {
    await using content = await openStoredContent(() => NOW)

    expect(await describing(content, TAG)).toEqual({
      digest: undefined,
      checkedAt: undefined,
      freshness: undefined,
      isStored: false,
      blobs: NOTHING,
      firstSeenAt: undefined,
      upstream: undefined,
    })
    expect(await describing(content, byDigestOf(IMAGE))).toMatchObject({
      digest: IMAGE.digest,
      isStored: false,
      blobs: NOTHING,
    })
  })

  it('is what its tag means, how fresh that is, and what is stored of it', async () => {
    await using content = await openStoredContent(() => NOW - 5000)
    await store(content, IMAGE)
    const [config] = IMAGE.blobs
    await content.catalog.blobs.put({ digest: config?.digest ?? IMAGE.digest, size: 10 }, NOW)

    for (const [age, freshness] of [
      [999, 'fresh'],
      [1000, 'revalidate-behind'],
      [2000, 'expired'],
    ] as const) {
      const record = { digest: IMAGE.digest, checkedAt: NOW - age }
      await content.catalog.tags.put(APP, parseTag('v1'), record)
      expect(await describing(content, TAG)).toEqual({
        ...record,
        freshness,
        isStored: true,
        blobs: { stored: 1, missing: 2, missingBytes: 300 },
        firstSeenAt: NOW - 5000,
        upstream: undefined,
      })
    }
    const unmirrored = await describing(content, TAG, { limitsOf: () => undefined })
    expect(unmirrored).toMatchObject({ digest: IMAGE.digest, freshness: undefined })
    const byDigest = await describing(content, byDigestOf(IMAGE))
    expect(byDigest).toMatchObject({ checkedAt: undefined, freshness: undefined, isStored: true })
  })

  it('is the digest that the tag is frozen to, of which no freshness is told', async () => {
    await using content = await openStoredContent(() => NOW)
    await store(content, IMAGE)
    const { tags } = content.catalog
    await tags.put(APP, parseTag('v1'), { digest: IMAGE.digest, checkedAt: NOW })

    const frozen = await describing(content, TAG, { frozenTo: () => INDEX.digest })

    expect(frozen).toMatchObject({ digest: INDEX.digest, isStored: false, freshness: undefined })
    expect(frozen.checkedAt).toBeUndefined()
  })

  it('is what upstream said last, where that is newer than the catalog', async () => {
    await using content = await openStoredContent(() => NOW)
    await store(content, IMAGE)
    const { tags } = content.catalog
    await tags.put(APP, parseTag('v1'), { digest: IMAGE.digest, checkedAt: NOW - 5000 })
    const said = { digest: INDEX.digest, checkedAt: NOW }

    const told = await describing(content, TAG, { lastSaid: () => Promise.resolve(said) })

    expect(told).toMatchObject({ ...said, freshness: 'fresh', isStored: false })
  })

  it('counts what an index lists, before its manifests are here', async () => {
    await using content = await openStoredContent(() => NOW)
    await store(content, INDEX)
    const children = INDEX.manifests.filter(({ digest }) => digest !== INDEX.digest)
    const size = children.reduce((sum, child) => sum + child.bytes.length, 0)

    expect((await describing(content, byDigestOf(INDEX))).blobs).toEqual({
      stored: 0,
      missing: children.length,
      missingBytes: size,
    })
  })

  it('tells no time for what was seen before that was noted', async () => {
    await using content = await openStoredContent(() => 0)
    await store(content, IMAGE)

    expect((await describing(content, byDigestOf(IMAGE))).firstSeenAt).toBeUndefined()
  })

  it('can be read from a catalog that another process has open', async () => {
    await using content = await openStoredContent(() => NOW)
    await store(content, IMAGE)
    const catalog = readSqliteCatalog(join(content.folder, 'catalog.sqlite'))
    try {
      const known = await describing({ catalog }, byDigestOf(IMAGE))
      expect(known).toMatchObject({ isStored: true, firstSeenAt: NOW })
    } finally {
      await catalog.close()
    }
  })
})

describe('the upstream of an image', () => {
  const state: UpstreamState = {
    offline: false,
    pullBudget: 'ample',
    endpoints: [
      { origin: 'https://resting.example', restsFor: 5000 },
      { origin: 'https://first.example', restsFor: 0 },
      { origin: 'https://second.example', restsFor: 0 },
    ],
    accounts: [
      { account: 'credentials[0]', limit: 100, remaining: 0, window: 60 },
      { account: 'credentials[1]', limit: 100, remaining: 7, window: 60 },
    ],
  }

  it.each<[string, Partial<UpstreamState>, object]>([
    ['is the first endpoint that is well, with the first account that has pulls left', {}, {}],
    [
      'is the endpoint that rests for the shortest time, where none is well',
      { endpoints: state.endpoints.map((it) => ({ ...it, restsFor: it.restsFor + 9 })) },
      {},
    ],
    [
      'is an account that says nothing of a limit',
      {
        accounts: [
          { account: 'anonymous', limit: undefined, remaining: undefined, window: undefined },
        ],
      },
      { account: 'anonymous', pullsLeft: undefined },
    ],
    [
      'is the first account where none has pulls left',
      { accounts: state.accounts.map((it) => ({ ...it, remaining: 0 })) },
      { account: 'credentials[0]', pullsLeft: 0 },
    ],
    [
      'is nobody when it is offline',
      { offline: true, accounts: [] },
      { offline: true, endpoint: undefined, account: undefined, pullsLeft: undefined },
    ],
  ])('%s', async (_, said, told) => {
    await using content = await openStoredContent(() => NOW)

    const known = await describing(content, TAG, { stateOf: () => ({ ...state, ...said }) })

    expect(known.upstream).toEqual({
      offline: false,
      endpoint: 'https://first.example',
      account: 'credentials[1]',
      pullsLeft: 7,
      ...told,
    })
  })
})
