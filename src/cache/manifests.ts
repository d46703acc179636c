/** Manifests and what tags mean: from here while fresh, from upstream when needed, stale rather than not. */
import type { Catalog, RepositoryKey, TagRecord } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics, Outcome } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/error.ts'
import type { Tag } from '../oci/reference.ts'
import { UpstreamError } from '../upstream/upstream.ts'
import { createContentAge, type ContentAge } from './content-age.ts'
import { createStorageTrouble } from './failure.ts'
import { freshnessOf, mayServeOnError } from './freshness.ts'
import { answer, described, type ManifestAnswer } from './manifest-answer.ts'
import { createManifestRequests, type FetchedManifest } from './manifest-requests.ts'
import type { ManifestStore, StoredManifest } from './manifest-store.ts'
import { withinPatience } from './patience.ts'
import { createProbation, type OpenManifests } from './probation.ts'
import { createTagMeanings, type TagMeaning } from './tag-meanings.ts'
import type { UpstreamWork } from './upstream-work.ts'
import { clientOf, mirrored, type CacheSettings } from './upstreams.ts'

interface Dependencies {
  readonly catalog: Catalog
  readonly manifests: ManifestStore
  readonly work: UpstreamWork
  readonly settings: () => CacheSettings
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
  /** Told of each manifest whose bytes a client is given. */
  readonly onPulled?: (key: RepositoryKey, manifest: StoredManifest) => void
}

export interface Manifests {
  /**
   * @param wantsBody false for HEAD, which costs a counted pull upstream only where upstream has
   *   announced what it did not have
   * @param isPull as in `Mirror.manifest`
   */
  byTag(key: RepositoryKey, tag: Tag, wantsBody: boolean, isPull?: boolean): Promise<ManifestAnswer>
  byDigest(
    key: RepositoryKey,
    digest: Digest,
    wantsBody: boolean,
    isPull?: boolean,
  ): Promise<ManifestAnswer>
  /**
   * What lies under a tag at upstream, however young and whatever the tag is frozen to: for lists that
   * are read here, whose entries are judged when they are pulled.
   */
  listUnder(key: RepositoryKey, tag: Tag): Promise<ManifestAnswer>
  /** What upstream last said that the tag means, as far as it is known here. */
  lastSaid(key: RepositoryKey, tag: Tag): Promise<TagRecord | undefined>
  /**
   * Asks upstream now what the tag means, where what is known of it is older than its time to live.
   * @throws {UpstreamError} {OciError}
   */
  confirm(key: RepositoryKey, tag: Tag): Promise<void>
  /** Changes whenever upstream says that a tag means something else. */
  tagsVersion(): number
  readonly isOfAge: ContentAge['isOfAge']
  /**
   * Fetches and stores a manifest again whose file is lost or damaged.
   * @throws {UpstreamError} also when few pulls are left: those are for clients
   * @throws {StorageError} when it could not be stored
   */
  refetch(key: RepositoryKey, digest: Digest): Promise<void>
}

/** What can be served for a tag without asking anybody. */
interface Held {
  readonly manifest: StoredManifest
  readonly checkedAt: number
}

/** A request for a tag. */
interface Asked {
  readonly key: RepositoryKey
  readonly tag: Tag
  readonly wantsBody: boolean
}

