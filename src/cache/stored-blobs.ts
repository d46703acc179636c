/** Blobs that are in the store: proven by their first reader, and kept there while they are read. */
import type { ByteSource } from '../byte-source.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobStore } from '../store/blob-store.ts'
import type { StorageTrouble } from './failure.ts'
import type { InUse } from './in-use.ts'
import { verifySource, type VerifiedMemory } from './verified-source.ts'

/** What is missing, damaged or cannot be read is `undefined`: upstream can be asked for it again. */
export interface StoredBlobs {
  /** Bytes. */
  size(digest: Digest): Promise<number | undefined>
  /** To be closed by the caller. */
  open(digest: Digest): Promise<ByteSource | undefined>
}

interface Dependencies {
  readonly catalog: Catalog
  readonly store: BlobStore
  readonly inUse: InUse
  readonly verified: VerifiedMemory
  readonly trouble: StorageTrouble
  /** Told of a blob that is not what was stored, to take it out of service and mend it. */
  readonly damaged: (digest: Digest) => void
}

export function createStoredBlobs(dependencies: Dependencies): StoredBlobs {
  const { catalog, store, inUse, verified, trouble, damaged } = dependencies

  async function open(digest: Digest): Promise<ByteSource | undefined> {
    const letGo = inUse.hold(digest)
    const source = await openSound(digest).catch((error: unknown) => {
      letGo()
      throw error
    })
    if (source === undefined) letGo()
    return source && closing(source, letGo)
  }

  async function openSound(digest: Digest): Promise<ByteSource | undefined> {
    const source = await trouble.survive(store.open(digest))
    if (source === undefined) return undefined
    if (await hasRightSize(digest, source.size)) return proven(source, digest)
    await source.close()
    damaged(digest)
    return undefined
  }

  /** A file that has another size than it had was changed behind our back. */
  async function hasRightSize(digest: Digest, size: number): Promise<boolean> {
    const known = await trouble.survive(catalog.blobs.size(digest))
    return known === undefined || known === size
  }

  function proven(source: ByteSource, digest: Digest): ByteSource {
    if (verified.has(digest)) return source
    const onDamaged = (): void => damaged(digest)
    return verifySource(source, digest, onDamaged, () => verified.add(digest))
  }

  return {
    open,
    async size(digest) {
      const size = await trouble.survive(store.size(digest))
      return size !== undefined && (await hasRightSize(digest, size)) ? size : undefined
    },
  }
}

function closing(source: ByteSource, whenClosed: () => void): ByteSource {
  return {
    size: source.size,
    file: source.file,
    read: (buffer, position, signal) => source.read(buffer, position, signal),
    async close() {
      whenClosed()
      await source.close()
    },
  }
}
