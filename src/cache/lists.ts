/** Tag lists and referrers: always asked upstream, since both change; the last answer serves an outage. */
import { LRUCache } from '../lru.ts'
import type { Catalog, RepositoryKey } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics, Outcome } from '../metrics.ts'
import { referrersTag } from '../oci/digest-tag.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/error.ts'
import { descriptorsOf, emptyIndex, OCI_INDEX } from '../oci/manifest.ts'
import { parseTag } from '../oci/reference.ts'
import { isDenial, UpstreamError, type UpstreamPage } from '../upstream/upstream.ts'
import { createStorageTrouble } from './failure.ts'
import { mayServeOnError } from './freshness.ts'
import type { Manifests } from './manifests.ts'
import type { UpstreamWork } from './upstream-work.ts'
import { clientOf, mirrored, type CacheSettings } from './upstreams.ts'

export interface TagPage {
  readonly tags: readonly string[]
  /** Query of the next page, without `?`. */
  readonly nextQuery: string | undefined
  readonly outcome: Outcome
  readonly staleBecause: string | undefined
}

interface ReferrersPage {
  /** An image index, as JSON. */
  readonly body: string
  readonly mediaType: string
  readonly nextQuery: string | undefined
  /** Value of `OCI-Filters-Applied`. */
  readonly filtersApplied: string | undefined
  readonly outcome: Outcome
  readonly staleBecause: string | undefined
}

export interface Lists {
  tags(key: RepositoryKey, query: string): Promise<TagPage>
  referrers(
    key: RepositoryKey,
    subject: Digest,
    artifactType: string | undefined,
    query: string,
  ): Promise<ReferrersPage>
}

interface Dependencies {
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly work: UpstreamWork
  readonly settings: () => CacheSettings
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
}

const REMEMBERED_BYTES = 8 * 1024 * 1024

interface LastPage {
  readonly page: UpstreamPage
  /** Milliseconds since the epoch. */
  readonly checkedAt: number
}

interface Answered {
  readonly page: UpstreamPage
  readonly outcome: Outcome
  readonly staleBecause: string | undefined
}

