/**
 * Reads the raw request target into what it asks of the registry API. Pure.
 *
 * The target is read before any decoding or normalisation: routers disagree about `%2F`, `//` and
 * dot segments (CVE-2024-4956, CVE-2026-29087), so all of them are refused here.
 */
import { OciError } from '../oci/error.ts'

export type ResourceKind =
  'ping' | 'manifest' | 'blob' | 'tags' | 'referrers' | 'upload' | 'catalog'

export interface RequestPath {
  readonly kind: ResourceKind
  /** What stands before `/v2/`, e.g. `quay.io` in `/quay.io/v2/…`. */
  readonly prefix: string | undefined
  /** Components between `/v2/` and the resource; not yet validated as a repository. */
  readonly name: readonly string[]
  /** Tag or digest as text; empty for kinds that have none. */
  readonly reference: string
  /** The path exactly as the client sent it, to build links in the same shape. */
  readonly path: string
  readonly query: URLSearchParams
}

/** Longest request target that is looked at, in characters; every legal name and reference fits. */
const TARGET_MAX_LENGTH = 4096

/** The path of a request target; an absolute-form target (RFC 9112 §3.2.2) loses its authority. */
export function pathOf(target: string): string {
  const originForm = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  const path = originForm.replace(/\?.*$/s, '')
  return path === '' ? '/' : path
}

/**
 * @returns `undefined` when the path is not one of the registry API
 * @throws {OciError} NAME_INVALID, NAME_UNKNOWN when it is one, and malformed
 */
export function parseRequestPath(target: string): RequestPath | undefined {
  const path = pathOf(target)
  const [root, ...segments] = path.split('/')
  const prefix = segments[1] === 'v2' && segments[0] !== 'v2' ? segments[0] : undefined
  if (root !== '' || (prefix === undefined && segments[0] !== 'v2')) return undefined

  refuseMalformed(target, path)
  const rest = segments.slice(prefix === undefined ? 1 : 2)
  const query = new URLSearchParams(target.slice(target.indexOf('?') + 1 || target.length))
  return { prefix, path, query, ...readResource(rest) }
}

type Resource = Pick<RequestPath, 'kind' | 'name' | 'reference'>

/** Read from the end: `manifests`, `blobs` and even `v2` are legal components of a repository name. */
function readResource(segments: readonly string[]): Resource {
  const last = segments.at(-1) ?? ''
  const keyword = segments.at(-2)
  const beforeLast = segments.slice(0, -2)

  if (isPing(segments)) return { kind: 'ping', name: segments.filter(Boolean), reference: '' }
  if (isUpload(segments)) return { kind: 'upload', name: [], reference: '' }
  refuseEmptyComponents(segments)
  if (keyword === 'tags' && last === 'list')
    return { kind: 'tags', name: beforeLast, reference: '' }
  if (keyword === 'manifests') return { kind: 'manifest', name: beforeLast, reference: last }
  if (keyword === 'blobs') return { kind: 'blob', name: beforeLast, reference: last }
  if (keyword === 'referrers') return { kind: 'referrers', name: beforeLast, reference: last }
  // Last, because `_catalog` is a legal tag.
  if (last === '_catalog') return { kind: 'catalog', name: segments.slice(0, -1), reference: '' }
  throw new OciError(
    'NAME_UNKNOWN',
    'This path is not one of the registry API: it has no manifests, blobs, tags or referrers part.',
  )
}

/** `/v2`, `/v2/`, and `/v2/quay.io/`, which should answer alike. */
function isPing(segments: readonly string[]): boolean {
  const [first, second] = segments
  if (second === undefined) return first !== '_catalog'
  return segments.length === 2 && second === '' && first !== ''
}

function isUpload(segments: readonly string[]): boolean {
  const at = segments.lastIndexOf('uploads')
  return at > 0 && segments[at - 1] === 'blobs' && at >= segments.length - 2
}

function refuseMalformed(target: string, path: string): void {
  if (target.length > TARGET_MAX_LENGTH) throw malformed('longer than 4096 characters')
  if (path.includes('%')) throw malformed('percent-encoded; send names and digests as they are')
  if (!/^[\x21-\x7e]*$/.test(path) || path.includes('\\')) throw malformed('not plain ASCII')
  if (/(?:^|\/)\.{1,2}(?:\/|$)/.test(path)) throw malformed('made of dot segments')
}

function malformed(what: string): OciError {
  return new OciError('NAME_INVALID', `The path of this request is ${what}.`)
}

function refuseEmptyComponents(segments: readonly string[]): void {
  if (segments.includes('')) {
    throw new OciError(
      'NAME_UNKNOWN',
      'The path of this request has an empty component: remove the double or trailing slash.',
    )
  }
}
