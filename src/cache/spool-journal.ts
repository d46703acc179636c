/**
 * What a download has brought so far, in a text file beside its bytes: a line that says which blob,
 * then one line for each stretch, written after the bytes were. A process that is killed leaves at most
 * a torn last line; a power cut may leave lines about bytes that never reached the disk, which the
 * digest finds out at the end.
 */
import { isDigest, type Digest } from '../oci/digest.ts'
import { createExtents, type Extent, type Extents } from './extents.ts'

export interface JournalHeader {
  /** Whose bytes they are: downloads are kept apart by upstream. */
  readonly upstream: string
  readonly digest: Digest
  /** Bytes of the whole blob. */
  readonly size: number
}

export interface SpoolJournal extends JournalHeader {
  readonly extents: Extents
}

const VERSION = 1

export function headerLine({ upstream, digest, size }: JournalHeader): string {
  return `${JSON.stringify({ version: VERSION, upstream, digest, size })}\n`
}

export function extentLine({ first, end }: Extent): string {
  return `${first} ${end}\n`
}

/** `undefined` when it is not a journal of ours. */
export function parseJournal(text: string): SpoolJournal | undefined {
  const [head = '', ...lines] = text.split('\n')
  const header = parseHeader(head)
  if (header === undefined) return undefined
  const extents = createExtents()
  // What follows the last line break was not written to its end.
  for (const line of lines.slice(0, -1)) {
    const [, first, end] = /^(\d{1,15}) (\d{1,15})$/.exec(line) ?? []
    if (first !== undefined && Number(end) <= header.size) extents.add(Number(first), Number(end))
  }
  return { ...header, extents }
}

function parseHeader(line: string): JournalHeader | undefined {
  try {
    const { version, upstream, digest, size } = JSON.parse(line) as Record<string, unknown>
    const isOurs = version === VERSION && typeof upstream === 'string' && typeof digest === 'string'
    if (!isOurs || !isDigest(digest) || !Number.isSafeInteger(size)) return undefined
    return { upstream, digest, size: Number(size) }
  } catch {
    return undefined
  }
}
