/** Reads from an open file at a position, without what FileHandle adds to each chunk of a large one. */
import { read } from 'node:fs'
import { storageFailure } from './storage-error.ts'

/**
 * @returns how many bytes were read; 0 only at the end of the file
 * @throws {StorageError}
 */
export function readAt(descriptor: number, buffer: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(descriptor, buffer, 0, buffer.length, position, (error, count) => {
      if (error) reject(storageFailure(error))
      else resolve(count)
    })
  })
}
