/** A real spool in a folder of its own, and a place for the files that are kept. */
import { cp, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSpool, type Spool } from '../../src/cache/spool.ts'
import { openFilesBelow } from '../support/leaks.ts'

export interface SpoolFolder extends AsyncDisposable {
  readonly spool: Spool
  /** As another process finds it. */
  reopen(): Promise<void>
  /** As it is on disk at this moment, in another place. */
  copy(): Promise<SpoolFolder>
  /** As a store adopts it: by a rename. */
  keep(path: string): Promise<void>
  /** The bytes of each file that was kept. */
  kept(): Promise<Buffer[]>
  /** Paths of what lies in the spool: each file before its journal. */
  files(): Promise<string[]>
  /** Files that lie in the spool, and descriptors that are open below the folder. */
  leftovers(): Promise<string[]>
}

export async function makeSpoolFolder(original?: string): Promise<SpoolFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-spool-'))
  if (original !== undefined) await cp(original, join(folder, 'spool'), { recursive: true })
  const spoolFolder = join(folder, 'spool')
  const files: string[] = []
  let spool = await openSpool(spoolFolder)
  return {
    get spool() {
      return spool
    },
    copy: () => makeSpoolFolder(spoolFolder),
    async reopen() {
      spool = await openSpool(spoolFolder)
    },
    async keep(path) {
      const file = join(folder, `kept-${files.length}`)
      files.push(file)
      await rename(path, file)
    },
    kept: () => Promise.all(files.map((file) => readFile(file))),
    files: async () =>
      (await readdir(spoolFolder)).toSorted().map((name) => join(spoolFolder, name)),
    leftovers: async () => [...(await readdir(spoolFolder)), ...(await openFilesBelow(folder))],
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}
