/** A spool whose files fail at what a test names, as those of a broken disk do. */
import type { FileHandle } from 'node:fs/promises'
import type { PartialFile, Spool } from '../../src/cache/spool.ts'

export interface Failures {
  /** Whether a write that begins at this byte fails. */
  readonly write?: (position: number) => boolean
  readonly read?: (position: number) => boolean
  /** The file is closed, and an error told, as close(2) does. */
  readonly close?: boolean
  readonly note?: boolean
  readonly remove?: boolean
}

const DISK_BROKE = Object.assign(new Error('input/output error'), { code: 'EIO' })

export function failingSpool(spool: Spool, failures: Failures): Spool {
  return {
    ...spool,
    remove: (path) => (failures.remove ? Promise.reject(DISK_BROKE) : spool.remove(path)),
    async resume(upstream, digest) {
      return failingFile(await spool.resume(upstream, digest), failures)
    },
  }
}

function failingFile(file: PartialFile, failures: Failures): PartialFile {
  replaceAt(file.handle, 'write', failures.write)
  replaceAt(file.handle, 'read', failures.read)
  const close = file.handle.close.bind(file.handle)
  const closeAndFail = async (): Promise<void> => {
    await close()
    throw DISK_BROKE
  }
  if (failures.close) Object.defineProperty(file.handle, 'close', { value: closeAndFail })
  return {
    ...file,
    note: (...facts) => (failures.note ? Promise.reject(DISK_BROKE) : file.note(...facts)),
    close: () =>
      failures.close ? file.close().then(() => Promise.reject(DISK_BROKE)) : file.close(),
  }
}

type CallAt = (bytes: Buffer, offset: number, length: number, position: number) => Promise<unknown>

function replaceAt(
  handle: FileHandle,
  name: 'read' | 'write',
  fails: ((position: number) => boolean) | undefined,
): void {
  if (fails === undefined) return
  const call = handle[name].bind(handle) as CallAt
  const value: CallAt = async (bytes, offset, length, position) => {
    if (fails(position)) throw DISK_BROKE
    return call(bytes, offset, length, position)
  }
  Object.defineProperty(handle, name, { value })
}
