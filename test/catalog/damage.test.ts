import { copyFile, mkdir, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { setAsideCatalog } from '../../src/catalog/set-aside.ts'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { parseTag } from '../../src/oci/reference.ts'
import { app, listed, named, stored, v1 } from '../contract/catalog-records.ts'
import { makeFolder, type Folder } from './folder.ts'

const PAGE = 4096

describe('a catalog that was not closed', () => {
  it('is opened as it was left', async () => {
    await using folder = await makeFolder()
    await leaveOpen(folder)

    const catalog = openSqliteCatalog(folder.file)
    expect(await catalog.tags.find(app, v1)).toBeDefined()
    await catalog.close()
  })

  it('is opened without its log, as far as it was written back', async () => {
    await using folder = await makeFolder()
    await leaveOpen(folder)
    await rm(`${folder.file}-wal`)
    await rm(`${folder.file}-shm`)

    const catalog = openSqliteCatalog(folder.file)
    expect(await listed(catalog)).toEqual([])
    await catalog.tags.put(app, v1, { digest: named('image'), checkedAt: 1 })
    await catalog.close()
  })

  it('is damaged when a page of it was zeroed, wherever', async () => {
    await using folder = await makeFolder()
    await writeMuch(folder)
    await leaveOpen(folder)
    const whole = await readFile(folder.file)
    const pages = whole.length / PAGE
    expect(pages).toBeGreaterThan(20)
    for (let page = 0; page < pages; page++) {
      // Kept aside, since opening may write.
      await rm(`${folder.file}-wal`, { force: true })
      await rm(`${folder.file}-shm`, { force: true })
      const bytes = Buffer.from(whole)
      await writeFile(folder.file, bytes.fill(0, page * PAGE, (page + 1) * PAGE))

      expect(() => openSqliteCatalog(folder.file), `page ${page}`).toThrow(isDamage)
    }
  })

  it('is damaged when it was truncated, wherever', async () => {
    await using folder = await makeFolder()
    await writeMuch(folder)
    await leaveOpen(folder)
    const { length } = await readFile(folder.file)
    for (const size of [length - PAGE, length / 2, PAGE, PAGE - 1, 100, 1, 0]) {
      await rm(`${folder.file}-wal`, { force: true })
      await rm(`${folder.file}-shm`, { force: true })
      await truncate(folder.file, size)

      expect(() => openSqliteCatalog(folder.file), `${size} bytes`).toThrow(isDamage)
    }
  })
})

describe('a catalog that was closed', () => {
  it('is not checked again, and says damage when it is met; then it is checked', async () => {
    await using folder = await makeFolder()
    await writeMuch(folder)
    const { length } = await readFile(folder.file)
    const handle = await open(folder.file, 'r+')
    // The schema stays readable: without it nothing can be opened.
    await handle.write(Buffer.alloc(length / 2), 0, length / 2, length / 2)
    await handle.close()

    const catalog = openSqliteCatalog(folder.file)
    await expect(listed(catalog)).rejects.toMatchObject({ name: 'StorageError', code: 'damaged' })
    await catalog.close()

    expect(() => openSqliteCatalog(folder.file)).toThrow(isDamage)
  })

  it('is damaged when it is no database any more', async () => {
    await using folder = await makeFolder()
    await writeFile(folder.file, 'this is a text file, and not a short one: '.repeat(100))

    expect(() => openSqliteCatalog(folder.file)).toThrow(isDamage)
    expect(await readFile(folder.file, 'utf8')).toMatch(/^this is a text file/)
  })

  it('is damaged when it is another database', async () => {
    await using folder = await makeFolder()
    await openSqliteCatalog(folder.file).close()
    const handle = await open(folder.file, 'r+')
    // What `PRAGMA user_version` reads: as if nothing had been migrated, and yet there are tables.
    await handle.write(Buffer.from([0, 0, 0, 0]), 0, 4, 60)
    await handle.close()

    expect(() => openSqliteCatalog(folder.file)).toThrow(
      expect.objectContaining({ name: 'StorageError' }),
    )
  })
})

describe('a damaged catalog that is set aside', () => {
  it('keeps its name with the time, and all that belongs to it', async () => {
    await using folder = await makeFolder()
    for (const end of ['', '-wal', '-shm']) await writeFile(folder.file + end, `bytes${end}`)

    const aside = await setAsideCatalog(folder.file, new Date('2026-01-02T03:04:05.678Z'))

    expect(basename(aside)).toBe('catalog.sqlite.damaged-2026-01-02T030405.678Z')
    expect((await readdir(folder.path)).toSorted()).toEqual(
      ['', '-shm', '-wal'].map((end) => basename(aside) + end),
    )
    for (const end of ['', '-wal', '-shm']) {
      expect(await readFile(aside + end, 'utf8')).toBe(`bytes${end}`)
    }
  })

  it('pushes out all but the newest before it, and nothing else', async () => {
    await using folder = await makeFolder()
    await writeFile(join(folder.path, 'catalog.sqlite.old'), 'of the operator')
    const sets: string[] = []
    for (let second = 0; second < 4; second++) {
      await writeFile(folder.file, 'damaged')
      await writeFile(`${folder.file}-wal`, 'damaged')
      sets.push(basename(await setAsideCatalog(folder.file, new Date(second * 1000))))
    }

    const kept = sets.slice(-2).flatMap((name) => [name, `${name}-wal`])
    expect((await readdir(folder.path)).toSorted()).toEqual(
      [...kept, 'catalog.sqlite.old'].toSorted(),
    )
  })

  it('may be gone altogether', async () => {
    await using folder = await makeFolder()

    await setAsideCatalog(folder.file)

    expect(await readdir(folder.path)).toEqual([])
  })

  it('says so when it cannot be moved', async () => {
    await using folder = await makeFolder()

    await expect(
      setAsideCatalog(join(folder.path, 'missing', 'catalog.sqlite')),
    ).rejects.toMatchObject({ name: 'StorageError' })
  })
})

const isDamage = expect.objectContaining({ name: 'StorageError', code: 'damaged' })

/** As a crash leaves it: a copy of the files of a catalog that is in use. */
async function leaveOpen(folder: Folder): Promise<void> {
  const copy = join(folder.path, 'copy')
  await mkdir(copy)
  const catalog = openSqliteCatalog(folder.file)
  await catalog.tags.put(app, v1, { digest: named('image'), checkedAt: 1 })
  const names = (await readdir(folder.path)).filter((name) => name.startsWith('catalog.sqlite'))
  for (const name of names) await copyFile(join(folder.path, name), join(copy, name))
  await catalog.close()
  for (const name of names) await copyFile(join(copy, name), join(folder.path, name))
  await rm(copy, { recursive: true })
}

async function writeMuch({ file }: Folder): Promise<void> {
  const catalog = openSqliteCatalog(file)
  for (let number = 0; number < 150; number++) {
    await stored(catalog, app, `image ${number}`, [`layer ${number}`, 'base'])
    const digest = named(`image ${number}`)
    await catalog.tags.put(app, parseTag(`t${number}`), { digest, checkedAt: 1 })
    await catalog.blobs.put({ digest, size: 500 }, number)
  }
  await catalog.close()
}
