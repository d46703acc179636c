/** A new catalog from the journal, in place of one that is damaged or missing. */
import { storageFailure } from '../storage-error.ts'
import { replayJournal, type LoadManifest, type Replayed } from './replay.ts'
import { moveCatalog, removeCatalog, setAsideCatalog } from './set-aside.ts'
import { openSqliteCatalog } from './sqlite.ts'

/**
 * Made beside the old one, and moved into its place when it is whole: a crash in between leaves what
 * there was before. What the store holds is not in it yet.
 * @param file of the catalog, which nobody may have open
 * @throws {StorageError}
 */
export async function rebuildCatalog({
  file,
  journal,
  loadManifest,
}: {
  file: string
  journal: string
  loadManifest: LoadManifest
}): Promise<Replayed> {
  const temporary = `${file}.new`
  try {
    await removeCatalog(temporary)
    const replayed = await fillCatalog(temporary, journal, loadManifest)
    await setAsideCatalog(file)
    await moveCatalog(temporary, file)
    return replayed
  } catch (error) {
    throw storageFailure(error)
  }
}

async function fillCatalog(
  file: string,
  journal: string,
  loadManifest: LoadManifest,
): Promise<Replayed> {
  const catalog = openSqliteCatalog(file)
  try {
    return await replayJournal(journal, catalog, loadManifest)
  } finally {
    await catalog.close()
  }
}
