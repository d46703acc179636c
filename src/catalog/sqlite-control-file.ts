/** Opens `control.sqlite`: made whole or not at all, looked through each time, for nobody else to read. */
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { storageFailure } from '../storage-error.ts'
import { CONTROL_MIGRATIONS } from './control-schema.ts'
import { damage, isSqliteError, sqliteFailure, type DatabaseName } from './sqlite-failure.ts'
import { migrate, refuseCutOff, refuseDamaged, refuseNewer, schemaVersion } from './sqlite-file.ts'

type Sql = Database.Database

export const CONTROL: DatabaseName = {
  name: 'database of operators (control.sqlite)',
  remedy:
    'put a copy of it back; nothing of it can be found again, so it is never made anew by itself',
}

/** Milliseconds to wait for another process while opening. */
const OPEN_TIMEOUT = 2000
/** Milliseconds to wait for another process after that, as nothing else happens meanwhile. */
const BUSY_TIMEOUT = 20

/** Owner only: password hashes, and the key that tokens are signed with. */
const MODE = 0o600

export interface ControlFile {
  readonly sql: Sql
  /** A second connection, which never waits: it sees that there were commits, also those of the first. */
  readonly watch: Sql
  /** A second call does nothing. */
  readonly close: () => void
}

/**
 * A missing file is made; one that is damaged is left as it is.
 * @throws {StorageError} `damaged` when it does not pass a check, or is gone while its log is there
 * @throws {Error} when the file was written by a newer version, which is no damage
 */
export function openControlFile(file: string): ControlFile {
  const opened: Sql[] = []
  const close = (): void => opened.toReversed().forEach((sql) => sql.close())
  try {
    if (!existsSync(file)) create(file)
    refuseCutOff(file, CONTROL)
    chmodSync(file, MODE)
    const sql = new Database(file, { timeout: OPEN_TIMEOUT })
    opened.push(sql)
    prepare(sql)
    const watch = new Database(file, { readonly: true, timeout: 0 })
    opened.push(watch)
    return { sql, watch, close }
  } catch (error) {
    close()
    throw translated(error)
  }
}

function prepare(sql: Sql): void {
  setUp(sql)
  const version = schemaVersion(sql)
  refuseNewer(version, CONTROL_MIGRATIONS.length, CONTROL)
  if (version === 0) throw damage('it has no schema version', CONTROL)
  // At each opening, unlike the catalog: it is small, and whatever is wrong with it decides about access.
  refuseDamaged(sql, CONTROL)
  migrate(sql, CONTROL_MIGRATIONS)
  sql.pragma(`busy_timeout = ${BUSY_TIMEOUT}`)
}

function setUp(sql: Sql): void {
  sql.pragma('journal_mode = WAL')
  // What an operator was told is done must still be done after a power cut.
  sql.pragma('synchronous = FULL')
  sql.pragma('foreign_keys = ON')
  // No folder but that of the data needs to be writable.
  sql.pragma('temp_store = MEMORY')
}

/**
 * Beside its place, and moved there when it is whole: a file in its place that is empty or has no tables
 * is therefore a damaged one. Of several processes that do this at once, the first one wins.
 */
function create(file: string): void {
  if (existsSync(`${file}-wal`))
    throw damage('it is gone, and its log control.sqlite-wal is not', CONTROL)
  const temporary = `${file}.${randomUUID()}`
  try {
    closeSync(openSync(temporary, 'wx', MODE))
    giveToOwnerOf(dirname(file), temporary)
    fill(temporary)
    moveUnlessThere(temporary, file)
    syncFolder(dirname(file))
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** A command that root runs before the first start must not lock the mirror out. */
function giveToOwnerOf(folder: string, file: string): void {
  if (process.geteuid?.() !== 0) return
  const { uid, gid } = statSync(folder)
  chownSync(file, uid, gid)
}

function fill(file: string): void {
  const sql = new Database(file)
  try {
    setUp(sql)
    migrate(sql, CONTROL_MIGRATIONS)
  } finally {
    sql.close()
  }
}

function moveUnlessThere(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    // A filesystem without hard links.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code ?? '')) throw error
    renameSync(from, to)
  }
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

function translated(error: unknown): unknown {
  if (isSqliteError(error)) return sqliteFailure(error, CONTROL)
  const isOfSystem = error instanceof Error && 'syscall' in error
  return isOfSystem ? storageFailure(error) : error
}
