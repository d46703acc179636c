/** Puts what comes into the spool, hashes it, and writes down now and then how much is there. */
import { storageFailure } from '../storage-error.ts'
import type { ChunkWindow } from './chunk-window.ts'
import type { FillState } from './fill-reader.ts'
import type { PrefixHash } from './prefix-hash.ts'
import { WORTH_KEEPING_BYTES, type PartialFile } from './spool.ts'

/**
 * Share of what is there that may be fetched again after a crash. A line for each MiB of a large blob
 * takes 0.2 CPU seconds per GB.
 */
const MAX_UNNOTED = 1 / 16

interface FillWriterOptions {
  readonly file: PartialFile
  readonly prefix: PrefixHash
  readonly window: ChunkWindow
  readonly state: FillState
  /** Bytes of the blob; `undefined` as long as it is not known. */
  size(): number | undefined
  /** Told after each chunk. */
  wrote(): void
  readonly signal: AbortSignal
}

export interface FillWriter {
  /** @throws {StorageError} */
  write(chunk: Buffer, position: number): Promise<void>
  /**
   * Writes down which bytes are there. Without that they would be fetched again after a crash: no
   * reason to fail.
   */
  note(): Promise<void>
  /** Resolves when nothing is being written down. */
  idle(): Promise<void>
}

export function createFillWriter(options: FillWriterOptions): FillWriter {
  const { file, prefix, window, state, signal } = options
  const { extents } = file
  let unnoted = 0
  let noting = Promise.resolve()

  async function write(chunk: Buffer, position: number): Promise<void> {
    const writing = writeFully(file, chunk, position)
    prefix.wrote(chunk, position)
    try {
      await writing
    } catch (error) {
      state.unwritten ??= { bytes: chunk, first: position }
      throw error
    }
    if (state.isRead) window.add(chunk, position)
    extents.add(position, position + chunk.length)
    options.wrote()
    // What came out of order before is next now.
    const isBehind = extents.missingFrom(prefix.position) > prefix.position
    if (isBehind) prefix.catchUp(signal).catch(() => undefined)
    unnoted += chunk.length
    if (unnoted >= Math.max(WORTH_KEEPING_BYTES, extents.total() * MAX_UNNOTED)) void note()
  }

  function note(): Promise<void> {
    unnoted = 0
    noting = noting.then(noteNow)
    return noting
  }

  async function noteNow(): Promise<void> {
    const size = options.size()
    // A disk in trouble tells of it at the next write.
    if (size !== undefined) await file.note(size, extents.list()).catch(() => undefined)
  }

  return { write, note, idle: () => noting }
}

/** A write may be short without being an error (POSIX write(2)). */
async function writeFully({ handle }: PartialFile, chunk: Buffer, position: number): Promise<void> {
  try {
    let done = 0
    while (done < chunk.length) {
      const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done)
      done += bytesWritten
    }
  } catch (error) {
    throw storageFailure(error)
  }
}
