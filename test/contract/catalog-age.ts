/** What every catalog must know of when things were first seen upstream, and of what tags once meant. */
import { describe, expect, it } from 'vitest'
import type { Catalog, RepositoryKey } from '../../src/catalog/catalog.ts'
import type { Digest } from '../../src/oci/digest.ts'
import {
  app,
  type CatalogUnderTest,
  descriptor,
  manifest,
  named,
  other,
  sameNameElsewhere,
  v1,
  v2,
} from './catalog-records.ts'

export function testCatalogAge(open: () => Promise<CatalogUnderTest>): void {
  describe('when a digest was first seen', () => {
    it('is unknown until upstream has said that the repository holds it', async () => {
      await using under = await open()
      const { contents, tags } = under.catalog
      expect(await contents.firstSeen(app, named('one'))).toBeUndefined()

      await contents.prove(other, [named('one')], 5)
      await contents.putReferrers(app, named('image'), [descriptor('one')])
      await tags.put(app, v1, { digest: named('one'), checkedAt: 6 })
      expect(await contents.firstSeen(app, named('one'))).toBeUndefined()

      await contents.prove(app, [named('one')], 7)
      expect(await contents.firstSeen(app, named('one'))).toBe(7)
    })

    it('is when that was said first, however it was said', async () => {
      await using under = await open()
      const { contents, tags } = under.catalog
      await contents.prove(app, [named('proven')], 10)
      await tags.lead(app, v1, named('led'), 20)
      await contents.putManifest(app, manifest('image'), 30)
      for (const name of ['proven', 'led', 'image']) {
        await contents.prove(app, [named(name)], 40)
        await tags.lead(app, v2, named(name), 1)
        await contents.putManifest(app, manifest(name), 50)
      }

      expect(await contents.firstSeen(app, named('proven'))).toBe(10)
      expect(await contents.firstSeen(app, named('led'))).toBe(20)
      expect(await contents.firstSeen(app, named('image'))).toBe(30)
    })

    it('begins with the proof, not with the manifest that merely named it', async () => {
      await using under = await open()
      const { contents } = under.catalog
      await contents.putReferrers(app, named('image'), [descriptor('signature')])
      await contents.prove(app, [named('signature')], 9)

      expect(await contents.firstSeen(app, named('signature'))).toBe(9)
    })

    it('is now where nothing else is said', async () => {
      await using under = await open()
      const before = Date.now()
      await under.catalog.contents.prove(app, [named('one')])

      const seen = await under.catalog.contents.firstSeen(app, named('one'))
      expect(seen).toBeGreaterThanOrEqual(before)
      expect(seen).toBeLessThanOrEqual(Date.now())
    })

    it('is when the first was that contains it, through any index', async () => {
      await using under = await open()
      const { contents } = under.catalog
      await contents.putManifest(app, manifest('new', ['layer']), 30)
      await contents.putManifest(app, manifest('image', ['layer']), 20)
      expect(await contents.firstSeen(app, named('layer'))).toBe(20)

      await contents.putManifest(app, manifest('inner', ['image']), 15)
      await contents.putManifest(app, manifest('outer', ['inner']), 10)
      for (const name of ['layer', 'image', 'inner', 'outer']) {
        expect(await contents.firstSeen(app, named(name)), `of ${name}`).toBe(10)
      }
      expect(await contents.firstSeen(app, named('new'))).toBe(30)
    })

    it('is not lent by another repository, nor by what is merely named', async () => {
      await using under = await open()
      const { contents } = under.catalog
      for (const key of [other, sameNameElsewhere]) {
        await contents.putManifest(key, manifest('old', ['layer']), 1)
      }
      await contents.putManifest(app, manifest('image', ['layer']), 20)
      // This repository now names the old one, and upstream has not said that it holds it.
      await contents.putReferrers(app, named('image'), [descriptor('old')])

      expect(await contents.firstSeen(app, named('layer'))).toBe(20)
      await contents.prove(app, [named('old')], 19)
      expect(await contents.firstSeen(app, named('layer'))).toBe(19)
    })

    it('does not pass from a subject to what refers to it, nor back', async () => {
      await using under = await open()
      const { contents } = under.catalog
      const signature = { ...manifest('signature'), subject: descriptor('image') }
      await contents.putManifest(app, manifest('image'), 10)
      await contents.putManifest(app, signature, 20)
      await contents.putReferrers(app, named('image'), [descriptor('signature')])
      expect(await contents.firstSeen(app, named('signature'))).toBe(20)

      await contents.putManifest(app, manifest('second'), 40)
      const older = { ...manifest('older'), subject: descriptor('second') }
      await contents.putManifest(app, older, 1)
      expect(await contents.firstSeen(app, named('second'))).toBe(40)
    })

    it('is found although manifests contain each other in a circle', async () => {
      await using under = await open()
      const { contents } = under.catalog
      await contents.putManifest(app, manifest('one', ['two']), 8)
      await contents.putManifest(app, manifest('two', ['one']), 9)

      expect(await contents.firstSeen(app, named('two'))).toBe(8)
    })
  })

  describe('what contains a digest', () => {
    it('is itself where nothing is known', async () => {
      await using under = await open()
      expect(await containers(under.catalog, app, 'one')).toEqual([named('one')])
      await under.catalog.contents.prove(app, [named('else')])
      expect(await containers(under.catalog, app, 'one')).toEqual([named('one')])
    })

    it('is each manifest that the repository holds, and nothing that it merely names', async () => {
      await using under = await open()
      const { contents } = under.catalog
      await contents.putManifest(app, manifest('image', ['layer']))
      await contents.putManifest(app, manifest('index', ['image']))
      await contents.putManifest(other, manifest('foreign', ['layer']))
      await contents.putReferrers(app, named('index'), [descriptor('foreign')])
      const signature = { ...manifest('signature'), subject: descriptor('layer') }
      await contents.putManifest(app, signature)

      expect(await containers(under.catalog, app, 'layer')).toEqual(
        ['layer', 'image', 'index'].map(named).toSorted(),
      )
      expect(await containers(under.catalog, app, 'index')).toEqual([named('index')])
    })
  })

  describe('the meanings of a tag', () => {
    it('are none where nothing is known', async () => {
      await using under = await open()
      expect(await under.catalog.tags.meanings(app, v1)).toEqual([])
      await under.catalog.tags.put(app, v2, { digest: named('one'), checkedAt: 1 })
      await under.catalog.tags.put(other, v1, { digest: named('one'), checkedAt: 1 })
      expect(await under.catalog.tags.meanings(app, v1)).toEqual([])
    })

    it('are the latest first, each once, also where it came back to one', async () => {
      await using under = await open()
      for (const [checkedAt, name] of ['one', 'two', 'three', 'one', 'one'].entries()) {
        await under.catalog.tags.put(app, v1, { digest: named(name), checkedAt })
      }

      expect(await under.catalog.tags.meanings(app, v1)).toEqual(['one', 'three', 'two'].map(named))
    })

    it('are told with what was announced, in its place', async () => {
      await using under = await open()
      const { tags } = under.catalog
      await tags.put(app, v1, { digest: named('old'), checkedAt: 1 })
      await tags.lead(app, v1, named('announced'), 2)
      expect(await tags.meanings(app, v1)).toEqual(['announced', 'old'].map(named))

      await tags.put(app, v1, { digest: named('new'), checkedAt: 3 })
      await tags.lead(app, v1, named('announced'), 4)
      expect(await tags.meanings(app, v1)).toEqual(['new', 'announced', 'old'].map(named))
    })

    it('begin with what it means now, where it was confirmed after the announcement', async () => {
      await using under = await open()
      const { tags } = under.catalog
      await tags.put(app, v1, { digest: named('meant'), checkedAt: 1 })
      await tags.lead(app, v1, named('announced'), 2)
      await tags.put(app, v1, { digest: named('meant'), checkedAt: 2 })

      expect(await tags.meanings(app, v1)).toEqual(['meant', 'announced'].map(named))
    })
  })

  describe('a meaning that has passed', () => {
    it('counts from when the tag moved there, not from when that was last confirmed', async () => {
      await using under = await open()
      const { tags } = under.catalog
      await tags.put(app, v1, { digest: named('old'), checkedAt: 1 })
      await tags.lead(app, v1, named('announced'), 2)
      await tags.put(app, v1, { digest: named('old'), checkedAt: 3 })
      await tags.put(app, v1, { digest: named('new'), checkedAt: 4 })

      // A journal holds moves, and no confirmations.
      expect(await tags.meanings(app, v1)).toEqual(['new', 'announced', 'old'].map(named))
    })
  })

  describe('the repositories', () => {
    it('are listed in byte order, a page at a time', async () => {
      await using under = await open()
      const { contents, tags } = under.catalog
      await tags.put(other, v1, { digest: named('one'), checkedAt: 1 })
      await contents.prove(sameNameElsewhere, [named('one')])
      await contents.putManifest(app, manifest('image'))
      await contents.prove({ ...app, upstream: 'Docker.io' }, [named('one')])

      const all = [{ ...app, upstream: 'Docker.io' }, app, other, sameNameElsewhere]
      expect(await contents.repositories(undefined, 10)).toEqual(all)
      expect(await contents.repositories(undefined, 2)).toEqual(all.slice(0, 2))
      expect(await contents.repositories(app, 10)).toEqual(all.slice(2))
      expect(await contents.repositories(all.at(-1), 10)).toEqual([])
    })

    it('are not those of which nothing was said', async () => {
      await using under = await open()
      const { contents, tags } = under.catalog
      await contents.prove(app, [])
      await contents.putReferrers(app, named('image'), [])
      await tags.find(app, v1)

      expect(await contents.repositories(undefined, 10)).toEqual([])
    })
  })
}

async function containers(catalog: Catalog, key: RepositoryKey, name: string): Promise<Digest[]> {
  return (await catalog.contents.containers(key, named(name))).toSorted()
}
