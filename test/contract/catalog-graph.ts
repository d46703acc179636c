/** What every catalog must know of who holds what, and of what belongs together. */
import { describe, expect, it } from 'vitest'
import type { Catalog, RepositoryKey } from '../../src/catalog/catalog.ts'
import type { Digest } from '../../src/oci/digest.ts'
import {
  app,
  type CatalogUnderTest,
  descriptor,
  leading,
  manifest,
  named,
  OCI_IMAGE,
  OCI_INDEX,
  other,
  sameNameElsewhere,
  stored,
  v1,
} from './catalog-records.ts'

export function testCatalogGraph(open: () => Promise<CatalogUnderTest>): void {
  describe('the holders of a digest', () => {
    it('are the repositories of which upstream has said so', async () => {
      await using under = await open()
      const { contents, tags } = under.catalog
      await contents.prove(app, [named('layer'), named('else')])
      await contents.prove(sameNameElsewhere, [named('layer')])
      await tags.lead(app, v1, named('image'))
      await stored(under.catalog, other, 'image', ['layer'])

      expect(await holders(under.catalog, 'layer')).toEqual([app, sameNameElsewhere])
      expect(await holders(under.catalog, 'image')).toEqual([app, other])
      expect(await holders(under.catalog, 'nothing')).toEqual([])
    })

    it('are not those that only a list or a tag names', async () => {
      await using under = await open()
      await under.catalog.contents.putReferrers(app, named('image'), [descriptor('signature')])
      await under.catalog.tags.put(app, v1, { digest: named('image'), checkedAt: 1 })

      expect(await holders(under.catalog, 'signature')).toEqual([])
      expect(await holders(under.catalog, 'image')).toEqual([])
    })
  })

  describe('the closure of a digest', () => {
    it('is itself where nothing is known', async () => {
      await using under = await open()

      expect(await under.catalog.contents.closure(named('unknown'))).toEqual([named('unknown')])
    })

    it('holds each thing once that can be reached from it, and not what contains it', async () => {
      await using under = await open()
      await stored(under.catalog, app, 'index', ['amd64', 'arm64'])
      await stored(under.catalog, app, 'amd64', ['config', 'layer'])
      await stored(under.catalog, other, 'arm64', ['layer'])
      await stored(under.catalog, app, 'unrelated', ['layer', 'own'])

      const all = ['index', 'amd64', 'arm64', 'config', 'layer']
      expect(await closure(under.catalog, 'index')).toEqual(digests(all))
      expect(await closure(under.catalog, 'arm64')).toEqual(digests(['arm64', 'layer']))
      expect(await closure(under.catalog, 'layer')).toEqual(digests(['layer']))
    })

    it('holds neither what refers to it nor what it refers to as its subject', async () => {
      await using under = await open()
      await stored(under.catalog, app, 'image', ['layer'])
      const signature = { ...manifest('signature', ['payload']), subject: descriptor('image') }
      await under.catalog.contents.putManifest(app, signature)
      await under.catalog.contents.putReferrers(app, named('image'), [descriptor('listed')])

      expect(await closure(under.catalog, 'image')).toEqual(digests(['image', 'layer']))
      expect(await closure(under.catalog, 'signature')).toEqual(digests(['signature', 'payload']))
    })

    it('is found although manifests refer to each other in a circle', async () => {
      await using under = await open()
      await stored(under.catalog, app, 'one', ['two'])
      await stored(under.catalog, app, 'two', ['one'])

      expect(await closure(under.catalog, 'one')).toEqual(digests(['one', 'two']))
    })
  })

  describe('a manifest that is forgotten', () => {
    it('has no media type any more, and what it said stays known', async () => {
      await using under = await open()
      const { contents, tags } = under.catalog
      await stored(under.catalog, app, 'image', ['layer'])
      const signature = { ...manifest('signature'), subject: descriptor('image') }
      await contents.putManifest(app, signature)
      await tags.put(app, v1, { digest: named('image'), checkedAt: 1 })

      await contents.forgetManifest(named('image'))
      await contents.forgetManifest(named('signature'))
      await contents.forgetManifest(named('unknown'))

      expect(await contents.findManifest(named('image'))).toBeUndefined()
      expect(await contents.isProven(app, named('image'))).toBe(true)
      expect(await contents.expectedSize(app, named('layer'))).toBe(100)
      expect(await leading(under.catalog, app, 'layer')).toEqual([v1])
      expect(await leading(under.catalog, app, 'signature')).toEqual([v1])
      expect(await closure(under.catalog, 'image')).toEqual(digests(['image', 'layer']))
    })

    it('can be recorded anew', async () => {
      await using under = await open()
      const { contents } = under.catalog
      await contents.putManifest(app, { ...manifest('one'), mediaType: OCI_IMAGE })
      await contents.forgetManifest(named('one'))
      await contents.putManifest(app, { ...manifest('one'), mediaType: OCI_INDEX })

      expect(await contents.findManifest(named('one'))).toEqual({ mediaType: OCI_INDEX, size: 500 })
    })
  })
}

async function holders(catalog: Catalog, name: string): Promise<RepositoryKey[]> {
  const found = await catalog.contents.holders(named(name))
  const text = ({ upstream, repository }: RepositoryKey): string => `${upstream}/${repository}`
  return found.toSorted((a, b) => text(a).localeCompare(text(b)))
}

async function closure(catalog: Catalog, name: string): Promise<Digest[]> {
  return (await catalog.contents.closure(named(name))).toSorted()
}

function digests(names: readonly string[]): Digest[] {
  return names.map(named).toSorted()
}
