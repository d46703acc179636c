/** Bytes that can be read at any position; the same for a stored file and for one that still grows. */
export interface ByteSource {
  /** Bytes in the whole. */
  readonly size: number
  /**
   * Where the same bytes lie in a file, for who can send them without reading; absent where each byte
   * has to be read, as it is checked on the way or comes from elsewhere.
   */
  readonly file?: SendableFile | undefined
  /**
   * Reads into the buffer what lies at `position`, waiting where the bytes have not come yet.
   * @returns how many bytes were read; 0 only at the end
   * @throws the signal's reason when it aborts while waiting
   */
  read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number>
  /** Must be called once by whoever opened it, when nothing of it is being read or sent any more. */
  close(): Promise<void>
}

export interface SendableFile {
  /** Stays open until the source is closed; to be read with positions. */
  readonly descriptor: number
  /** The whole is in it, and may be given out to whoever has the source: `reach` never waits. */
  readonly isWhole?: boolean
  /**
   * Waits as `read` does, until something at `position` may be given out.
   * @param length bytes that are wanted
   * @returns how many of them the file holds, which count as given out; 0: `read` these instead
   * @throws the signal's reason when it aborts while waiting
   */
  reach(position: number, length: number, signal: AbortSignal): Promise<number>
}
