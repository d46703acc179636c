import { afterEach, describe, expect, it, vi } from 'vitest'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import { parseRepository, parseTag } from '../../src/oci/reference.ts'
import { StorageError } from '../../src/storage-error.ts'
import { createGate } from '../fakes/gate.ts'
import { createEvictorUnderTest, NOW, putImage, remaining, withDisk } from './evictor-under-test.ts'
import { openStoredContent } from './stored-content.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('making room', () => {
  it('removes the least recently used until the rest fits', async () => {
    await using content = await openStoredContent()
    const newest = await content.put('a', 40, 30)
    const oldest = await content.put('b', 40, 10)
    const older = await content.put('c', 40, 20)
    await using under = createEvictorUnderTest(content, { budget: 100 })

    await under.evictor.makeRoom()

    expect(await remaining(content, [newest, oldest, older])).toEqual([newest, older])
    const { text } = await under.metrics.render()
    expect(text).toContain('entrepot_evicted_bytes_total 40')
    expect(text).toContain('entrepot_cache_bytes 80')
    expect(under.lines()).toMatchObject([
      { msg: 'evicted', digest: oldest, bytes: 40, because: 'budget' },
    ])
    expect(under.forgotten).toEqual([oldest])
  })

  it('goes down to the low watermark, once it is over the budget', async () => {
    await using content = await openStoredContent()
    const blobs: Digest[] = []
    for (const name of 'abcdefghij') blobs.push(await content.put(name, 10, blobs.length))
    await using under = createEvictorUnderTest(content, { budget: 100, lowWatermark: 60 })

    await under.evictor.makeRoom()
    expect(await remaining(content, blobs)).toEqual(blobs)
    blobs.push(await content.put('k', 1, 10))
    await under.evictor.makeRoom()

    expect(await remaining(content, blobs)).toEqual(blobs.slice(5))
  })

  it('counts a use that has not been written yet', async () => {
    await using content = await openStoredContent()
    const old = await content.put('a', 40, 10)
    const newer = await content.put('b', 40, 20)
    await using under = createEvictorUnderTest(content, { budget: 50 })
    under.used(old)

    await under.evictor.makeRoom()

    expect(await remaining(content, [old, newer])).toEqual([old])
  })

  it('does nothing within the budget, and nothing without one', async () => {
    await using content = await openStoredContent()
    const digests = [await content.put('a', 40, 10), await content.put('b', 60, 20)]
    for (const budget of [100, undefined]) {
      await using under = createEvictorUnderTest(content, { budget })

      await under.evictor.makeRoom()

      expect(await remaining(content, digests)).toEqual(digests)
      expect((await under.metrics.render()).text).toContain('entrepot_cache_bytes 100')
    }
  })

  it('leaves manifests, and says when nothing more can go', async () => {
    await using content = await openStoredContent()
    const layer = await content.put('layer', 40, 20)
    const manifest = await putImage(content, 'manifest', { usedAt: 10, children: [layer] })
    await using under = createEvictorUnderTest(content, { budget: 9 })

    await under.evictor.makeRoom()

    expect(await remaining(content, [layer, manifest])).toEqual([manifest])
    expect(under.lines().at(-1)?.msg).toContain('nothing more can go')
  })

  it('leaves what a pinned tag leads to, whatever else leads there', async () => {
    await using content = await openStoredContent()
    const shared = await content.put('shared', 40, 1)
    const other = await content.put('other', 40, 2)
    const loose = await content.put('loose', 40, 3)
    await putImage(content, 'keep', { usedAt: 4, children: [shared] })
    await putImage(content, 'drop', { usedAt: 4, children: [shared, other] })
    const under = createEvictorUnderTest(content, { budget: 0 }, (_, tag) => tag === 'keep')

    await under.evictor.makeRoom()

    const layers = [shared, other, loose]
    const sizes = await Promise.all(layers.map((digest) => content.store.size(digest)))
    expect(sizes).toEqual([40, undefined, undefined])
    await under[Symbol.asyncDispose]()
  })

  it('looks for pins only where something has to go', async () => {
    await using content = await openStoredContent()
    const layer = await content.put('layer', 40, 1)
    await putImage(content, 'keep', { usedAt: 4, children: [layer] })
    let asked = 0
    const isPinned = () => (asked += 1) > 0
    await using fitting = createEvictorUnderTest(content, { budget: 50 }, isPinned)
    await fitting.evictor.makeRoom()
    expect(asked).toBe(0)

    await using full = createEvictorUnderTest(content, { budget: 49 }, isPinned)
    await full.evictor.makeRoom()

    expect(asked).toBe(1)
    expect(await content.store.size(layer)).toBe(40)
  })

  it('leaves what a tag is frozen to, though no tag means it any more', async () => {
    await using content = await openStoredContent()
    const layer = await content.put('layer', 40, 1)
    const image = await putImage(content, 'keep', { usedAt: 2, children: [layer] })
    const other = await content.put('other', 40, 3)
    const limits = { budget: 60 }
    await using under = createEvictorUnderTest(content, limits, () => false, [image])
    await under.evictor.makeRoom()
    expect(await content.store.size(layer)).toBe(40)
    expect(await content.store.size(other)).toBeUndefined()
  })

  it('leaves what is in use, until it is not', async () => {
    await using content = await openStoredContent()
    const oldest = await content.put('a', 40, 10)
    const older = await content.put('b', 40, 20)
    const newest = await content.put('c', 40, 30)
    await using under = createEvictorUnderTest(content, { budget: 80 })
    const letGo = under.inUse.hold(oldest)

    await under.evictor.makeRoom()
    expect(await remaining(content, [oldest, older, newest])).toEqual([oldest, newest])

    letGo()
    const more = await content.put('d', 40, 40)
    await under.evictor.makeRoom()
    expect(await remaining(content, [oldest, newest, more])).toEqual([newest, more])
  })

  it('gives up what comes into use while it is being removed', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 60, 10)
    const { blobs } = content.catalog
    const gate = createGate()
    const remove = async (which: Digest) => {
      await gate.pass()
      await blobs.remove(which)
    }
    const catalog = { ...content.catalog, blobs: { ...blobs, remove } }
    await using under = createEvictorUnderTest({ ...content, catalog }, { budget: 50 })
    const removing = under.evictor.makeRoom()
    await gate.reached
    under.inUse.hold(digest)
    gate.open()

    await removing

    expect(await remaining(content, [digest])).toEqual([digest])
    expect(await blobs.leastRecentlyUsed(1)).toMatchObject([{ usedAt: 10 }])
  })

  it('goes on behind a page of blobs that stay', async () => {
    await using content = await openStoredContent()
    const { blobs } = content.catalog
    const kept = Array.from({ length: 250 }, (_, at) => digestOf(Buffer.from(`kept ${at}`)))
    for (const [at, digest] of kept.entries()) await blobs.put({ digest, size: 1 }, at)
    const layer = await content.put('a', 10, 1000)
    await using under = createEvictorUnderTest(content, { budget: 250 })
    for (const digest of kept) under.inUse.hold(digest)

    await under.evictor.makeRoom()

    expect(await content.store.size(layer)).toBeUndefined()
    expect(await blobs.totalSize()).toBe(250)
  })

  it('E-44: does not take away the bytes of a blob that is being read', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 40, 10)
    const source = await content.store.open(digest)
    await using under = createEvictorUnderTest(content, { budget: 0 })

    await under.evictor.makeRoom()

    const buffer = Buffer.alloc(50)
    expect(await source?.read(buffer, 0, new AbortController().signal)).toBe(40)
    await source?.close()
    expect(await content.store.size(digest)).toBeUndefined()
  })

  it('is done by one at a time, and for each after what it has stored', async () => {
    await using content = await openStoredContent()
    const { blobs } = content.catalog
    const gate = createGate()
    let running = 0
    const runs: number[] = []
    const totalSize = async () => {
      runs.push((running += 1))
      await gate.pass()
      running -= 1
      return blobs.totalSize()
    }
    const catalog = { ...content.catalog, blobs: { ...blobs, totalSize } }
    await using under = createEvictorUnderTest({ ...content, catalog }, { budget: 50 })
    const first = under.evictor.makeRoom()
    await gate.reached
    const late = await content.put('a', 60, 10)

    const others = [under.evictor.makeRoom(), under.evictor.makeRoom()]
    gate.open()
    await Promise.all([first, ...others])

    expect(runs).toEqual([1, 1, 1])
    expect(await remaining(content, [late])).toEqual([])
  })

  it('may fail, and is done all the same the next time', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 60, 10)
    const other = await content.put('b', 60, 20)
    let failures = 1
    const deleteBlob = async (which: Digest) => {
      failures -= 1
      if (failures >= 0) throw new StorageError('broken', 'The disk failed.')
      await content.store.delete(which)
    }
    const store = { ...content.store, delete: deleteBlob }
    await using under = createEvictorUnderTest({ ...content, store }, { budget: 50 })

    const failing = under.evictor.makeRoom()
    const next = under.evictor.makeRoom()

    await expect(failing).rejects.toThrow(StorageError)
    await next
    // The row is gone, the file is an orphan: found again, never a row that lies.
    expect(await content.catalog.blobs.totalSize()).toBe(0)
    expect(await content.store.size(digest)).toBe(60)
    expect(await content.store.size(other)).toBeUndefined()
  })
})

