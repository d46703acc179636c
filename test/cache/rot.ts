/** Ways in which a stored file goes bad behind our back. */
import { readFile, truncate, unlink, writeFile } from 'node:fs/promises'
import type { Digest } from '../../src/oci/digest.ts'
import type { StoredContent } from './stored-content.ts'

export type Rot = (content: StoredContent, digest: Digest) => Promise<void>

export const flipBit: Rot = async (content, digest) => {
  const path = content.pathOf(digest)
  const bytes = await readFile(path)
  const middle = bytes.length >> 1
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 4, middle)
  await writeFile(path, bytes)
}

export const cutOff: Rot = async (content, digest) => {
  const path = content.pathOf(digest)
  await truncate(path, (await readFile(path)).length - 1)
}

export const extend: Rot = async (content, digest) =>
  writeFile(content.pathOf(digest), 'more', { flag: 'a' })

export const empty: Rot = async (content, digest) => writeFile(content.pathOf(digest), '')

export const vanish: Rot = async (content, digest) => unlink(content.pathOf(digest))
