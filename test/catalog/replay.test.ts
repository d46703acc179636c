/** Whatever has happened to a catalog: its journal and the stored bytes tell another one the same. */
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Catalog, ManifestRecord } from '../../src/catalog/catalog.ts'
import { encodeEntry } from '../../src/catalog/journal-entry.ts'
import { compactJournal, seedJournal } from '../../src/catalog/journal-rewrite.ts'
import { createJournal } from '../../src/catalog/journal.ts'
import { journaled } from '../../src/catalog/journaled.ts'
import { replayJournal } from '../../src/catalog/replay.ts'
import { openSqliteCatalog, type SqliteCatalog } from '../../src/catalog/sqlite.ts'
import {
  app,
  descriptor,
  manifest,
  named,
  OCI_IMAGE,
  OCI_INDEX,
  sameNameElsewhere,
  v1,
  v2,
} from '../contract/catalog-records.ts'
import { makeFolder, type Folder } from './folder.ts'
import { loading, observe } from './recording.ts'

/** To SQLite; what lies on disk is tested elsewhere. */
const IN_MEMORY = ':memory:'

const KEYS = [app, sameNameElsewhere]
const TAGS = [v1, v2]
const MANIFESTS: readonly ManifestRecord[] = [
  { ...manifest('index', ['amd64', 'arm64']), mediaType: OCI_INDEX },
  manifest('amd64', ['config', 'layer']),
  manifest('arm64', ['layer']),
  { ...manifest('signature', ['payload']), subject: descriptor('amd64') },
]
const NAMES = ['index', 'amd64', 'arm64', 'signature', 'config', 'layer', 'payload', 'listed']
const SCOPE = { keys: KEYS, tags: TAGS, digests: NAMES.map(named) }

const key = fc.constantFrom(...KEYS)
const tag = fc.constantFrom(...TAGS)
const name = fc.constantFrom(...NAMES)
const names = fc.array(name, { maxLength: 3 })

/** At a moment that is its place in the history. */
type Step = (catalog: Catalog, now: number) => Promise<void>

const move = fc.tuple(key, tag, name).map(([key, tag, name]): Step => {
  return ({ tags }, now) => tags.put(key, tag, { digest: named(name), checkedAt: now })
})
const lead = fc.tuple(key, tag, name).map(([key, tag, name]): Step => {
  return ({ tags }, now) => tags.lead(key, tag, named(name), now)
})
const store = fc.tuple(key, fc.constantFrom(...MANIFESTS)).map(([key, record]): Step => {
  return ({ contents }, now) => contents.putManifest(key, record, now)
})
const prove = fc.tuple(key, names).map(([key, names]): Step => {
  return ({ contents }, now) => contents.prove(key, names.map(named), now)
})
const refer = fc.tuple(key, name, names).map(([key, subject, names]): Step => {
  return ({ contents }) => contents.putReferrers(key, named(subject), names.map(descriptor))
})
const history = fc.array(fc.oneof(move, lead, store, prove, refer), { maxLength: 40 })

