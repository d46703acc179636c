/**
 * Files whose bytes are no longer those of their name:
 *
 *   <root>/quarantine/<hex>.<time>   e.g. abcdef….2026-02-03T040506.789Z
 *
 * They are evidence for the operator and are never served; the oldest make room for newer ones.
 */
import { lstat, mkdir, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { digestHex, type Digest } from '../oci/digest.ts'
import { namesIn, unlessMissing } from './file-system.ts'

const MAX_FILES = 100
const MAX_BYTES = 1024 ** 3

const NAME = /^[0-9a-f]+\.(?<time>\d{4}-\d\d-\d\dT\d{6}\.\d{3}Z)$/

/** Moves a file into the folder, and removes what is too much there. Does nothing when it is gone. */
export async function moveToQuarantine(
  path: string,
  digest: Digest,
  folder: string,
): Promise<void> {
  if ((await unlessMissing(lstat(path))) === undefined) return
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const time = new Date().toISOString().replaceAll(':', '')
  await unlessMissing(rename(path, join(folder, `${digestHex(digest)}.${time}`)))
  await prune(folder)
}

/** The newest stay, as long as they are few and small enough together. */
async function prune(folder: string): Promise<void> {
  let files = 0
  let bytes = 0
  for (const name of newestFirst(await namesIn(folder))) {
    const path = join(folder, name)
    files += 1
    bytes += (await unlessMissing(lstat(path)))?.size ?? 0
    if (files > MAX_FILES || bytes > MAX_BYTES) await unlessMissing(unlink(path))
  }
}

/** What else an operator has put there is left alone. */
function newestFirst(names: readonly string[]): string[] {
  const timeOf = (name: string): string => NAME.exec(name)?.groups?.['time'] ?? ''
  return names
    .filter((name) => NAME.test(name))
    .toSorted((a, b) => (timeOf(a) < timeOf(b) ? 1 : -1))
}
