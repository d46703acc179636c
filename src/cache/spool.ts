/** Files in the making: `<data>/spool/<hex of the digest>.<id>`, on the filesystem of the store. */
import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { digestHex, type Digest } from '../oci/digest.ts'

export interface SpoolFile {
  readonly path: string
  readonly handle: FileHandle
}

export interface Spool {
  /** Opened for reading and writing; nobody else has this file. */
  create(digest: Digest): Promise<SpoolFile>
  /** The file may have been adopted by the store already. */
  remove(path: string): Promise<void>
}

/** Removes what an earlier process left behind. */
export async function openSpool(folder: string): Promise<Spool> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const leftover of await readdir(folder)) await rm(join(folder, leftover), { force: true })
  return {
    async create(digest) {
      const path = join(folder, `${digestHex(digest)}.${randomUUID()}`)
      return { path, handle: await open(path, 'wx+', 0o600) }
    },
    remove: (path) => rm(path, { force: true }),
  }
}
