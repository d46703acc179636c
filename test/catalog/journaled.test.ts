import { describe, expect, it } from 'vitest'
import type { Catalog } from '../../src/catalog/catalog.ts'
import { journaled } from '../../src/catalog/journaled.ts'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { StorageError } from '../../src/storage-error.ts'
import {
  app,
  descriptor,
  manifest,
  named,
  OCI_IMAGE,
  other,
  v1,
  v2,
} from '../contract/catalog-records.ts'
import { makeFolder } from './folder.ts'
import { createRecordingJournal, type RecordingJournal } from './recording.ts'

describe('a journaled catalog', () => {
  it('writes down when a tag moves, also back, and not that it was confirmed', async () => {
    await using under = await open()
    const { tags } = under.catalog
    for (const [checkedAt, name] of ['one', 'one', 'two', 'one', 'one'].entries()) {
      await tags.put(app, v1, { digest: named(name), checkedAt })
    }

    const kind = 'tag'
    expect(under.journal.entries).toEqual([
      { kind, ...app, tag: v1, digest: named('one'), checkedAt: 0 },
      { kind, ...app, tag: v1, digest: named('two'), checkedAt: 2 },
      { kind, ...app, tag: v1, digest: named('one'), checkedAt: 3 },
    ])
    expect(await tags.find(app, v1)).toEqual({ digest: named('one'), checkedAt: 4 })
  })

  it('does not write down a tag that the catalog knew before', async () => {
    await using under = await open()
    await under.plain.tags.put(app, v1, { digest: named('one'), checkedAt: 1 })
    await under.catalog.tags.put(app, v1, { digest: named('one'), checkedAt: 2 })

    expect(under.journal.entries).toEqual([])
  })

  it('ends with what a tag means, also when it is moved twice at once', async () => {
    await using under = await open()
    const { tags } = under.catalog
    await tags.put(app, v1, { digest: named('old'), checkedAt: 1 })
    await Promise.all([
      tags.put(app, v1, { digest: named('new'), checkedAt: 2 }),
      tags.put(app, v1, { digest: named('old'), checkedAt: 3 }),
    ])

    const now = await tags.find(app, v1)
    expect(under.journal.entries.at(-1)).toMatchObject({ kind: 'tag', digest: now?.digest })
  })

  it('writes down each proof once, each repository for itself', async () => {
    await using under = await open()
    const { contents } = under.catalog
    await contents.prove(app, [named('one')])
    await contents.prove(app, [named('one'), named('two')])
    await contents.prove(app, [named('two')])
    await contents.prove(other, [named('two')])
    await contents.prove(other, [])

    expect(under.journal.entries).toEqual([
      { kind: 'proven', ...app, digests: [named('one')], seenAt: NOW },
      { kind: 'proven', ...app, digests: [named('two')], seenAt: NOW },
      { kind: 'proven', ...other, digests: [named('two')], seenAt: NOW },
    ])
    expect(await contents.isProven(app, named('two'))).toBe(true)
  })

  it('writes down announcements, manifests and referrers once each', async () => {
    await using under = await open()
    const { contents, tags } = under.catalog
    for (const key of [app, app, other]) {
      await tags.lead(key, v2, named('image'))
      await contents.putManifest(key, manifest('image', ['layer']))
      await contents.putReferrers(key, named('image'), [descriptor('signature')])
    }
    await contents.putReferrers(app, named('image'), [])

    expect(under.journal.entries).toEqual(
      [app, other].flatMap((key) => [
        { kind: 'lead', ...key, tag: v2, digest: named('image'), seenAt: NOW },
        {
          kind: 'manifest',
          ...key,
          digest: named('image'),
          mediaType: OCI_IMAGE,
          size: 500,
          seenAt: NOW,
        },
        {
          kind: 'referrers',
          ...key,
          subject: named('image'),
          digests: [named('signature')],
        },
      ]),
    )
  })

  it('tells the catalog and the journal the same time', async () => {
    await using under = await open()
    const { contents, tags } = under.catalog
    await tags.lead(app, v1, named('led'))
    await contents.prove(app, [named('proven')])
    await contents.putManifest(app, manifest('image'), NOW - 5)

    expect(await contents.firstSeen(app, named('led'))).toBe(NOW)
    expect(await contents.firstSeen(app, named('proven'))).toBe(NOW)
    expect(await contents.firstSeen(app, named('image'))).toBe(NOW - 5)
    expect(under.journal.entries.map((entry) => 'seenAt' in entry && entry.seenAt)).toEqual([
      NOW,
      NOW,
      NOW - 5,
    ])
  })

  it('writes down nothing else that it is given', async () => {
    await using under = await open()
    const wide = { ...app, password: 'secret' }
    await under.catalog.contents.prove(wide, [named('one')])
    await under.catalog.contents.putManifest(wide, manifest('image'))
    const record = { digest: named('one'), checkedAt: 1, password: 'secret' }
    await under.catalog.tags.put(wide, v1, record)

    expect(under.journal.entries).toHaveLength(3)
    expect(JSON.stringify(under.journal.entries)).not.toContain('secret')
  })

  it('writes down nothing that the catalog has refused', async () => {
    await using under = await open()
    await under.plain.close()
    const { tags, contents } = under.catalog
    const calls = [
      tags.put(app, v1, { digest: named('one'), checkedAt: 1 }),
      tags.lead(app, v1, named('one')),
      contents.prove(app, [named('one')]),
      contents.putManifest(app, manifest('one')),
      contents.putReferrers(app, named('one'), [descriptor('two')]),
    ]

    for (const call of calls) await expect(call).rejects.toBeInstanceOf(StorageError)
    expect(under.journal.entries).toEqual([])
  })

  it('reads without its help', async () => {
    await using under = await open()
    const { catalog, plain } = under
    const writing = ['put', 'lead', 'prove', 'putManifest', 'putReferrers']

    expect(catalog.blobs).toBe(plain.blobs)
    for (const [part, plainPart] of [
      [catalog.tags, plain.tags],
      [catalog.contents, plain.contents],
    ] as const) {
      const same = Object.entries(plainPart).filter(([name]) => !writing.includes(name))
      expect(part).toMatchObject(Object.fromEntries(same))
    }
  })

  it('closes the journal although the catalog cannot be closed', async () => {
    await using under = await open()
    let closed = false
    const catalog = journaled(
      { ...under.plain, close: () => Promise.reject(new StorageError('broken', 'planted')) },
      {
        ...under.journal,
        async close() {
          closed = true
        },
      },
    )

    await expect(catalog.close()).rejects.toThrow('planted')
    expect(closed).toBe(true)
  })
})

const NOW = 1_700_000_000_000

interface Journaled extends AsyncDisposable {
  readonly catalog: Catalog
  readonly plain: Catalog
  readonly journal: RecordingJournal
}

async function open(): Promise<Journaled> {
  const folder = await makeFolder()
  const plain = openSqliteCatalog(folder.file)
  const journal = createRecordingJournal()
  const catalog = journaled(plain, journal, { now: () => NOW })
  return {
    catalog,
    plain,
    journal,
    async [Symbol.asyncDispose]() {
      await catalog.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}
