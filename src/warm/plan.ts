/** One image, up to the blobs that it is made of: its manifests are asked for and stored on the way. */
import type { ManifestAnswer } from '../cache/manifest-answer.ts'
import type { RepositoryKey } from '../catalog/catalog.ts'
import type { Digest } from '../oci/digest.ts'
import { isDistributed, isIndexType, parseManifest, type Descriptor } from '../oci/manifest.ts'
import { parseTag, type Reference, type Repository } from '../oci/reference.ts'
import { WarmFailure } from './events.ts'
import type { Verdict, WarmMirror, WarmSurroundings } from './job.ts'
import { chooseEntries, entriesOf, platformTexts, type PlatformChoice } from './platforms.ts'

export interface Plan {
  readonly key: RepositoryKey
  /** What the image means now. */
  readonly digest: Digest
  /** Each once. */
  readonly blobs: readonly Descriptor[]
  /** Why it is not the newest. */
  readonly note: string | undefined
}

/** Indexes within each other. */
const MAX_DEPTH = 4
/** Of one image. */
const MAX_MANIFESTS = 1000
/** Likewise. */
const MAX_BLOBS = 10_000

/**
 * @param verdict of an image that is allowed
 * @throws {WarmFailure} {OciError} {StorageError}
 */
export async function planImage(
  verdict: Verdict,
  platforms: PlatformChoice,
  { mirror, signal }: Pick<WarmSurroundings, 'mirror' | 'signal'>,
): Promise<Plan> {
  const key = keyOf(verdict)
  await refuseOffline(key, mirror)
  const root = await askRoot(key, verdict, mirror)
  const blobs = new Map<Digest, Descriptor>()
  let manifests = 0

  async function collect(manifest: ManifestAnswer, depth: number): Promise<void> {
    signal.throwIfAborted()
    manifests += 1
    if (manifests > MAX_MANIFESTS || depth > MAX_DEPTH) {
      throw new WarmFailure('upstream', 'It is made of more manifests than any image has.')
    }
    const bytes = manifest.bytes ?? new Uint8Array()
    const { children } = parseManifest(bytes, manifest.mediaType)
    for (const child of children) {
      if (!child.isManifest && isDistributed(child.mediaType)) blobs.set(child.digest, child)
    }
    if (blobs.size > MAX_BLOBS) {
      throw new WarmFailure('upstream', 'It is made of more blobs than any image has.')
    }
    if (!isIndexType(manifest.mediaType)) return
    for (const digest of chosen(bytes, children)) {
      await collect(await manifestOf(key, { kind: 'digest', digest }, mirror), depth + 1)
    }
  }

  function chosen(bytes: Uint8Array, children: readonly Descriptor[]): Digest[] {
    const listed = children.filter(({ isManifest }) => isManifest).map(({ digest }) => digest)
    const entries = entriesOf(bytes, listed)
    const found = chooseEntries(entries, platforms)
    if (found.length > 0 || entries.length === 0) return found.map(({ digest }) => digest)
    const has = platformTexts(entries).join(', ') || 'none that is named'
    throw new WarmFailure('invalid', `It is not there for this platform; there is: ${has}.`)
  }

  await collect(root, 0)
  return { key, digest: root.digest, blobs: [...blobs.values()], note: root.staleBecause }
}

function keyOf({ upstream, repository }: Verdict): RepositoryKey {
  // It was parsed where the image was understood.
  return { upstream, repository: repository as Repository }
}

async function refuseOffline({ upstream }: RepositoryKey, mirror: WarmMirror): Promise<void> {
  if ((await mirror.upstreamState(upstream))?.offline !== true) return
  throw new WarmFailure('offline', `${upstream} is not asked for anything: the mirror is offline.`)
}

/** What the image means now, rather than what clients are given until that is known. */
async function askRoot(
  key: RepositoryKey,
  { tag, digest, verdict, probationEndsAt }: Verdict,
  mirror: WarmMirror,
): Promise<ManifestAnswer> {
  if (digest !== undefined) {
    if (probationEndsAt !== undefined) throw new WarmFailure('denied', verdict)
    return manifestOf(key, { kind: 'digest', digest: digest as Digest }, mirror)
  }
  const reference = { kind: 'tag', tag: parseTag(tag ?? 'latest') } as const
  await mirror.confirmTag(key, reference.tag)
  const given = await manifestOf(key, reference, mirror)
  return given.outcome === 'stale' ? renewed(key, reference, given, mirror) : given
}

/** A client is given what there is rather than made to wait; here somebody waits. */
async function renewed(
  key: RepositoryKey,
  reference: Reference,
  given: ManifestAnswer,
  mirror: WarmMirror,
): Promise<ManifestAnswer> {
  const { digest } = await mirror.describe(key, reference)
  if (digest !== undefined && digest !== given.digest) {
    await manifestOf(key, { kind: 'digest', digest }, mirror)
    const again = await manifestOf(key, reference, mirror)
    if (again.outcome !== 'stale') return again
  }
  throw new WarmFailure('upstream', `${sentence(given.staleBecause)} It is kept as it was.`)
}

/** A manifest that is here costs no pull; where few are left, no other is asked for. */
async function manifestOf(
  key: RepositoryKey,
  reference: Reference,
  mirror: WarmMirror,
): Promise<ManifestAnswer> {
  const state = await mirror.upstreamState(key.upstream)
  if (state !== undefined && state.pullBudget !== 'ample') {
    const { digest } = await mirror.manifest(key, reference, false)
    const { isStored } = await mirror.describe(key, { kind: 'digest', digest })
    if (!isStored) throw fewPullsLeft(key)
  }
  return mirror.manifest(key, reference, true, false)
}

function fewPullsLeft({ upstream }: RepositoryKey): WarmFailure {
  return new WarmFailure(
    'budget',
    `Few pulls are left at ${upstream}, and those are for clients: run it again when there are more.`,
  )
}

function sentence(text: string | undefined): string {
  return text === undefined ? 'Upstream could not confirm this tag.' : `${text}.`
}
