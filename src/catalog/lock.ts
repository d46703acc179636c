/** One process at a time may use a data folder. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { StorageError } from '../storage-error.ts'
import { sqliteFailure } from './sqlite-failure.ts'

export interface FolderLock {
  /** A second call does nothing. */
  release(): void
}

/** Keeps locks from the garbage collector, which would let them go. */
const held = new Set<Database.Database>()

/**
 * Held until it is released or the process ends, however it ends: the operating system keeps it. The
 * file `lock.sqlite` stays, always empty.
 * @throws {StorageError} `exhausted` when another process or this one holds it already
 */
export function lockFolder(folder: string): FolderLock {
  const sql = openLock(join(folder, 'lock.sqlite'))
  try {
    sql.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    sql.close()
    throw isBusy(error) ? inUse(folder) : sqliteFailure(error)
  }
  held.add(sql)
  return {
    release() {
      held.delete(sql)
      sql.close()
    },
  }
}

/**
 * Whether a process holds the lock now. It is only looked at, and nothing is made.
 * @throws {StorageError} when that cannot be seen
 */
export function isFolderLocked(folder: string): boolean {
  const file = join(folder, 'lock.sqlite')
  if (!existsSync(file)) return false
  let sql: Database.Database | undefined
  try {
    sql = new Database(file, { readonly: true, timeout: 0 })
    // Reading waits for whoever holds it exclusively.
    sql.pragma('user_version')
    return false
  } catch (error) {
    if (isBusy(error)) return true
    throw sqliteFailure(error)
  } finally {
    sql?.close()
  }
}

function openLock(file: string): Database.Database {
  try {
    return new Database(file, { timeout: 0 })
  } catch (error) {
    throw sqliteFailure(error)
  }
}

function isBusy(error: unknown): boolean {
  return sqliteFailure(error).code === 'exhausted'
}

function inUse(folder: string): StorageError {
  return new StorageError('exhausted', `Another Entrepot is using ${folder}: stop it first.`)
}
