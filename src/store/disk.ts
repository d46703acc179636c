/**
 * Blobs as files:
 *
 *   <root>/blobs-v1/sha256/ab/abcdef…   one file per blob, named by its digest; never modified
 *
 * A file appears under its final name by a rename after its bytes are on disk, so what is there is
 * whole. File names are built from parsed digests only, never from request text (CVE-2024-3727).
 */
import { constants } from 'node:fs'
import { lstat, mkdir, open, rename, statfs, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ByteSource } from '../byte-source.ts'
import { digestAlgorithm, digestHex, isDigest, type Digest } from '../oci/digest.ts'
import { readAt } from '../read-at.ts'
import { storageFailure } from '../storage-error.ts'
import type { BlobStore, StoredBlob } from './blob-store.ts'
import { namesIn, syncPath, translated, unlessMissing } from './file-system.ts'
import { moveToQuarantine } from './quarantine.ts'

const LAYOUT = 'blobs-v1'
const QUARANTINE = 'quarantine'

/**
 * @param root folder on the same filesystem as the files that will be adopted
 * @throws {StorageError}
 */
export async function openDiskStore(root: string): Promise<BlobStore> {
  const base = join(root, LAYOUT)
  await translated(() => mkdir(base, { recursive: true, mode: 0o700 }))
  const ensureFolder = createFolders(base)
  const pathOf = (digest: Digest): string => {
    const hex = digestHex(digest)
    return join(base, digestAlgorithm(digest), hex.slice(0, 2), hex)
  }

  async function adopt(file: string, digest: Digest): Promise<void> {
    const path = pathOf(digest)
    await ensureFolder(dirname(path))
    await syncPath(file)
    await rename(file, path)
    await syncPath(dirname(path))
  }

  return {
    size: (digest) => translated(() => sizeOf(pathOf(digest))),
    open: (digest) => translated(() => openSource(pathOf(digest))),
    adopt: (file, digest) => translated(() => adopt(file, digest)),
    delete: (digest) => translated(() => unlessMissing(unlink(pathOf(digest)))),
    quarantine: (digest) =>
      translated(() => moveToQuarantine(pathOf(digest), digest, join(root, QUARANTINE))),
    list: () => listBlobs(base),
    freeSpace: () => translated(() => freeSpaceOf(root)),
  }
}

/**
 * Makes folders that survive a power cut. One that exists may have been made by somebody who has not
 * come to sync its name yet, so only what this function has seen through itself counts.
 */
function createFolders(base: string): (folder: string) => Promise<void> {
  const durable = new Set<string>()
  return async (folder) => {
    const created = await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const made of [folder, dirname(folder), base]) {
      const isNew = created !== undefined && made.startsWith(created)
      if (durable.has(made) && !isNew) continue
      await syncPath(dirname(made))
      durable.add(made)
    }
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  const found = await unlessMissing(lstat(path))
  return found?.isFile() ? found.size : undefined
}

async function openSource(path: string): Promise<ByteSource | undefined> {
  const handle = await unlessMissing(open(path, constants.O_RDONLY | constants.O_NOFOLLOW))
  return handle && toSource(handle)
}

async function toSource(handle: FileHandle): Promise<ByteSource> {
  try {
    const { size } = await handle.stat()
    const { fd } = handle
    return {
      size,
      file: {
        descriptor: fd,
        isWhole: true,
        reach: async (position, length) => Math.max(0, Math.min(length, size - position)),
      },
      read: (buffer, position) => readAt(fd, buffer, position),
      close: () => translated(() => handle.close()),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** What vanishes while it is listed is left out. */
async function* listBlobs(base: string): AsyncIterable<StoredBlob> {
  try {
    for (const algorithm of await namesIn(base)) {
      for (const prefix of await namesIn(join(base, algorithm))) {
        for (const hex of await namesIn(join(base, algorithm, prefix))) {
          const digest = `${algorithm}:${hex}`
          const size = await sizeOf(join(base, algorithm, prefix, hex))
          if (isDigest(digest) && size !== undefined) yield { digest, size }
        }
      }
    }
  } catch (error) {
    throw storageFailure(error)
  }
}

/** What a process without privileges may still write. */
async function freeSpaceOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}
