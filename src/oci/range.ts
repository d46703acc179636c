/** Byte ranges and conditional requests, RFC 9110 sections 13 and 14. */
import { OciError } from './error.ts'

/** First and last byte, both included, as on the wire. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/** What of a body a `Range` header asks for. */
export type Selection =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly range: ByteRange }
  /** Several were asked for, though all but one may lie outside; in the order asked, never none. */
  | { readonly kind: 'parts'; readonly ranges: readonly ByteRange[] }

/**
 * What podman asks for at most in one request for a zstd:chunked layer (`maxNumberMissingChunks` in
 * pkg/chunked of containers/storage); RFC 9110 §17.15 lets a server ignore more.
 */
const MAX_RANGES = 1024

const WHOLE: Selection = { kind: 'whole' }

/**
 * Unknown units, malformed specifiers and too many ranges are ignored (RFC 9110 §14.2). An end beyond
 * the body is clamped, because regctl sends one byte past it. Of several ranges those that lie outside
 * the body are left out; what remains is still `parts`, even if it is one: a lone part in answer to a
 * request for several is mis-assembled by podman.
 * @throws {OciError} RANGE_INVALID when every range lies outside the body
 */
export function parseRanges(header: string | undefined, size: number): Selection {
  const bounds = readBounds(header)
  // Nothing of an empty body can be selected, yet `bytes=0-` on one is what containerd 2.1 sends.
  if (bounds === undefined || size === 0) return WHOLE
  const ranges = bounds.flatMap((it) => resolveBounds(it, size) ?? [])
  const [range] = ranges
  if (range === undefined) throw unsatisfiable(size)
  return bounds.length === 1 ? { kind: 'part', range } : { kind: 'parts', ranges }
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

/** `<first>-<last>`, where one of both may be empty. */
interface Bounds {
  readonly first: string
  readonly last: string
}

/** `undefined` unless every element of the list is a range; empty elements are none (RFC 9110 §5.6.1). */
function readBounds(header: string | undefined): Bounds[] | undefined {
  const list = /^bytes[ \t]*=(.*)$/i.exec(header ?? '')?.[1] ?? ''
  const specifiers = list.split(',').flatMap((text) => text.trim() || [])
  if (specifiers.length === 0 || specifiers.length > MAX_RANGES) return undefined
  const bounds = specifiers.flatMap((text) => readSpecifier(text) ?? [])
  return bounds.length === specifiers.length ? bounds : undefined
}

function readSpecifier(text: string): Bounds | undefined {
  const [, first = '', last = ''] = /^(\d*)-(\d*)$/.exec(text) ?? []
  return first === '' && last === '' ? undefined : { first, last }
}

/** `undefined` when nothing of the body is meant. */
function resolveBounds({ first, last }: Bounds, size: number): ByteRange | undefined {
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const to = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return from < size && from <= to ? { first: from, last: to } : undefined
}

function unsatisfiable(size: number): OciError {
  return new OciError(
    'RANGE_INVALID',
    `The range lies outside the content, which is ${size} bytes long.`,
    { detail: { size } },
  )
}

/** Docker's older library sends the digest bare; intermediaries may have made the tag weak. */
function bareEntityTag(candidate: string): string {
  return candidate
    .trim()
    .replace(/^W\//, '')
    .replace(/^"(.*)"$/, '$1')
}
