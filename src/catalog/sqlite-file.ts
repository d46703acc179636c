/** What every SQLite file of ours needs when it is opened. */
import { statSync } from 'node:fs'
import type { Database } from 'better-sqlite3'
import { damage, type DatabaseName } from './sqlite-failure.ts'

/** Bytes of one page, at least. https://sqlite.org/fileformat2.html */
const SMALLEST_DATABASE = 512

/**
 * SQLite would take it for a new database, and what had been known would be gone in silence.
 * @throws {StorageError} `damaged`
 */
export function refuseCutOff(file: string, database: DatabaseName): void {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? SMALLEST_DATABASE
  if (size < SMALLEST_DATABASE) throw damage(`it has ${size} bytes left`, database)
}

/** How many migrations have been applied. */
export function schemaVersion(sql: Database): number {
  return sql.pragma('user_version', { simple: true }) as number
}

/** @throws {Error} as the file is none that this version could read, yet is not damaged */
export function refuseNewer(version: number, newest: number, { name }: DatabaseName): void {
  if (version > newest) {
    throw new Error(
      `The ${name} has schema version ${version}, and this version of Entrepot knows only ${newest}. Run the newer version, or start with an empty data folder.`,
    )
  }
}

/**
 * Reads all of the file.
 * @throws {StorageError} `damaged`
 */
export function refuseDamaged(sql: Database, database: DatabaseName): void {
  const found = sql.pragma('quick_check(1)', { simple: true })
  if (found !== 'ok') throw damage(String(found), database)
}

/** Applies what is missing, all of it or nothing; of several processes, the first one does. */
export function migrate(sql: Database, migrations: readonly string[]): void {
  const apply = sql.transaction(() => {
    for (const migration of migrations.slice(schemaVersion(sql))) sql.exec(migration)
    sql.pragma(`user_version = ${migrations.length}`)
  })
  if (schemaVersion(sql) < migrations.length) apply.immediate()
}
