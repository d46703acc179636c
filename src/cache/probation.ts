/**
 * Tags under a rule that lets content in only after a while, and tags that operators have frozen. A wall
 * around how tags are served otherwise: whatever is found in there, by whatever path, is judged before it
 * goes out.
 */
import { LRUCache } from '../lru.ts'
import type { Catalog, RepositoryKey } from '../catalog/catalog.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/error.ts'
import type { Tag } from '../oci/reference.ts'
import { UpstreamError } from '../upstream/upstream.ts'
import type { ContentAge } from './content-age.ts'
import type { StorageTrouble } from './failure.ts'
import { answer, type ManifestAnswer } from './manifest-answer.ts'
import type { ManifestStore } from './manifest-store.ts'
import type { CacheSettings } from './upstreams.ts'

/** How tags and digests are served where nothing keeps them back. */
export interface OpenManifests {
  byTag(key: RepositoryKey, tag: Tag, wantsBody: boolean): Promise<ManifestAnswer>
  byDigest(key: RepositoryKey, digest: Digest, wantsBody: boolean): Promise<ManifestAnswer>
  /**
   * The body of what upstream has just said that the tag means, as it would be served by the tag: what
   * was known before comes in its place where upstream fails.
   */
  bring(
    key: RepositoryKey,
    tag: Tag,
    digest: Digest,
    outcome: ManifestAnswer['outcome'],
  ): Promise<ManifestAnswer>
  /** What upstream last said that the tag means, if that may be believed while it cannot be asked. */
  believed(key: RepositoryKey, tag: Tag): Promise<Digest | undefined>
}

interface Dependencies {
  readonly open: OpenManifests
  readonly age: ContentAge
  readonly catalog: Catalog
  readonly manifests: Pick<ManifestStore, 'load'>
  readonly trouble: StorageTrouble
  readonly settings: () => CacheSettings
  readonly now: () => number
}

/** A tag under a rule on age. */
interface Guarded {
  readonly key: RepositoryKey
  readonly tag: Tag
  readonly wantsBody: boolean
  /** Milliseconds. */
  readonly minAge: number
}

/** Earlier meanings that are looked at: a request must not cost more than so many look-ups. */
const MAX_MEANINGS = 100
const REMEMBERED = 1000

/** @returns how a tag is served */
export function createProbation(dependencies: Dependencies): OpenManifests['byTag'] {
  const { open, age, catalog, manifests, trouble, settings, now } = dependencies
  /** Written down already that the frozen tag leads to its digest. */
  const led = new LRUCache<string, true>({ max: REMEMBERED })

  async function frozen(
    { key, tag, wantsBody }: Pick<Guarded, 'key' | 'tag' | 'wantsBody'>,
    digest: Digest,
  ): Promise<ManifestAnswer> {
    const found = await open.byDigest(key, digest, wantsBody)
    const name = `${imageName(key)}:${tag}@${digest}`
    if (led.has(name)) return found
    // Upstream may never have said so, and a rule on tags admits only what a tag leads to.
    const written = await trouble.survivedWrite(catalog.tags.lead(key, tag, digest))
    if (written) led.set(name, true)
    return found
  }

  async function guarded(asked: Guarded): Promise<ManifestAnswer> {
    const { key, tag, wantsBody } = asked
    let meant: ManifestAnswer
    try {
      // As for HEAD: no counted pull is spent on what may not be served.
      meant = await open.byTag(key, tag, false)
    } catch (error) {
      const last = isTrouble(error) ? await open.believed(key, tag) : undefined
      if (last === undefined || (await isServable(asked, last))) throw error
      return earlier(asked, last)
    }
    if (!(await isServable(asked, meant.digest))) return earlier(asked, meant.digest)
    return wantsBody ? judged(asked, await withBody(asked, meant)) : meant
  }

  async function withBody({ key, tag }: Guarded, meant: ManifestAnswer): Promise<ManifestAnswer> {
    const stored = await manifests.load(meant.digest)
    if (stored === undefined) return open.bring(key, tag, meant.digest, meant.outcome)
    return { ...answer(stored, true, meant.outcome), staleBecause: meant.staleBecause }
  }

  /** Something else may have come in the place of what was asked for. */
  async function judged(asked: Guarded, found: ManifestAnswer): Promise<ManifestAnswer> {
    return (await isServable(asked, found.digest)) ? found : earlier(asked, found.digest)
  }

  function isServable({ key, minAge }: Guarded, digest: Digest): Promise<boolean> {
    return age.isServable(key, digest, minAge)
  }

  /** The latest that the tag meant before, where that can be served, in the place of a young digest. */
  async function earlier(asked: Guarded, young: Digest): Promise<ManifestAnswer> {
    const { key, tag, wantsBody, minAge } = asked
    const seenAt = (await age.firstSeen(key, young)) ?? now()
    const meanings = await catalog.tags.meanings(key, tag)
    for (const digest of meanings.slice(0, MAX_MEANINGS)) {
      if (digest === young || !(await isServable(asked, digest))) continue
      const stored = await manifests.load(digest)
      if (stored === undefined) continue
      const until = isoTime(seenAt + minAge)
      const staleBecause = `${key.upstream} has newer content for this tag, which is on probation until ${until}`
      return { ...answer(stored, wantsBody, 'hit'), staleBecause }
    }
    throw onProbation(asked, young, seenAt)
  }

  return async (key, tag, wantsBody) => {
    const { frozenTo, minAge } = settings()
    const digest = frozenTo(key, tag)
    if (digest !== undefined) return frozen({ key, tag, wantsBody }, digest)
    const least = minAge(key, tag)
    if (least <= 0) return open.byTag(key, tag, wantsBody)
    // What may be served changes with the time.
    return { ...(await guarded({ key, tag, wantsBody, minAge: least })), freshUntil: 0 }
  }
}

function isTrouble(error: unknown): boolean {
  return error instanceof UpstreamError || error instanceof OciError
}

/** Without `Retry-After`: no client waits for days, and an operator may decide at any time. */
function onProbation({ key, tag, minAge }: Guarded, digest: Digest, seenAt: number): OciError {
  const name = imageName(key)
  const [since, until] = [isoTime(seenAt), isoTime(seenAt + minAge)]
  return new OciError(
    'DENIED',
    `${name}:${tag} now means ${digest}, which is new: it was first seen at ${key.upstream} at ${since}, and may be pulled from ${until} on. An operator of the mirror may let it through before: entrepot content approve ${name}@${digest}`,
    { detail: { name, tag, digest, firstSeenAt: since, servableAt: until } },
  )
}

/** The last moment that a date can tell, in milliseconds since the epoch. */
const END_OF_TIME = 8.64e15

function isoTime(at: number): string {
  return new Date(Math.min(at, END_OF_TIME)).toISOString()
}

function imageName({ upstream, repository }: RepositoryKey): string {
  return `${upstream}/${repository}`
}