export function createLists(dependencies: Dependencies): Lists {
  const { catalog, manifests, work, settings, now } = dependencies
  const trouble = createStorageTrouble(dependencies)
  const lastPages = new LRUCache<string, LastPage>({
    maxSize: REMEMBERED_BYTES,
    sizeCalculation: ({ page }) => page.bytes.length + 256,
  })

  async function ask(
    name: string,
    upstream: string,
    get: (signal: AbortSignal) => Promise<UpstreamPage>,
  ): Promise<Answered> {
    try {
      const { result, joined } = work.share(name, get)
      const page = await result
      lastPages.set(name, { page, checkedAt: now() })
      return { page, outcome: joined ? 'joined' : 'bypass', staleBecause: undefined }
    } catch (error) {
      const last = lastPages.get(name)
      if (last === undefined || !isOutage(error) || !mayServe(upstream, last)) throw error
      const staleBecause = `${upstream} could not confirm this list (${error.reason})`
      return { page: last.page, outcome: 'stale', staleBecause }
    }
  }

  /** The same limits as for tags. */
  function mayServe(upstream: string, last: LastPage): boolean {
    const limits = mirrored(settings(), upstream)
    return limits.client.state().offline || mayServeOnError(last, limits, now())
  }

  async function tags(key: RepositoryKey, query: string): Promise<TagPage> {
    // A client was judged before; what is read here for a selection of images was not.
    if (!settings().admits(key)) throw new OciError('DENIED', 'No rule lets this repository in.')
    const name = `TAGS ${key.upstream}/${key.repository}?${query}`
    const { page, outcome, staleBecause } = await ask(name, key.upstream, async (signal) => {
      const client = clientOf(settings(), key.upstream)
      const received = await client.getTags(key.repository, query, signal)
      parseRecord(received.bytes)
      return received
    })
    const listed = parseRecord(page.bytes)['tags']
    // `null` comes from registries whose repository is empty.
    const names = Array.isArray(listed) ? listed.filter((tag) => typeof tag === 'string') : []
    return { tags: [...new Set(names)], nextQuery: page.nextQuery, outcome, staleBecause }
  }

  async function referrers(
    key: RepositoryKey,
    subject: Digest,
    artifactType: string | undefined,
    query: string,
  ): Promise<ReferrersPage> {
    const name = `REFERRERS ${key.upstream}/${key.repository}@${subject}?${query}`
    let answer: Answered
    try {
      answer = await ask(name, key.upstream, async (signal) => {
        const client = clientOf(settings(), key.upstream)
        const received = await client.getReferrers(key.repository, subject, query, signal)
        parseIndex(received.bytes)
        return received
      })
    } catch (error) {
      // In an outage too: the list that lies under the tag may be here.
      if (isOutage(error) || isDenial(error)) return fromFallbackTag(key, subject, artifactType)
      throw error
    }
    const { page, outcome, staleBecause } = answer
    const listed = descriptorsOf(parseIndex(page.bytes), true)
    await trouble.survive(catalog.contents.putReferrers(key, subject, listed))
    const { nextQuery, filtersApplied } = page
    const body = Buffer.from(page.bytes).toString('utf8')
    return { body, mediaType: OCI_INDEX, nextQuery, filtersApplied, outcome, staleBecause }
  }

  /**
   * Registries without the referrers API keep the list under a tag made of the subject's digest.
   * https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
   */
  async function fromFallbackTag(
    key: RepositoryKey,
    subject: Digest,
    artifactType: string | undefined,
  ): Promise<ReferrersPage> {
    const { entries, outcome, staleBecause } = await fallbackEntries(key, subject)
    const listed = descriptorsOf(entries, true)
    await trouble.survive(catalog.contents.putReferrers(key, subject, listed))
    const wanted = entries.filter(
      (entry) => artifactType === undefined || isOfType(entry, artifactType),
    )
    return {
      body: JSON.stringify(emptyIndex(wanted)),
      mediaType: OCI_INDEX,
      nextQuery: undefined,
      filtersApplied: artifactType === undefined ? undefined : 'artifactType',
      outcome,
      staleBecause,
    }
  }

  async function fallbackEntries(
    key: RepositoryKey,
    subject: Digest,
  ): Promise<{ entries: unknown[]; outcome: Outcome; staleBecause: string | undefined }> {
    try {
      const tag = parseTag(referrersTag(subject))
      const { bytes, mediaType, outcome, staleBecause } = await manifests.listUnder(key, tag)
      const entries = mediaType === OCI_INDEX && bytes ? parseIndex(bytes) : []
      return { entries, outcome, staleBecause }
    } catch (error) {
      if (!isDenial(error)) throw error
      return { entries: [], outcome: 'bypass', staleBecause: undefined }
    }
  }

  return { tags, referrers }
}

/** The answer is unknown, rather than that there is none. */
function isOutage(error: unknown): error is UpstreamError {
  return (
    error instanceof UpstreamError &&
    (error.reason === 'unavailable' || error.reason === 'rate-limited')
  )
}

function isOfType(entry: unknown, artifactType: string): boolean {
  return (
    typeof entry === 'object' &&
    entry !== null &&
    'artifactType' in entry &&
    entry.artifactType === artifactType
  )
}

/** @throws {UpstreamError} corrupt */
function parseIndex(bytes: Uint8Array): unknown[] {
  const listed = parseRecord(bytes)['manifests']
  if (Array.isArray(listed)) return listed
  throw new UpstreamError('corrupt', 'Upstream answered a list with something that is no index.')
}

/** @throws {UpstreamError} corrupt */
function parseRecord(bytes: Uint8Array): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) {
      return json as Record<string, unknown>
    }
  } catch {
    // Said below, for HTML and broken JSON alike.
  }
  throw new UpstreamError('corrupt', 'Upstream answered a list with something that is not JSON.')
}
