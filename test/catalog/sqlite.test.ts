import { stat, writeFile } from 'node:fs/promises'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { createJournal } from '../../src/catalog/journal.ts'
import { journaled } from '../../src/catalog/journaled.ts'
import { MIGRATIONS } from '../../src/catalog/schema.ts'
import { openSqliteCatalog, readSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { testCatalog } from '../contract/catalog.ts'
import {
  app,
  named,
  type CatalogUnderTest,
  descriptor,
  manifest,
  v1,
} from '../contract/catalog-records.ts'
import type { Catalog } from '../../src/catalog/catalog.ts'
import { openFilesBelow } from '../support/leaks.ts'
import { makeFolder, type Folder } from './folder.ts'

describe('the SQLite catalog', () => {
  testCatalog(() => open(({ file }) => openSqliteCatalog(file)))
})

describe('the journaled catalog', () => {
  testCatalog(() =>
    open(({ file, journal }) =>
      journaled(openSqliteCatalog(file), createJournal(journal, rethrow)),
    ),
  )
})

async function open(openIn: (folder: Folder) => Catalog): Promise<CatalogUnderTest> {
  const folder = await makeFolder()
  let catalog = openIn(folder)
  return {
    catalog,
    async reopen() {
      await catalog.close()
      catalog = openIn(folder)
      return catalog
    },
    async [Symbol.asyncDispose]() {
      await catalog.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

function rethrow(error: Error): never {
  throw error
}

describe('the SQLite file', () => {
  it('says which version its schema has', async () => {
    await using folder = await makeFolder()
    await openSqliteCatalog(folder.file).close()

    expect(pragma(folder.file, 'user_version')).toBe(3)
    expect(pragma(folder.file, 'journal_mode')).toBe('wal')
  })

  it('of a newer version is refused, which is no damage, and left as it is', async () => {
    await using folder = await makeFolder()
    await openSqliteCatalog(folder.file).close()
    pragma(folder.file, 'user_version = 1000')

    expect(() => openSqliteCatalog(folder.file)).toThrow(
      expect.objectContaining({
        name: 'Error',
        message: expect.stringContaining('schema version 1000'),
      }),
    )
    expect(pragma(folder.file, 'user_version')).toBe(1000)
  })

  it('of version 1 keeps what is in it, and learns what is a referrer', async () => {
    await using folder = await makeFolder()
    writeVersion1(folder.file)

    const catalog = openSqliteCatalog(folder.file)
    const { contents, tags } = catalog
    expect(await tags.find(app, v1)).toEqual({ digest: named('image'), checkedAt: 7 })
    expect(await contents.holders(named('image'))).toEqual([app])
    const closure = await contents.closure(named('image'))
    expect(closure.toSorted()).toEqual([named('image'), named('layer')].toSorted())
    expect(await tags.leadingTo(app, named('signature'))).toEqual([v1])
    await catalog.close()
    expect(pragma(folder.file, 'user_version')).toBe(3)
  })

  it('of version 2 keeps what is in it, as seen long ago', async () => {
    await using folder = await makeFolder()
    writeVersion2(folder.file)

    const catalog = openSqliteCatalog(folder.file, { now: () => 1000 })
    const { contents, tags } = catalog
    expect(await tags.find(app, v1)).toEqual({ digest: named('image'), checkedAt: 7 })
    expect(await tags.meanings(app, v1)).toEqual([named('image'), named('before')])
    expect(await contents.firstSeen(app, named('image'))).toBe(0)
    expect(await contents.firstSeen(app, named('layer'))).toBe(0)
    expect(await contents.firstSeen(app, named('claimed'))).toBeUndefined()

    await contents.prove(app, ['image', 'claimed', 'new'].map(named))
    expect(await contents.firstSeen(app, named('image'))).toBe(0)
    expect(await contents.firstSeen(app, named('claimed'))).toBe(1000)
    expect(await contents.firstSeen(app, named('new'))).toBe(1000)
    await tags.lead(app, v1, named('announced'))
    expect(await tags.meanings(app, v1)).toEqual(['announced', 'image', 'before'].map(named))
    await catalog.close()
    expect(pragma(folder.file, 'user_version')).toBe(3)
  })

  it('can be looked into beside the mirror that has it open', async () => {
    await using folder = await makeFolder()
    const catalog = openSqliteCatalog(folder.file, { now: () => 5 })
    await catalog.contents.prove(app, [named('one')])
    const reader = readSqliteCatalog(folder.file)

    expect(await reader.contents.firstSeen(app, named('one'))).toBe(5)
    await expect(reader.contents.prove(app, [named('two')])).rejects.toMatchObject({
      code: 'read-only',
    })
    await reader.close()
    await catalog.close()
  })

  it.each([
    ['older', 'StorageError', /version 2, of an older version .*: start the mirror once/],
    ['newer', 'Error', /version 1000/],
  ])('of an %s version is not looked into, and says why', async (age, name, message) => {
    await using folder = await makeFolder()
    writeVersion2(folder.file)
    if (age === 'newer') pragma(folder.file, 'user_version = 1000')

    expect(() => readSqliteCatalog(folder.file)).toThrow(
      expect.objectContaining({ name, message: expect.stringMatching(message) as string }),
    )
    expect(pragma(folder.file, 'user_version')).toBe(age === 'newer' ? 1000 : 2)
  })

  it('is one file after it was closed', async () => {
    await using folder = await makeFolder()
    const catalog = openSqliteCatalog(folder.file)
    await catalog.contents.putManifest(app, {
      ...manifest('signature'),
      subject: descriptor('image'),
    })
    await catalog.close()
    await catalog.close()

    for (const end of ['-wal', '-shm']) {
      await expect(stat(folder.file + end)).rejects.toThrow(/ENOENT/)
    }
  })
})

describe('a SQLite catalog that cannot be written', () => {
  it('says that another program holds it, soon, and goes on after that', async () => {
    await using folder = await makeFolder()
    const catalog = openSqliteCatalog(folder.file)
    const intruder = new Database(folder.file)
    intruder.exec('BEGIN IMMEDIATE')

    await expect(catalog.contents.prove(app, [named('one')])).rejects.toMatchObject({
      name: 'StorageError',
      code: 'exhausted',
    })
    expect(await catalog.contents.isProven(app, named('one'))).toBe(false)

    intruder.close()
    await catalog.contents.prove(app, [named('one')])
    expect(await catalog.contents.isProven(app, named('one'))).toBe(true)
    await catalog.close()
  })

  it('keeps nothing of what failed halfway, and forgets the repository again', async () => {
    await using folder = await makeFolder()
    const catalog = openSqliteCatalog(folder.file)
    const intruder = new Database(folder.file)
    intruder.exec(`CREATE TRIGGER fault BEFORE INSERT ON link WHEN new.digest = '${named('two')}'
      BEGIN SELECT RAISE(ABORT, 'planted'); END`)

    const proving = catalog.contents.prove(app, [named('one'), named('two')])
    await expect(proving).rejects.toMatchObject({ name: 'StorageError', code: 'broken' })
    expect(await catalog.contents.isProven(app, named('one'))).toBe(false)

    intruder.exec('DROP TRIGGER fault')
    intruder.close()
    await catalog.contents.prove(app, [named('one'), named('two')])
    expect(await catalog.contents.isProven(app, named('two'))).toBe(true)
    await catalog.close()
  })

  it('is closed although the mark of a clean end cannot be written', async () => {
    await using folder = await makeFolder()
    const catalog = openSqliteCatalog(folder.file)
    const intruder = new Database(folder.file)
    intruder.exec('BEGIN IMMEDIATE')

    await catalog.close()

    intruder.close()
    expect(await openFilesBelow(folder.path)).toEqual([])
  })

  it('says so when its folder is no folder', async () => {
    await using folder = await makeFolder()
    await writeFile(folder.file, 'a file')

    expect(() => openSqliteCatalog(folder.path)).toThrow(
      expect.objectContaining({ name: 'StorageError', code: 'read-only' }),
    )
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

/** An image under a tag that meant another one before, as the second version wrote it. */
function writeVersion2(file: string): void {
  const sql = new Database(file)
  const [image, layer, before, claimed] = ['image', 'layer', 'before', 'claimed'].map(named)
  try {
    sql.pragma('journal_mode = WAL')
    sql.exec(`${MIGRATIONS[0]} ${MIGRATIONS[1]}
      INSERT INTO repository VALUES (1, '${app.upstream}', '${app.repository}');
      INSERT INTO tag VALUES (1, '${v1}', '${image}', 7);
      INSERT INTO tagged VALUES (1, '${image}', '${v1}'), (1, '${before}', '${v1}');
      INSERT INTO link VALUES (1, '${image}', 1), (1, '${layer}', 0), (1, '${claimed}', 0);
      INSERT INTO manifest VALUES ('${image}', 'a', 1, NULL);
      INSERT INTO child VALUES ('${layer}', '${image}', 1, 0);
      PRAGMA user_version = 2;`)
  } finally {
    sql.close()
  }
}

/** A signed image under a tag, as the first version wrote it. */
function writeVersion1(file: string): void {
  const sql = new Database(file)
  const [image, layer, signature] = [named('image'), named('layer'), named('signature')]
  try {
    sql.pragma('journal_mode = WAL')
    sql.exec(`${MIGRATIONS[0]}
      INSERT INTO repository VALUES (1, '${app.upstream}', '${app.repository}');
      INSERT INTO tag VALUES (1, '${v1}', '${image}', 7);
      INSERT INTO tagged VALUES (1, '${image}', '${v1}');
      INSERT INTO link VALUES (1, '${image}', 1), (1, '${layer}', 0), (1, '${signature}', 1);
      INSERT INTO manifest VALUES ('${image}', 'a', 1, NULL), ('${signature}', 'a', 1, '${image}');
      INSERT INTO child VALUES ('${layer}', '${image}', 1), ('${signature}', '${image}', 1);
      PRAGMA user_version = 1;`)
  } finally {
    sql.close()
  }
}
