import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createEvictor, type Evictor } from '../../src/cache/evict.ts'
import { createUsage } from '../../src/cache/usage.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics, type Metrics } from '../../src/metrics.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import { parseRepository } from '../../src/oci/reference.ts'
import { createGate } from '../fakes/gate.ts'
import { openStoredContent, type StoredContent } from './stored-content.ts'

interface EvictorUnderTest extends AsyncDisposable {
  readonly evictor: Evictor
  readonly metrics: Metrics
  readonly lines: string[]
  used(digest: Digest): void
}

function createUnderTest(content: StoredContent, budget: number | undefined): EvictorUnderTest {
  const lines: string[] = []
  const metrics = createMetrics()
  const log = createLog({ write: (line) => void lines.push(line) })
  const usage = createUsage({ blobs: content.catalog.blobs, now: () => 1_000_000, log })
  return {
    evictor: createEvictor({ ...content, usage, budget, metrics, log }),
    metrics,
    lines,
    used: (digest) => usage.used(digest),
    [Symbol.asyncDispose]: () => usage.close(),
  }
}

/** Which of them are in the store; the catalog must say the same. */
async function remaining(content: StoredContent, digests: readonly Digest[]): Promise<Digest[]> {
  const sizes = await Promise.all(digests.map((digest) => content.store.size(digest)))
  const stored = digests.filter((_, at) => sizes[at] !== undefined)
  const bytes = sizes.reduce((total: number, size) => total + (size ?? 0), 0)
  expect(await content.catalog.blobs.totalSize()).toBe(bytes)
  return stored
}

describe('making room', () => {
  it('removes the least recently used until the rest fits', async () => {
    await using content = await openStoredContent()
    const newest = await content.put('a', 40, 30)
    const oldest = await content.put('b', 40, 10)
    const older = await content.put('c', 40, 20)
    await using under = createUnderTest(content, 100)

    await under.evictor.makeRoom()

    expect(await remaining(content, [newest, oldest, older])).toEqual([newest, older])
    const { text } = await under.metrics.render()
    expect(text).toContain('entrepot_evicted_bytes_total 40')
    expect(text).toContain('entrepot_cache_bytes 80')
    expect(under.lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { msg: 'evicted', digest: oldest, bytes: 40 },
    ])
  })

  it('removes exactly those that must go, whatever their sizes', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat({ max: 200 }), async (blobs, budget) => {
        await using content = await openStoredContent()
        const digests: Digest[] = []
        for (const [at, size] of blobs.entries()) {
          digests.push(await content.put(String(at), size, at))
        }
        await using under = createUnderTest(content, budget)

        await under.evictor.makeRoom()

        const fits = (from: number) => blobs.slice(from).reduce((a, b) => a + b, 0) <= budget
        const first = blobs.findIndex((_, from) => fits(from))
        expect(await remaining(content, digests)).toEqual(first === -1 ? [] : digests.slice(first))
      }),
      { numRuns: 20 },
    )
  })

  it('counts a use that has not been written yet', async () => {
    await using content = await openStoredContent()
    const old = await content.put('a', 40, 10)
    const newer = await content.put('b', 40, 20)
    await using under = createUnderTest(content, 50)
    under.used(old)

    await under.evictor.makeRoom()

    expect(await remaining(content, [old, newer])).toEqual([old])
  })

  it('does nothing within the budget, and nothing without one', async () => {
    await using content = await openStoredContent()
    const digests = [await content.put('a', 40, 10), await content.put('b', 60, 20)]
    for (const budget of [100, undefined]) {
      await using under = createUnderTest(content, budget)

      await under.evictor.makeRoom()

      expect(await remaining(content, digests)).toEqual(digests)
      expect((await under.metrics.render()).text).toContain('entrepot_cache_bytes 100')
    }
  })

  it('leaves manifests, and says when nothing more can go', async () => {
    await using content = await openStoredContent()
    const layer = await content.put('layer', 40, 20)
    const manifest = await content.put('manifest', 60, 10)
    await content.catalog.contents.putManifest(
      { upstream: 'docker.io', repository: parseRepository('library/app') },
      { digest: manifest, mediaType: 'x', size: 60, children: [], subject: undefined },
    )
    await using under = createUnderTest(content, 50)

    await under.evictor.makeRoom()

    expect(await remaining(content, [layer, manifest])).toEqual([manifest])
    expect(under.lines.at(-1)).toContain('nothing more can go')
  })

  it('removes more than one batch', async () => {
    await using content = await openStoredContent()
    const digests: Digest[] = []
    for (let at = 0; at < 60; at += 1) digests.push(await content.put(`${at} `, 100 + at, at))
    await using under = createUnderTest(content, 200)

    await under.evictor.makeRoom()

    expect(await remaining(content, digests)).toEqual(digests.slice(-1))
  })

  it('E-44: does not take away the bytes of a blob that is being read', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 40, 10)
    const source = await content.store.open(digest)
    await using under = createUnderTest(content, 0)

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
    await using under = createUnderTest({ ...content, catalog }, 50)
    const first = under.evictor.makeRoom()
    await gate.reached
    const late = await content.put('a', 60, 10)

    const others = [under.evictor.makeRoom(), under.evictor.makeRoom()]
    gate.open()
    await Promise.all([first, ...others])

    expect(runs).toEqual([1, 1, 1])
    expect(await remaining(content, [late])).toEqual([])
  })

  it('is not failed by a run before it that failed', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 60, 10)
    const gate = createGate()
    const deleteBlob = async () => {
      await gate.pass()
      throw new Error('EIO')
    }
    const store = { ...content.store, delete: deleteBlob }
    await using under = createUnderTest({ ...content, store }, 50)
    const failing = under.evictor.makeRoom()
    await gate.reached
    const next = under.evictor.makeRoom()

    gate.open()

    await expect(failing).rejects.toThrow('EIO')
    await expect(next).resolves.toBeUndefined()
    expect(await content.store.size(digest)).toBe(60)
  })

  it('may fail, and is done all the same the next time', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 60, 10)
    let failures = 1
    const deleteBlob = async (which: Digest) => {
      if (failures > 0) {
        failures -= 1
        throw new Error('EIO')
      }
      await content.store.delete(which)
    }
    const store = { ...content.store, delete: deleteBlob }
    await using under = createUnderTest({ ...content, store }, 50)

    await expect(under.evictor.makeRoom()).rejects.toThrow('EIO')

    // The row is gone, the file is an orphan: found again, never a row that lies.
    expect(await content.catalog.blobs.totalSize()).toBe(0)
    expect(await content.store.size(digest)).toBe(60)
    await under.evictor.makeRoom()
  })
})

describe('a blob that is larger than the budget', () => {
  it('is not admitted, and that is said', async () => {
    await using content = await openStoredContent()
    await using under = createUnderTest(content, 100)
    const digest = digestOf(Buffer.from('large'))

    expect(under.evictor.admits({ digest, size: 101 })).toBe(false)
    expect(under.lines.at(-1)).toContain('larger than the budget')
    expect(under.evictor.admits({ digest, size: 100 })).toBe(true)
    expect(under.lines).toHaveLength(1)
  })

  it('does not exist where there is no budget', async () => {
    await using content = await openStoredContent()
    await using under = createUnderTest(content, undefined)

    expect(under.evictor.admits({ digest: digestOf(Buffer.alloc(0)), size: 2 ** 50 })).toBe(true)
  })
})
