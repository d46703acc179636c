/** The first whole read of a stored file proves it, at the cost of hashing what is sent anyway. */
import type { ByteSource, SendableFile } from '../byte-source.ts'
import { LRUCache } from '../lru.ts'
import { createDigestHash, digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts'
import { StorageError } from '../storage-error.ts'
import { HELD_BACK_BYTES } from './held-back.ts'

/**
 * Hashes what is read strictly one after the other from the beginning. The last bytes are handed out
 * only after the digest was confirmed, so that nobody can hold a complete wrong blob. Reads in any
 * other order pass as they are, and end the attempt; those may be sent from the file as well.
 * @param onDamaged called once, when the bytes are not those of the digest, or the disk cannot read them
 * @param onVerified called once, when they are right
 */
export function verifySource(
  source: ByteSource,
  digest: Digest,
  onDamaged: () => void,
  onVerified: () => void = () => undefined,
): ByteSource {
  const heldFrom = Math.max(0, source.size - HELD_BACK_BYTES)
  const hash = createDigestHash(digestAlgorithm(digest))
  /** Where the next read must begin to be one after the other. */
  let next = 0
  let state: 'hashing' | 'reading' | 'verified' | 'unverified' | 'damaged' = 'hashing'
  /** The bytes that were held back, as they were verified. */
  let end: Buffer = Buffer.alloc(0)

  async function read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number> {
    if (state === 'damaged') throw damaged()
    if (state === 'verified' && position >= heldFrom) return copyEnd(buffer, position)
    if (state === 'verified' || state === 'unverified') return readPlain(buffer, position, signal)
    if (state === 'reading' || position !== next) {
      state = 'unverified'
      return readPlain(buffer, position, signal)
    }
    return readOnward(buffer, position, signal)
  }

  async function readOnward(
    buffer: Uint8Array,
    position: number,
    signal: AbortSignal,
  ): Promise<number> {
    state = 'reading'
    if (position < heldFrom) {
      const wanted = buffer.subarray(0, Math.min(buffer.length, heldFrom - position))
      const count = await readHashed(wanted, position, signal)
      resume()
      return count
    }
    const rest = Buffer.allocUnsafe(source.size - heldFrom)
    for (let filled = 0; filled < rest.length;) {
      filled += await readHashed(rest.subarray(filled), heldFrom + filled, signal)
    }
    if (hash.digest('hex') !== digestHex(digest)) throw distrust()
    end = rest
    state = 'verified'
    onVerified()
    return copyEnd(buffer, position)
  }

  /** Another read may have come between and ended the attempt. */
  function resume(): void {
    if (state === 'reading') state = 'hashing'
  }

  async function readHashed(
    buffer: Uint8Array,
    position: number,
    signal: AbortSignal,
  ): Promise<number> {
    const count = await readPlain(buffer, position, signal)
    if (count === 0 && buffer.length > 0) throw distrust()
    hash.update(buffer.subarray(0, count))
    next = position + count
    return count
  }

  async function readPlain(
    buffer: Uint8Array,
    position: number,
    signal: AbortSignal,
  ): Promise<number> {
    try {
      return await source.read(buffer, position, signal)
    } catch (error) {
      if (error instanceof StorageError && error.code === 'broken') distrust()
      throw error
    }
  }

  function copyEnd(buffer: Uint8Array, position: number): number {
    const bytes = end.subarray(position - heldFrom, position - heldFrom + buffer.length)
    buffer.set(bytes)
    return bytes.length
  }

  function distrust(): StorageError {
    if (state !== 'damaged') onDamaged()
    state = 'damaged'
    return damaged()
  }

  /** Nothing of it while it is hashed, for which each byte has to be read. */
  function unhashed(file: SendableFile): SendableFile {
    return {
      descriptor: file.descriptor,
      async reach(position, length, signal) {
        if (state === 'hashing' && position !== next) state = 'unverified'
        return state === 'unverified' ? file.reach(position, length, signal) : 0
      },
    }
  }

  return {
    size: source.size,
    file: source.file && unhashed(source.file),
    read,
    close: () => source.close(),
  }
}

function damaged(): StorageError {
  return new StorageError(
    'damaged',
    'The stored file is not what was stored: it is taken out of service. Ask again.',
  )
}

/** What needs not be proven again so soon. */
export interface VerifiedMemory {
  has(digest: Digest): boolean
  add(digest: Digest): void
  forget(digest: Digest): void
}

/**
 * @param max digests; the longest unused are forgotten first
 * @param ttl milliseconds after which a file is to be proven again
 */
export function createVerifiedMemory({ max, ttl }: { max: number; ttl: number }): VerifiedMemory {
  const known = new LRUCache<Digest, true>({ max, ttl })
  return {
    has: (digest) => known.get(digest) === true,
    add: (digest) => void known.set(digest, true),
    forget: (digest) => void known.delete(digest),
  }
}
