/**
 * How long content has been known upstream: what an attacker has pushed is mostly found within days. By
 * the time at which upstream first said so here, as the dates in an image are whatever its maker wrote.
 */
import { LRUCache } from '../lru.ts'
import type { Catalog, RepositoryKey } from '../catalog/catalog.ts'
import type { Digest } from '../oci/digest.ts'
import type { ManifestRequests } from './manifest-requests.ts'
import type { CacheSettings } from './upstreams.ts'

/** Every method throws StorageError: what cannot be read must not count as old. */
export interface ContentAge {
  /**
   * Whether a tag may mean the digest: it, or something that contains it, has been known for so long or
   * is approved.
   * @param minAge milliseconds
   */
  isServable(key: RepositoryKey, digest: Digest, minAge: number): Promise<boolean>
  /**
   * Whether the digest may be pulled by itself: as above, and when a tag is frozen to what contains it.
   * Upstream is asked once about a manifest that was never seen, which starts its time.
   * @throws {UpstreamError} where that cannot be asked, or there is no such manifest
   */
  isOfAge(
    key: RepositoryKey,
    digest: Digest,
    minAge: number,
    kind: 'manifest' | 'blob',
  ): Promise<boolean>
  /** Milliseconds since the epoch; `undefined`: never. */
  firstSeen(key: RepositoryKey, digest: Digest): Promise<number | undefined>
}

interface Dependencies {
  readonly catalog: Catalog
  readonly requests: Pick<ManifestRequests, 'headDigest' | 'isProven'>
  readonly settings: () => Pick<CacheSettings, 'isApproved' | 'frozenTo'>
  readonly now: () => number
}

const REMEMBERED = 10_000

export function createContentAge({ catalog, requests, settings, now }: Dependencies): ContentAge {
  const { contents, tags } = catalog
  /** It can only turn out to be earlier, so that what is old enough stays so. */
  const remembered = new LRUCache<string, number>({ max: REMEMBERED })

  const isOld = (seenAt: number | undefined, minAge: number): boolean =>
    seenAt !== undefined && now() - seenAt >= minAge

  async function isServable(key: RepositoryKey, digest: Digest, minAge: number): Promise<boolean> {
    if (minAge <= 0 || settings().isApproved(key, digest)) return true
    const name = `${key.upstream}/${key.repository}@${digest}`
    if (isOld(remembered.get(name), minAge)) return true
    const seenAt = await contents.firstSeen(key, digest)
    if (seenAt !== undefined) remembered.set(name, seenAt)
    if (isOld(seenAt, minAge)) return true
    return (await contents.containers(key, digest)).some((it) => settings().isApproved(key, it))
  }

  async function isFrozen(key: RepositoryKey, digest: Digest): Promise<boolean> {
    const leading = await tags.leadingTo(key, digest)
    const frozen = new Set(leading.map((tag) => settings().frozenTo(key, tag)))
    return (await contents.containers(key, digest)).some((it) => frozen.has(it))
  }

  return {
    isServable,
    async isOfAge(key, digest, minAge, kind) {
      if (await isServable(key, digest, minAge)) return true
      if (await isFrozen(key, digest)) return true
      // A proof that could not be written down has not started a time, and would not the next time.
      if (kind === 'manifest' && !(await requests.isProven(key, digest))) {
        await requests.headDigest(key, digest)
      }
      return false
    },
    firstSeen: (key, digest) => contents.firstSeen(key, digest),
  }
}
