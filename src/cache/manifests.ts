/** Manifests and what tags mean: from here while fresh, from upstream when needed, stale rather than not. */
import { LRUCache } from '../lru.ts'
import type { Catalog, RepositoryKey, TagRecord } from '../catalog/catalog.ts'
import type { Outcome } from '../metrics.ts'
import { digestOf, type Digest } from '../oci/digest.ts'
import { OciError } from '../oci/error.ts'
import { bareMediaType, isManifestType } from '../oci/manifest.ts'
import type { Tag } from '../oci/reference.ts'
import { UpstreamError, type UpstreamManifest } from '../upstream/upstream.ts'
import { isFresh } from './freshness.ts'
import type { ManifestStore, StoredManifest } from './manifest-store.ts'
import type { UpstreamWork } from './upstream-work.ts'
import { clientOf, tagTtlOf, type CacheSettings } from './upstreams.ts'

export interface ManifestAnswer {
  readonly digest: Digest
  readonly mediaType: string
  /** Bytes of the manifest. */
  readonly size: number
  /** `undefined` only where no body was asked for. */
  readonly bytes: Uint8Array | undefined
  readonly outcome: Outcome
  /** Why what is served may be out of date. */
  readonly staleBecause: string | undefined
}

/** What upstream last said that a tag means, of a manifest that is not stored yet. */
interface Announced extends TagRecord {
  readonly mediaType: string
  readonly size: number
}

interface Dependencies {
  readonly catalog: Catalog
  readonly manifests: ManifestStore
  readonly work: UpstreamWork
  readonly settings: () => CacheSettings
  readonly now: () => number
}

export interface Manifests {
  /** @param wantsBody false for HEAD, which never costs a counted pull upstream */
  byTag(key: RepositoryKey, tag: Tag, wantsBody: boolean): Promise<ManifestAnswer>
  byDigest(key: RepositoryKey, digest: Digest, wantsBody: boolean): Promise<ManifestAnswer>
}

const REMEMBERED_ANNOUNCEMENTS = 10_000

