/** A folder for one catalog and what lies beside it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFilesBelow } from '../support/leaks.ts'

export interface Folder extends AsyncDisposable {
  readonly path: string
  /** Of the catalog. */
  readonly file: string
  readonly journal: string
}

/** The disposal fails when something was left open. */
export async function makeFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'entrepot-catalog-'))
  return {
    path,
    file: join(path, 'catalog.sqlite'),
    journal: join(path, 'journal.jsonl'),
    async [Symbol.asyncDispose]() {
      const leaked = await openFilesBelow(path)
      await rm(path, { recursive: true })
      if (leaked.length > 0) throw new Error(`Left open: ${leaked.join(', ')}`)
    },
  }
}