describe('a journal that is replayed', () => {
  it('tells an empty catalog all that the first one knew, compacted or not', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        await using folder = await makeFolder()
        const { catalog, known } = await live(folder, steps)
        await catalog.close()
        expect(await replayed(folder)).toEqual(known)

        // All of it once more, so that there is something to leave out.
        const written = await readFile(folder.journal, 'utf8').catch(() => '')
        await appendFile(folder.journal, written)
        expect(await compactJournal(folder.journal, 0)).toBe(true)
        expect(await replayed(folder)).toEqual(known)
        // Again, into a catalog that has heard it before.
        expect(await replayed(folder, 2)).toEqual(known)
      }),
      { numRuns: 60 },
    )
  })

  it('says the same when it was written from the catalog itself', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        await using folder = await makeFolder()
        const { catalog, known } = await live(folder, steps)
        await rm(folder.journal, { force: true })
        expect(await seedJournal(folder.journal, catalog)).toBe(true)
        await catalog.close()

        expect(await replayed(folder)).toEqual(known)
      }),
      { numRuns: 40 },
    )
  })

  it('written from the catalog claims nothing for a repository that another one has stored', async () => {
    await using folder = await makeFolder()
    const catalog = openSqliteCatalog(IN_MEMORY)
    await catalog.contents.putManifest(app, manifest('amd64', ['layer']))
    await catalog.contents.prove(sameNameElsewhere, [named('amd64')])
    await catalog.tags.put(sameNameElsewhere, v1, { digest: named('amd64'), checkedAt: 1 })
    const known = await observe(catalog, SCOPE)
    await seedJournal(folder.journal, catalog)
    await catalog.close()

    const again = openSqliteCatalog(IN_MEMORY)
    await replayJournal(folder.journal, again, loading([manifest('amd64', ['layer'])]))
    expect(await observe(again, SCOPE)).toEqual(known)
    await again.close()
  })

  it('tells of a manifest whose bytes are gone only that its repository holds it', async () => {
    await using folder = await makeFolder()
    const line = {
      kind: 'manifest',
      ...app,
      digest: named('amd64'),
      mediaType: OCI_IMAGE,
      size: 500,
    }
    await writeFile(folder.journal, encodeEntry(line as never) + encodeEntry(line as never))
    const catalog = openSqliteCatalog(folder.file)

    const counts = await replayJournal(folder.journal, catalog, loading([]))

    expect(counts).toEqual({ applied: 2, missing: 2, unusable: 0 })
    expect(await catalog.contents.isProven(app, named('amd64'))).toBe(true)
    expect(await catalog.contents.findManifest(named('amd64'))).toBeUndefined()
    await catalog.close()
  })

  it('takes what older versions wrote down as seen long ago', async () => {
    await using folder = await makeFolder()
    const manifestLine = { kind: 'manifest', ...app, digest: named('amd64'), mediaType: OCI_IMAGE }
    const lines = [
      { kind: 'proven', ...app, digests: [named('layer')] },
      { kind: 'lead', ...app, tag: v1, digest: named('announced') },
      { ...manifestLine, size: 500 },
      { kind: 'proven', ...app, digests: [named('layer'), named('new')], seenAt: 7 },
    ]
    await writeFile(folder.journal, lines.map((line) => encodeEntry(line as never)).join(''))
    const catalog = openSqliteCatalog(folder.file)
    await replayJournal(folder.journal, catalog, loading([manifest('amd64')]))

    for (const name of ['layer', 'announced', 'amd64']) {
      expect(await catalog.contents.firstSeen(app, named(name)), `of ${name}`).toBe(0)
    }
    expect(await catalog.contents.firstSeen(app, named('new'))).toBe(7)
    await catalog.close()
  })

  it('asks for manifests as what they were stored, and keeps them as that', async () => {
    await using folder = await makeFolder()
    const entry = {
      kind: 'manifest',
      ...app,
      digest: named('amd64'),
      mediaType: OCI_INDEX,
      size: 7,
    }
    await writeFile(folder.journal, encodeEntry(entry as never))
    const catalog = openSqliteCatalog(folder.file)
    const asked: unknown[] = []

    await replayJournal(folder.journal, catalog, async (...args) => {
      asked.push(args)
      return { ...manifest('amd64'), mediaType: OCI_IMAGE, size: 500 }
    })

    expect(asked).toEqual([[named('amd64'), OCI_INDEX]])
    expect(await catalog.contents.findManifest(named('amd64'))).toEqual({
      mediaType: OCI_INDEX,
      size: 500,
    })
    await catalog.close()
  })

  it('passes over lines that are damaged, and counts them', async () => {
    await using folder = await makeFolder()
    const tag = { kind: 'tag', ...app, tag: v1, digest: named('amd64'), checkedAt: 5 } as const
    const lines = [encodeEntry(tag), 'garbage\n', encodeEntry(tag).replace('5', '6'), '["torn']
    await writeFile(folder.journal, lines.join(''))
    const catalog = openSqliteCatalog(folder.file)

    const counts = await replayJournal(folder.journal, catalog, loading([]))

    expect(counts).toEqual({ applied: 1, missing: 0, unusable: 2 })
    expect(await catalog.tags.find(app, v1)).toEqual({ digest: named('amd64'), checkedAt: 5 })
    await catalog.close()
  })

  it('tells nothing where there is none', async () => {
    await using folder = await makeFolder()
    const catalog = openSqliteCatalog(folder.file)

    const counts = await replayJournal(folder.journal, catalog, loading([]))

    expect(counts).toEqual({ applied: 0, missing: 0, unusable: 0 })
    await catalog.close()
  })
})

/** What the catalog knows in the end; tags as of the moment at which they were last moved. */
async function live(
  folder: Folder,
  steps: readonly Step[],
): Promise<{ catalog: SqliteCatalog; known: unknown }> {
  const journal = createJournal(folder.journal, (error) => {
    throw error
  })
  const plain = openSqliteCatalog(IN_MEMORY)
  const moments = new Map<string, number>()
  const catalog = journaled(withMoments(plain, moments), journal)
  for (const [now, step] of steps.entries()) await step(catalog, now)
  for (const key of KEYS) {
    for (const tag of TAGS) {
      const record = await plain.tags.find(key, tag)
      const checkedAt = moments.get(`${key.upstream}:${tag}`)
      if (record && checkedAt !== undefined)
        await plain.tags.put(key, tag, { ...record, checkedAt })
    }
  }
  await journal.close()
  return { catalog: plain, known: await observe(plain, SCOPE) }
}

/** Notes when tags come to mean something else. */
function withMoments(catalog: Catalog, moments: Map<string, number>): Catalog {
  return {
    ...catalog,
    tags: {
      ...catalog.tags,
      async put(key, tag, record) {
        const before = await catalog.tags.find(key, tag)
        await catalog.tags.put(key, tag, record)
        if (before?.digest !== record.digest) {
          moments.set(`${key.upstream}:${tag}`, record.checkedAt)
        }
      },
    },
  }
}

/** What an empty catalog knows after so many replays. */
async function replayed({ journal }: Folder, times = 1): Promise<unknown> {
  const catalog = openSqliteCatalog(IN_MEMORY)
  for (let time = 0; time < times; time++) {
    const { unusable, missing } = await replayJournal(journal, catalog, loading(MANIFESTS))
    expect({ unusable, missing }).toEqual({ unusable: 0, missing: 0 })
  }
  const known = await observe(catalog, SCOPE)
  await catalog.close()
  return known
}
