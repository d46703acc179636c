/**
 * What may be answered, after all that has happened: a plain model of upstream, of the rules, and of what
 * has to be in the cache. Where chance decides (a failure is remembered for some seconds), it allows each
 * outcome and learns from what it sees.
 */
import type { Digest } from '../../src/oci/digest.ts'
import { buildImage, type FakeImage } from '../fakes/images.ts'

export const REPOSITORIES = ['library/a', 'library/b', 'team/c'] as const
export const TAGS = ['v1', 'v2'] as const
export const IMAGES_EACH = 3
/** Each larger than what is held back before a digest is right, or smaller. */
const LAYERS = [3000, 100_000]

export type Repository = (typeof REPOSITORIES)[number]
export type Tag = (typeof TAGS)[number]

/** A manifest, or a blob of an image. */
export interface Content {
  readonly kind: 'manifests' | 'blobs'
  readonly digest: string
  readonly bytes: Uint8Array
}

/** What upstream has never lost: images, whether a tag names them or not. */
export const IMAGES: ReadonlyMap<Repository, readonly FakeImage[]> = new Map(
  REPOSITORIES.map((repository) => [
    repository,
    Array.from({ length: IMAGES_EACH }, (_, number) =>
      buildImage({ seed: `${repository}/${number}`, layers: LAYERS }),
    ),
  ]),
)

/** A layer of the first repository that the second one holds as well. */
export const SHARED = contentsOf(imageOf('library/a', 0)).at(-1) as Content
const SHARING: Repository = 'library/b'

export function imageOf(repository: Repository, number: number): FakeImage {
  const image = IMAGES.get(repository)?.[number]
  if (image === undefined) throw new Error(`${repository} has no image ${number}.`)
  return image
}

/** The manifest, the config and the layers. */
export function contentsOf(image: FakeImage): Content[] {
  const blobs = image.blobs.map(({ digest, bytes }): Content => ({ kind: 'blobs', digest, bytes }))
  return [{ kind: 'manifests', digest: image.digest, bytes: image.bytes }, ...blobs]
}

export const CONTENTS: ReadonlyMap<string, Content> = new Map(
  [...IMAGES.values()].flat().flatMap((image) => {
    return contentsOf(image).map((content) => [content.digest, content] as const)
  }),
)

export const BLOBS = [...CONTENTS.values()].filter(({ kind }) => kind === 'blobs')

/** What upstream holds, by repository. */
const HELD: ReadonlySet<string> = new Set([
  ...REPOSITORIES.flatMap((repository) =>
    (IMAGES.get(repository) ?? []).flatMap((image) =>
      contentsOf(image).map(({ digest }) => nameOf(repository, digest)),
    ),
  ),
  nameOf(SHARING, SHARED.digest),
])

/** How an answer may begin: its status, and for a tag with which digests. */
export interface Possible {
  readonly statuses: ReadonlySet<number>
  readonly digests: ReadonlySet<string>
}

interface Remembered {
  readonly status: number
  /** Milliseconds of a monotonic clock. */
  readonly until: number
}

export interface Model {
  isUp: boolean
  isOffline: boolean
  believesTags: boolean
  denied: ReadonlySet<Repository>
  /** Bytes. */
  budget: number | undefined
  /** What upstream's tags mean. */
  readonly tags: Map<string, Digest>
  /** What tags meant when they were last confirmed. */
  readonly known: Map<string, string>
  /** Heard of for a tag, perhaps without having its manifest: it may be served, or what is known. */
  readonly announced: Map<string, string>
  /** What has to be served without upstream, by the repository it came from. */
  readonly kept: Set<string>
  /** What upstream has given for a repository at some time. */
  readonly given: Set<string>
  readonly failures: Map<string, Remembered[]>
  /** Until then upstream may be taken for unreachable, though it is not. */
  restsUntil: number
}

/** Milliseconds for which the failure of a reference may be remembered, and a little more. */
const REMEMBERED = 11_000
/** Milliseconds for which no connection may be tried after one that failed, and a little more. */
const REST = 3000

export function createModel(): Model {
  return {
    isUp: true,
    isOffline: false,
    believesTags: false,
    denied: new Set(),
    budget: undefined,
    // The others are free at first.
    tags: new Map(REPOSITORIES.map((name) => [nameOf(name, TAGS[0]), imageOf(name, 0).digest])),
    known: new Map(),
    announced: new Map(),
    kept: new Set(),
    given: new Set(),
    failures: new Map(),
    restsUntil: 0,
  }
}

export function nameOf(repository: Repository, reference: string): string {
  return `${repository} ${reference}`
}

