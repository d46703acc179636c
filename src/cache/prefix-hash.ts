/** The hash of a file from its beginning, while its bytes come in any order. */
import type { Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { createDigestHash, digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts'
import { storageFailure } from '../storage-error.ts'
import type { Extents } from './extents.ts'

export interface PrefixHash {
  /** How far it has come. */
  readonly position: number
  /** Bytes that were just written to the file: spares reading them where they are next. */
  wrote(chunk: Uint8Array, position: number): void
  /**
   * Reads what was written out of order, as far as the file has no hole.
   * @throws {StorageError}
   */
  catchUp(signal: AbortSignal): Promise<void>
  /** Whether everything so far is the whole blob, and right. */
  matches(): boolean
  /** The state of this moment, to go on with elsewhere. */
  copy(): { hash: Hash; position: number }
}

/** Bytes read at a time. */
const PIECE = 1024 * 1024

export function createPrefixHash(digest: Digest, handle: FileHandle, extents: Extents): PrefixHash {
  const hash = createDigestHash(digestAlgorithm(digest))
  let position = 0
  /** Reads are under way: what is written meanwhile comes after them. */
  let catchingUp: Promise<void> | undefined

  async function readOn(signal: AbortSignal): Promise<void> {
    const buffer = Buffer.allocUnsafe(PIECE)
    for (;;) {
      signal.throwIfAborted()
      const length = Math.min(PIECE, extents.missingFrom(position) - position)
      if (length === 0) return
      const { bytesRead } = await handle.read(buffer, 0, length, position)
      if (bytesRead === 0) throw new Error('The file is shorter than what was written to it.')
      hash.update(buffer.subarray(0, bytesRead))
      position += bytesRead
    }
  }

  return {
    get position() {
      return position
    },
    wrote(chunk, at) {
      if (catchingUp !== undefined || at !== position) return
      hash.update(chunk)
      position += chunk.length
    },
    async catchUp(signal) {
      catchingUp ??= readOn(signal)
        .catch((error: unknown) => {
          signal.throwIfAborted()
          throw storageFailure(error)
        })
        .finally(() => {
          catchingUp = undefined
        })
      await catchingUp
    },
    matches: () => hash.copy().digest('hex') === digestHex(digest),
    copy: () => ({ hash: hash.copy(), position }),
  }
}