export function createManifests(dependencies: Dependencies): Manifests {
  const { catalog, manifests, work, settings, now, onPulled } = dependencies
  const trouble = createStorageTrouble(dependencies)
  const tags = createTagMeanings({ catalog, trouble })
  const requests = createManifestRequests({ ...dependencies, tags, trouble })
  const age = createContentAge({ ...dependencies, requests })
  const open: OpenManifests = { byTag: openByTag, byDigest, bring, believed }
  const byTag = createProbation({ ...dependencies, open, age, trouble })
  /** Tags whose confirmation has outlasted somebody's patience and is still on its way. */
  const slow = new Set<string>()

  async function openByTag(
    key: RepositoryKey,
    tag: Tag,
    wantsBody: boolean,
  ): Promise<ManifestAnswer> {
    const asked = { key, tag, wantsBody }
    const meaning = await tags.find(key, tag)
    const latest = meaning.news ?? meaning.record
    const held = await heldOf(meaning)
    const limits = mirrored(settings(), key.upstream)
    const freshness = latest ? freshnessOf(latest, limits, now()) : 'expired'
    const isLatest = held !== undefined && held.manifest.digest === latest?.digest
    if (isLatest && freshness === 'fresh') {
      return answer(held.manifest, wantsBody, 'hit', latest.checkedAt + limits.tagTtl)
    }
    if (isLatest && freshness === 'revalidate-behind' && !tags.isDenied(key, tag)) {
      work.goOn(requests.revalidate(key, tag, held.manifest.digest))
      return stale(asked, held, 'is being asked whether this tag has changed')
    }
    const ask = () => current(asked, meaning, held, freshness === 'fresh')
    return held ? orHeld(asked, held, ask) : ask()
  }

  async function bring(
    key: RepositoryKey,
    tag: Tag,
    digest: Digest,
    outcome: Outcome,
  ): Promise<ManifestAnswer> {
    const asked = { key, tag, wantsBody: true }
    const held = await heldOf(await tags.find(key, tag))
    const ask = () => serve(asked, held, digest, outcome)
    return held ? orHeld(asked, held, ask) : ask()
  }

  async function lastSaid(key: RepositoryKey, tag: Tag): Promise<TagRecord | undefined> {
    const { news, record } = await tags.find(key, tag)
    return news ?? record
  }

  async function confirm(key: RepositoryKey, tag: Tag): Promise<void> {
    if (settings().frozenTo(key, tag) !== undefined) return
    const meaning = await tags.find(key, tag)
    const latest = meaning.news ?? meaning.record
    // What was never heard of is asked for when it is pulled.
    if (latest === undefined) return
    if (freshnessOf(latest, mirrored(settings(), key.upstream), now()) === 'fresh') return
    await requests.revalidate(key, tag, (await heldOf(meaning))?.manifest.digest)
  }

  async function believed(key: RepositoryKey, tag: Tag): Promise<Digest | undefined> {
    const said = await lastSaid(key, tag)
    return said && mayServe({ key, tag }, said) ? said.digest : undefined
  }

  async function heldOf({ news, record }: TagMeaning): Promise<Held | undefined> {
    for (const meaning of [news, record]) {
      const manifest = meaning && (await manifests.load(meaning.digest))
      if (manifest) return { manifest, checkedAt: meaning.checkedAt }
    }
    return undefined
  }

  /** What the tag means as far as upstream can be asked. */
  async function current(
    asked: Asked,
    { news, record }: TagMeaning,
    held: Held | undefined,
    isFresh: boolean,
  ): Promise<ManifestAnswer> {
    const { key, tag, wantsBody } = asked
    const latest = news ?? record
    if (isFresh && latest) return serve(asked, held, latest.digest, 'hit')
    if (latest === undefined && wantsBody) return fetched(requests.fetchTag(key, tag))
    const { digest, outcome } = await requests.revalidate(key, tag, held?.manifest.digest)
    return serve(asked, held, digest, outcome)
  }

  /** What a tag leads to: stored, announced (enough for HEAD), or still to be fetched. */
  async function serve(
    asked: Asked,
    held: Held | undefined,
    digest: Digest,
    outcome: Outcome,
  ): Promise<ManifestAnswer> {
    const { key, tag, wantsBody } = asked
    const stored = await manifests.load(digest)
    if (stored) return answer(stored, wantsBody, outcome)
    if (held && fewPullsLeft(key) && mayServe(asked, held)) {
      return stale(asked, held, 'has another manifest for this tag, but few pulls are left')
    }
    if (wantsBody || tags.isDoubted(key, digest)) return fetched(requests.fetchDigest(key, digest))
    const { news } = await tags.find(key, tag)
    return news?.digest === digest ? described(news, outcome) : headDigest(key, digest)
  }

  /**
   * Whatever upstream does wrong: what was pulled once can be pulled again. Our own faults are not
   * hidden. A client is not made to wait for an upstream that hangs, while the asking goes on.
   */
  async function orHeld(
    asked: Asked,
    held: Held,
    ask: () => Promise<ManifestAnswer>,
  ): Promise<ManifestAnswer> {
    const name = `${asked.key.upstream}/${asked.key.repository}:${asked.tag}`
    const mayBeServed = mayServe(asked, held)
    if (mayBeServed && slow.has(name)) return stale(asked, held, SLOW)
    const asking = ask()
    try {
      if (!mayBeServed) return await asking
      const inTime = await withinPatience(asking)
      if (inTime) return inTime
      slow.add(name)
      work.goOn(asking.finally(() => slow.delete(name)))
      return stale(asked, held, SLOW)
    } catch (error) {
      if (!isUpstreamTrouble(error) || isRefused(asked)) throw error
      if (mayServe(asked, held)) return stale(asked, held, reasonOf(error))
      throw tooOld(asked, mirrored(settings(), asked.key.upstream).staleIfError, error)
    }
  }

  /** What upstream deleted has no age limit: its setting alone decides. Nor has anything when offline. */
  function mayServe(
    asked: Pick<Asked, 'key' | 'tag'>,
    { checkedAt }: Pick<Held, 'checkedAt'>,
  ): boolean {
    const { keepDeleted, client, ...limits } = mirrored(settings(), asked.key.upstream)
    if (tags.isDenied(asked.key, asked.tag)) return keepDeleted
    return client.state().offline || mayServeOnError({ checkedAt }, limits, now())
  }

  function isRefused({ key, tag }: Asked): boolean {
    return tags.isDenied(key, tag) && !mirrored(settings(), key.upstream).keepDeleted
  }

  function fewPullsLeft({ upstream }: RepositoryKey): boolean {
    return clientOf(settings(), upstream).state().pullBudget !== 'ample'
  }

  async function byDigest(
    key: RepositoryKey,
    digest: Digest,
    wantsBody: boolean,
  ): Promise<ManifestAnswer> {
    const stored = await manifests.load(digest)
    if (stored === undefined) {
      return wantsBody ? fetched(requests.fetchDigest(key, digest)) : headDigest(key, digest)
    }
    if (!(await requests.isProven(key, digest))) {
      await requests.headDigest(key, digest)
      await manifests.link(key, stored)
    }
    return answer(stored, wantsBody, 'hit', Infinity)
  }

  async function headDigest(key: RepositoryKey, digest: Digest): Promise<ManifestAnswer> {
    const said = await requests.headDigest(key, digest)
    if (said === undefined) return fetched(requests.fetchDigest(key, digest))
    return described({ digest, ...said }, 'miss')
  }

  async function refetch(key: RepositoryKey, digest: Digest): Promise<void> {
    if (fewPullsLeft(key)) {
      throw new UpstreamError('rate-limited', `Few pulls are left at ${key.upstream}.`)
    }
    const { failure } = await requests.fetchDigest(key, digest)
    if (failure) throw failure
  }

  async function given(
    key: RepositoryKey,
    isPulled: boolean,
    result: Promise<ManifestAnswer>,
  ): Promise<ManifestAnswer> {
    const { digest, mediaType, bytes } = await result
    if (isPulled && bytes) onPulled?.(key, { digest, mediaType, bytes })
    return result
  }

  return {
    byTag: (key, tag, wantsBody, isPull = true) =>
      given(key, wantsBody && isPull, byTag(key, tag, wantsBody)),
    byDigest: (key, digest, wantsBody, isPull = true) =>
      given(key, wantsBody && isPull, byDigest(key, digest, wantsBody)),
    listUnder: (key, tag) => openByTag(key, tag, true),
    lastSaid,
    confirm,
    tagsVersion: () => tags.version(),
    isOfAge: (key, digest, minAge, kind) => age.isOfAge(key, digest, minAge, kind),
    refetch,
  }
}