describe('free space on the disk', () => {
  it('is made when others have taken it, the least recently used first', async () => {
    await using content = await openStoredContent()
    const blobs = [await content.put('a', 40, 1), await content.put('b', 40, 2)]
    blobs.push(await content.put('c', 40, 3))
    let others = 60
    const disk = withDisk(content, { capacity: 200, others: () => others })
    await using under = createEvictorUnderTest(disk, { minFree: 20 })

    await under.evictor.makeRoom()
    expect(await remaining(content, blobs)).toEqual(blobs)
    others = 61
    await under.evictor.makeRoom()

    expect(await remaining(content, blobs)).toEqual(blobs.slice(1))
    expect(under.lines()).toMatchObject([{ msg: 'evicted', because: 'space' }])
  })

  it('is not sought in vain: nothing goes when the disk stays full without it', async () => {
    await using content = await openStoredContent()
    const blobs = [await content.put('a', 40, 1), await content.put('b', 40, 2)]
    const disk = withDisk(content, { capacity: 1000, others: () => 920 })
    await using under = createEvictorUnderTest(disk, { minFree: 81 })

    await under.evictor.makeRoom()

    expect(await remaining(content, blobs)).toEqual(blobs)
    expect(under.lines().map(({ msg }) => msg)).toEqual([
      expect.stringContaining('nothing more can go'),
    ])
  })
})

