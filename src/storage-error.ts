/** What goes wrong on our own side of the cache: disk, file handles, database. */

/**
 * `full`: no space or quota left. `exhausted`: no file handle or memory left for the moment.
 * `read-only`: writing is forbidden. `damaged`: what is there is not what was written. `broken`: the
 * device or the file system failed otherwise.
 */
export type StorageFailure = 'full' | 'exhausted' | 'read-only' | 'damaged' | 'broken'

/** Nothing could be stored or read. What a client asked for may still be passed on to it. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageFailure

  constructor(code: StorageFailure, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

const FAILURES: Readonly<Record<string, StorageFailure>> = {
  ENOSPC: 'full',
  EDQUOT: 'full',
  EFBIG: 'full',
  EMFILE: 'exhausted',
  ENFILE: 'exhausted',
  ENOMEM: 'exhausted',
  EROFS: 'read-only',
  EACCES: 'read-only',
  EPERM: 'read-only',
}

/** Translates what the file system threw; a StorageError stays what it is. */
export function storageFailure(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  const { code = '' } = error as NodeJS.ErrnoException
  const failure = FAILURES[code] ?? 'broken'
  return new StorageError(failure, `${EXPLANATIONS[failure]} (${code || 'unknown error'}).`, {
    cause: error,
  })
}

const EXPLANATIONS: Readonly<Record<StorageFailure, string>> = {
  full: 'The disk of the data folder is full: nothing new can be stored',
  exhausted: 'This process has no file handles or memory left for the moment',
  'read-only': 'The data folder cannot be written: look at its owner, its mode and its mount',
  damaged: 'What is in the data folder is not what was written there',
  broken: 'The disk of the data folder failed',
}
