/** Everything that a mirror keeps, in one folder that one process at a time uses. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openSpool, type Spool } from './cache/spool.ts'
import { readManifestFacts } from './cache/stored-bytes.ts'
import type { Catalog } from './catalog/catalog.ts'
import { compactJournal, seedJournal } from './catalog/journal-rewrite.ts'
import { createJournal } from './catalog/journal.ts'
import { journaled } from './catalog/journaled.ts'
import { lockFolder, type FolderLock } from './catalog/lock.ts'
import { rebuildCatalog } from './catalog/rebuild.ts'
import type { Replayed } from './catalog/replay.ts'
import { openSqliteCatalog, type SqliteCatalog } from './catalog/sqlite.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { StorageError, storageFailure } from './storage-error.ts'
import type { BlobStore } from './store/blob-store.ts'
import { openDiskStore } from './store/disk.ts'

export interface DataFolder {
  readonly catalog: Catalog
  readonly store: BlobStore
  readonly spool: Spool
  /** What was found again, where the catalog was made anew. */
  readonly rebuilt: Replayed | undefined
  /** After everything that uses it. */
  close(): Promise<void>
}

interface DataFolderOptions {
  /** Makes the catalog anew, whatever state it is in. */
  readonly rebuild?: boolean
  readonly metrics: Pick<Metrics, 'storageFailed'>
  readonly log: Log
}

/**
 * A catalog that is lost or damaged is made anew from the journal and the stored files.
 * @throws {StorageError} when another process uses it, or the disk is in trouble
 */
export async function openDataFolder(
  folder: string,
  options: DataFolderOptions,
): Promise<DataFolder> {
  await makeFolder(folder)
  const lock = lockFolder(folder)
  try {
    return await openLocked(folder, lock, options)
  } catch (error) {
    lock.release()
    throw error
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw storageFailure(error)
  }
}

const CACHE_TAG_NAME = 'CACHEDIR.TAG'
/** Tells backup programs that all of a folder can be fetched again. https://bford.info/cachedir/ */
const CACHE_TAG = 'Signature: 8a477f597d28d172789f06886806bc55\n# A cache of container images.\n'

/** Folders of which nothing has to be in a backup. */
const CACHES = ['blobs-v1', 'quarantine']

/** Not the data folder itself: what operators have decided lies in it, and could not be found again. */
async function tagCaches(folder: string): Promise<void> {
  try {
    await removeTag(join(folder, CACHE_TAG_NAME))
    for (const cache of CACHES.map((name) => join(folder, name)).filter(existsSync)) {
      const tag = join(cache, CACHE_TAG_NAME)
      if (!existsSync(tag)) await writeFile(tag, CACHE_TAG)
    }
  } catch (error) {
    const failure = storageFailure(error)
    // A full disk must not keep the mirror from serving what is on it.
    if (failure.code !== 'full') throw failure
  }
}

/** That of an older version. One that says something else is the operator's. */
async function removeTag(file: string): Promise<void> {
  if (existsSync(file) && (await readFile(file, 'utf8')) === CACHE_TAG) await rm(file)
}

async function openLocked(
  folder: string,
  lock: FolderLock,
  options: DataFolderOptions,
): Promise<DataFolder> {
  const store = await openDiskStore(folder)
  const spool = await openSpool(join(folder, 'spool'))
  await tagCaches(folder)
  const { catalog, rebuilt } = await openCatalog(folder, store, options)
  return {
    store,
    spool,
    catalog,
    rebuilt,
    async close() {
      try {
        await catalog.close()
      } finally {
        lock.release()
      }
    },
  }
}

async function openCatalog(
  folder: string,
  store: BlobStore,
  { rebuild = false, metrics, log }: DataFolderOptions,
): Promise<{ catalog: Catalog; rebuilt: Replayed | undefined }> {
  const file = join(folder, 'catalog.sqlite')
  const journal = join(folder, 'journal.jsonl')
  const complain = (error: StorageError): void => {
    metrics.storageFailed(error.code)
    log.warn({ err: error }, 'the journal of the catalog could not be written')
  }
  const isLost = !existsSync(file) && existsSync(journal)
  const opened = rebuild || isLost ? undefined : openUnlessDamaged(file, log)
  const rebuilt = opened ? undefined : await makeAnew(file, journal, store, log)
  const catalog = opened ?? openSqliteCatalog(file)
  try {
    await compactJournal(journal)
    await seedJournal(journal, catalog)
  } catch (error) {
    complain(storageFailure(error))
  }
  return { catalog: journaled(catalog, createJournal(journal, complain)), rebuilt }
}

function openUnlessDamaged(file: string, log: Log): SqliteCatalog | undefined {
  try {
    return openSqliteCatalog(file)
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'damaged') throw error
    log.error({ err: error }, 'the catalog is damaged: it is set aside and made anew')
    return undefined
  }
}

async function makeAnew(
  file: string,
  journal: string,
  store: BlobStore,
  log: Log,
): Promise<Replayed> {
  const replayed = await rebuildCatalog({
    file,
    journal,
    loadManifest: (digest, mediaType) => readManifestFacts(store, digest, mediaType),
  })
  log.warn({ ...replayed }, 'the catalog was made anew from the journal and the stored files')
  return replayed
}