describe('the age limit', () => {
  const DAY = 86_400_000

  it('takes what was not used for so long, manifests too, with what they were known by', async () => {
    await using content = await openStoredContent()
    const layer = await content.put('a', 40, NOW - 101)
    const manifest = await putImage(content, 'old', { usedAt: NOW - 101, children: [layer] })
    const kept = await content.put('b', 40, NOW - 100)
    await using under = createEvictorUnderTest(content, { maxUnused: 100 })

    await under.evictor.makeRoom()

    expect(await remaining(content, [layer, manifest, kept])).toEqual([kept])
    expect(await content.catalog.contents.findManifest(manifest)).toBeUndefined()
    expect(new Set(under.forgotten)).toEqual(new Set([layer, manifest]))
    expect(under.lines()).toMatchObject([{ because: 'unused' }, { because: 'unused' }])
  })

  it('spares what is pinned, in use, or was used a moment ago', async () => {
    await using content = await openStoredContent()
    const pinned = await content.put('a', 40, 1)
    const manifest = await putImage(content, 'keep', { usedAt: 1, children: [pinned] })
    const held = await content.put('b', 40, 1)
    const used = await content.put('c', 40, 1)
    const all = [pinned, manifest, held, used]
    await using under = createEvictorUnderTest(content, { maxUnused: 10 }, () => true)
    under.inUse.hold(held)
    under.used(used)

    await under.evictor.makeRoom()

    expect(await remaining(content, all)).toEqual(all)
  })

  it('is looked at every hour, and trouble then is logged and counted', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    await using content = await openStoredContent()
    const { blobs } = content.catalog
    const gate = createGate()
    const remove = async () => {
      await gate.pass()
      throw new StorageError('read-only', 'The data folder cannot be written.')
    }
    const catalog = { ...content.catalog, blobs: { ...blobs, remove } }
    await content.put('a', 40, NOW - 2 * DAY)
    const under = createEvictorUnderTest({ ...content, catalog }, { maxUnused: DAY })

    vi.advanceTimersByTime(3_599_999)
    await under.evictor.plan()
    expect(under.lines()).toEqual([])
    vi.advanceTimersByTime(1)
    await gate.reached
    gate.open()
    await under[Symbol.asyncDispose]()

    expect(under.lines()).toMatchObject([{ msg: 'room could not be made in the store' }])
    expect((await under.metrics.render()).text).toContain(
      'entrepot_storage_failures_total{failure="read-only"} 1',
    )
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('the plan', () => {
  it('says what would go and why, and removes nothing', async () => {
    await using content = await openStoredContent()
    const old = await content.put('a', 10, NOW - 1000)
    const over = await content.put('b', 40, NOW - 50)
    const next = await content.put('c', 40, NOW - 40)
    const stays = await content.put('d', 40, NOW - 30)
    const all = [old, over, next, stays]
    const disk = withDisk(content, { capacity: 130 })
    const limits = { budget: 90, lowWatermark: 80, maxUnused: 100, minFree: 45 }
    await using under = createEvictorUnderTest(disk, limits)

    const plan = await under.evictor.plan()

    expect(plan).toEqual([
      { digest: old, size: 10, usedAt: NOW - 1000, isManifest: false, because: 'unused' },
      { digest: over, size: 40, usedAt: NOW - 50, isManifest: false, because: 'budget' },
      { digest: next, size: 40, usedAt: NOW - 40, isManifest: false, because: 'space' },
    ])
    expect(await remaining(content, all)).toEqual(all)
    await under.evictor.makeRoom()
    expect(await remaining(content, all)).toEqual([stays])
  })
})

it('looks for pins only where something is about to go', async () => {
  await using content = await openStoredContent()
  const key = { upstream: 'docker.io', repository: parseRepository('library/app') }
  const digest = await content.put('a', 40, NOW - 10)
  await content.catalog.tags.put(key, parseTag('v1'), { digest, checkedAt: NOW })
  let asked = 0
  const isPinned = (): boolean => {
    asked += 1
    return true
  }
  await using under = createEvictorUnderTest(content, { maxUnused: 100 }, isPinned)

  await under.evictor.makeRoom()
  expect(asked).toBe(0)

  await using strict = createEvictorUnderTest(content, { maxUnused: 5 }, isPinned)
  await strict.evictor.makeRoom()
  expect(asked).toBe(1)
  expect(await remaining(content, [digest])).toEqual([digest])
})
