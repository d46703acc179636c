/** Reads a journal line by line: in bounded memory, whatever is in the file. */
import { open, type FileHandle } from 'node:fs/promises'
import { storageFailure } from '../storage-error.ts'
import { decodeEntry, LINE_MAX_BYTES, type JournalEntry } from './journal-entry.ts'

const LINE_END = 0x0a
const CHUNK_BYTES = 64 * 1024

/**
 * `undefined` stands for a line that is too long or not what was written. A last line without an end,
 * as a crash leaves it, counts only if it is whole. A file that is missing has no lines.
 * @throws {StorageError}
 */
export async function* readEntries(file: string): AsyncGenerator<JournalEntry | undefined> {
  let rest: Buffer = Buffer.alloc(0)
  let length = 0
  for await (const chunk of chunksOf(file)) {
    let start = 0
    for (let end = chunk.indexOf(LINE_END); end >= 0; end = chunk.indexOf(LINE_END, start)) {
      length += end - start
      if (length > 0) yield decode([rest, chunk.subarray(start, end)], length)
      rest = Buffer.alloc(0)
      length = 0
      start = end + 1
    }
    length += chunk.length - start
    rest = length > LINE_MAX_BYTES ? Buffer.alloc(0) : Buffer.concat([rest, chunk.subarray(start)])
  }
  const torn = decode([rest], length)
  if (torn) yield torn
}

function decode(parts: readonly Buffer[], length: number): JournalEntry | undefined {
  if (length > LINE_MAX_BYTES) return undefined
  return decodeEntry(Buffer.concat(parts).toString('utf8'))
}

async function* chunksOf(file: string): AsyncGenerator<Buffer> {
  let handle: FileHandle | undefined
  try {
    handle = await open(file)
    for (;;) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(CHUNK_BYTES))
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw storageFailure(error)
  } finally {
    await handle?.close()
  }
}
