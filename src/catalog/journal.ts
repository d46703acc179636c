/**
 * `<data>/journal.jsonl`: a second copy of what only the catalog knows, in a form that survives damage
 * line by line. Appended to, and read only when the catalog has to be rebuilt.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { storageFailure, type StorageError } from '../storage-error.ts'
import { encodeEntry, type JournalEntry } from './journal-entry.ts'

export interface Journal {
  /** Returns at once; the lines are written in order, as soon as those before them are. */
  append(entries: readonly JournalEntry[]): void
  /** Resolves when all lines so far are written, or could not be. */
  flush(): Promise<void>
  /** After a last attempt at lines that could not be written; never fails. */
  close(): Promise<void>
}

/** Lines that wait while they cannot be written; the oldest are given up for newer ones. */
const MAX_PENDING = 10_000

/**
 * Opens the file with the first line, so that a disk that cannot be written stops nobody from starting.
 * @param onFailure told of each failed attempt; the lines are kept for the next one
 */
export function createJournal(file: string, onFailure: (error: StorageError) => void): Journal {
  let pending: string[] = []
  let handle: FileHandle | undefined
  let writing: Promise<void> | undefined

  async function write(): Promise<void> {
    try {
      while (pending.length > 0) await writeBatch()
    } catch (error) {
      await closeHandle()
      onFailure(storageFailure(error))
    } finally {
      // Here, so that whoever comes next finds either this loop running or no loop.
      writing = undefined
    }
  }

  /** A batch that was written in part is repeated as a whole: to hear a line twice does no harm. */
  async function writeBatch(): Promise<void> {
    const batch = pending
    pending = []
    try {
      handle ??= await openAtLineStart(file)
      await handle.appendFile(batch.join(''))
    } catch (error) {
      pending = [...batch, ...pending].slice(-MAX_PENDING)
      throw error
    }
  }

  async function closeHandle(): Promise<void> {
    const closing = handle
    handle = undefined
    await closing?.close().catch(() => undefined)
  }

  async function flush(): Promise<void> {
    if (pending.length > 0) writing ??= write()
    await writing
  }

  return {
    append(entries) {
      if (entries.length === 0) return
      pending.push(...entries.map(encodeEntry))
      writing ??= write()
    },
    flush,
    async close() {
      await flush()
      await handle?.datasync().catch((error: unknown) => onFailure(storageFailure(error)))
      await closeHandle()
    },
  }
}

/** What a crash or a full disk has left of a line must not spoil the next one. */
async function openAtLineStart(file: string): Promise<FileHandle> {
  const handle = await open(file, 'a+', 0o600)
  try {
    const { size } = await handle.stat()
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1))
    if (size > 0 && buffer.toString() !== '\n') await handle.appendFile('\n')
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}
