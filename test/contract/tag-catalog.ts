/** What every catalog must know about tags, and about the digests that they lead to. */
import { describe, expect, it } from 'vitest'
import { parseTag } from '../../src/oci/reference.ts'
import {
  app,
  type CatalogUnderTest,
  descriptor,
  leading,
  listed,
  manifest,
  named,
  other,
  sameNameElsewhere,
  stored,
  v1,
  v2,
} from './catalog-records.ts'

export function testTagCatalog(open: () => Promise<CatalogUnderTest>): void {
  describe('tags', () => {
    it('are what was last put, each repository for itself', async () => {
      await using under = await open()
      const { tags } = under.catalog
      await tags.put(app, v1, { digest: named('one'), checkedAt: 1000 })
      await tags.put(app, v2, { digest: named('two'), checkedAt: 2000 })
      await tags.put(app, v1, { digest: named('three'), checkedAt: 3000 })

      expect(await tags.find(app, v1)).toEqual({ digest: named('three'), checkedAt: 3000 })
      expect(await tags.find(app, v2)).toEqual({ digest: named('two'), checkedAt: 2000 })
      expect(await tags.find(sameNameElsewhere, v1)).toBeUndefined()
      expect(await tags.find(other, v1)).toBeUndefined()
    })

    it('are told apart by case', async () => {
      await using under = await open()
      const { tags } = under.catalog
      await tags.put(app, parseTag('RC'), { digest: named('one'), checkedAt: 1 })

      expect(await tags.find(app, parseTag('rc'))).toBeUndefined()
    })

    it('that are announced do not move, yet lead to their digest and link it', async () => {
      await using under = await open()
      const { tags, contents } = under.catalog
      await tags.put(app, v1, { digest: named('old'), checkedAt: 1 })

      await tags.lead(app, v1, named('new'))
      await tags.lead(app, v1, named('new'))

      expect(await tags.find(app, v1)).toEqual({ digest: named('old'), checkedAt: 1 })
      expect(await tags.leadingTo(app, named('new'))).toEqual([v1])
      expect(await contents.isProven(app, named('new'))).toBe(true)
      expect(await contents.isProven(other, named('new'))).toBe(false)
    })
  })

  describe('all tags', () => {
    it('are none in the beginning', async () => {
      await using under = await open()

      expect(await listed(under.catalog)).toEqual([])
    })

    it('are listed with what they mean now, each repository for itself', async () => {
      await using under = await open()
      const { tags } = under.catalog
      await tags.put(app, v1, { digest: named('old'), checkedAt: 1 })
      await tags.put(app, v1, { digest: named('new'), checkedAt: 2 })
      await tags.put(sameNameElsewhere, v1, { digest: named('old'), checkedAt: 3 })
      await tags.lead(app, v2, named('announced'))

      const entries = await listed(under.catalog)
      expect(entries).toHaveLength(2)
      expect(entries).toContainEqual({ key: app, tag: v1, digest: named('new') })
      expect(entries).toContainEqual({ key: sameNameElsewhere, tag: v1, digest: named('old') })
    })

    it('are listed once each, however many they are and whatever is written meanwhile', async () => {
      await using under = await open()
      const { tags } = under.catalog
      const expected: string[] = []
      for (let number = 0; number < 1001; number++) {
        const key = number % 2 === 0 ? app : other
        await tags.put(key, parseTag(`t${number}`), { digest: named('image'), checkedAt: 1 })
        expected.push(`${key.repository}:t${number}`)
      }

      const seen: string[] = []
      for await (const { key, tag } of tags.list()) {
        seen.push(`${key.repository}:${tag}`)
        await tags.put(key, tag, { digest: named('moved'), checkedAt: 2 })
      }
      expect(seen.toSorted()).toEqual(expected.toSorted())
    })

    it('need not be listed to the end', async () => {
      await using under = await open()
      const { tags } = under.catalog
      await tags.put(app, v1, { digest: named('one'), checkedAt: 1 })
      await tags.put(app, v2, { digest: named('two'), checkedAt: 1 })

      for await (const { tag } of tags.list()) {
        expect([v1, v2]).toContain(tag)
        break
      }
      await tags.put(app, v2, { digest: named('three'), checkedAt: 2 })
      expect(await tags.find(app, v2)).toEqual({ digest: named('three'), checkedAt: 2 })
    })
  })

  describe('the tags that lead to a digest', () => {
    it('are none where nothing is known', async () => {
      await using under = await open()

      expect(await under.catalog.tags.leadingTo(app, named('one'))).toEqual([])
      await under.catalog.contents.prove(app, [named('one')])
      expect(await under.catalog.tags.leadingTo(app, named('one'))).toEqual([])
    })

    it('are those that mean it, or once meant it', async () => {
      await using under = await open()
      const { tags } = under.catalog
      await stored(under.catalog, app, 'one')
      await stored(under.catalog, app, 'two')
      await tags.put(app, v1, { digest: named('one'), checkedAt: 1 })
      await tags.put(app, v1, { digest: named('two'), checkedAt: 2 })
      await tags.put(app, v2, { digest: named('one'), checkedAt: 3 })

      expect(await leading(under.catalog, app, 'one')).toEqual([v1, v2])
      expect(await leading(under.catalog, app, 'two')).toEqual([v1])
    })

    it('lead through a manifest to its config and layers, and through nested indexes', async () => {
      await using under = await open()
      await stored(under.catalog, app, 'outer', ['inner'])
      await stored(under.catalog, app, 'inner', ['image'])
      await stored(under.catalog, app, 'image', ['config', 'layer'])
      await under.catalog.tags.put(app, v1, { digest: named('outer'), checkedAt: 1 })

      for (const name of ['outer', 'inner', 'image', 'config', 'layer']) {
        expect(await leading(under.catalog, app, name)).toEqual([v1])
      }
    })

    it('are each named once, however many ways lead there', async () => {
      await using under = await open()
      await stored(under.catalog, app, 'index', ['amd64', 'arm64'])
      await stored(under.catalog, app, 'amd64', ['layer'])
      await stored(under.catalog, app, 'arm64', ['layer'])
      await under.catalog.tags.put(app, v1, { digest: named('index'), checkedAt: 1 })
      await under.catalog.tags.put(app, v2, { digest: named('arm64'), checkedAt: 1 })

      expect(await leading(under.catalog, app, 'layer')).toEqual([v1, v2])
      expect(await leading(under.catalog, app, 'amd64')).toEqual([v1])
    })

    it('do not lead from a child to what contains it', async () => {
      await using under = await open()
      await stored(under.catalog, app, 'index', ['image'])
      await stored(under.catalog, app, 'image', ['layer'])
      await under.catalog.tags.put(app, v1, { digest: named('image'), checkedAt: 1 })

      expect(await leading(under.catalog, app, 'index')).toEqual([])
      expect(await leading(under.catalog, app, 'layer')).toEqual([v1])
    })

    it('are found although manifests refer to each other in a circle', async () => {
      await using under = await open()
      await stored(under.catalog, app, 'one', ['two'])
      await stored(under.catalog, app, 'two', ['one'])
      await under.catalog.tags.put(app, v1, { digest: named('one'), checkedAt: 1 })

      expect(await leading(under.catalog, app, 'two')).toEqual([v1])
    })

    it('lead from a subject to what refers to it', async () => {
      await using under = await open()
      await stored(under.catalog, app, 'image')
      const signature = { ...manifest('signature'), subject: descriptor('image') }
      await under.catalog.contents.putManifest(app, signature)
      await under.catalog.contents.putReferrers(app, named('image'), [descriptor('listed')])
      await under.catalog.tags.put(app, v1, { digest: named('image'), checkedAt: 1 })

      expect(await leading(under.catalog, app, 'signature')).toEqual([v1])
      expect(await leading(under.catalog, app, 'listed')).toEqual([v1])
    })

    it('are not lent by the index of another repository', async () => {
      await using under = await open()
      for (const key of [other, sameNameElsewhere]) {
        await stored(under.catalog, key, 'index', ['image'])
        await stored(under.catalog, key, 'image', ['layer'])
        await under.catalog.tags.put(key, v1, { digest: named('index'), checkedAt: 1 })
      }
      await under.catalog.contents.prove(app, [named('image'), named('layer')])
      await under.catalog.tags.put(app, v2, { digest: named('unrelated'), checkedAt: 1 })

      expect(await leading(under.catalog, app, 'image')).toEqual([])
      expect(await leading(under.catalog, app, 'layer')).toEqual([])
      expect(await leading(under.catalog, other, 'layer')).toEqual([v1])
    })

    it('pass only through what the repository holds', async () => {
      await using under = await open()
      await stored(under.catalog, other, 'index', ['image'])
      await stored(under.catalog, app, 'image', ['layer'])
      // Announced, and not fetched: this repository is not known to hold the image because of it.
      await under.catalog.tags.put(app, v1, { digest: named('index'), checkedAt: 1 })

      expect(await leading(under.catalog, app, 'layer')).toEqual([])
      await under.catalog.contents.prove(app, [named('index')])
      expect(await leading(under.catalog, app, 'layer')).toEqual([v1])
    })

    it('are not lent by the referrers list of another repository', async () => {
      await using under = await open()
      await stored(under.catalog, app, 'allowed')
      await stored(under.catalog, app, 'forbidden')
      await under.catalog.tags.put(app, v1, { digest: named('allowed'), checkedAt: 1 })
      await under.catalog.tags.put(app, v2, { digest: named('forbidden'), checkedAt: 1 })

      // Anybody may write into a list of their own that this image refers to that one.
      await under.catalog.contents.putReferrers(other, named('allowed'), [descriptor('forbidden')])

      expect(await leading(under.catalog, app, 'forbidden')).toEqual([v2])
    })
  })
}
