import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { createGuard, sqliteFailure } from '../../src/catalog/sqlite-failure.ts'
import { StorageError, type StorageFailure } from '../../src/storage-error.ts'

const CODES: readonly (readonly [string, StorageFailure])[] = [
  ['SQLITE_FULL', 'full'],
  ['SQLITE_IOERR', 'broken'],
  ['SQLITE_IOERR_WRITE', 'broken'],
  ['SQLITE_IOERR_FSYNC', 'broken'],
  ['SQLITE_READONLY', 'read-only'],
  ['SQLITE_READONLY_DBMOVED', 'read-only'],
  ['SQLITE_CANTOPEN', 'read-only'],
  ['SQLITE_CANTOPEN_ISDIR', 'read-only'],
  ['SQLITE_NOMEM', 'exhausted'],
  ['SQLITE_BUSY', 'exhausted'],
  ['SQLITE_BUSY_SNAPSHOT', 'exhausted'],
  ['SQLITE_CORRUPT', 'damaged'],
  ['SQLITE_CORRUPT_INDEX', 'damaged'],
  ['SQLITE_NOTADB', 'damaged'],
  ['SQLITE_CONSTRAINT_NOTNULL', 'broken'],
]

describe('what SQLite throws', () => {
  it.each(CODES)('%s is said to be: %s', (code, failure) => {
    const cause = new Database.SqliteError('as SQLite says it', code)

    const error = sqliteFailure(cause)

    expect(error).toMatchObject({ name: 'StorageError', code: failure, cause })
    expect(error.message).toMatch(/catalog.*\(as SQLite says it\)\.$/)
  })

  it('is broken when it is no error of SQLite', () => {
    expect(sqliteFailure(new TypeError('not open'))).toMatchObject({ code: 'broken' })
    expect(sqliteFailure('text')).toMatchObject({ code: 'broken' })
  })

  it('stays what it is once it was translated', () => {
    const error = new StorageError('full', 'said before')

    expect(sqliteFailure(error)).toBe(error)
  })
})

describe('the guard', () => {
  it('makes methods asynchronous, with their arguments and results', async () => {
    const guard = createGuard()
    const methods = guard.asynchronous<{ sum(a: number, b: number): Promise<number> }>({
      sum: (a, b) => a + b,
    })

    await expect(methods.sum(1, 2)).resolves.toBe(3)
  })

  it('remembers damage, and no other failure', async () => {
    const guard = createGuard()
    const methods = guard.asynchronous<{ fail(code: string): Promise<void> }>({
      fail(code) {
        throw new Database.SqliteError('planted', code)
      },
    })

    await expect(methods.fail('SQLITE_FULL')).rejects.toMatchObject({ code: 'full' })
    expect(guard.sawDamage()).toBe(false)
    await expect(methods.fail('SQLITE_CORRUPT')).rejects.toMatchObject({ code: 'damaged' })
    expect(guard.sawDamage()).toBe(true)
  })
})
