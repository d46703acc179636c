/** Byte ranges and conditional requests, RFC 9110 sections 13 and 14. */
import { OciError } from './error.ts'

/** First and last byte, both included, as on the wire. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/**
 * The part of a body that a `Range` header asks for; `undefined` means the whole.
 *
 * Unknown units and malformed specifiers are ignored (RFC 9110 §14.2), and so are several ranges: a
 * lone part in answer to a multi-range request is mis-assembled by podman, the whole body is not.
 * An end beyond the body is clamped, because regctl sends one byte past it.
 * @throws {OciError} RANGE_INVALID when the only range lies outside the body
 */
export function parseRange(header: string | undefined, size: number): ByteRange | undefined {
  const specifier = /^bytes[ \t]*=[ \t]*([^,]*)$/i.exec(header ?? '')?.[1]
  const bounds = /^(\d*)-(\d*)$/.exec(specifier?.trim() ?? '')
  if (!bounds) return undefined
  const [, start = '', end = ''] = bounds
  if (start === '' && end === '') return undefined
  // Nothing of an empty body can be selected, yet `bytes=0-` on one is what containerd 2.1 sends.
  if (size === 0) return undefined
  return start === '' ? suffix(Number(end), size) : between(Number(start), end, size)
}

/** True when the stored representation is the one that the client already holds (RFC 9110 §13.1.2). */
export function matchesEntityTag(header: string | undefined, digest: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((candidate) => bareEntityTag(candidate) === digest)
}

/** True when `If-Range` allows a part to be sent: absent, or our strong entity tag (RFC 9110 §13.1.5). */
export function allowsRange(ifRange: string | undefined, digest: string): boolean {
  return ifRange === undefined || ifRange.trim() === `"${digest}"`
}

function suffix(length: number, size: number): ByteRange {
  if (length === 0) throw unsatisfiable(size)
  return { first: Math.max(0, size - length), last: size - 1 }
}

function between(first: number, end: string, size: number): ByteRange {
  const last = end === '' ? size - 1 : Math.min(Number(end), size - 1)
  if (first >= size || first > last) throw unsatisfiable(size)
  return { first, last }
}

function unsatisfiable(size: number): OciError {
  return new OciError(
    'RANGE_INVALID',
    `The range lies outside the content, which is ${size} bytes long.`,
    {
      detail: { size },
    },
  )
}

/** Docker's older library sends the digest bare; intermediaries may have made the tag weak. */
function bareEntityTag(candidate: string): string {
  return candidate
    .trim()
    .replace(/^W\//, '')
    .replace(/^"(.*)"$/, '$1')
}
