import { readdir, readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { createJournal } from '../../src/catalog/journal.ts'
import { journaled } from '../../src/catalog/journaled.ts'
import { rebuildCatalog } from '../../src/catalog/rebuild.ts'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { StorageError } from '../../src/storage-error.ts'
import { app, manifest, named, v1 } from '../contract/catalog-records.ts'
import { makeFolder, type Folder } from './folder.ts'
import { loading } from './recording.ts'

const IMAGE = manifest('image', ['layer'])

describe('a catalog that is rebuilt', () => {
  it('knows what the journal says, and the damaged one lies beside it', async () => {
    await using folder = await makeFolder()
    await fill(folder)
    await writeFile(folder.file, 'no database '.repeat(500))
    await writeFile(`${folder.file}-wal`, 'nor its log')

    expect(await rebuild(folder)).toEqual({ applied: 2, missing: 0, unusable: 0 })

    expect(await known(folder)).toEqual([7, v1])
    const names = await readdir(folder.path)
    const aside = names.filter((name) => name.includes('.damaged-')).toSorted()
    expect(aside).toHaveLength(2)
    expect(await readFile(`${folder.path}/${aside[0]}`, 'utf8')).toMatch(/^no database/)
    expect(names.filter((name) => name.includes('.new'))).toEqual([])
  })

  it('takes the place of one that is missing, whatever an attempt before has left', async () => {
    await using folder = await makeFolder()
    await fill(folder)
    await writeFile(`${folder.file}.new`, 'half of one')
    await writeFile(`${folder.file}.new-wal`, 'half of one')
    await writeFile(`${folder.file}-wal`, 'of the one that is missing')

    await rebuild(folder)

    expect(await known(folder)).toEqual([7, v1])
  })

  it('is empty where there is no journal', async () => {
    await using folder = await makeFolder()

    expect(await rebuild(folder)).toEqual({ applied: 0, missing: 0, unusable: 0 })

    await openSqliteCatalog(folder.file).close()
  })

  it('leaves the old one in its place when it fails', async () => {
    await using folder = await makeFolder()
    await fill(folder)
    await writeFile(folder.file, 'the old one')

    const failing = rebuildCatalog({
      file: folder.file,
      journal: folder.journal,
      loadManifest: () => Promise.reject(new StorageError('broken', 'planted')),
    })
    await expect(failing).rejects.toThrow('planted')

    expect(await readFile(folder.file, 'utf8')).toBe('the old one')
  })
})

/** An image under a tag, written to the journal; the catalog itself is lost. */
async function fill({ file, journal }: Folder): Promise<void> {
  const catalog = journaled(
    openSqliteCatalog(`${file}.lost`),
    createJournal(journal, (error) => {
      throw error
    }),
  )
  await catalog.contents.putManifest(app, IMAGE)
  await catalog.tags.put(app, v1, { digest: IMAGE.digest, checkedAt: 7 })
  await catalog.close()
}

function rebuild({ file, journal }: Folder): ReturnType<typeof rebuildCatalog> {
  return rebuildCatalog({ file, journal, loadManifest: loading([IMAGE]) })
}

/** When the tag was checked last, and which tags lead to the layer. */
async function known({ file }: Folder): Promise<unknown[]> {
  const catalog = openSqliteCatalog(file)
  const record = await catalog.tags.find(app, v1)
  const tags = await catalog.tags.leadingTo(app, named('layer'))
  await catalog.close()
  return [record?.checkedAt, ...tags]
}
