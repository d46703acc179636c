/** Bytes by digest. Knows no repositories, tags or users. */
import type { Digest } from '../oci/digest.ts'

/** Bytes that can be read at any position; the same for a stored file and for one that still grows. */
export interface ByteSource {
  /** Bytes in the whole. */
  readonly size: number
  /**
   * Reads into the buffer what lies at `position`, waiting where the bytes have not come yet.
   * @returns how many bytes were read; 0 only at the end
   */
  read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number>
  /** Must be called once by whoever opened it. */
  close(): Promise<void>
}

export interface StoredBlob {
  readonly digest: Digest
  readonly size: number
}

export interface BlobStore {
  /** Bytes of the blob, `undefined` when it is not here. */
  size(digest: Digest): Promise<number | undefined>
  /** `undefined` when it is not here. */
  open(digest: Digest): Promise<ByteSource | undefined>
  /**
   * Takes over a finished file whose digest the caller has verified. After it resolves the blob
   * survives a power cut, and the file is no longer the caller's.
   */
  adopt(file: string, digest: Digest): Promise<void>
  /** Open readers keep their bytes. Deleting what is not here is no error. */
  delete(digest: Digest): Promise<void>
  list(): AsyncIterable<StoredBlob>
}
