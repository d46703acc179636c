/** The mirror of one history, its upstream, and the requests that are held against the model. */
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { expect } from 'vitest'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type ClientResponse, openStream } from '../support/client.ts'
import type { MirrorSettings } from '../support/mirror-config.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { within } from '../support/until.ts'
import {
  type Content,
  CONTENTS,
  contentsOf,
  imageOf,
  IMAGES,
  mayBeAnnounced,
  mayBeRemembered,
  type Model,
  nameOf,
  type Possible,
  possibleContent,
  possibleTag,
  REPOSITORIES,
  type Repository,
  SHARED,
  type Tag,
  tagWasAnnounced,
  tagWasPulled,
  wasEvicted,
  wasGiven,
  wasRestarted,
} from './history-model.ts'
import { storedFiles } from './stored-files.ts'

export interface World extends AsyncDisposable {
  readonly registry: FakeRegistry
  readonly mirror: Mirror
  /** Digests and bytes of what was on disk when it was last looked at. */
  stored: ReadonlyMap<string, number>
}

const UPSTREAM = 'docker.io'
const IDLE_DEADLINE = 20_000
/** So that nothing of the configuration's text changes but what a step is about. */
const LONG_TTL = '1d'

export async function openWorld(model: Model): Promise<World> {
  const registry = await startRegistry()
  for (const [repository, images] of IMAGES) {
    for (const image of images) registry.push(repository, undefined, image)
  }
  registry.pushBlob('library/b', SHARED.bytes)
  for (const [name, digest] of model.tags) {
    const [repository = '', tag = ''] = name.split(' ')
    registry.setTag(repository, tag, digest)
  }
  const mirror = await startMirror(settingsOf(registry, model))
  return {
    registry,
    mirror,
    stored: new Map(),
    async [Symbol.asyncDispose]() {
      try {
        await mirror[Symbol.asyncDispose]()
      } finally {
        await registry.goDown()
      }
    },
  }
}

function settingsOf(registry: FakeRegistry, model: Model): MirrorSettings {
  const { believesTags, denied, budget, isOffline } = model
  return {
    upstreams: { [UPSTREAM]: { registry, tagTtl: believesTags ? LONG_TTL : '0s' } },
    deny: [...denied].map((repository) => `${UPSTREAM}/${repository}`),
    yaml: { offline: isOffline, ...(budget !== undefined && { budget: `${budget / 1024}KiB` }) },
  }
}

/** Takes a change of the model over to the mirror without a restart. */
export function reload({ registry, mirror }: World, model: Model): void {
  mirror.reload(settingsOf(registry, model))
}

export async function restart({ registry, mirror }: World, model: Model): Promise<void> {
  wasRestarted(model)
  await mirror.restart(settingsOf(registry, model))
}

/**
 * One step, and what holds after each: of a denied name upstream hears nothing, and nothing vanishes but
 * what the budget has no room for.
 */
export async function step(world: World, model: Model, run: () => Promise<void>): Promise<void> {
  const { registry, mirror } = world
  const hidden = [...model.denied]
  const asked = (): number =>
    registry.requests.filter(({ path }) => hidden.some((name) => path.startsWith(`/v2/${name}/`)))
      .length
  const before = asked()
  await run()
  await within(mirror.app.idle(), { deadlineMs: IDLE_DEADLINE, what: 'the mirror is idle' })
  if (hidden.every((name) => model.denied.has(name))) {
    expect(asked(), 'upstream requests for denied names').toBe(before)
  }
  if (model.budget !== undefined) await compareStored(world, model, model.budget)
}

export async function pullTag(
  world: World,
  model: Model,
  { repository, tag, by }: { repository: Repository; tag: Tag; by: 'GET' | 'HEAD' },
): Promise<void> {
  const { mirror } = world
  const possible = possibleTag(model, repository, tag)
  mayBeRemembered(model, repository, tag)
  const path = pathOf(repository, 'manifests', tag)
  const answer = by === 'GET' ? await mirror.get(path) : await mirror.head(path)
  expectPossible(answer, possible, `${by} ${path}`)
  const digest = answer.status === 200 ? (answer.headers['docker-content-digest'] ?? '') : undefined
  if (!model.denied.has(repository) && digest !== model.tags.get(nameOf(repository, tag))) {
    mayBeAnnounced(model, repository, tag)
  }
  if (digest === undefined) return
  expect([...possible.digests], `the digest of ${path}`).toContain(digest)
  const image = IMAGES.get(repository)?.find((it) => it.digest === digest)
  const [manifest, ...blobs] = image ? contentsOf(image) : []
  if (manifest === undefined) throw new Error(`${path} is ${digest}, which is not of it.`)
  if (by === 'HEAD') tagWasAnnounced(model, repository, tag, digest)
  else expectWhole(answer, manifest)
  const isThere = by === 'GET' || (await getContent(world, model, repository, manifest))
  if (!isThere) return
  tagWasPulled(model, repository, tag, digest)
  for (const blob of blobs) await getContent(world, model, repository, blob)
}

