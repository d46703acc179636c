import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { testCatalog } from '../contract/catalog.ts'
import type { CatalogUnderTest } from '../contract/catalog-records.ts'
import { openFilesBelow } from '../support/leaks.ts'

interface Folder extends AsyncDisposable {
  readonly file: string
}

/** The disposal fails when something was left open. */
async function makeFolder(): Promise<Folder> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-catalog-'))
  return {
    file: join(folder, 'catalog.sqlite'),
    async [Symbol.asyncDispose]() {
      const leaked = await openFilesBelow(folder)
      await rm(folder, { recursive: true })
      expect(leaked).toEqual([])
    },
  }
}

async function open(): Promise<CatalogUnderTest> {
  const folder = await makeFolder()
  let catalog = openSqliteCatalog(folder.file)
  return {
    catalog,
    async reopen() {
      await catalog.close()
      catalog = openSqliteCatalog(folder.file)
      return catalog
    },
    async [Symbol.asyncDispose]() {
      await catalog.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

describe('the SQLite catalog', () => {
  testCatalog(open)
})

describe('the SQLite file', () => {
  it('says which version its schema has', async () => {
    await using folder = await makeFolder()
    await openSqliteCatalog(folder.file).close()

    expect(pragma(folder.file, 'user_version')).toBe(1)
    expect(pragma(folder.file, 'journal_mode')).toBe('wal')
  })

  it('of a newer version is refused, and left as it is', async () => {
    await using folder = await makeFolder()
    await openSqliteCatalog(folder.file).close()
    pragma(folder.file, 'user_version = 1000')

    expect(() => openSqliteCatalog(folder.file)).toThrow(/schema version 1000/)
    expect(pragma(folder.file, 'user_version')).toBe(1000)
  })

  it('that is no database is refused', async () => {
    await using folder = await makeFolder()
    await writeFile(folder.file, 'this is a text file, and not a short one: '.repeat(100))

    expect(() => openSqliteCatalog(folder.file)).toThrow(/not a database/)
  })
})

function pragma(file: string, text: string): unknown {
  const sql = new Database(file)
  try {
    return sql.pragma(text, { simple: true })
  } finally {
    sql.close()
  }
}
