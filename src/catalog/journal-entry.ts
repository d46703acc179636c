/**
 * One line of the journal: what the bytes of the store do not say. Its text is a JSON array of a
 * checksum and an object, so that a flipped bit is not taken for the word of an upstream.
 */
import { crc32 } from 'node:zlib'
import { digestOf, isDigest, type Digest } from '../oci/digest.ts'
import { isManifestType } from '../oci/manifest.ts'
import { isRepository, isTag, type Tag } from '../oci/reference.ts'
import type { RepositoryKey } from './catalog.ts'

/** Upstream has said that the tag means this digest. */
interface MovedTagEntry extends RepositoryKey {
  readonly kind: 'tag'
  readonly tag: Tag
  readonly digest: Digest
  /** Milliseconds since the epoch. */
  readonly checkedAt: number
}

interface ProvingEntry extends RepositoryKey {
  /** Milliseconds since the epoch at which upstream said so; missing in lines of older versions. */
  readonly seenAt?: number
}

interface LeadEntry extends ProvingEntry {
  readonly kind: 'lead'
  readonly tag: Tag
  readonly digest: Digest
}

interface ManifestEntry extends ProvingEntry {
  readonly kind: 'manifest'
  readonly digest: Digest
  /** As upstream named it: a manifest need not say so itself. */
  readonly mediaType: string
  /** Bytes. */
  readonly size: number
}

interface ProofEntry extends ProvingEntry {
  readonly kind: 'proven'
  readonly digests: readonly Digest[]
}

/** A catalog keeps no more than the digests of a referrers list. */
interface ReferrersEntry extends RepositoryKey {
  readonly kind: 'referrers'
  readonly subject: Digest
  readonly digests: readonly Digest[]
}

export type JournalEntry = MovedTagEntry | LeadEntry | ManifestEntry | ProofEntry | ReferrersEntry

/** Longest line that is read, in bytes. */
export const LINE_MAX_BYTES = 64 * 1024

/** Digests of one line, so that the longest ones stay below that. */
const DIGESTS_PER_LINE = 400

const CHECK_LENGTH = 8
const PREFIX_LENGTH = `["${'0'.repeat(CHECK_LENGTH)}",`.length

/** Without what else the object may hold. */
export function keyOf({ upstream, repository }: RepositoryKey): RepositoryKey {
  return { upstream, repository }
}

export function proofs(
  key: RepositoryKey,
  digests: readonly Digest[],
  seenAt: number,
): JournalEntry[] {
  return chunks(digests).map((part) => ({ kind: 'proven', ...keyOf(key), digests: part, seenAt }))
}

export function referrals(
  key: RepositoryKey,
  subject: Digest,
  digests: readonly Digest[],
): JournalEntry[] {
  return chunks(digests).map((part) => ({
    kind: 'referrers',
    ...keyOf(key),
    subject,
    digests: part,
  }))
}

/** With its line end. */
export function encodeEntry(entry: JournalEntry): string {
  const text = JSON.stringify(entry)
  return `["${checkOf(text)}",${text}]\n`
}

/** @returns `undefined` when the line is not what was once written */
export function decodeEntry(line: string): JournalEntry | undefined {
  const text = line.slice(PREFIX_LENGTH, -1)
  if (line !== `["${checkOf(text)}",${text}]`) return undefined
  try {
    const json: unknown = JSON.parse(text)
    return isEntry(json) ? json : undefined
  } catch {
    return undefined
  }
}

/** The same for entries that say the same, whenever they say it. */
export function identityOf(entry: JournalEntry): string {
  return digestOf(
    Buffer.from(JSON.stringify({ ...entry, checkedAt: undefined, seenAt: undefined })),
  )
}

function checkOf(text: string): string {
  return crc32(text).toString(16).padStart(CHECK_LENGTH, '0')
}

function isEntry(json: unknown): json is JournalEntry {
  if (typeof json !== 'object' || json === null) return false
  const entry: Partial<Record<string, unknown>> = { ...json }
  if (!isText(entry['upstream']) || !isRepositoryName(entry['repository'])) return false
  if (entry['seenAt'] !== undefined && !isCount(entry['seenAt'])) return false
  switch (entry['kind']) {
    case 'tag':
      return isTagName(entry['tag']) && isDigest(entry['digest']) && isCount(entry['checkedAt'])
    case 'lead':
      return isTagName(entry['tag']) && isDigest(entry['digest'])
    case 'manifest':
      return isDigest(entry['digest']) && isMediaType(entry['mediaType']) && isCount(entry['size'])
    case 'proven':
      return isDigestList(entry['digests'])
    case 'referrers':
      return isDigest(entry['subject']) && isDigestList(entry['digests'])
    default:
      return false
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isRepositoryName(value: unknown): boolean {
  return isText(value) && isRepository(value)
}

function isTagName(value: unknown): boolean {
  return isText(value) && isTag(value)
}

function isMediaType(value: unknown): boolean {
  return isText(value) && isManifestType(value)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value)
}

function isDigestList(value: unknown): boolean {
  return Array.isArray(value) && value.every(isDigest)
}

function chunks(digests: readonly Digest[]): Digest[][] {
  const count = Math.ceil(digests.length / DIGESTS_PER_LINE)
  return Array.from({ length: count }, (_, index) =>
    digests.slice(index * DIGESTS_PER_LINE, (index + 1) * DIGESTS_PER_LINE),
  )
}
