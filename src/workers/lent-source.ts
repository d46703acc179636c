/** A source that the main process has open, as a worker reads it. */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import type { ByteSource, SendableFile } from '../byte-source.ts'
import { readAt } from '../read-at.ts'
import type { Channel } from './channel.ts'
import { MOST_READ } from './mirror-server.ts'
import type { LentSource, MirrorCalls } from './protocol.ts'

interface Owner {
  readonly channel: Pick<Channel<MirrorCalls>, 'call' | 'tell'>
  /** Of the process that has it open. */
  readonly pid: number
}

/**
 * Where the system lets us (Linux), the worker opens the very file that the main process has open, whatever
 * has become of its name since, and reads it without anything going through the channel but leave to do so.
 * Elsewhere all bytes come over the channel.
 */
export async function openLentSource(
  { id, size, descriptor, isWhole }: LentSource,
  { channel, pid }: Owner,
): Promise<ByteSource> {
  const handle = descriptor === undefined ? undefined : await reopen(pid, descriptor)
  const file = handle && sendable(handle)
  /** Where the file had nothing when it was last asked. */
  let notInFile = -1

  function sendable({ fd }: FileHandle): SendableFile {
    return {
      descriptor: fd,
      ...(isWhole && { isWhole }),
      async reach(position, length, signal) {
        if (isWhole) return Math.max(0, Math.min(length, size - position))
        const reached = await channel.call('reach', [id, position, length], signal)
        if (reached === 0) notInFile = position
        return reached
      },
    }
  }

  async function read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number> {
    if (file !== undefined && position !== notInFile && position < size) {
      const reached = await file.reach(position, buffer.length, signal)
      if (reached > 0) return readAt(file.descriptor, buffer.subarray(0, reached), position)
    }
    if (isWhole && position >= size) return 0
    notInFile = -1
    return readThere(buffer, position, signal)
  }

  async function readThere(
    buffer: Uint8Array,
    position: number,
    signal: AbortSignal,
  ): Promise<number> {
    const length = Math.min(buffer.length, MOST_READ)
    const bytes = await channel.call('read', [id, position, length], signal)
    buffer.set(bytes)
    return bytes.length
  }

  return {
    size,
    file,
    read,
    async close() {
      channel.tell('release', [id])
      await handle?.close()
    },
  }
}

/** `undefined` where another process's files cannot be opened. */
async function reopen(pid: number, descriptor: number): Promise<FileHandle | undefined> {
  try {
    return await open(`/proc/${pid}/fd/${descriptor}`, constants.O_RDONLY)
  } catch {
    return undefined
  }
}
