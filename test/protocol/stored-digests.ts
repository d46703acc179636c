import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** What lies in the store of a mirror, by the names of its files. */
export async function storedDigests(dataDir: string): Promise<string[]> {
  const root = join(dataDir, 'blobs-v1')
  const files = await readdir(root, { recursive: true, withFileTypes: true })
  return files
    .filter((entry) => entry.isFile() && entry.name !== 'CACHEDIR.TAG')
    .map(({ parentPath, name }) => `${parentPath.slice(root.length + 1).split('/')[0]}:${name}`)
    .toSorted()
}
