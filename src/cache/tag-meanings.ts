/**
 * What tags mean: what was last pulled for them, as the catalog has it, and what upstream has said since.
 * A catalog that cannot be written costs the memory of the next start, never an answer.
 */
import { LRUCache } from '../lru.ts'
import type { Catalog, RepositoryKey, TagRecord } from '../catalog/catalog.ts'
import type { Digest } from '../oci/digest.ts'
import type { Tag } from '../oci/reference.ts'
import type { StorageTrouble } from './failure.ts'
import type { StoredManifest } from './manifest-store.ts'

/** What upstream last said that a tag means, of a manifest that is not stored yet. */
interface Announced extends TagRecord {
  readonly mediaType: string
  readonly size: number
}

export interface TagMeaning {
  /** Its manifest was stored once. */
  readonly record: TagRecord | undefined
  /** Newer than the record. */
  readonly news: Announced | undefined
}

export interface TagMeanings {
  find(key: RepositoryKey, tag: Tag): Promise<TagMeaning>
  /**
   * The tag moves only once its new manifest is stored: what was pulled before must stay pullable if
   * upstream goes away in between. Until then the digest is admitted as one that the tag leads to.
   */
  announce(key: RepositoryKey, tag: Tag, news: Announced): Promise<void>
  /** @param checkedAt when upstream said so, in milliseconds since the epoch */
  settle(key: RepositoryKey, tag: Tag, stored: StoredManifest, checkedAt: number): Promise<void>
  /** Moves the tags that have been waiting for this manifest. */
  settleAnnounced(key: RepositoryKey, stored: StoredManifest): Promise<void>
  /** Upstream does not have what it announced: the tags that wait for it mean what they did before. */
  retract(key: RepositoryKey, digest: Digest): void
  /** Whether it was announced and not to be had: to be believed only with its manifest. */
  isDoubted(key: RepositoryKey, digest: Digest): boolean
  /** Remembers that upstream does not have the tag, until it says otherwise. */
  deny(key: RepositoryKey, tag: Tag): void
  isDenied(key: RepositoryKey, tag: Tag): boolean
  /** Changes behind whatever makes a tag mean something else than before. */
  version(): number
}

const REMEMBERED = 10_000

export function createTagMeanings({
  catalog,
  trouble,
}: {
  catalog: Catalog
  trouble: StorageTrouble
}): TagMeanings {
  const announced = new LRUCache<string, Announced>({ max: REMEMBERED })
  const awaitedBy = new LRUCache<string, Set<Tag>>({ max: REMEMBERED })
  const denied = new LRUCache<string, true>({ max: REMEMBERED })
  const doubted = new LRUCache<string, true>({ max: REMEMBERED })
  /** What each tag last came to mean, so that a confirmation is told from a change. */
  const meant = new LRUCache<string, Digest>({ max: REMEMBERED })
  let version = 0

  async function settle(
    key: RepositoryKey,
    tag: Tag,
    { digest, mediaType, bytes }: StoredManifest,
    checkedAt: number,
  ): Promise<void> {
    const name = nameOf(key, tag)
    const wasDenied = denied.delete(name)
    if (await trouble.survivedWrite(catalog.tags.put(key, tag, { digest, checkedAt }))) {
      announced.delete(name)
    } else {
      announced.set(name, { digest, mediaType, size: bytes.length, checkedAt })
    }
    // Behind the change: whoever has seen the number of before may have read what was before.
    if (wasDenied || meant.get(name) !== digest) version += 1
    meant.set(name, digest)
  }

  return {
    settle,
    async find(key, tag) {
      const record = await trouble.survive(catalog.tags.find(key, tag))
      return { record, news: announced.get(nameOf(key, tag)) }
    },
    async announce(key, tag, news) {
      await trouble.survive(catalog.tags.lead(key, tag, news.digest))
      denied.delete(nameOf(key, tag))
      announced.set(nameOf(key, tag), news)
      meant.set(nameOf(key, tag), news.digest)
      version += 1
      const awaited = nameOf(key, news.digest)
      awaitedBy.set(awaited, (awaitedBy.get(awaited) ?? new Set()).add(tag))
    },
    async settleAnnounced(key, stored) {
      const awaited = nameOf(key, stored.digest)
      for (const tag of awaitedBy.get(awaited) ?? []) {
        const news = announced.get(nameOf(key, tag))
        if (news?.digest === stored.digest) await settle(key, tag, stored, news.checkedAt)
      }
      awaitedBy.delete(awaited)
      doubted.delete(awaited)
    },
    retract(key, digest) {
      const awaited = nameOf(key, digest)
      for (const tag of awaitedBy.get(awaited) ?? []) {
        if (announced.get(nameOf(key, tag))?.digest !== digest) continue
        announced.delete(nameOf(key, tag))
        meant.delete(nameOf(key, tag))
        version += 1
        doubted.set(awaited, true)
      }
      awaitedBy.delete(awaited)
    },
    isDoubted: (key, digest) => doubted.has(nameOf(key, digest)),
    deny(key, tag) {
      denied.set(nameOf(key, tag), true)
      version += 1
    },
    version: () => version,
    isDenied: (key, tag) => denied.has(nameOf(key, tag)),
  }
}

/** A tag has no colon, so that no tag is taken for a digest. */
function nameOf({ upstream, repository }: RepositoryKey, reference: Tag | Digest): string {
  return `${upstream}/${repository}:${reference}`
}
