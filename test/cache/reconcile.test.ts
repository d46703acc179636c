import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { reconcile, type Reconciled } from '../../src/cache/reconcile.ts'
import { createLog } from '../../src/log.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import { putImage } from './evictor-under-test.ts'
import { cutOff, flipBit, vanish } from './rot.ts'
import { openStoredContent, type StoredContent } from './stored-content.ts'

const nothing: Reconciled = { rowsWithoutFiles: 0, filesWithoutRows: 0, wrongSizes: 0 }

async function reconciled(content: StoredContent, signal = new AbortController().signal) {
  const lines: string[] = []
  const damaged: Digest[] = []
  const report = await reconcile({
    ...content,
    now: () => 5000,
    damaged: async (digest) => damaged.push(digest),
    log: createLog({ write: (line) => void lines.push(line) }),
    signal,
  })
  return { report, damaged, lines }
}

/** A file in the store that the catalog knows nothing of. */
async function putFile({ folder, store }: StoredContent, bytes: Buffer): Promise<Digest> {
  const file = join(folder, 'finished')
  await writeFile(file, bytes)
  await store.adopt(file, digestOf(bytes))
  return digestOf(bytes)
}

describe('the catalog and the store', () => {
  it('are left alone where they agree', async () => {
    await using content = await openStoredContent()
    const layer = await content.put('a', 100, 1)
    await putImage(content, 'image', { usedAt: 1, children: [layer] })

    const { report, damaged, lines } = await reconciled(content)

    expect(report).toEqual(nothing)
    expect([damaged, lines]).toEqual([[], []])
    expect(await content.catalog.blobs.totalSize()).toBe(110)
  })

  it('agree after rows without files have gone, those of manifests too', async () => {
    await using content = await openStoredContent()
    const kept = await content.put('a', 100, 1)
    const layer = await content.put('b', 100, 1)
    const manifest = await putImage(content, 'image', { usedAt: 1, children: [kept, layer] })
    await vanish(content, layer)
    await vanish(content, manifest)

    const { report, lines } = await reconciled(content)

    expect(report).toEqual({ ...nothing, rowsWithoutFiles: 2 })
    expect(await content.catalog.blobs.totalSize()).toBe(100)
    expect(await content.catalog.contents.findManifest(manifest)).toBeUndefined()
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { rowsWithoutFiles: 2, msg: expect.stringContaining('did not agree') as string },
    ])
    expect((await reconciled(content)).report).toEqual(nothing)
  })

  it('agree after files without rows have got one, used now', async () => {
    await using content = await openStoredContent()
    const digest = await putFile(content, Buffer.from('nobody knows me'))

    const { report } = await reconciled(content)

    expect(report).toEqual({ ...nothing, filesWithoutRows: 1 })
    expect(await content.catalog.blobs.leastRecentlyUsed(10)).toEqual([
      { digest, size: 15, usedAt: 5000, isManifest: false },
    ])
    expect((await reconciled(content)).report).toEqual(nothing)
  })

  it('tell of files with another size; other bytes are not looked for', async () => {
    await using content = await openStoredContent()
    const short = await content.put('a', 100, 1)
    await cutOff(content, short)
    await flipBit(content, await content.put('b', 100, 1))

    const { report, damaged } = await reconciled(content)

    expect(report).toEqual({ ...nothing, wrongSizes: 1 })
    expect(damaged).toEqual([short])
  })

  it('are compared page by page', async () => {
    await using content = await openStoredContent()
    const { blobs } = content.catalog
    const lost = Array.from({ length: 1203 }, (_, at) => digestOf(Buffer.from(`lost ${at}`)))
    for (const [at, digest] of lost.entries()) await blobs.put({ digest, size: 1 }, at >> 2)
    const kept = await content.put('a', 100, 2000)

    expect((await reconciled(content)).report).toEqual({ ...nothing, rowsWithoutFiles: 1203 })
    expect(await blobs.leastRecentlyUsed(10)).toMatchObject([{ digest: kept }])
  })

  it('can be left half compared', async () => {
    await using content = await openStoredContent()
    await content.put('a', 100, 1)

    await expect(reconciled(content, AbortSignal.abort(new Error('stopped')))).rejects.toThrow(
      'stopped',
    )
  })
})

describe('a fill that ends meanwhile', () => {
  it('keeps its own row: the file is seen before it', async () => {
    await using content = await openStoredContent()
    const digest = await putFile(content, Buffer.from('new'))
    const { blobs } = content.catalog
    let asked = 0
    const size = async (which: Digest) => {
      const known = await blobs.size(which)
      // The fill puts its row after it was first looked for.
      if ((asked += 1) === 1) await blobs.put({ digest, size: 3 }, 7)
      return known
    }
    const catalog = { ...content.catalog, blobs: { ...blobs, size } }

    const { report } = await reconciled({ ...content, catalog })

    expect(report).toEqual(nothing)
    expect(await blobs.leastRecentlyUsed(10)).toMatchObject([{ digest, usedAt: 7 }])
  })

  it('keeps its row when the file comes while the old row goes', async () => {
    await using content = await openStoredContent()
    const bytes = Buffer.from('stored anew')
    const digest = digestOf(bytes)
    const { blobs } = content.catalog
    await blobs.put({ digest, size: bytes.length }, 7)
    const remove = async (which: Digest) => {
      await putFile(content, bytes)
      await blobs.remove(which)
    }
    const catalog = { ...content.catalog, blobs: { ...blobs, remove } }

    const { report } = await reconciled({ ...content, catalog })

    expect(report).toEqual(nothing)
    expect(await blobs.leastRecentlyUsed(10)).toMatchObject([{ digest, usedAt: 7 }])
  })
})

describe('an eviction meanwhile', () => {
  it('does not get a row back for a file that has gone', async () => {
    await using content = await openStoredContent()
    const digest = await putFile(content, Buffer.from('going'))
    const { blobs } = content.catalog
    const size = async (which: Digest) => {
      const known = await blobs.size(which)
      await content.store.delete(digest)
      return known
    }
    const catalog = { ...content.catalog, blobs: { ...blobs, size } }

    const { report } = await reconciled({ ...content, catalog })

    expect(report).toEqual(nothing)
    expect(await blobs.totalSize()).toBe(0)
  })

  it('is no damage when its row has just gone, and its file is about to go', async () => {
    await using content = await openStoredContent()
    await content.put('a', 100, 1)
    const size = async (which: Digest) => {
      await content.catalog.blobs.remove(which)
      return content.store.size(which)
    }

    const { report, damaged } = await reconciled({ ...content, store: { ...content.store, size } })

    expect(report).toEqual(nothing)
    expect(damaged).toEqual([])
  })
})
