/**
 * Blobs as files:
 *
 *   <root>/blobs-v1/sha256/ab/abcdef…   one file per blob, named by its digest; never modified
 *
 * A file appears under its final name by a rename after its bytes are on disk, so what is there is
 * whole. File names are built from parsed digests only, never from request text (CVE-2024-3727).
 */
import { constants } from 'node:fs'
import { lstat, mkdir, open, opendir, rename, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ByteSource } from '../byte-source.ts'
import { digestAlgorithm, digestHex, isDigest, type Digest } from '../oci/digest.ts'
import type { BlobStore, StoredBlob } from './blob-store.ts'

const LAYOUT = 'blobs-v1'

/** @param root folder on the same filesystem as the files that will be adopted */
export async function openDiskStore(root: string): Promise<BlobStore> {
  const base = join(root, LAYOUT)
  await mkdir(base, { recursive: true, mode: 0o700 })
  const pathOf = (digest: Digest): string => {
    const hex = digestHex(digest)
    return join(base, digestAlgorithm(digest), hex.slice(0, 2), hex)
  }

  return {
    async size(digest) {
      const found = await unlessMissing(lstat(pathOf(digest)))
      return found?.isFile() ? found.size : undefined
    },

    async open(digest) {
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW
      const handle = await unlessMissing(open(pathOf(digest), flags))
      return handle && toSource(handle)
    },

    async adopt(file, digest) {
      const path = pathOf(digest)
      const folder = dirname(path)
      const created = await mkdir(folder, { recursive: true, mode: 0o700 })
      await syncPath(file)
      await rename(file, path)
      await syncPath(folder)
      if (created !== undefined) {
        await syncPath(dirname(folder))
        await syncPath(base)
      }
    },

    async delete(digest) {
      await unlessMissing(unlink(pathOf(digest)))
    },

    list: () => listBlobs(base),
  }
}

async function toSource(handle: FileHandle): Promise<ByteSource> {
  try {
    const { size } = await handle.stat()
    return {
      size,
      read: async (buffer, position) =>
        (await handle.read(buffer, 0, buffer.length, position)).bytesRead,
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function* listBlobs(base: string): AsyncIterable<StoredBlob> {
  for (const algorithm of await entries(base)) {
    for (const prefix of await entries(join(base, algorithm))) {
      for (const hex of await entries(join(base, algorithm, prefix))) {
        const digest = `${algorithm}:${hex}`
        const found = await unlessMissing(lstat(join(base, algorithm, prefix, hex)))
        if (isDigest(digest) && found?.isFile()) yield { digest, size: found.size }
      }
    }
  }
}

async function entries(folder: string): Promise<string[]> {
  const names: string[] = []
  const opened = await unlessMissing(opendir(folder))
  if (opened) for await (const entry of opened) names.push(entry.name)
  return names
}

/** A rename or a new name is durable only once its folder is on disk too. */
async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A symbolic link (ELOOP) is no blob, wherever it leads. */
async function unlessMissing<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined
    throw error
  }
}
