/** The catalog in one SQLite file: no other service is needed. */
import { statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { StorageError } from '../storage-error.ts'
import type { Catalog } from './catalog.ts'
import { listFacts } from './facts.ts'
import type { JournalEntry } from './journal-entry.ts'
import { createRepositoryIds } from './repository-ids.ts'
import { MIGRATIONS } from './schema.ts'
import { createBlobs } from './sqlite-blobs.ts'
import { createContents } from './sqlite-contents.ts'
import { createGuard, isSqliteError, sqliteFailure } from './sqlite-failure.ts'
import { createTags } from './sqlite-tags.ts'

type Sql = Database.Database

export interface SqliteCatalog extends Catalog {
  /** Everything that the stored bytes do not say, for a journal that does not have it yet. */
  facts(): Iterable<JournalEntry>
}

/** Milliseconds to wait for another program that holds the file: nothing else happens meanwhile. */
const BUSY_TIMEOUT = 250

/** Bytes of one page, at least. https://sqlite.org/fileformat2.html */
const SMALLEST_DATABASE = 512

/**
 * @throws {StorageError} `damaged` when the file is no catalog or, after a crash, does not pass a check
 * @throws {Error} when the file was written by a newer version, which is no damage
 */
export function openSqliteCatalog(file: string): SqliteCatalog {
  const sql = openChecked(file)
  return catalogOf(sql, (isSound) => close(sql, isSound))
}

/**
 * To look into a catalog that another process may have open; what writes fails as `read-only`.
 * @throws {StorageError} when there is none
 */
export function readSqliteCatalog(file: string): Catalog {
  try {
    const sql = new Database(file, { readonly: true, timeout: BUSY_TIMEOUT })
    return catalogOf(sql, () => void sql.close())
  } catch (error) {
    throw isSqliteError(error) ? sqliteFailure(error) : error
  }
}

/** @param end closes the database; told whether no damage was met */
function catalogOf(sql: Sql, end: (isSound: boolean) => void): SqliteCatalog {
  const guard = createGuard()
  const repositoryId = createRepositoryIds(sql)
  const readable = sql.prepare('SELECT id FROM repository LIMIT 1')
  return {
    tags: createTags(sql, repositoryId, guard),
    contents: createContents(sql, repositoryId, guard),
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
    refuseCutOff(file)
    sql = new Database(file, { timeout: BUSY_TIMEOUT })
    prepare(sql)
    return sql
  } catch (error) {
    sql?.close()
    throw isSqliteError(error) ? sqliteFailure(error) : error
  }
}

/** SQLite would take it for a new database, and what had been known would be gone in silence. */
function refuseCutOff(file: string): void {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? SMALLEST_DATABASE
  if (size < SMALLEST_DATABASE) {
    throw new StorageError('damaged', `The catalog has ${size} bytes left: it can be rebuilt.`)
  }
}

function prepare(sql: Sql): void {
  sql.pragma('journal_mode = WAL')
  // A power cut may lose the newest rows, never the file: what is lost is fetched or found again.
  sql.pragma('synchronous = NORMAL')
  sql.pragma('foreign_keys = ON')
  // No folder but that of the data needs to be writable.
  sql.pragma('temp_store = MEMORY')
  const version = sql.pragma('user_version', { simple: true }) as number
  refuseNewer(version)
  const isClean = wasClosedCleanly(sql, version)
  if (!isClean) check(sql)
  migrate(sql, version)
  if (isClean) markAsOpen(sql)
}

function refuseNewer(version: number): void {
  if (version > MIGRATIONS.length) {
    throw new Error(
      `The catalog has schema version ${version}, and this version of Entrepot knows only ${MIGRATIONS.length}. Run the newer version, or start with an empty data folder.`,
    )
  }
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

/** Takes a while on a large file, so not at every start. */
function check(sql: Sql): void {
  const found = sql.pragma('quick_check(1)', { simple: true })
  if (found !== 'ok') {
    throw new StorageError(
      'damaged',
      `The catalog is damaged: it can be rebuilt (${String(found)}).`,
    )
  }
}

function migrate(sql: Sql, version: number): void {
  sql.transaction(() => {
    for (const migration of MIGRATIONS.slice(version)) sql.exec(migration)
    sql.pragma(`user_version = ${MIGRATIONS.length}`)
  })()
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
