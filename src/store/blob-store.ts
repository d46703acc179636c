/** Bytes by digest. Knows no repositories, tags or users. */
import type { ByteSource } from '../byte-source.ts'
import type { Digest } from '../oci/digest.ts'

export interface StoredBlob {
  readonly digest: Digest
  readonly size: number
}

/** Every method throws StorageError and nothing else. */
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
  /** Takes a blob whose bytes are wrong out of service, and keeps it aside for the operator. */
  quarantine(digest: Digest): Promise<void>
  list(): AsyncIterable<StoredBlob>
  /** Bytes that may still be written; `undefined` where the medium has no such limit. */
  freeSpace(): Promise<number | undefined>
}
