/** What is known here of an image, without asking anybody. */
import type { Catalog, RepositoryKey, TagRecord } from '../catalog/catalog.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference, Tag } from '../oci/reference.ts'
import type { UpstreamState } from '../upstream/upstream.ts'
import { freshnessOf, type Freshness, type TagLimits } from './freshness.ts'

/** What the cache knows of an image, and what upstream would have to be asked. */
export interface ContentState {
  /** What the tag means here, or the digest that was asked about; `undefined`: not known. */
  readonly digest: Digest | undefined
  /** Milliseconds since the epoch at which upstream last confirmed the tag. */
  readonly checkedAt: number | undefined
  /** `undefined` for what upstream is never asked again: digests, and tags that are frozen. */
  readonly freshness: Freshness | undefined
  /** The manifest itself is stored. */
  readonly isStored: boolean
  /** Of what the image is made of, manifests below it included, as far as those above them are here. */
  readonly blobs: {
    readonly stored: number
    readonly missing: number
    readonly missingBytes: number
  }
  /** When its digest was first seen upstream; `undefined`: never, or before this was noted. */
  readonly firstSeenAt: number | undefined
  /** `undefined` when no mirror runs to ask. */
  readonly upstream:
    | {
        readonly offline: boolean
        /** That would be asked first. */
        readonly endpoint: string | undefined
        readonly account: string | undefined
        /** Pulls that are left for that account, as upstream last said. */
        readonly pullsLeft: number | undefined
      }
    | undefined
}

export interface DescribeDependencies {
  /** May be one that can only be read. */
  readonly catalog: Catalog
  /** `undefined`: that upstream is not mirrored. */
  readonly limitsOf: (
    upstream: string,
  ) => Pick<TagLimits, 'tagTtl' | 'staleWhileRevalidate'> | undefined
  readonly frozenTo: (key: RepositoryKey, tag: Tag) => Digest | undefined
  /** Default: what the catalog says, which does not know of what is announced and not pulled yet. */
  readonly lastSaid?: (key: RepositoryKey, tag: Tag) => Promise<TagRecord | undefined>
  /** Default: no mirror runs to ask. */
  readonly stateOf?: (upstream: string) => UpstreamState | undefined
  readonly now: () => number
}

/** What a tag or digest is known to be. */
type Known = Pick<ContentState, 'digest' | 'checkedAt' | 'freshness'>

/** @throws {StorageError} */
export async function describeContent(
  dependencies: DescribeDependencies,
  key: RepositoryKey,
  reference: Reference,
): Promise<ContentState> {
  const { catalog, stateOf } = dependencies
  const known =
    reference.kind === 'tag'
      ? await tagState(dependencies, key, reference.tag)
      : { digest: reference.digest, checkedAt: undefined, freshness: undefined }
  const state = stateOf?.(key.upstream)
  return {
    ...known,
    ...(await storedState(catalog, key, known.digest)),
    upstream: state && askedFirst(state),
  }
}

async function tagState(
  { catalog, limitsOf, frozenTo, lastSaid, now }: DescribeDependencies,
  key: RepositoryKey,
  tag: Tag,
): Promise<Known> {
  const frozen = frozenTo(key, tag)
  if (frozen) return { digest: frozen, checkedAt: undefined, freshness: undefined }
  const said = await (lastSaid ? lastSaid(key, tag) : catalog.tags.find(key, tag))
  const limits = limitsOf(key.upstream)
  return {
    digest: said?.digest,
    checkedAt: said?.checkedAt,
    freshness: said && limits && freshnessOf(said, limits, now()),
  }
}

async function storedState(
  catalog: Catalog,
  key: RepositoryKey,
  digest: Digest | undefined,
): Promise<Pick<ContentState, 'isStored' | 'blobs' | 'firstSeenAt'>> {
  if (digest === undefined) return { isStored: false, blobs: NONE, firstSeenAt: undefined }
  const seenAt = await catalog.contents.firstSeen(key, digest)
  return {
    isStored: (await catalog.contents.findManifest(digest)) !== undefined,
    blobs: await blobsBelow(catalog, key, digest),
    // 0: before it was noted.
    firstSeenAt: seenAt === 0 ? undefined : seenAt,
  }
}

const NONE: ContentState['blobs'] = { stored: 0, missing: 0, missingBytes: 0 }

async function blobsBelow(
  { blobs, contents }: Catalog,
  key: RepositoryKey,
  digest: Digest,
): Promise<ContentState['blobs']> {
  const found = { ...NONE }
  for (const part of await contents.closure(digest)) {
    if (part === digest) continue
    if ((await blobs.size(part)) !== undefined) {
      found.stored += 1
      continue
    }
    found.missing += 1
    found.missingBytes += (await contents.expectedSize(key, part)) ?? 0
  }
  return found
}

/** The endpoint that is well, or will be first; the account that has pulls left, as far as it was said. */
function askedFirst({ offline, endpoints, accounts }: UpstreamState): ContentState['upstream'] {
  const [endpoint] = endpoints.toSorted((a, b) => a.restsFor - b.restsFor)
  const account = accounts.find(({ remaining }) => remaining !== 0) ?? accounts[0]
  return {
    offline,
    endpoint: offline ? undefined : endpoint?.origin,
    account: offline ? undefined : account?.account,
    pullsLeft: account?.remaining,
  }
}