export async function pullDigest(
  world: World,
  model: Model,
  { repository, number }: { repository: Repository; number: number },
): Promise<void> {
  for (const content of contentsOf(imageOf(repository, number))) {
    if (!(await getContent(world, model, repository, content))) return
  }
}

/** @returns whether it came */
export async function getContent(
  world: World,
  model: Model,
  repository: Repository,
  content: Content,
): Promise<boolean> {
  const { path, possible } = asking(model, repository, content)
  const answer = await world.mirror.get(path)
  expectPossible(answer, possible, `GET ${path}`)
  if (answer.status !== 200) return false
  expectWhole(answer, content)
  wasGiven(model, repository, content.digest)
  return true
}

export async function getPart(
  world: World,
  model: Model,
  repository: Repository,
  { content, first, last }: { content: Content; first: number; last: number },
): Promise<void> {
  const { path, possible } = asking(model, repository, content)
  const answer = await world.mirror.get(path, { headers: { range: `bytes=${first}-${last}` } })
  const isPart = answer.status === 206
  expectPossible({ ...answer, status: isPart ? 200 : answer.status }, possible, `GET ${path}`)
  if (!possible.statuses.has(200) || answer.status >= 400) return
  expect(answer.status).toBe(206)
  const range = `bytes ${first}-${last}/${content.bytes.length}`
  expect(answer.headers['content-range']).toBe(range)
  expect(answer.body.equals(content.bytes.subarray(first, last + 1)), `${range} of ${path}`).toBe(
    true,
  )
  wasGiven(model, repository, content.digest)
}

/** Leaves after some bytes, or before any: the download goes on. */
export async function leaveEarly(
  world: World,
  model: Model,
  repository: Repository,
  { content, bytes }: { content: Content; bytes: number },
): Promise<void> {
  const { path, possible } = asking(model, repository, content)
  const stream = await openStream({ url: world.mirror.url, path })
  expectPossible(stream, possible, `GET ${path}`)
  const came = await stream.read(bytes)
  stream.abort()
  if (stream.status !== 200) return
  expect(came.equals(content.bytes.subarray(0, came.length)), `${path} from its beginning`).toBe(
    true,
  )
  wasGiven(model, repository, content.digest)
}

/** Nothing is damaged, as nobody has damaged anything. */
export async function scrub({ mirror }: World): Promise<void> {
  const stored = await readStored(mirror)
  expect(await mirror.app.scrub()).toMatchObject({ checked: stored.size, damaged: 0 })
}

/** Everything that has to be here is served, although nobody else is. */
export async function expectAllKept(world: World, model: Model): Promise<void> {
  const { registry, mirror } = world
  if (model.isUp) await registry.goDown()
  Object.assign(model, { isUp: false, isOffline: false, denied: new Set<Repository>() })
  reload(world, model)
  const onDisk = await readStored(mirror)
  for (const repository of REPOSITORIES) {
    for (const [digest, content] of CONTENTS) {
      if (!model.kept.has(nameOf(repository, digest))) continue
      expect(onDisk.has(digest), `${digest} is in the store`).toBe(true)
      expect(await getContent(world, model, repository, content)).toBe(true)
    }
  }
}

function asking(
  model: Model,
  repository: Repository,
  { kind, digest }: Content,
): { path: string; possible: Possible } {
  const possible = possibleContent(model, repository, digest)
  mayBeRemembered(model, repository, digest)
  return { path: pathOf(repository, kind, digest), possible }
}

/** @param budget bytes */
async function compareStored(world: World, model: Model, budget: number): Promise<void> {
  const before = world.stored
  const after = await readStored(world.mirror)
  world.stored = after
  const gone = [...before.keys()].filter((digest) => !after.has(digest))
  const ever = new Map([...before, ...after])
  const blobs = [...after].filter(([digest]) => CONTENTS.get(digest)?.kind === 'blobs')
  expect(sum(blobs.map(([, bytes]) => bytes)), 'bytes of blobs').toBeLessThanOrEqual(budget)
  expect(gone.filter((digest) => CONTENTS.get(digest)?.kind === 'manifests')).toEqual([])
  if (gone.length > 0) expect(sum([...ever.values()])).toBeGreaterThan(budget)
  for (const digest of CONTENTS.keys()) if (!after.has(digest)) wasEvicted(model, digest)
}

export async function readStored({ dataDir }: Mirror): Promise<Map<string, number>> {
  const files = await storedFiles(dataDir)
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
  return new Map(files.map((file, at) => [`sha256:${basename(file)}`, sizes[at] ?? 0]))
}

function expectPossible(
  { status }: Pick<ClientResponse, 'status'>,
  possible: Possible,
  what: string,
): void {
  expect([...possible.statuses], `the status of ${what}`).toContain(status)
}

/** A comparison that does not print everything where it fails. */
function expectWhole(answer: ClientResponse, { bytes, digest }: Content): void {
  expect(answer.complete, `all of ${digest} came`).toBe(true)
  expect(answer.body.equals(bytes), `${digest} has the right bytes`).toBe(true)
}

function pathOf(repository: Repository, kind: Content['kind'], reference: string): string {
  return `/v2/${UPSTREAM}/${repository}/${kind}/${reference}`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((one, other) => one + other, 0)
}
