/** Bit rot: every damaged file is found, taken out of service and healed, and none is ever served whole. */
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { expect, it } from 'vitest'
import { buildImage, type FakeImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { metric } from '../scenarios/metrics-page.ts'
import { download } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { until } from '../support/until.ts'
import { type Chance, LONG, openChance } from './chance.ts'
import { letRot, remove } from './rot.ts'
import { storedFiles, wrongFiles } from './stored-files.ts'

const KIB = 1024
/** Each image is a manifest, a config and the rest layers. */
const FILES_PER_IMAGE = 50
const DAMAGED = LONG ? 10_000 : 1000
const REMOVED = 50
const READ_ROTTEN = 250
/** Files that the quarantine keeps. */
const QUARANTINE = 100
/** Tags are not asked for again: what is damaged has to be noticed by its bytes. */
const TAG_TTL = '1d'
const HEALED_DEADLINE = 120_000

interface StoredImage {
  readonly name: string
  readonly image: FakeImage
}

it(`is found in ${DAMAGED} files by the scrub, and healed from upstream`, async () => {
  const chance = openChance('rot')
  await using registry = await startRegistry()
  await using mirror = await startMirror({
    upstreams: { 'docker.io': { registry, tagTtl: TAG_TTL } },
    yaml: { scrub: '1GiB' },
  })
  const images = await store(registry, mirror, chance, DAMAGED + REMOVED)
  await mirror.stop()
  const files = shuffled(await storedFiles(mirror.dataDir), chance)
  const damaged = files.slice(0, DAMAGED)
  await letRot(damaged, chance)
  expect(await wrongFiles(mirror.dataDir)).toEqual(damaged.toSorted())

  await mirror.restart()
  await mirror.app.scrub()
  const found = { found: 'scrub' }
  expect(await metric(mirror, 'entrepot_damaged_blobs_total', found)).toBe(DAMAGED)
  const isHealed = async (): Promise<boolean> =>
    (await metric(mirror, 'entrepot_healed_blobs_total')) === DAMAGED
  await until(isHealed, { deadlineMs: HEALED_DEADLINE, what: 'all are healed' })
  await mirror.app.idle()
  await expectQuarantined(mirror, damaged)
  expect(await storedFiles(mirror.dataDir)).toEqual(files.toSorted())

  // What has vanished is a miss like any other.
  await remove(files.slice(DAMAGED))
  await pullAll(mirror, images)
  await mirror.app.idle()
  expect(await wrongFiles(mirror.dataDir)).toEqual([])
  await registry.goDown()
  await mirror.restart()
  await pullAll(mirror, images)
})

it(`of ${READ_ROTTEN} files gives no client a whole wrong body before the scrub`, async () => {
  const chance = openChance('rotten reads')
  await using registry = await startRegistry()
  await using mirror = await startMirror({
    upstreams: { 'docker.io': { registry, tagTtl: TAG_TTL } },
  })
  const images = await store(registry, mirror, chance, READ_ROTTEN)
  await mirror.stop()
  await letRot(shuffled(await storedFiles(mirror.dataDir), chance), chance)
  await mirror.restart()

  expect(await answersTo(mirror, images)).not.toContain('wrong')
  // Once noticed, the next client is given what upstream has.
  await until(async () => !(await answersTo(mirror, images)).includes('cut'), {
    deadlineMs: HEALED_DEADLINE,
    what: 'all answers are right',
  })
  await pullAll(mirror, images)
  await mirror.app.idle()
  await registry.goDown()
  await mirror.restart()
  await pullAll(mirror, images)
  expect(await wrongFiles(mirror.dataDir)).toEqual([])
})

/** Pulls images of `files` files in all, so that each of them is in the store. */
async function store(
  registry: FakeRegistry,
  mirror: Mirror,
  chance: Chance,
  files: number,
): Promise<StoredImage[]> {
  const images = Array.from({ length: files / FILES_PER_IMAGE }, (_, number) => {
    const layers = Array.from({ length: FILES_PER_IMAGE - 2 }, () => layerSize(chance))
    const image = buildImage({ seed: `${chance.seed}/${number}`, layers })
    registry.push(`library/image-${number}`, 'v1', image)
    return { name: `docker.io/library/image-${number}`, image }
  })
  await pullAll(mirror, images)
  await mirror.app.idle()
  expect(await storedFiles(mirror.dataDir)).toHaveLength(files)
  return images
}

/** Shorter and longer than what is held back before a digest is right. */
function layerSize(chance: Chance): number {
  return chance.between(100, chance.next() < 0.5 ? 8 * KIB : 300 * KIB)
}

async function pullAll(mirror: Mirror, images: readonly StoredImage[]): Promise<void> {
  for (const { name, image } of images) {
    expect((await mirror.pull(name, 'v1')).digest).toBe(image.digest)
  }
}

/** Whole answers to GETs of all blobs and manifests, by whether they are what was asked for. */
async function answersTo(
  { url }: Mirror,
  images: readonly StoredImage[],
): Promise<('right' | 'cut' | 'wrong')[]> {
  const answers: ('right' | 'cut' | 'wrong')[] = []
  for (const { name, image } of images) {
    const paths = image.blobs.map(({ digest }) => ({ digest, path: `/v2/${name}/blobs/${digest}` }))
    const own = { digest: image.digest, path: `/v2/${name}/manifests/${image.digest}` }
    for (const { digest, path } of [own, ...paths]) {
      const got = await download({ url, path }).catch(unlessReset)
      if (got?.complete !== true) answers.push('cut')
      else answers.push(got.status === 200 && got.digest === digest ? 'right' : 'wrong')
    }
  }
  return answers
}

/** A small blob is read as a whole before the first byte is sent. */
function unlessReset(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ECONNRESET') throw error
}

async function expectQuarantined(mirror: Mirror, damaged: readonly string[]): Promise<void> {
  const names = await readdir(join(mirror.dataDir, 'quarantine'))
  expect(names).toHaveLength(Math.min(QUARANTINE, damaged.length))
  const known = new Set(damaged.map((file) => basename(file)))
  expect(names.filter((name) => !known.has(name.slice(0, name.indexOf('.'))))).toEqual([])
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], chance: Chance): T[] {
  const left = [...items]
  return items.map(() => left.splice(chance.between(0, left.length), 1)[0] as T)
}
