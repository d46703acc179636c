import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  decodeEntry,
  encodeEntry,
  proofs,
  type JournalEntry,
} from '../../src/catalog/journal-entry.ts'
import { readEntries } from '../../src/catalog/journal-lines.ts'
import { createJournal } from '../../src/catalog/journal.ts'
import { StorageError } from '../../src/storage-error.ts'
import { app, named, OCI_IMAGE, v1 } from '../contract/catalog-records.ts'
import { until } from '../support/until.ts'
import { makeFolder } from './folder.ts'
import { entriesOf } from './recording.ts'

const LEAD: JournalEntry = { kind: 'lead', ...app, tag: v1, digest: named('one'), seenAt: 5 }
const ENTRIES: readonly JournalEntry[] = [
  { kind: 'tag', ...app, tag: v1, digest: named('one'), checkedAt: 1234 },
  LEAD,
  { kind: 'manifest', ...app, digest: named('one'), mediaType: OCI_IMAGE, size: 500, seenAt: 6 },
  { kind: 'proven', ...app, digests: [named('one'), named('two')], seenAt: 7 },
  // Of an older version.
  { kind: 'proven', ...app, digests: [named('three')] },
  { kind: 'referrers', ...app, subject: named('one'), digests: [named('two')] },
]

describe('a line of the journal', () => {
  it.each(ENTRIES)('of kind $kind is one JSON array, and is read as it was written', (entry) => {
    const line = encodeEntry(entry)

    expect(line).toMatch(/^[^\n]*\n$/)
    expect(JSON.parse(line)).toEqual([expect.any(String), entry])
    expect(decodeEntry(line.trimEnd())).toEqual(entry)
  })

  it('is not read when any bit of it has flipped', () => {
    const line = Buffer.from(encodeEntry(LEAD).trimEnd())
    for (let bit = 0; bit < line.length * 8; bit++) {
      const flipped = Buffer.from(line)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(decodeEntry(flipped.toString('utf8')), `bit ${bit}`).toBeUndefined()
    }
  })

  it.each([
    null,
    'text',
    [],
    { ...LEAD, kind: 'unknown' },
    { ...LEAD, upstream: '' },
    { ...LEAD, repository: '../etc' },
    { ...LEAD, tag: '-' },
    { ...LEAD, tag: undefined },
    { ...LEAD, digest: 'sha256:short' },
    { ...ENTRIES[0], checkedAt: '1' },
    { ...ENTRIES[2], mediaType: 'text/html' },
    { ...ENTRIES[2], size: 1.5 },
    { ...ENTRIES[3], digests: named('one') },
    { ...ENTRIES[3], digests: ['sha256:short'] },
    { ...ENTRIES[3], seenAt: '7' },
    { ...ENTRIES[5], subject: undefined },
  ])('is not read when it says what cannot be: %j', (json) => {
    expect(decodeEntry(encodeEntry(json as JournalEntry).trimEnd())).toBeUndefined()
  })

  it('stays below the length that is read, however much is to be said', async () => {
    await using folder = await makeFolder()
    const digests = Array.from({ length: 1000 }, (_, number) => named(String(number)))
    await writeFile(folder.journal, proofs(app, digests, 1).map(encodeEntry).join(''))

    const read = await entriesOf(folder.journal)
    expect(read.flatMap((entry) => (entry?.kind === 'proven' ? entry.digests : []))).toEqual(
      digests,
    )
  })
})

describe('the lines of a journal', () => {
  it('are none when there is no file', async () => {
    await using folder = await makeFolder()

    expect(await entriesOf(folder.journal)).toEqual([])
  })

  it('are read around those that are malformed or too long', async () => {
    await using folder = await makeFolder()
    const line = encodeEntry(LEAD)
    const long = 'x'.repeat(1024 * 1024)
    await writeFile(folder.journal, `${line}\n{}\n${long}\n${line}${'y'.repeat(70_000)}\n${line}`)

    expect(await entriesOf(folder.journal)).toEqual([
      LEAD,
      undefined,
      undefined,
      LEAD,
      undefined,
      LEAD,
    ])
  })

  it('end before one that was torn, wherever it was torn', async () => {
    await using folder = await makeFolder()
    const line = encodeEntry(LEAD)
    for (let length = 1; length < line.length - 1; length++) {
      await writeFile(folder.journal, line + line.slice(0, length))
      expect(await entriesOf(folder.journal), `${length} bytes`).toEqual([LEAD])
    }
    await writeFile(folder.journal, line + line.trimEnd())
    expect(await entriesOf(folder.journal)).toEqual([LEAD, LEAD])
    await writeFile(folder.journal, `${line}${'x'.repeat(200_000)}`)
    expect(await entriesOf(folder.journal)).toEqual([LEAD])
  })

  it('cannot be read from a folder', async () => {
    await using folder = await makeFolder()

    await expect(entriesOf(folder.path)).rejects.toBeInstanceOf(StorageError)
  })

  it('need not be read to the end', async () => {
    await using folder = await makeFolder()
    await writeFile(folder.journal, encodeEntry(LEAD).repeat(5000))

    for await (const entry of readEntries(folder.journal)) {
      expect(entry).toEqual(LEAD)
      break
    }
  })
})