export function createManifests(dependencies: Dependencies): Manifests {
  const { catalog, manifests, work, settings, now } = dependencies
  const announced = new LRUCache<string, Announced>({ max: REMEMBERED_ANNOUNCEMENTS })
  const awaitedBy = new LRUCache<string, Set<Tag>>({ max: REMEMBERED_ANNOUNCEMENTS })

  async function byTag(key: RepositoryKey, tag: Tag, wantsBody: boolean): Promise<ManifestAnswer> {
    const record = await catalog.tags.find(key, tag)
    const news = announced.get(nameOf(key, tag))
    const latest = news ?? record
    const ttl = tagTtlOf(settings(), key.upstream)
    try {
      if (latest && isFresh(latest, ttl, now())) {
        return await serve(key, latest.digest, wantsBody, 'hit', news)
      }
      if (record === undefined && wantsBody) return await fetchTag(key, tag)
      const { digest, outcome } = await revalidate(key, tag, record)
      return await serve(key, digest, wantsBody, outcome, announced.get(nameOf(key, tag)))
    } catch (error) {
      const known = record && (await manifests.load(record.digest))
      if (known === undefined || !isUpstreamTrouble(error)) throw error
      return { ...answer(known, wantsBody, 'stale'), staleBecause: staleReason(key, error) }
    }
  }

  async function byDigest(
    key: RepositoryKey,
    digest: Digest,
    wantsBody: boolean,
  ): Promise<ManifestAnswer> {
    const stored = await manifests.load(digest)
    if (stored === undefined) {
      return wantsBody ? fetchDigest(key, digest) : headDigest(key, digest)
    }
    if (!(await catalog.contents.isProven(key, digest))) await headDigest(key, digest)
    return answer(stored, wantsBody, 'hit')
  }

  /** What a tag leads to: stored, announced (enough for HEAD), or still to be fetched. */
  async function serve(
    key: RepositoryKey,
    digest: Digest,
    wantsBody: boolean,
    outcome: Outcome,
    news: Announced | undefined,
  ): Promise<ManifestAnswer> {
    const stored = await manifests.load(digest)
    if (stored) return answer(stored, wantsBody, outcome)
    if (!wantsBody && news?.digest === digest) {
      const { mediaType, size } = news
      return { digest, mediaType, size, bytes: undefined, outcome, staleBecause: undefined }
    }
    return wantsBody ? fetchDigest(key, digest) : headDigest(key, digest)
  }

  /** Asks upstream by HEAD, which Docker Hub does not count, once for everybody. */
  async function revalidate(
    key: RepositoryKey,
    tag: Tag,
    record: TagRecord | undefined,
  ): Promise<{ digest: Digest; outcome: Outcome }> {
    const { result, joined } = work.share(`HEAD ${nameOf(key, tag)}`, async (signal) => {
      const client = clientOf(settings(), key.upstream)
      const head = await client.headManifest(key.repository, { kind: 'tag', tag }, signal)
      const mediaType = bareMediaType(head.contentType)
      if (head.digest === undefined || head.size === undefined || !isManifestType(mediaType)) {
        const { digest } = await fetchTag(key, tag)
        return { digest, outcome: 'miss' as const }
      }
      const { digest, size } = head
      if (digest === record?.digest && (await manifests.load(digest))) {
        await settleTag(key, tag, { digest, checkedAt: now() })
        return { digest, outcome: 'revalidated' as const }
      }
      await announce(key, tag, { digest, size, mediaType: mediaType ?? '', checkedAt: now() })
      return { digest, outcome: 'miss' as const }
    })
    const { digest, outcome } = await result
    return { digest, outcome: joined && outcome === 'miss' ? 'joined' : outcome }
  }

  /**
   * The tag moves only once its new manifest is stored: what was pulled before must stay pullable if
   * upstream goes away in between. Until then the digest is admitted as one that the tag leads to.
   */
  async function announce(key: RepositoryKey, tag: Tag, news: Announced): Promise<void> {
    await catalog.tags.lead(key, tag, news.digest)
    announced.set(nameOf(key, tag), news)
    const awaited = `${nameOf(key, '')}${news.digest}`
    awaitedBy.set(awaited, (awaitedBy.get(awaited) ?? new Set()).add(tag))
  }

  async function settleTag(key: RepositoryKey, tag: Tag, record: TagRecord): Promise<void> {
    await catalog.tags.put(key, tag, record)
    announced.delete(nameOf(key, tag))
  }

  function fetchTag(key: RepositoryKey, tag: Tag): Promise<ManifestAnswer> {
    const reference = { kind: 'tag', tag } as const
    return fetch(nameOf(key, tag), async (signal) => {
      const client = clientOf(settings(), key.upstream)
      const received = await client.getManifest(key.repository, reference, signal)
      const stored = await keep(key, received.digest ?? digestOf(received.bytes), received)
      await settleTag(key, tag, { digest: stored.digest, checkedAt: now() })
      return stored
    })
  }

  function fetchDigest(key: RepositoryKey, digest: Digest): Promise<ManifestAnswer> {
    const reference = { kind: 'digest', digest } as const
    return fetch(`${nameOf(key, '')}${digest}`, async (signal) => {
      const client = clientOf(settings(), key.upstream)
      return keep(key, digest, await client.getManifest(key.repository, reference, signal))
    })
  }

  async function fetch(
    name: string,
    get: (signal: AbortSignal) => Promise<StoredManifest>,
  ): Promise<ManifestAnswer> {
    const { result, joined } = work.share(`GET ${name}`, get)
    return answer(await result, true, joined ? 'joined' : 'miss')
  }

  async function keep(
    key: RepositoryKey,
    digest: Digest,
    received: UpstreamManifest,
  ): Promise<StoredManifest> {
    const stored = await manifests.keep(key, digest, received)
    const awaited = `${nameOf(key, '')}${digest}`
    for (const tag of awaitedBy.get(awaited) ?? []) {
      const news = announced.get(nameOf(key, tag))
      if (news?.digest === digest) await settleTag(key, tag, news)
    }
    awaitedBy.delete(awaited)
    return stored
  }

  /** Also the proof that this repository holds the digest. */
  async function headDigest(key: RepositoryKey, digest: Digest): Promise<ManifestAnswer> {
    const reference = { kind: 'digest', digest } as const
    const { result } = work.share(`HEAD ${nameOf(key, '')}${digest}`, async (signal) => {
      const client = clientOf(settings(), key.upstream)
      const head = await client.headManifest(key.repository, reference, signal)
      await catalog.contents.prove(key, [digest])
      return head
    })
    const { size, contentType } = await result
    const mediaType = bareMediaType(contentType)
    if (size === undefined || !isManifestType(mediaType)) return fetchDigest(key, digest)
    return {
      digest,
      mediaType: mediaType ?? '',
      size,
      bytes: undefined,
      outcome: 'miss',
      staleBecause: undefined,
    }
  }

  return { byTag, byDigest }
}

function answer(
  { digest, mediaType, bytes }: StoredManifest,
  wantsBody: boolean,
  outcome: Outcome,
): ManifestAnswer {
  return {
    digest,
    mediaType,
    size: bytes.length,
    bytes: wantsBody ? bytes : undefined,
    outcome,
    staleBecause: undefined,
  }
}

/** Whatever upstream did wrong: what was pulled once can be pulled again. Our own faults are not hidden. */
function isUpstreamTrouble(error: unknown): error is Error {
  return error instanceof UpstreamError || error instanceof OciError
}

function staleReason({ upstream }: RepositoryKey, error: Error): string {
  return error instanceof UpstreamError
    ? `${upstream} could not confirm this tag (${error.reason})`
    : `${upstream} sent a manifest that cannot be used`
}

function nameOf({ upstream, repository }: RepositoryKey, tag: string): string {
  return `${upstream}/${repository}:${tag}`
}