/** To a request for a digest. */
export function possibleContent(model: Model, repository: Repository, digest: string): Possible {
  const name = nameOf(repository, digest)
  if (model.denied.has(repository)) return statuses(403)
  if (model.kept.has(name)) return statuses(200)
  const stored = model.given.has(name) ? [200] : []
  if (!isAsked(model)) return statuses(503, ...stored, ...remembered(model, name))
  return statuses(HELD.has(name) ? 200 : 404, ...stored, ...remembered(model, name))
}

/** To a request for a tag. */
export function possibleTag(model: Model, repository: Repository, tag: Tag): Possible {
  const name = nameOf(repository, tag)
  if (model.denied.has(repository)) return statuses(403)
  const current = model.tags.get(name)
  const known = model.known.get(name)
  const announced = model.announced.get(name)
  const old = [known, announced].filter((digest) => digest !== undefined)
  const failed = [
    ...remembered(model, name),
    ...[current, announced].flatMap((digest) =>
      digest === undefined ? [] : remembered(model, nameOf(repository, digest)),
    ),
  ]
  if (known !== undefined && model.believesTags && announced === undefined) return one(known)
  if (announced !== undefined) {
    const fallBack = known === undefined ? [404, 503] : []
    return { statuses: new Set([200, ...fallBack]), digests: new Set([...old, current ?? '']) }
  }
  const isConfirmed = isAsked(model) && current !== undefined
  if (known !== undefined) {
    if (!isConfirmed) return one(known)
    return failed.length > 0 ? one(current, known) : one(current)
  }
  if (isConfirmed) return { statuses: new Set([200, ...failed]), digests: new Set([current]) }
  return statuses(isAsked(model) ? 404 : 503, ...failed)
}

/**
 * A tag was answered with something else than it means upstream, or not at all: it may be that the mirror
 * has heard of its meaning and could not fetch the manifest.
 */
export function mayBeAnnounced(model: Model, repository: Repository, tag: Tag): void {
  const name = nameOf(repository, tag)
  const current = model.tags.get(name)
  const isBelieved = model.believesTags && model.known.has(name) && !model.announced.has(name)
  if (isAsked(model) && !isBelieved && current !== undefined) model.announced.set(name, current)
}

/** A whole manifest came for the tag, so that from now on it can be served without upstream. */
export function tagWasPulled(model: Model, repository: Repository, tag: Tag, digest: string): void {
  const name = nameOf(repository, tag)
  if (model.announced.get(name) === digest) model.announced.delete(name)
  model.known.set(name, digest)
  wasGiven(model, repository, digest)
}

/** The tag was answered with a digest whose manifest did not come. */
export function tagWasAnnounced(
  model: Model,
  repository: Repository,
  tag: Tag,
  digest: string,
): void {
  if (model.kept.has(nameOf(repository, digest))) tagWasPulled(model, repository, tag, digest)
  else model.announced.set(nameOf(repository, tag), digest)
}

export function wasGiven(model: Model, repository: Repository, digest: string): void {
  const name = nameOf(repository, digest)
  model.given.add(name)
  model.kept.add(name)
}

/** Whatever is answered now: upstream could not confirm it, and that may be remembered for a while. */
export function mayBeRemembered(model: Model, repository: Repository, reference: string): void {
  const isTag = !reference.includes(':')
  const name = nameOf(repository, reference)
  const isHeld = isTag ? model.tags.has(name) : HELD.has(name)
  const now = performance.now()
  const reachable = isAsked(model)
  const failed = [
    ...(reachable && now > model.restsUntil ? [] : [503]),
    ...(reachable && !isHeld ? [404] : []),
  ].map((status) => ({ status, until: now + REMEMBERED }))
  model.failures.set(name, [...(model.failures.get(name) ?? []), ...failed])
  if (!model.isUp && !model.isOffline) model.restsUntil = now + REST
}

export function wasRestarted(model: Model): void {
  model.failures.clear()
  model.restsUntil = 0
  for (const [name, digest] of model.announced) {
    // Its manifest may have come since, and the tag may have moved with it.
    const [repository] = name.split(' ')
    if (!model.kept.has(`${repository} ${digest}`)) model.announced.delete(name)
  }
}

export function wasEvicted(model: Model, digest: string): void {
  for (const repository of REPOSITORIES) model.kept.delete(nameOf(repository, digest))
}

function isAsked({ isUp, isOffline }: Model): boolean {
  return isUp && !isOffline
}

function remembered(model: Model, name: string): number[] {
  const now = performance.now()
  const failures = (model.failures.get(name) ?? []).filter(({ until }) => until > now)
  const failed = failures.map(({ status }) => status)
  return now > model.restsUntil ? failed : [...failed, 503]
}

function statuses(...possible: number[]): Possible {
  return { statuses: new Set(possible), digests: new Set() }
}

function one(...digests: string[]): Possible {
  return { statuses: new Set([200]), digests: new Set(digests) }
}
