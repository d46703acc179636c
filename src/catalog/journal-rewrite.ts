/** Replaces a journal as a whole: by its own lines without repetition, or by what a catalog knows. */
import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { storageFailure } from '../storage-error.ts'
import { encodeEntry, identityOf, type JournalEntry } from './journal-entry.ts'
import { readEntries } from './journal-lines.ts'

/** Bytes below which nothing is gained. */
const MIN_SIZE = 16 * 1024 * 1024

/** Lines that are written in one go. */
const BATCH = 1000

/**
 * Writes the journal anew when it is large and at least half of its lines are repeated or unreadable.
 * The order of the lines is kept, and of those that say the same the first, or for tags the last: that
 * one was confirmed last. A replay then gives the same as before. To be called while nobody appends.
 * @param minSize bytes from which it is looked into
 * @returns whether it was written anew
 * @throws {StorageError}, and leaves the journal as it was
 */
export async function compactJournal(file: string, minSize = MIN_SIZE): Promise<boolean> {
  const size = await sizeOf(file)
  if (size === undefined || size < minSize) return false
  const { kept, lines } = await chooseLines(file)
  if (kept.size * 2 > lines) return false
  await replaceFile(file, keptEntries(file, kept))
  return true
}

/**
 * Writes a journal for a catalog that has none, as one from before there were journals.
 * @returns whether there was none
 * @throws {StorageError}, and leaves no journal
 */
export async function seedJournal(
  file: string,
  catalog: { facts(): Iterable<JournalEntry> },
): Promise<boolean> {
  if ((await sizeOf(file)) !== undefined) return false
  await replaceFile(file, catalog.facts())
  return true
}

/** Numbers of the lines to keep, and how many there are. */
async function chooseLines(file: string): Promise<{ kept: Set<number>; lines: number }> {
  const chosen = new Map<string, number>()
  let lines = 0
  for await (const entry of readEntries(file)) {
    if (entry) {
      const identity = identityOf(entry)
      if (entry.kind === 'tag' || !chosen.has(identity)) chosen.set(identity, lines)
    }
    lines += 1
  }
  return { kept: new Set(chosen.values()), lines }
}

async function* keptEntries(file: string, kept: ReadonlySet<number>): AsyncGenerator<JournalEntry> {
  let line = 0
  for await (const entry of readEntries(file)) {
    if (entry && kept.has(line)) yield entry
    line += 1
  }
}

/** A crash leaves the old file or the new one. */
async function replaceFile(
  file: string,
  entries: Iterable<JournalEntry> | AsyncIterable<JournalEntry>,
): Promise<void> {
  const temporary = `${file}.new`
  try {
    await writeEntries(temporary, entries)
    await rename(temporary, file)
    await syncFolder(dirname(file))
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw storageFailure(error)
  }
}

async function writeEntries(
  file: string,
  entries: Iterable<JournalEntry> | AsyncIterable<JournalEntry>,
): Promise<void> {
  const handle = await open(file, 'w', 0o600)
  try {
    let batch: string[] = []
    for await (const entry of entries) {
      batch.push(encodeEntry(entry))
      if (batch.length === BATCH) {
        await handle.appendFile(batch.join(''))
        batch = []
      }
    }
    await handle.appendFile(batch.join(''))
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Bytes; `undefined` when there is no such file. */
async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw storageFailure(error)
  }
}
