import { chmod, chown, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { brokenLink } from '../../src/catalog/audit-chain.ts'
import type { ControlCatalog } from '../../src/catalog/control-catalog.ts'
import { openControlCatalog } from '../../src/catalog/sqlite-control.ts'
import { testControlCatalog } from '../contract/control-catalog.ts'
import {
  auditOf,
  type ControlCatalogUnderTest,
  make,
  note,
  putRule,
  refusal,
  ruleIds,
  token,
  user,
} from '../contract/control-records.ts'
import { openFilesBelow } from '../support/leaks.ts'
import { makeFolder, type Folder } from './folder.ts'

const PAGE = 4096

const isDamage = expect.objectContaining({
  name: 'StorageError',
  code: 'damaged',
  message: expect.stringMatching(/control\.sqlite\) is damaged: put a copy of it back/) as string,
})

describe('the SQLite catalog of operators', () => {
  testControlCatalog(open)
})

async function open(): Promise<ControlCatalogUnderTest & { file: string }> {
  const folder = await makeFolder()
  const file = fileIn(folder)
  const opened: ControlCatalog[] = []
  return {
    file,
    open() {
      const catalog = openControlCatalog(file)
      opened.push(catalog)
      return catalog
    },
    async [Symbol.asyncDispose]() {
      for (const catalog of opened) await catalog.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

function fileIn({ path }: Folder): string {
  return join(path, 'control.sqlite')
}

describe('the file control.sqlite', () => {
  it('is made where there is none, for its owner only, and alone when it was closed', async () => {
    await using folder = await makeFolder()
    const file = fileIn(folder)
    const catalog = openControlCatalog(file)
    await make(catalog, putRule('a'))

    for (const name of await readdir(folder.path)) {
      expect((await stat(join(folder.path, name))).mode & 0o777, `of ${name}`).toBe(0o600)
    }
    expect(await readdir(folder.path)).toHaveLength(3)
    await catalog.close()
    expect(await readdir(folder.path)).toEqual([basename(file)])
    expect(pragma(file, 'user_version')).toBe(1)
    expect(pragma(file, 'journal_mode')).toBe('wal')
  })

  it('that others could read is closed to them', async () => {
    await using folder = await makeFolder()
    const file = fileIn(folder)
    await openControlCatalog(file).close()
    await chmod(file, 0o644)

    await openControlCatalog(file).close()

    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  it('of a newer version is refused, which is no damage, and left as it is', async () => {
    await using folder = await makeFolder()
    const file = fileIn(folder)
    await openControlCatalog(file).close()
    pragma(file, 'user_version = 1000')

    expect(() => openControlCatalog(file)).toThrow(
      expect.objectContaining({
        name: 'Error',
        message: expect.stringMatching(/control\.sqlite\) has schema version 1000/) as string,
      }),
    )
    expect(pragma(file, 'user_version')).toBe(1000)
    expect(await openFilesBelow(folder.path)).toEqual([])
  })

  it.runIf(process.geteuid?.() === 0)('made by root belongs to whom the folder does', async () => {
    await using folder = await makeFolder()
    await chown(folder.path, 65_534, 65_533)
    const catalog = openControlCatalog(fileIn(folder))
    await make(catalog, putRule('a'))

    for (const name of await readdir(folder.path)) {
      expect(await stat(join(folder.path, name)), `of ${name}`).toMatchObject({
        uid: 65_534,
        gid: 65_533,
      })
    }
    await catalog.close()
  })

  it('cannot be made where there is no folder', async () => {
    await using folder = await makeFolder()

    expect(() => openControlCatalog(join(folder.path, 'missing', 'control.sqlite'))).toThrow(
      expect.objectContaining({ name: 'StorageError', code: 'broken' }),
    )
  })
})

describe('a control.sqlite that is damaged', () => {
  it('is refused when a page of it was zeroed, wherever, and left as it is', async () => {
    await using folder = await makeFolder()
    const file = fileIn(folder)
    await writeMuch(file)
    const whole = await readFile(file)
    const pages = whole.length / PAGE
    expect(pages).toBeGreaterThan(20)
    for (let page = 0; page < pages; page++) {
      const bytes = Buffer.from(whole).fill(0, page * PAGE, (page + 1) * PAGE)
      await writeFile(file, bytes)

      expect(() => openControlCatalog(file), `page ${page}`).toThrow(isDamage)
      expect((await readFile(file)).equals(bytes), `page ${page}`).toBe(true)
    }
    expect(await openFilesBelow(folder.path)).toEqual([])
  })

  it('is refused when it was truncated, wherever', async () => {
    await using folder = await makeFolder()
    const file = fileIn(folder)
    await writeMuch(file)
    const { length } = await readFile(file)
    for (const size of [length - PAGE, length / 2, PAGE, PAGE - 1, 100, 1, 0]) {
      await truncate(file, size)
      expect(() => openControlCatalog(file), `${size} bytes`).toThrow(isDamage)
    }
    expect((await stat(file)).size).toBe(0)
  })

  it.each([
    ['is a text', (file: string) => writeFile(file, 'no database '.repeat(500))],
    ['has no schema version', async (file: string) => void pragma(file, 'user_version = 0')],
    ['lacks a table', async (file: string) => run(file, 'DROP TABLE user')],
    [
      'is an empty database',
      async (file: string) => {
        await rm(file)
        run(file, 'CREATE TABLE x (y); DROP TABLE x')
      },
    ],
  ])('is refused when it %s', async (_, spoil) => {
    await using folder = await makeFolder()
    const file = fileIn(folder)
    await openControlCatalog(file).close()
    await spoil(file)

    expect(() => openControlCatalog(file)).toThrow(isDamage)
    expect(await openFilesBelow(folder.path)).toEqual([])
  })

  it('is not made anew where its log is left', async () => {
    await using folder = await makeFolder()
    const file = fileIn(folder)
    await writeFile(`${file}-wal`, 'decisions')

    expect(() => openControlCatalog(file)).toThrow(isDamage)
    expect(await readdir(folder.path)).toEqual(['control.sqlite-wal'])
  })

  it.each([
    `UPDATE user SET grants = 'everything'`,
    `UPDATE user SET grants = '{}'`,
    `UPDATE user SET grants = '[null]'`,
    `UPDATE user SET grants = '[{"role":"root","pattern":"**"}]'`,
    `UPDATE api_token SET grants = '[{"role":"admin"}]'`,
    `UPDATE rule SET effect = 'maybe'`,
    `INSERT INTO approval VALUES ('docker.io', 'library/app', 'sha256:short', 'a', NULL, 1)`,
    `INSERT INTO approval VALUES ('docker.io', '../app', 'sha256:${'a'.repeat(64)}', 'a', NULL, 1)`,
    `INSERT INTO frozen_tag VALUES ('docker.io', 'a', '-', 'sha256:${'a'.repeat(64)}', 'a', NULL, 1)`,
  ])('decides nothing where a row cannot be: %s', async (statement) => {
    await using under = await open()
    const catalog = under.open()
    await make(
      catalog,
      putRule('a'),
      { kind: 'put-user', user: user('alice') },
      { kind: 'put-token', token: token('t') },
    )
    run(under.file, `${statement}; UPDATE revision SET number = number + 1`)

    await expect(catalog.state()).rejects.toThrow(isDamage)
    await expect(make(catalog, putRule('b'))).rejects.toThrow(isDamage)
  })

  it.each([
    [`UPDATE request SET state = 'lost'`, (catalog: ControlCatalog) => catalog.requests({})],
    [`UPDATE audit SET before = '{'`, (catalog: ControlCatalog) => auditOf(catalog)],
    [`UPDATE secret SET value = x'00'`, (catalog: ControlCatalog) => catalog.secret('bearer')],
  ])('says so where it is read: %s', async (statement, read) => {
    await using under = await open()
    const catalog = under.open()
    await catalog.noteRefusals([refusal('r')])
    await catalog.appendAudit([note('a')])
    await catalog.secret('bearer')
    run(under.file, statement)

    await expect(read(catalog)).rejects.toThrow(isDamage)
  })
})

describe('an audit that somebody has changed', () => {
  it.each<[string, number]>([
    [`UPDATE audit SET subject = 'innocent' WHERE sequence = 3`, 3],
    [`UPDATE audit SET at = at + 1 WHERE sequence = 1`, 1],
    [`UPDATE audit SET actor = 'user:mallory' WHERE sequence = 2`, 2],
    [`UPDATE audit SET before = '{}' WHERE sequence = 5`, 5],
    [`UPDATE audit SET hash = previous_hash WHERE sequence = 4`, 4],
    [`DELETE FROM audit WHERE sequence = 3`, 4],
    [`DELETE FROM audit WHERE sequence = 1`, 2],
    [`UPDATE audit SET sequence = sequence + 1 WHERE sequence = 5`, 6],
    [`UPDATE audit SET previous_hash = hex(zeroblob(32)) WHERE sequence = 2`, 2],
  ])('is found: %s', async (statement, sequence) => {
    await using under = await open()
    const catalog = under.open()
    await catalog.appendAudit(['a', 'b', 'c', 'd', 'e'].map((subject) => note(subject)))
    expect(brokenLink(await auditOf(catalog))).toBeUndefined()

    run(under.file, statement)

    expect(brokenLink(await auditOf(catalog))).toBe(sequence)
  })
})

describe('while another process writes', () => {
  it('a change waits for it, and reading does not', async () => {
    await using under = await open()
    const catalog = under.open()
    await make(catalog, putRule('a'))
    const version = catalog.version()
    const intruder = new Database(under.file)
    intruder.exec('BEGIN IMMEDIATE; UPDATE revision SET number = number + 1')

    const changing = make(catalog, putRule('b'))
    expect(catalog.version()).toBe(version)
    expect(await ruleIds(catalog)).toEqual(['a'])
    intruder.exec('COMMIT')
    intruder.close()

    await changing
    expect(await ruleIds(catalog)).toEqual(['a', 'b'])
    expect(catalog.version()).toBe(version + 2)
  })

  it('a change gives up in the end, and the next one goes on', async () => {
    await using under = await open()
    const catalog = under.open()
    const intruder = new Database(under.file)
    intruder.exec('BEGIN IMMEDIATE')
    const busy = { name: 'StorageError', code: 'exhausted' }

    const calls = [
      make(catalog, putRule('a')),
      catalog.noteRefusals([refusal('r')]),
      catalog.appendAudit([note('a')]),
    ]
    for (const call of calls) await expect(call).rejects.toMatchObject(busy)

    intruder.close()
    await make(catalog, putRule('b'))
    expect(await ruleIds(catalog)).toEqual(['b'])
  })
})

async function writeMuch(file: string): Promise<void> {
  const catalog = openControlCatalog(file)
  const many = Array.from({ length: 300 }, (_, index) => index)
  await make(
    catalog,
    ...many.map((index) => putRule(`rule${index}`)),
    ...many.map((index) => ({ kind: 'put-user', user: user(`user${index}`) }) as const),
  )
  await catalog.noteRefusals(many.map((index) => refusal(`r-${index}`, { user: `user${index}` })))
  await catalog.appendAudit(many.map((index) => note(`rule${index}`)))
  await catalog.close()
}

function pragma(file: string, text: string): unknown {
  const sql = new Database(file)
  try {
    return sql.pragma(text, { simple: true })
  } finally {
    sql.close()
  }
}

function run(file: string, statements: string): void {
  const sql = new Database(file)
  try {
    sql.exec(statements)
  } finally {
    sql.close()
  }
}
