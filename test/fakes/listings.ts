/** The answers of a registry that are lists: tags in pages, and referrers. */
import { type Content, errorResponse } from './answer.ts'
import { artifactTypeOf, buildReferrersIndex, type FakeManifest } from './images.ts'
import type { FakeRepository } from './registry-contents.ts'

export interface ListingOptions {
  /** Most tags in a page, also where the client asks for more or does not say; none: all. */
  readonly pageSize?: number | undefined
  /** Whether `Link` names the host (quay.io) or only the path. */
  readonly absoluteLinks?: boolean | undefined
  /** `Link` carries a token that only this registry understands instead of `n` and `last`. */
  readonly opaqueTokens?: boolean | undefined
}

/** `GET …/tags/list`, https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags */
export function tagPage(
  request: Request,
  name: string,
  { tags }: FakeRepository,
  options: ListingOptions,
): Content | Response {
  const url = new URL(request.url)
  const asked = askedPage(url)
  if (asked === 'malformed') return errorResponse(400, 'PAGINATION_NUMBER_INVALID')
  const following = [...tags.keys()].toSorted().filter((tag) => tag > asked.last)
  const size = Math.min(asked.size, options.pageSize ?? Infinity)
  const page = following.slice(0, size)
  const last = page.at(-1)
  const more = following.length > page.length && last !== undefined
  return {
    ...json({ name, tags: page }),
    headers: more ? { link: linkTo(url, { size, last }, options) } : {},
  }
}

/** `GET …/referrers/<digest>`, with the filter of the specification. */
export function referrersOf(request: Request, digest: string, repository: FakeRepository): Content {
  const wanted = new URL(request.url).searchParams.get('artifactType')
  const artifacts = [...repository.manifests.values()]
    .filter((manifest) => subjectOf(manifest) === digest)
    .filter((manifest) => wanted === null || artifactTypeOf(manifest).artifactType === wanted)
  const index = buildReferrersIndex(artifacts)
  return {
    bytes: index.bytes,
    contentType: index.mediaType,
    headers: wanted === null ? {} : { 'oci-filters-applied': 'artifactType' },
  }
}

interface Page {
  readonly size: number
  /** The tag after which the page begins; empty: the first page. */
  readonly last: string
}

function askedPage({ searchParams }: URL): Page | 'malformed' {
  const token = searchParams.get('next_page')
  if (token !== null) return JSON.parse(Buffer.from(token, 'base64url').toString()) as Page
  const n = searchParams.get('n') ?? ''
  if (!/^\d*$/.test(n)) return 'malformed'
  return { size: n === '' ? Infinity : Number(n), last: searchParams.get('last') ?? '' }
}

function linkTo(url: URL, page: Page, { absoluteLinks, opaqueTokens }: ListingOptions): string {
  const query = new URLSearchParams(
    opaqueTokens === true
      ? { next_page: Buffer.from(JSON.stringify(page)).toString('base64url') }
      : { n: String(page.size), last: page.last },
  )
  const base = absoluteLinks === true ? url.origin : ''
  return `<${base}${url.pathname}?${query.toString()}>; rel="next"`
}

function subjectOf(manifest: FakeManifest): string | undefined {
  try {
    const { subject } = JSON.parse(Buffer.from(manifest.bytes).toString()) as {
      subject?: { digest?: string }
    }
    return subject?.digest
  } catch {
    // Anything may have been pushed as a manifest; what is no JSON refers to nothing.
    return undefined
  }
}

function json(value: unknown): Content {
  const bytes = new TextEncoder().encode(JSON.stringify(value))
  return { bytes, contentType: 'application/json' }
}
