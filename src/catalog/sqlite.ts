/** The catalog in one SQLite file: no other service is needed. */
import Database from 'better-sqlite3'
import { StorageError } from '../storage-error.ts'
import type { Catalog } from './catalog.ts'
import { listFacts } from './facts.ts'
import type { JournalEntry } from './journal-entry.ts'
import { createRepositoryIds } from './repository-ids.ts'
import { MIGRATIONS } from './schema.ts'
import { createBlobs } from './sqlite-blobs.ts'
import { createContents } from './sqlite-contents.ts'
import { CATALOG, createGuard, isSqliteError, sqliteFailure } from './sqlite-failure.ts'
import { migrate, refuseCutOff, refuseDamaged, refuseNewer, schemaVersion } from './sqlite-file.ts'
import { createTags } from './sqlite-tags.ts'

type Sql = Database.Database

export interface SqliteCatalog extends Catalog {
  /** Everything that the stored bytes do not say, for a journal that does not have it yet. */
  facts(): Iterable<JournalEntry>
}

/** Milliseconds to wait for another program that holds the file: nothing else happens meanwhile. */
const BUSY_TIMEOUT = 250

interface CatalogOptions {
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

/**
 * @throws {StorageError} `damaged` when the file is no catalog or, after a crash, does not pass a check
 * @throws {Error} when the file was written by a newer version, which is no damage
 */
export function openSqliteCatalog(
  file: string,
  { now = Date.now }: CatalogOptions = {},
): SqliteCatalog {
  const sql = openChecked(file)
  return catalogOf(sql, now, (isSound) => close(sql, isSound))
}

/**
 * To look into a catalog that another process may have open; what writes fails as `read-only`.
 * @throws {StorageError} when there is none, or it is one of an older version
 * @throws {Error} when the file was written by a newer version
 */
export function readSqliteCatalog(file: string): Catalog {
  let sql: Sql | undefined
  try {
    sql = new Database(file, { readonly: true, timeout: BUSY_TIMEOUT })
    const opened = sql
    refuseOtherVersions(opened)
    return catalogOf(opened, Date.now, () => void opened.close())
  } catch (error) {
    sql?.close()
    throw isSqliteError(error) ? sqliteFailure(error) : error
  }
}

/** Who may only read cannot bring a file up to date. */
function refuseOtherVersions(sql: Sql): void {
  const version = schemaVersion(sql)
  refuseNewer(version, MIGRATIONS.length, CATALOG)
  if (version < MIGRATIONS.length) {
    throw new StorageError(
      'read-only',
      `The catalog has schema version ${version}, of an older version of Entrepot: start the mirror once with this version, which brings it up to date.`,
    )
  }
}

/** @param end closes the database; told whether no damage was met */
function catalogOf(sql: Sql, now: () => number, end: (isSound: boolean) => void): SqliteCatalog {
  const guard = createGuard()
  const repositoryId = createRepositoryIds(sql)
  const readable = sql.prepare('SELECT id FROM repository LIMIT 1')
  return {
    tags: createTags(sql, repositoryId, guard, now),
    contents: createContents(sql, repositoryId, guard, now),
    blobs: createBlobs(sql, guard),
    facts: () => listFacts(sql, guard),
    ...guard.asynchronous<Pick<Catalog, 'ping' | 'close'>>({
      ping: () => void readable.get(),
      // Damage that was met while it ran is looked into at the next start.
      close: () => end(!guard.sawDamage()),
    }),
  }
}

function openChecked(file: string): Sql {
  let sql: Sql | undefined
  try {
    refuseCutOff(file, CATALOG)
    sql = new Database(file, { timeout: BUSY_TIMEOUT })
    prepare(sql)
    return sql
  } catch (error) {
    sql?.close()
    throw isSqliteError(error) ? sqliteFailure(error) : error
  }
}

function prepare(sql: Sql): void {
  sql.pragma('journal_mode = WAL')
  // A power cut may lose the newest rows, never the file: what is lost is fetched or found again.
  sql.pragma('synchronous = NORMAL')
  sql.pragma('foreign_keys = ON')
  // No folder but that of the data needs to be writable.
  sql.pragma('temp_store = MEMORY')
  const version = schemaVersion(sql)
  refuseNewer(version, MIGRATIONS.length, CATALOG)
  // Takes a while on a large file, so not at every start.
  const isClean = wasClosedCleanly(sql, version)
  if (!isClean) refuseDamaged(sql, CATALOG)
  migrate(sql, MIGRATIONS)
  if (isClean) markAsOpen(sql)
}

/** The mark came with version 2. */
function wasClosedCleanly(sql: Sql, version: number): boolean {
  return version >= 2 && sql.prepare('SELECT clean FROM last_close').pluck().get() === 1
}

/** In the file itself, so that the mark is there even if the log is lost. */
function markAsOpen(sql: Sql): void {
  sql.exec('UPDATE last_close SET clean = 0')
  sql.pragma('wal_checkpoint(TRUNCATE)')
}

/** A second call does nothing. */
function close(sql: Sql, clean: boolean): void {
  try {
    if (clean) sql.exec('UPDATE last_close SET clean = 1')
  } catch {
    // Closed already, or on a disk that is full: then the next start takes the time for a check.
  } finally {
    sql.close()
  }
}
