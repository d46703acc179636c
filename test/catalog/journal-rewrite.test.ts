import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { encodeEntry, type JournalEntry } from '../../src/catalog/journal-entry.ts'
import { compactJournal, seedJournal } from '../../src/catalog/journal-rewrite.ts'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { StorageError } from '../../src/storage-error.ts'
import { app, named, other, stored, v1 } from '../contract/catalog-records.ts'
import { makeFolder } from './folder.ts'
import { entriesOf } from './recording.ts'

describe('a journal that is compacted', () => {
  it('says each thing once, a tag as it was last confirmed, in the order of before', async () => {
    await using folder = await makeFolder()
    const proof: JournalEntry = { kind: 'proven', ...app, digests: [named('one')] }
    const othersProof: JournalEntry = { kind: 'proven', ...other, digests: [named('one')] }
    await write(folder.journal, [
      moved('one', 1),
      proof,
      moved('two', 2),
      othersProof,
      moved('one', 3),
      proof,
      othersProof,
      moved('two', 4),
      proof,
      moved('one', 5),
      moved('one', 6),
    ])

    expect(await compactJournal(folder.journal, 0)).toBe(true)

    expect(await entriesOf(folder.journal)).toEqual([
      proof,
      othersProof,
      moved('two', 4),
      moved('one', 6),
    ])
    expect(await readdir(folder.path)).toEqual(['journal.jsonl'])
  })

  it('keeps of a proof that is repeated when it was first seen', async () => {
    await using folder = await makeFolder()
    const proof: JournalEntry = { kind: 'proven', ...app, digests: [named('one')], seenAt: 3 }
    await write(folder.journal, [proof, { ...proof, seenAt: 9 }, { ...proof, seenAt: 10 }])

    expect(await compactJournal(folder.journal, 0)).toBe(true)

    expect(await entriesOf(folder.journal)).toEqual([proof])
  })

  it('loses lines that cannot be read, which count as repeated', async () => {
    await using folder = await makeFolder()
    await writeFile(folder.journal, `garbage\n${encodeEntry(moved('one', 1))}["torn`)

    expect(await compactJournal(folder.journal, 0)).toBe(true)

    expect(await readFile(folder.journal, 'utf8')).toBe(encodeEntry(moved('one', 1)))
  })

  it('is left alone while more than half of it is needed', async () => {
    await using folder = await makeFolder()
    const entries = [moved('one', 1), moved('one', 2), moved('two', 3)]
    await write(folder.journal, entries)

    expect(await compactJournal(folder.journal, 0)).toBe(false)

    expect(await entriesOf(folder.journal)).toEqual(entries)
  })

  it('is left alone while it is small or missing', async () => {
    await using folder = await makeFolder()
    expect(await compactJournal(folder.journal)).toBe(false)
    await write(
      folder.journal,
      Array.from({ length: 100 }, () => moved('one', 1)),
    )
    expect(await compactJournal(folder.journal)).toBe(false)
    expect(await entriesOf(folder.journal)).toHaveLength(100)
  })

  it('is compacted when it has grown large', async () => {
    await using folder = await makeFolder()
    const line = encodeEntry(moved('one', 1))
    const many = Math.ceil((16 * 1024 * 1024) / line.length)
    await writeFile(folder.journal, line.repeat(many))

    expect(await compactJournal(folder.journal)).toBe(true)

    expect(await entriesOf(folder.journal)).toEqual([moved('one', 1)])
  })

  it('stays as it was when the new one cannot be written', async () => {
    await using folder = await makeFolder()
    const entries = [moved('one', 1), moved('one', 2)]
    await write(folder.journal, entries)
    await mkdir(join(`${folder.journal}.new`, 'in the way'), { recursive: true })

    await expect(compactJournal(folder.journal, 0)).rejects.toBeInstanceOf(StorageError)

    expect(await entriesOf(folder.journal)).toEqual(entries)
  })
})

describe('a journal that is made for a catalog', () => {
  it('is made only where there is none', async () => {
    await using folder = await makeFolder()
    const catalog = openSqliteCatalog(folder.file)
    await stored(catalog, app, 'image', ['layer'])
    expect(await seedJournal(folder.journal, catalog)).toBe(true)
    const before = await entriesOf(folder.journal)
    expect(before).not.toEqual([])

    await catalog.tags.put(app, v1, { digest: named('image'), checkedAt: 1 })
    expect(await seedJournal(folder.journal, catalog)).toBe(false)

    expect(await entriesOf(folder.journal)).toEqual(before)
    await catalog.close()
  })

  it('is none at all when the catalog cannot be read', async () => {
    await using folder = await makeFolder()
    const catalog = openSqliteCatalog(folder.file)
    await catalog.close()

    await expect(seedJournal(folder.journal, catalog)).rejects.toBeInstanceOf(StorageError)

    expect(await readdir(folder.path)).toEqual(['catalog.sqlite'])
  })

  it('holds thousands of lines', async () => {
    await using folder = await makeFolder()
    const catalog = openSqliteCatalog(folder.file)
    const digests = Array.from({ length: 2500 }, (_, number) => named(String(number)))
    for (const digest of digests) await catalog.tags.lead(app, v1, digest)
    await seedJournal(folder.journal, catalog)
    await catalog.close()

    const leads = (await entriesOf(folder.journal)).filter((entry) => entry?.kind === 'lead')
    expect(leads.map(({ digest }) => digest).toSorted()).toEqual(digests.toSorted())
  })
})

function moved(name: string, checkedAt: number): JournalEntry {
  return { kind: 'tag', ...app, tag: v1, digest: named(name), checkedAt }
}

async function write(file: string, entries: readonly JournalEntry[]): Promise<void> {
  await writeFile(file, entries.map(encodeEntry).join(''))
}
