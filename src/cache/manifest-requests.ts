/** What is asked of upstream about manifests, once for everybody, and kept. */
import { LRUCache } from '../lru.ts'
import type { Catalog, RepositoryKey } from '../catalog/catalog.ts'
import { digestOf, type Digest } from '../oci/digest.ts'
import { bareMediaType, isManifestType } from '../oci/manifest.ts'
import type { Tag } from '../oci/reference.ts'
import { isDenial, UpstreamError, type UpstreamManifest } from '../upstream/upstream.ts'
import type { StorageTrouble } from './failure.ts'
import type { KeptManifest, ManifestStore } from './manifest-store.ts'
import type { TagMeanings } from './tag-meanings.ts'
import type { UpstreamWork } from './upstream-work.ts'
import { clientOf, type CacheSettings } from './upstreams.ts'

export interface FetchedManifest extends KeptManifest {
  readonly outcome: 'miss' | 'joined'
}

interface ConfirmedTag {
  readonly digest: Digest
  readonly outcome: 'revalidated' | 'miss' | 'joined'
}

/** Every method throws UpstreamError, and OciError for a manifest that cannot be used. */
export interface ManifestRequests {
  /**
   * Asks by HEAD, which Docker Hub does not count.
   * @param held the digest that can be served for the tag now
   */
  revalidate(key: RepositoryKey, tag: Tag, held: Digest | undefined): Promise<ConfirmedTag>
  fetchTag(key: RepositoryKey, tag: Tag): Promise<FetchedManifest>
  fetchDigest(key: RepositoryKey, digest: Digest): Promise<FetchedManifest>
  /**
   * Also the proof that this repository holds the digest.
   * @returns `undefined` where upstream has it, and does not say what it is
   */
  headDigest(
    key: RepositoryKey,
    digest: Digest,
  ): Promise<{ mediaType: string; size: number } | undefined>
  /** Has upstream said that this repository holds the digest? */
  isProven(key: RepositoryKey, digest: Digest): Promise<boolean>
}

interface Dependencies {
  readonly catalog: Catalog
  readonly manifests: ManifestStore
  readonly tags: TagMeanings
  readonly trouble: StorageTrouble
  readonly work: UpstreamWork
  readonly settings: () => CacheSettings
  readonly now: () => number
}

const REMEMBERED_PROOFS = 10_000

export function createManifestRequests(dependencies: Dependencies): ManifestRequests {
  const { catalog, manifests, tags, trouble, work, settings, now } = dependencies
  /** Proofs that could not be written down. */
  const unwritten = new LRUCache<string, true>({ max: REMEMBERED_PROOFS })

  async function revalidate(
    key: RepositoryKey,
    tag: Tag,
    held: Digest | undefined,
  ): Promise<ConfirmedTag> {
    const { result, joined } = work.share(`HEAD ${nameOf(key, tag)}`, async (signal) => {
      const client = clientOf(settings(), key.upstream)
      const asked = client.headManifest(key.repository, { kind: 'tag', tag }, signal)
      const { digest, size, contentType } = await noticingDenial(key, tag, asked)
      const mediaType = bareMediaType(contentType)
      if (digest === undefined || size === undefined || !isManifestType(mediaType)) {
        const { manifest } = await fetchTag(key, tag)
        return { digest: manifest.digest, outcome: 'miss' as const }
      }
      const stored = await manifests.load(digest)
      if (stored) {
        if (digest !== held) await manifests.link(key, stored)
        await tags.settle(key, tag, stored, now())
        return { digest, outcome: digest === held ? ('revalidated' as const) : ('miss' as const) }
      }
      await tags.announce(key, tag, { digest, size, mediaType: mediaType ?? '', checkedAt: now() })
      return { digest, outcome: 'miss' as const }
    })
    const { digest, outcome } = await result
    return { digest, outcome: joined && outcome === 'miss' ? 'joined' : outcome }
  }

  function fetchTag(key: RepositoryKey, tag: Tag): Promise<FetchedManifest> {
    return fetch(nameOf(key, tag), async (signal) => {
      const client = clientOf(settings(), key.upstream)
      const asked = client.getManifest(key.repository, { kind: 'tag', tag }, signal)
      const received = await noticingDenial(key, tag, asked)
      const kept = await keep(key, received.digest ?? digestOf(received.bytes), received)
      await tags.settle(key, tag, kept.manifest, now())
      return kept
    })
  }

  async function fetchDigest(key: RepositoryKey, digest: Digest): Promise<FetchedManifest> {
    const reference = { kind: 'digest', digest } as const
    try {
      return await fetch(nameOf(key, digest), async (signal) => {
        const client = clientOf(settings(), key.upstream)
        return keep(key, digest, await client.getManifest(key.repository, reference, signal))
      })
    } catch (error) {
      // Also when the failure is a remembered one: it may have been announced once more since.
      if (isDenial(error) || isCorrupt(error)) tags.retract(key, digest)
      throw error
    }
  }

  async function fetch(
    name: string,
    get: (signal: AbortSignal) => Promise<KeptManifest>,
  ): Promise<FetchedManifest> {
    const { result, joined } = work.share(`GET ${name}`, get)
    return { ...(await result), outcome: joined ? 'joined' : 'miss' }
  }

  async function keep(
    key: RepositoryKey,
    digest: Digest,
    received: UpstreamManifest,
  ): Promise<KeptManifest> {
    const kept = await manifests.keep(key, digest, received)
    if (kept.failure !== undefined) unwritten.set(nameOf(key, digest), true)
    await tags.settleAnnounced(key, kept.manifest)
    return kept
  }

  async function noticingDenial<T>(key: RepositoryKey, tag: Tag, answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      if (isDenial(error)) tags.deny(key, tag)
      throw error
    }
  }

  async function headDigest(
    key: RepositoryKey,
    digest: Digest,
  ): Promise<{ mediaType: string; size: number } | undefined> {
    const reference = { kind: 'digest', digest } as const
    const { result } = work.share(`HEAD ${nameOf(key, digest)}`, async (signal) => {
      const client = clientOf(settings(), key.upstream)
      const head = await client.headManifest(key.repository, reference, signal)
      const written = await trouble.survivedWrite(catalog.contents.prove(key, [digest]))
      if (!written) unwritten.set(nameOf(key, digest), true)
      return head
    })
    const { size, contentType } = await result
    const mediaType = bareMediaType(contentType) ?? ''
    return size === undefined || !isManifestType(mediaType) ? undefined : { mediaType, size }
  }

  async function isProven(key: RepositoryKey, digest: Digest): Promise<boolean> {
    const proven = await trouble.survive(catalog.contents.isProven(key, digest))
    return proven === true || unwritten.has(nameOf(key, digest))
  }

  return { revalidate, fetchTag, fetchDigest, headDigest, isProven }
}

function isCorrupt(error: unknown): boolean {
  return error instanceof UpstreamError && error.reason === 'corrupt'
}

function nameOf({ upstream, repository }: RepositoryKey, reference: Tag | Digest): string {
  return `${upstream}/${repository}:${reference}`
}
