/** Parts of blobs: what is asked for, and whether that is what came. PURE. */
import { contentLength, header, type HopResponse } from './response.ts'
import type { ByteWindow } from './upstream.ts'

/** What a response holds of a blob. */
export interface BlobPart {
  readonly offset: number
  /** Bytes of the whole blob. */
  readonly size: number | undefined
  /** Bytes that the body may have at most. */
  readonly maxBytes: number | undefined
}

/** The value of `Range`; `undefined` for the whole, which is asked for without. */
export function rangeOf({ first, last }: ByteWindow): string | undefined {
  return first === 0 && last === undefined ? undefined : `bytes=${first}-${last ?? ''}`
}

/** What a 206 holds; `undefined` when it is not the window, or contradicts itself (RFC 9110 section 14.4). */
export function readPart(response: HopResponse, { first, last }: ByteWindow): BlobPart | undefined {
  const range = header(response, 'content-range') ?? ''
  const [, from, to, whole] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(range) ?? []
  if (from === undefined || to === undefined) return undefined
  const size = whole === '*' ? undefined : Number(whole)
  const end = Number(to)
  if (Number(from) !== first || end < first || end > (last ?? Infinity)) return undefined
  if (end >= (size ?? Infinity)) return undefined
  const maxBytes = end - first + 1
  if ((contentLength(response) ?? maxBytes) !== maxBytes) return undefined
  return { offset: first, size, maxBytes }
}
