/**
 * What is known about the bytes: which repository holds which digest, what tags mean, how manifests
 * refer to each other, and when blobs were last used. Holds no layer bytes. Asynchronous, so that an
 * implementation may live on another machine.
 */
import type { Digest } from '../oci/digest.ts'
import type { Descriptor, ManifestFacts } from '../oci/manifest.ts'
import type { Repository, Tag } from '../oci/reference.ts'

/** A repository of an upstream; the same name on two upstreams is two repositories. */
export interface RepositoryKey {
  readonly upstream: string
  readonly repository: Repository
}

export interface TagRecord {
  readonly digest: Digest
  /** When upstream last confirmed it, in milliseconds since the epoch. */
  readonly checkedAt: number
}

/** A tag and what it means now. */
export interface TagEntry {
  readonly key: RepositoryKey
  readonly tag: Tag
  readonly digest: Digest
}

export interface ManifestRecord extends ManifestFacts {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

/** `seenAt`: when upstream said so, in milliseconds since the epoch, where that was not just now. */
export interface TagCatalog {
  find(key: RepositoryKey, tag: Tag): Promise<TagRecord | undefined>
  /** Remembers what the tag means now; what it meant before still leads to its digests. */
  put(key: RepositoryKey, tag: Tag, record: TagRecord): Promise<void>
  /** Remembers that the tag leads to this digest, which is proven by that, without moving the tag yet. */
  lead(key: RepositoryKey, tag: Tag, digest: Digest, seenAt?: number): Promise<void>
  /** Digests that the tag means, has meant or was said to mean here, the latest first. */
  meanings(key: RepositoryKey, tag: Tag): Promise<Digest[]>
  /** Every tag that leads, or once led, to this digest in this repository, through any index. */
  leadingTo(key: RepositoryKey, digest: Digest): Promise<Tag[]>
  /** All tags of all repositories. */
  list(): AsyncIterable<TagEntry>
}

/** `seenAt`: when upstream said so, in milliseconds since the epoch, where that was not just now. */
export interface ContentCatalog {
  /** Has upstream itself said that this repository holds the digest? */
  isProven(key: RepositoryKey, digest: Digest): Promise<boolean>
  /** Records that upstream has said so. */
  prove(key: RepositoryKey, digests: readonly Digest[], seenAt?: number): Promise<void>
  /**
   * Records a stored manifest as proven, and links what it refers to, in one step: tags lead through
   * it, but a manifest may name what its repository does not hold.
   */
  putManifest(key: RepositoryKey, manifest: ManifestRecord, seenAt?: number): Promise<void>
  /** Records that these manifests refer to a subject, as a referrers list says, and links them. */
  putReferrers(key: RepositoryKey, subject: Digest, referrers: readonly Descriptor[]): Promise<void>
  /** Media type and size of a stored manifest. */
  findManifest(digest: Digest): Promise<{ mediaType: string; size: number } | undefined>
  /** Size in bytes that the manifests of this repository give for something, where they agree. */
  expectedSize(key: RepositoryKey, digest: Digest): Promise<number | undefined>
  /** Repositories for which upstream has said that they hold the digest. */
  holders(digest: Digest): Promise<RepositoryKey[]>
  /** The digest, and everything that can be reached from it through manifests, not what refers to it. */
  closure(digest: Digest): Promise<Digest[]>
  /**
   * When upstream first said that this repository holds the digest, or something that contains it, in
   * milliseconds since the epoch: the earliest of them. 0 where that was before it was noted;
   * `undefined`: never.
   */
  firstSeen(key: RepositoryKey, digest: Digest): Promise<number | undefined>
  /**
   * The digest, and everything that contains it, through manifests of which upstream has said that this
   * repository holds them.
   */
  containers(key: RepositoryKey, digest: Digest): Promise<Digest[]>
  /** Repositories of which something is known, in byte order of upstream and name, behind `after`. */
  repositories(after: RepositoryKey | undefined, limit: number): Promise<RepositoryKey[]>
  /** Forgets media type and size of a manifest that is no longer stored; what it said stays known. */
  forgetManifest(digest: Digest): Promise<void>
}

export interface BlobRecord {
  readonly digest: Digest
  readonly size: number
}

export interface UsedBlob extends BlobRecord {
  /** Milliseconds since the epoch. */
  readonly usedAt: number
  readonly isManifest: boolean
}

export interface BlobCatalog {
  /** Records a blob or manifest that is now in the store. */
  put(blob: BlobRecord, usedAt: number): Promise<void>
  /** Bytes that a stored blob had when it was verified. */
  size(digest: Digest): Promise<number | undefined>
  remove(digest: Digest): Promise<void>
  touch(used: ReadonlyMap<Digest, number>): Promise<void>
  totalSize(): Promise<number>
  /** Blobs and manifests, the least recently used first, behind `after` in that order. */
  leastRecentlyUsed(limit: number, after?: UsedBlob): Promise<UsedBlob[]>
}

/** Every method throws StorageError and nothing else. */
export interface Catalog {
  readonly tags: TagCatalog
  readonly contents: ContentCatalog
  readonly blobs: BlobCatalog
  /** Throws when the catalog cannot be read. */
  ping(): Promise<void>
  close(): Promise<void>
}
