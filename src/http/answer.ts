/** Headers that answers have in common. */
import type { Outcome } from '../metrics.ts'
import { OciError } from '../oci/error.ts'
import { matchesEntityTag } from '../oci/range.ts'
import type { HttpContext } from './context.ts'

interface ContentHeaders {
  readonly digest: string
  readonly mediaType: string
  /** Bytes of the whole. */
  readonly size: number
}

/** What every answer that carries a digest says about it, for GET and HEAD alike. */
export function contentHeaders({
  digest,
  mediaType,
  size,
}: ContentHeaders): Record<string, string> {
  return {
    'Content-Type': mediaType,
    'Content-Length': String(size),
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
  }
}

/** Whatever is waited for from now on is no longer what is answered, but how it gets to the client. */
export function noteOutcome(c: HttpContext, outcome: Outcome): void {
  c.get('trace').outcome = outcome
  c.get('timing')?.found(outcome)
}

/** How it was served, in the words of RFC 9211. */
export function cacheStatus(outcome: Outcome): Record<string, string> {
  return { 'Cache-Status': `entrepot; ${CACHE_STATUS[outcome]}` }
}

const CACHE_STATUS: Record<Outcome, string> = {
  hit: 'hit',
  joined: 'fwd=miss; collapsed',
  miss: 'fwd=miss; stored',
  revalidated: 'fwd=stale; fwd-status=304',
  stale: 'hit; ttl=-1; detail=stale',
  bypass: 'fwd=bypass',
  denied: 'fwd=bypass; detail=denied',
}

/**
 * containerd, podman and regctl print this to the user.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md#warnings
 */
export function staleWarning(reason: string | undefined): Record<string, string> {
  return reason === undefined ? {} : { Warning: `299 - "stale: ${reason.replace(/["\\]/g, "'")}"` }
}

/** `undefined` unless the client already holds what would be sent. */
export function notModified(c: HttpContext, digest: string): Response | undefined {
  if (!matchesEntityTag(c.req.header('if-none-match'), digest)) return undefined
  return new Response(null, {
    status: 304,
    headers: { ETag: `"${digest}"`, 'Docker-Content-Digest': digest },
  })
}

/** A small body, complete in memory; HEAD gets the headers alone. */
export function respond(
  c: HttpContext,
  body: string | Uint8Array,
  headers: Record<string, string>,
): Response {
  const isHead = c.req.method === 'HEAD'
  if (!isHead) c.get('trace').bytes = Buffer.byteLength(body)
  return new Response(isHead ? null : body, {
    headers: { 'Content-Length': String(Buffer.byteLength(body)), ...headers },
  })
}

/**
 * The next page in the shape of path that the client used, relative, because ggcr and oras insist
 * on the same scheme and host.
 */
export function nextPageLink(
  path: string,
  namespaces: readonly string[],
  nextQuery: string | undefined,
): Record<string, string> {
  if (nextQuery === undefined) return {}
  const query = new URLSearchParams(nextQuery)
  query.delete('ns')
  for (const namespace of namespaces) query.append('ns', namespace)
  return { Link: `<${path}?${query.toString()}>; rel="next"` }
}

/**
 * The parameter `n` of a list.
 * @returns `undefined` where there is none
 * @throws {OciError} PAGINATION_NUMBER_INVALID
 */
export function pageSize(text: string | null, max: number): number | undefined {
  if (text === null) return undefined
  if (!/^\d{1,15}$/.test(text)) {
    throw new OciError('PAGINATION_NUMBER_INVALID', 'The n parameter is not a number of entries.')
  }
  return Math.min(Number(text), max)
}
