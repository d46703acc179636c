/** A real store, catalog and spool in one folder, as the program has them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSpool, type Spool } from '../../src/cache/spool.ts'
import type { Catalog } from '../../src/catalog/catalog.ts'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { digestAlgorithm, digestHex, digestOf, type Digest } from '../../src/oci/digest.ts'
import type { BlobStore } from '../../src/store/blob-store.ts'
import { openDiskStore } from '../../src/store/disk.ts'
import { openFilesBelow } from '../support/leaks.ts'

export interface StoredContent extends AsyncDisposable {
  readonly folder: string
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly spool: Spool
  /** Stores a blob of so many bytes, last used at this moment. */
  put(name: string, size: number, usedAt: number): Promise<Digest>
  /** Where the bytes of a blob lie. */
  pathOf(digest: Digest): string
}

/**
 * The disposal fails when something was left open.
 * @param now the clock of the catalog
 */
export async function openStoredContent(now: () => number = Date.now): Promise<StoredContent> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-content-'))
  const store = await openDiskStore(folder)
  const catalog = openSqliteCatalog(join(folder, 'catalog.sqlite'), { now })
  const spool = await openSpool(join(folder, 'spool'))
  return {
    folder,
    store,
    catalog,
    spool,
    async put(name, size, usedAt) {
      const bytes = Buffer.alloc(size, name)
      const digest = digestOf(bytes)
      const file = join(folder, 'finished')
      await writeFile(file, bytes)
      await store.adopt(file, digest)
      await catalog.blobs.put({ digest, size }, usedAt)
      return digest
    },
    pathOf(digest) {
      const hex = digestHex(digest)
      return join(folder, 'blobs-v1', digestAlgorithm(digest), hex.slice(0, 2), hex)
    },
    async [Symbol.asyncDispose]() {
      await catalog.close()
      const leaked = await openFilesBelow(folder)
      await rm(folder, { recursive: true })
      if (leaked.length > 0) throw new Error(`Left open: ${leaked.join(', ')}`)
    },
  }
}