const SLOW = 'takes long to confirm this tag'

async function fetched(fetching: Promise<FetchedManifest>): Promise<ManifestAnswer> {
  const { manifest, outcome } = await fetching
  return answer(manifest, true, outcome)
}

/** @param why follows the name of the upstream */
function stale({ key, wantsBody }: Asked, { manifest }: Held, why: string): ManifestAnswer {
  return { ...answer(manifest, wantsBody, 'stale'), staleBecause: `${key.upstream} ${why}` }
}

function isUpstreamTrouble(error: unknown): error is UpstreamError | OciError {
  return error instanceof UpstreamError || error instanceof OciError
}

function reasonOf(error: UpstreamError | OciError): string {
  return error instanceof UpstreamError
    ? `could not confirm this tag (${error.reason})`
    : 'sent a manifest that cannot be used'
}

/** Seconds after which a client may try again where upstream did not say. */
const RETRY_AFTER = 5

function tooOld(
  { key: { upstream } }: Asked,
  staleIfError: number,
  cause: UpstreamError | OciError,
): OciError {
  const limit = `staleIfError allows (${Math.round(staleIfError / 1000)} s)`
  return new OciError(
    'UNAVAILABLE',
    `${upstream} ${reasonOf(cause)}, and it was last confirmed longer ago than ${limit}.`,
    { cause, retryAfter: cause.retryAfter ?? RETRY_AFTER },
  )
}
