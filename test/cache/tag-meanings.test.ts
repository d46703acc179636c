/** What tags mean, and the number by which those who remember answers see that it has changed. */
import { describe, expect, it } from 'vitest'
import { createStorageTrouble } from '../../src/cache/failure.ts'
import { createTagMeanings, type TagMeanings } from '../../src/cache/tag-meanings.ts'
import type { Catalog } from '../../src/catalog/catalog.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseTag } from '../../src/oci/reference.ts'
import { StorageError } from '../../src/storage-error.ts'
import { APP, V1 } from './manifests-under-test.ts'
import { openStoredContent } from './stored-content.ts'

const V2 = parseTag('v2')
const [A, B] = ['a', 'b'].map((text) => {
  const bytes = Buffer.from(text)
  return { digest: digestOf(bytes), mediaType: 'text/plain', bytes, size: 1, checkedAt: 2 }
}) as [Stored, Stored]

interface Stored {
  readonly digest: ReturnType<typeof digestOf>
  readonly mediaType: string
  readonly bytes: Buffer
  readonly size: number
  readonly checkedAt: number
}

describe('the number of meanings', () => {
  it.each<[string, (tags: TagMeanings) => Promise<unknown>]>([
    ['a tag is found for the first time', (tags) => tags.settle(APP, V2, A, 1)],
    ['a tag moves', (tags) => tags.settle(APP, V1, B, 1)],
    ['something else is announced', (tags) => tags.announce(APP, V1, B)],
    ['upstream has the tag no more', async (tags) => tags.deny(APP, V1)],
  ])('changes when %s', async (_, happen) => {
    await using it = await open()
    const before = it.tags.version()
    await happen(it.tags)
    expect(it.tags.version()).not.toBe(before)
  })

  it('changes when upstream does not have what it announced', async () => {
    await using it = await open()
    await it.tags.announce(APP, V1, B)
    const before = it.tags.version()
    it.tags.retract(APP, B.digest)
    expect(it.tags.version()).not.toBe(before)
    expect((await it.tags.find(APP, V1)).news).toBeUndefined()
  })

  it('changes when upstream has a tag again, though it means the same', async () => {
    await using it = await open()
    it.tags.deny(APP, V1)
    const before = it.tags.version()
    await it.tags.settle(APP, V1, A, 3)
    expect(it.tags.isDenied(APP, V1)).toBe(false)
    expect(it.tags.version()).not.toBe(before)
  })

  it.each<[string, (tags: TagMeanings) => Promise<unknown>]>([
    ['a tag is confirmed', (tags) => tags.settle(APP, V1, A, 5)],
    ['somebody looks', (tags) => tags.find(APP, V1)],
    ['nothing waited for a manifest', (tags) => tags.settleAnnounced(APP, A)],
    ['nothing waited for what is not to be had', async (tags) => tags.retract(APP, B.digest)],
  ])('stays when %s', async (_, happen) => {
    await using it = await open()
    const before = it.tags.version()
    await happen(it.tags)
    expect(it.tags.version()).toBe(before)
  })

  it('stays when the manifest comes that was announced, as nobody was given another since', async () => {
    await using it = await open()
    await it.tags.announce(APP, V1, B)
    const before = it.tags.version()
    await it.tags.settleAnnounced(APP, B)
    expect(await it.tags.find(APP, V1)).toMatchObject({ record: { digest: B.digest } })
    expect(it.tags.version()).toBe(before)
  })

  it('changes behind the change: who has seen the new one finds the new meaning', async () => {
    await using it = await open()
    const before = it.tags.version()
    it.during(async () => expect(it.tags.version()).toBe(before))
    await it.tags.settle(APP, V1, B, 3)
    expect(it.tags.version()).not.toBe(before)
    expect((await it.tags.find(APP, V1)).record?.digest).toBe(B.digest)
  })

  it('changes also where the catalog cannot be written', async () => {
    await using it = await open()
    it.during(() => Promise.reject(new StorageError('full', 'There is no room.')))
    const before = it.tags.version()
    await it.tags.settle(APP, V1, B, 3)
    expect(it.tags.version()).not.toBe(before)
    expect((await it.tags.find(APP, V1)).news?.digest).toBe(B.digest)
    // From here on it is known in memory.
    const after = it.tags.version()
    await it.tags.settle(APP, V1, B, 4)
    expect(it.tags.version()).toBe(after)
  })
})

/** `v1` means A. */
async function open() {
  const content = await openStoredContent()
  let during = async (): Promise<void> => undefined
  const { catalog } = content
  const put: Catalog['tags']['put'] = async (...written) => {
    await during()
    await catalog.tags.put(...written)
  }
  const log = createLog({ write: () => undefined })
  const tags = createTagMeanings({
    catalog: { ...catalog, tags: { ...catalog.tags, put } },
    trouble: createStorageTrouble({ metrics: createMetrics(), log }),
  })
  await tags.settle(APP, V1, A, 1)
  return {
    tags,
    /** What happens when a tag is written. */
    during: (act: () => Promise<void>) => void (during = act),
    [Symbol.asyncDispose]: () => content[Symbol.asyncDispose](),
  }
}
