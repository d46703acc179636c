/** What every catalog must do, whatever database it keeps its rows in. */
import { describe, expect, it } from 'vitest'
import type { Digest } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import {
  app,
  type CatalogUnderTest,
  descriptor,
  leading,
  listed,
  manifest,
  named,
  OCI_IMAGE,
  OCI_INDEX,
  order,
  other,
  sameNameElsewhere,
  stored,
  v1,
} from './catalog-records.ts'
import { testCatalogAge } from './catalog-age.ts'
import { testCatalogGraph } from './catalog-graph.ts'
import { testTagCatalog } from './tag-catalog.ts'

export function testCatalog(open: () => Promise<CatalogUnderTest>): void {
  testTagCatalog(open)
  testCatalogGraph(open)
  testCatalogAge(open)

  describe('links', () => {
    it('belong to one repository of one upstream', async () => {
      await using under = await open()
      const { contents } = under.catalog
      await contents.prove(app, [named('one'), named('two'), named('one')])
      await contents.prove(app, [named('one')])
      await contents.prove(app, [])

      expect(await contents.isProven(app, named('one'))).toBe(true)
      expect(await contents.isProven(app, named('two'))).toBe(true)
      expect(await contents.isProven(app, named('three'))).toBe(false)
      expect(await contents.isProven(other, named('one'))).toBe(false)
      expect(await contents.isProven(sameNameElsewhere, named('one'))).toBe(false)
    })

    it('are proven by a manifest for itself, and not for what it names', async () => {
      await using under = await open()
      const { contents } = under.catalog
      const signed = { ...manifest('signature', ['layer']), subject: descriptor('image') }
      await contents.putManifest(app, signed)

      expect(await contents.isProven(app, named('signature'))).toBe(true)
      expect(await contents.isProven(app, named('layer'))).toBe(false)
      expect(await contents.isProven(app, named('image'))).toBe(false)
      expect(await contents.isProven(other, named('signature'))).toBe(false)
    })

    it('stay proven when a manifest names them again', async () => {
      await using under = await open()
      const { contents } = under.catalog
      await contents.putManifest(app, manifest('image', ['layer']))
      await contents.prove(app, [named('layer')])
      await contents.putManifest(app, manifest('another', ['layer']))

      expect(await contents.isProven(app, named('layer'))).toBe(true)
    })

    it('are not proven by a referrers list for what it names', async () => {
      await using under = await open()
      const { contents } = under.catalog
      await contents.putReferrers(app, named('image'), [descriptor('one'), descriptor('two')])
      await contents.putReferrers(app, named('image'), [descriptor('one')])

      for (const name of ['one', 'two', 'image']) {
        expect(await contents.isProven(app, named(name))).toBe(false)
      }
    })
  })

  describe('manifests', () => {
    it('keep the media type and size that they were first recorded with', async () => {
      await using under = await open()
      const { contents } = under.catalog
      await contents.putManifest(app, { ...manifest('one'), mediaType: OCI_INDEX, size: 7 })
      await contents.putManifest(other, { ...manifest('one'), mediaType: OCI_IMAGE, size: 8 })

      expect(await contents.findManifest(named('one'))).toEqual({ mediaType: OCI_INDEX, size: 7 })
      expect(await contents.findManifest(named('two'))).toBeUndefined()
      expect(await contents.isProven(other, named('one'))).toBe(true)
    })

    it('tell the sizes of what they refer to, to their own repository', async () => {
      await using under = await open()
      const { contents } = under.catalog
      const layer = { ...descriptor('layer'), size: 5_000_000_000 }
      const empty = { ...descriptor('empty'), size: 0 }
      const unknown = { ...descriptor('unknown'), size: undefined }
      const record = { ...manifest('image'), children: [layer, empty, unknown] }
      await contents.putManifest(app, record)

      expect(await contents.expectedSize(app, named('layer'))).toBe(5_000_000_000)
      expect(await contents.expectedSize(app, named('empty'))).toBe(0)
      expect(await contents.expectedSize(app, named('unknown'))).toBeUndefined()
      expect(await contents.expectedSize(app, named('nothing'))).toBeUndefined()
      expect(await contents.expectedSize(other, named('layer'))).toBeUndefined()
      expect(await contents.expectedSize(sameNameElsewhere, named('layer'))).toBeUndefined()
    })

    it('are not believed about sizes by repositories that do not hold them', async () => {
      await using under = await open()
      const { contents } = under.catalog
      const lie = { ...descriptor('layer'), size: 1 }
      await contents.putManifest(other, { ...manifest('lying'), children: [lie] })
      await contents.prove(app, [named('layer')])
      expect(await contents.expectedSize(app, named('layer'))).toBeUndefined()

      const truth = { ...descriptor('layer'), size: 100 }
      await contents.putManifest(app, { ...manifest('honest'), children: [truth] })
      expect(await contents.expectedSize(app, named('layer'))).toBe(100)
    })

    it('are not believed about a size that they contradict each other about', async () => {
      await using under = await open()
      const { contents } = under.catalog
      for (const [name, size] of [
        ['one', 100],
        ['other', 101],
      ] as const) {
        await contents.putManifest(app, {
          ...manifest(name),
          children: [{ ...descriptor('layer'), size }],
        })
      }
      expect(await contents.expectedSize(app, named('layer'))).toBeUndefined()
    })

    it('are believed about sizes before the referrers lists of other repositories', async () => {
      await using under = await open()
      const { contents } = under.catalog
      const lie = { ...descriptor('layer'), size: 1 }
      await contents.putReferrers(other, named('image'), [lie])

      const truth = { ...descriptor('layer'), size: 100 }
      await contents.putManifest(app, { ...manifest('image'), children: [truth] })

      expect(await contents.expectedSize(app, named('layer'))).toBe(100)
    })

    it('may hold the same child twice', async () => {
      await using under = await open()
      const { contents } = under.catalog
      const children = [descriptor('layer'), descriptor('layer')]
      await contents.putManifest(app, { ...manifest('image'), children })

      expect(await contents.expectedSize(app, named('layer'))).toBe(descriptor('layer').size)
    })
  })

  describe('blobs', () => {
    it('are counted once each, with the size last recorded', async () => {
      await using under = await open()
      const { blobs } = under.catalog
      expect(await blobs.totalSize()).toBe(0)
      await blobs.put({ digest: named('one'), size: 10 }, 1)
      await blobs.put({ digest: named('two'), size: 6_000_000_000 }, 1)
      await blobs.put({ digest: named('empty'), size: 0 }, 1)
      await blobs.put({ digest: named('one'), size: 11 }, 1)

      expect(await blobs.totalSize()).toBe(6_000_000_011)
      expect(await blobs.size(named('nothing'))).toBeUndefined()
      await blobs.remove(named('two'))
      await blobs.remove(named('two'))
      expect(await blobs.totalSize()).toBe(11)
    })

    it('are listed with the least recently used first, and at most as many as asked', async () => {
      await using under = await open()
      const { blobs } = under.catalog
      for (const [name, usedAt] of [
        ['c', 3],
        ['a', 1],
        ['d', 4],
        ['b', 2],
      ] as const) {
        await blobs.put({ digest: named(name), size: usedAt * 10 }, usedAt)
      }

      expect(await blobs.leastRecentlyUsed(2)).toEqual([
        { digest: named('a'), size: 10, usedAt: 1, isManifest: false },
        { digest: named('b'), size: 20, usedAt: 2, isManifest: false },
      ])
      await blobs.touch(
        new Map([
          [named('a'), 5],
          [named('c'), 6],
          [named('unknown'), 9],
        ]),
      )
      expect(await order(under.catalog)).toEqual(['b', 'd', 'a', 'c'].map(named))
      await blobs.put({ digest: named('b'), size: 20 }, 7)
      await blobs.remove(named('d'))
      expect(await order(under.catalog)).toEqual(['a', 'c', 'b'].map(named))
    })

    it('are listed on from any of them, in an order that holds where they were used at once', async () => {
      await using under = await open()
      const { blobs } = under.catalog
      const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
      for (const name of names) {
        await blobs.put({ digest: named(name), size: 1 }, name < 'd' ? 1 : 2)
      }
      const whole = await order(under.catalog)
      expect(whole.toSorted()).toEqual(names.map(named).toSorted())

      const pages: Digest[][] = []
      let page = await blobs.leastRecentlyUsed(2)
      while (page.length > 0) {
        pages.push(page.map(({ digest }) => digest))
        page = await blobs.leastRecentlyUsed(2, page.at(-1))
      }
      expect(pages.map(({ length }) => length)).toEqual([2, 2, 2, 1])
      expect(pages.flat()).toEqual(whole)
    })

    it('are listed on from one that has been removed or used meanwhile', async () => {
      await using under = await open()
      const { blobs } = under.catalog
      for (const [index, name] of ['a', 'b', 'c'].entries()) {
        await blobs.put({ digest: named(name), size: 1 }, index)
      }
      const [first] = await blobs.leastRecentlyUsed(1)
      await blobs.remove(named('a'))
      const rest = await blobs.leastRecentlyUsed(10, first)
      expect(rest.map(({ digest }) => digest)).toEqual(['b', 'c'].map(named))

      await blobs.touch(new Map([[named('b'), 9]]))
      const [used] = rest
      const behind = await blobs.leastRecentlyUsed(10, used)
      expect(behind.map(({ digest }) => digest)).toEqual(['c', 'b'].map(named))
    })

    it('of manifests count, and are listed as what they are', async () => {
      await using under = await open()
      const { blobs, contents } = under.catalog
      await blobs.put({ digest: named('image'), size: 500 }, 1)
      await blobs.put({ digest: named('layer'), size: 1000 }, 2)
      await contents.putManifest(app, manifest('image', ['layer']))

      const listed = await blobs.leastRecentlyUsed(10)
      expect(listed.map(({ digest, isManifest }) => [digest, isManifest])).toEqual([
        [named('image'), true],
        [named('layer'), false],
      ])
      expect(await blobs.totalSize()).toBe(1500)
      await contents.forgetManifest(named('image'))
      expect((await blobs.leastRecentlyUsed(1))[0]?.isManifest).toBe(false)
    })

    it('that are removed stay linked, so that they can be fetched again', async () => {
      await using under = await open()
      const { blobs, contents } = under.catalog
      await blobs.put({ digest: named('layer'), size: 1000 }, 1)
      await contents.prove(app, [named('layer')])

      await blobs.remove(named('layer'))

      expect(await contents.isProven(app, named('layer'))).toBe(true)
    })
  })

  it('records all of a manifest or nothing of it', async () => {
    await using under = await open()
    const { contents } = under.catalog
    const broken = { ...descriptor('layer'), digest: {} as unknown as Digest }
    const record = { ...manifest('image', ['config']), children: [descriptor('config'), broken] }

    await expect(contents.putManifest(app, record)).rejects.toBeInstanceOf(StorageError)

    expect(await contents.findManifest(named('image'))).toBeUndefined()
    expect(await contents.isProven(app, named('image'))).toBe(false)
    expect(await contents.isProven(app, named('config'))).toBe(false)
  })

  it('keeps everything over a restart', async () => {
    await using under = await open()
    await stored(under.catalog, app, 'image', ['layer'])
    await under.catalog.tags.put(app, v1, { digest: named('image'), checkedAt: 1234 })
    await under.catalog.blobs.put({ digest: named('layer'), size: 10 }, 1)

    const reopened = await under.reopen()

    expect(await reopened.tags.find(app, v1)).toEqual({ digest: named('image'), checkedAt: 1234 })
    expect(await leading(reopened, app, 'layer')).toEqual([v1])
    expect(await reopened.contents.findManifest(named('image'))).toBeDefined()
    expect(await reopened.contents.expectedSize(app, named('layer'))).toBe(100)
    expect(await order(reopened)).toEqual([named('layer')])
    // What was there before is still the same repository.
    await stored(reopened, app, 'other', ['layer'])
    expect(await leading(reopened, app, 'layer')).toEqual([v1])
  })

  it('answers a ping until it is closed', async () => {
    await using under = await open()
    await under.catalog.ping()

    await under.catalog.close()

    await expect(under.catalog.ping()).rejects.toBeInstanceOf(StorageError)
  })

  it('fails with StorageError only', async () => {
    await using under = await open()
    const { tags, contents, blobs } = under.catalog
    await under.catalog.close()

    const calls: Record<string, () => Promise<unknown>> = {
      find: () => tags.find(app, v1),
      put: () => tags.put(app, v1, { digest: named('one'), checkedAt: 1 }),
      lead: () => tags.lead(app, v1, named('one')),
      leadingTo: () => tags.leadingTo(app, named('one')),
      list: () => listed(under.catalog),
      isProven: () => contents.isProven(app, named('one')),
      prove: () => contents.prove(app, [named('one')]),
      putManifest: () => contents.putManifest(app, manifest('one')),
      putReferrers: () => contents.putReferrers(app, named('one'), [descriptor('two')]),
      findManifest: () => contents.findManifest(named('one')),
      expectedSize: () => contents.expectedSize(app, named('one')),
      holders: () => contents.holders(named('one')),
      closure: () => contents.closure(named('one')),
      forgetManifest: () => contents.forgetManifest(named('one')),
      putBlob: () => blobs.put({ digest: named('one'), size: 1 }, 1),
      size: () => blobs.size(named('one')),
      remove: () => blobs.remove(named('one')),
      touch: () => blobs.touch(new Map([[named('one'), 1]])),
      totalSize: () => blobs.totalSize(),
      leastRecentlyUsed: () => blobs.leastRecentlyUsed(1),
    }
    const failures: Record<string, unknown> = {}
    for (const [name, call] of Object.entries(calls)) {
      failures[name] = await call().catch((error: unknown) => error)
    }
    expect(Object.keys(calls).filter((name) => !(failures[name] instanceof StorageError))).toEqual(
      [],
    )
  })
}
