import { describe, expect, it } from 'vitest'
import type { Evictor } from '../../src/cache/evict.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import { createEvictorUnderTest, remaining, withDisk } from './evictor-under-test.ts'
import { openStoredContent } from './stored-content.ts'

function blobOf(size: number) {
  return { digest: digestOf(Buffer.from(`a blob of ${size}`)), size }
}

async function reserved(evictor: Evictor, size: number) {
  const reservation = await evictor.reserve(blobOf(size))
  if (reservation === undefined) throw new Error(`There was no room for ${size} bytes.`)
  return reservation
}

describe('reserving', () => {
  it('makes room before a blob comes, and counts it until it is released', async () => {
    await using content = await openStoredContent()
    const blobs = [await content.put('a', 40, 1), await content.put('b', 40, 2)]
    await using under = createEvictorUnderTest(content, { budget: 100 })
    const { evictor } = under

    const first = await reserved(evictor, 20)
    expect(await remaining(content, blobs)).toEqual(blobs)
    const second = await reserved(evictor, 20)
    expect(await remaining(content, blobs)).toEqual(blobs.slice(1))

    expect(await evictor.reserve(blobOf(61))).toBeUndefined()
    first.release()
    first.release()
    expect(await evictor.reserve(blobOf(81))).toBeUndefined()
    second.release()
    await reserved(evictor, 60)
    expect(await remaining(content, blobs)).toEqual(blobs.slice(1))
  })

  it('by many at once makes room once', async () => {
    await using content = await openStoredContent()
    const blobs: Digest[] = []
    for (let at = 0; at < 20; at += 1) blobs.push(await content.put(`${at} `, 50, at))
    let scans = 0
    const leastRecentlyUsed: typeof content.catalog.blobs.leastRecentlyUsed = (...page) => {
      scans += 1
      return content.catalog.blobs.leastRecentlyUsed(...page)
    }
    const catalog = { ...content.catalog, blobs: { ...content.catalog.blobs, leastRecentlyUsed } }
    const limits = { budget: 1000, lowWatermark: 900 }
    await using under = createEvictorUnderTest({ ...content, catalog }, limits)

    await Promise.all(Array.from({ length: 50 }, () => reserved(under.evictor, 2)))

    expect(scans).toBe(1)
    expect(await remaining(content, blobs)).toEqual(blobs.slice(2))
  })

  it('more than the budget is refused, and costs nothing', async () => {
    await using content = await openStoredContent()
    const blob = await content.put('a', 100, 1)
    await using under = createEvictorUnderTest(content, { budget: 100 })

    expect(await under.evictor.reserve(blobOf(101))).toBeUndefined()
    expect(under.lines()).toMatchObject([{ bytes: 101, budget: 100 }])
    expect(await remaining(content, [blob])).toEqual([blob])
    await reserved(under.evictor, 100)
    expect(await remaining(content, [blob])).toEqual([])
  })

  it('what cannot fit beside what stays is refused, and removes nothing in vain', async () => {
    await using content = await openStoredContent()
    const held = await content.put('a', 40, 1)
    const other = await content.put('b', 40, 2)
    await using under = createEvictorUnderTest(content, { budget: 100 })
    const letGo = under.inUse.hold(held)

    expect(await under.evictor.reserve(blobOf(61))).toBeUndefined()
    expect(await remaining(content, [held, other])).toEqual([held, other])

    letGo()
    await reserved(under.evictor, 61)
  })

  it('counts what running fills have not written yet against the free space', async () => {
    await using content = await openStoredContent()
    await using under = createEvictorUnderTest(withDisk(content, { capacity: 100 }), {
      minFree: 10,
    })
    const { evictor } = under
    const running = await reserved(evictor, 50)

    expect(await evictor.reserve(blobOf(41))).toBeUndefined()
    running.wrote(1)
    await reserved(evictor, 41)
  })

  it('asks no room for what an earlier download has left on the disk', async () => {
    await using content = await openStoredContent()
    const disk = withDisk(content, { capacity: 100, others: () => 60 })
    await using under = createEvictorUnderTest(disk, { minFree: 10 })

    expect(await under.evictor.reserve(blobOf(80), 49)).toBeUndefined()
    expect(await under.evictor.reserve(blobOf(80), 50)).toBeDefined()
    // Nor for it a second time, while the rest comes.
    expect(await under.evictor.reserve(blobOf(1))).toBeUndefined()
  })

  it('takes the trouble of the disk for no room, and says so', async () => {
    await using content = await openStoredContent()
    const freeSpace = async () => {
      throw new StorageError('broken', 'The disk failed.')
    }
    const store = { ...content.store, freeSpace }
    await using under = createEvictorUnderTest({ ...content, store }, {})

    expect(await under.evictor.reserve(blobOf(1))).toBeUndefined()
    expect((await under.metrics.render()).text).toContain(
      'entrepot_storage_failures_total{failure="broken"} 1',
    )
  })
})
