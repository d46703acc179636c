/** What the database driver throws, in the words of the rest. */
import Database from 'better-sqlite3'
import { StorageError, type StorageFailure } from '../storage-error.ts'

/** By result code without its extension. https://sqlite.org/rescode.html */
const FAILURES: Readonly<Record<string, StorageFailure>> = {
  SQLITE_FULL: 'full',
  SQLITE_BUSY: 'exhausted',
  SQLITE_LOCKED: 'exhausted',
  SQLITE_NOMEM: 'exhausted',
  SQLITE_PROTOCOL: 'exhausted',
  SQLITE_CANTOPEN: 'read-only',
  SQLITE_PERM: 'read-only',
  SQLITE_READONLY: 'read-only',
  SQLITE_CORRUPT: 'damaged',
  SQLITE_NOTADB: 'damaged',
}

/** How a database is called in messages, and what can be done when it is damaged. */
export interface DatabaseName {
  readonly name: string
  readonly remedy: string
}

export const CATALOG: DatabaseName = { name: 'catalog', remedy: 'it can be rebuilt' }

const EXPLANATIONS: Readonly<Record<StorageFailure, (database: DatabaseName) => string>> = {
  full: ({ name }) => `The disk of the ${name} is full`,
  exhausted: ({ name }) => `The ${name} is in use by another program, or there is no memory left`,
  'read-only': ({ name }) =>
    `The ${name} cannot be written: look at the owner, mode and mount of its folder`,
  damaged: ({ name, remedy }) => `The ${name} is damaged: ${remedy}`,
  broken: ({ name }) => `The ${name} failed`,
}

/** A StorageError stays what it is. */
export function sqliteFailure(error: unknown, database = CATALOG): StorageError {
  if (error instanceof StorageError) return error
  const [first, second] = codeOf(error).split('_')
  const failure = FAILURES[`${first}_${second}`] ?? 'broken'
  const said = error instanceof Error ? error.message : String(error)
  const explained = `${EXPLANATIONS[failure](database)} (${said}).`
  return new StorageError(failure, explained, { cause: error })
}

export function damage(found: string, { name, remedy }: DatabaseName): StorageError {
  return new StorageError('damaged', `The ${name} is damaged: ${remedy} (${found}).`)
}

export function isSqliteError(error: unknown): boolean {
  return error instanceof Database.SqliteError
}

/** The methods of an asynchronous interface as they are inside. */
type Synchronous<T> = {
  readonly [Name in keyof T]: T[Name] extends (...args: infer Args) => Promise<infer Result>
    ? (...args: Args) => Result
    : never
}

/** Stands between one database and those who use it. */
export interface Guard {
  /** @throws {StorageError} instead of what the driver threw */
  translated<T>(run: () => T): T
  /** The same methods; what the driver throws comes out as the StorageError of a promise. */
  asynchronous<T extends object>(methods: Synchronous<T>): T
  /** Whether any call has met damage. */
  sawDamage(): boolean
}

export function createGuard(database = CATALOG): Guard {
  let damaged = false

  function translated<T>(run: () => T): T {
    try {
      return run()
    } catch (error) {
      const failure = sqliteFailure(error, database)
      damaged ||= failure.code === 'damaged'
      throw failure
    }
  }

  return {
    translated,
    asynchronous<T extends object>(methods: Synchronous<T>): T {
      const entries = Object.entries<(...args: unknown[]) => unknown>(methods)
      return Object.fromEntries(
        entries.map(([name, run]) => [
          name,
          async (...args: unknown[]) => translated(() => run(...args)),
        ]),
      ) as T
    },
    sawDamage: () => damaged,
  }
}

function codeOf(error: unknown): string {
  return error instanceof Database.SqliteError ? error.code : ''
}
