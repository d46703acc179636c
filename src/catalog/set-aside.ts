/** Keeps a damaged catalog for whoever wants to look into it, out of the way of the next one. */
import { readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { storageFailure } from '../storage-error.ts'

/** The files that SQLite keeps beside a database. The first to go: they must not meet another database. */
const SIDE_FILES = ['-wal', '-shm']

const KEPT_SETS = 2

/**
 * Renames the file and those beside it; what is not there is passed over. The two newest sets are kept.
 * @returns where the file is now
 * @throws {StorageError}
 */
export async function setAsideCatalog(file: string, now = new Date()): Promise<string> {
  const target = `${file}.damaged-${now.toISOString().replaceAll(':', '')}`
  try {
    await moveCatalog(file, target)
    await removeOldest(file)
  } catch (error) {
    throw storageFailure(error)
  }
  return target
}

/** Moves a database that nobody has open, with what SQLite keeps beside it. */
export async function moveCatalog(from: string, to: string): Promise<void> {
  for (const end of [...SIDE_FILES, '']) await renameIfThere(from + end, to + end)
}

/** Removes a database and what SQLite keeps beside it. */
export async function removeCatalog(file: string): Promise<void> {
  for (const end of [...SIDE_FILES, '']) await rm(file + end, { force: true })
}

async function removeOldest(file: string): Promise<void> {
  const folder = dirname(file)
  const prefix = `${basename(file)}.damaged-`
  const sets = (await readdir(folder))
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.replace(/-(?:wal|shm)$/, ''))
  const oldest = [...new Set(sets)].toSorted().slice(0, -KEPT_SETS)
  for (const name of oldest) await removeCatalog(join(folder, name))
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