describe('a journal that is written', () => {
  it('creates no file before there is something to say', async () => {
    await using folder = await makeFolder()
    const journal = createJournal(folder.journal, rethrow)
    journal.append([])
    await journal.close()

    await expect(readFile(folder.journal)).rejects.toThrow(/ENOENT/)
  })

  it('keeps the order of 10,000 lines, without being asked to', async () => {
    await using folder = await makeFolder()
    const journal = createJournal(folder.journal, rethrow)
    const entries = Array.from({ length: 10_000 }, (_, number) => moved(number))
    for (const [index, entry] of entries.entries()) {
      journal.append([entry])
      if (index % 1000 === 0) await journal.flush()
    }

    await until(async () => (await entriesOf(folder.journal)).length === entries.length, {
      what: 'all lines are written',
    })
    expect(await entriesOf(folder.journal)).toEqual(entries)
    await journal.close()
  })

  it('is appended to when it is opened again', async () => {
    await using folder = await makeFolder()
    for (const number of [1, 2]) {
      const journal = createJournal(folder.journal, rethrow)
      journal.append([moved(number)])
      await journal.close()
    }

    expect(await entriesOf(folder.journal)).toEqual([moved(1), moved(2)])
  })

  it('begins a new line behind one that was torn', async () => {
    await using folder = await makeFolder()
    await appendFile(folder.journal, encodeEntry(moved(1)) + encodeEntry(moved(2)).slice(0, 20))
    const journal = createJournal(folder.journal, rethrow)
    journal.append([moved(3)])
    await journal.close()

    expect(await entriesOf(folder.journal)).toEqual([moved(1), undefined, moved(3)])
  })

  it('says that it cannot be written, keeps the lines, and writes them with the next', async () => {
    await using folder = await makeFolder()
    const failures: StorageError[] = []
    const hidden = join(folder.path, 'later')
    const journal = createJournal(join(hidden, 'journal.jsonl'), (error) => failures.push(error))
    journal.append([moved(1)])
    await journal.flush()
    journal.append([moved(2)])
    await journal.flush()
    expect(failures).toHaveLength(2)
    expect(failures[0]).toBeInstanceOf(StorageError)

    await mkdir(hidden)
    journal.append([moved(3)])
    await journal.close()

    expect(failures).toHaveLength(2)
    expect(await entriesOf(join(hidden, 'journal.jsonl'))).toEqual([moved(1), moved(2), moved(3)])
  })

  it('tries once more when it is closed, and is closed even so', async () => {
    await using folder = await makeFolder()
    const failures: StorageError[] = []
    const hidden = join(folder.path, 'never')
    const journal = createJournal(join(hidden, 'journal.jsonl'), (error) => failures.push(error))
    journal.append([moved(1)])
    await journal.flush()

    await journal.close()

    expect(failures).toHaveLength(2)
  })

  it('keeps no more than the newest lines while it cannot be written', async () => {
    await using folder = await makeFolder()
    const hidden = join(folder.path, 'later')
    const journal = createJournal(join(hidden, 'journal.jsonl'), () => undefined)
    const entries = Array.from({ length: 25_000 }, (_, number) => moved(number))
    journal.append(entries)
    await journal.flush()
    await mkdir(hidden)
    await journal.close()

    expect(await entriesOf(join(hidden, 'journal.jsonl'))).toEqual(entries.slice(-10_000))
  })

  it('reports a disk that is full', async () => {
    const failures: StorageError[] = []
    const journal = createJournal('/dev/full', (error) => failures.push(error))
    journal.append([moved(1)])
    await journal.close()

    expect(failures.map(({ code }) => code)).toContain('full')
  })
})

function moved(checkedAt: number): JournalEntry {
  return { kind: 'tag', ...app, tag: v1, digest: named('one'), checkedAt }
}

function rethrow(error: Error): never {
  throw error
}
