/** What lies in the store of a mirror, by its file names. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Digests of all blobs and manifests that are stored, sorted. */
export async function storedBlobs({ dataDir }: { dataDir: string }): Promise<string[]> {
  const folder = join(dataDir, 'blobs-v1')
  const entries = await readdir(folder, { recursive: true })
  return entries
    .map((entry) => entry.split('/'))
    .filter((parts) => parts.length === 3)
    .map(([algorithm = '', , hex = '']) => `${algorithm}:${hex}`)
    .toSorted()
}
