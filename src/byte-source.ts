/** Bytes that can be read at any position; the same for a stored file and for one that still grows. */
export interface ByteSource {
  /** Bytes in the whole. */
  readonly size: number
  /**
   * Reads into the buffer what lies at `position`, waiting where the bytes have not come yet.
   * @returns how many bytes were read; 0 only at the end
   * @throws the signal's reason when it aborts while waiting
   */
  read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number>
  /** Must be called once by whoever opened it. */
  close(): Promise<void>
}
