/** The store as it lies on the disk, looked at without the program. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'

/** Paths of all stored blobs and manifests, sorted. */
export async function storedFiles(dataDir: string): Promise<string[]> {
  const folder = join(dataDir, 'blobs-v1')
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name !== 'CACHEDIR.TAG')
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}

/** Those whose bytes are not what their names say; fakes make nothing but sha256 here. */
export async function wrongFiles(dataDir: string): Promise<string[]> {
  const wrong: string[] = []
  for (const file of await storedFiles(dataDir)) {
    const hash = createHash('sha256')
    await pipeline(createReadStream(file), hash)
    if (hash.digest('hex') !== basename(file)) wrong.push(file)
  }
  return wrong
}
