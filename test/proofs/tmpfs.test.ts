/** A disk that is really full: clients are served, nothing that was stored is lost, and room is used again. */
import { afterEach, expect, it, vi } from 'vitest'
import { createGate } from '../fakes/gate.ts'
import { buildImage, type FakeImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { metric } from '../scenarios/metrics-page.ts'
import { storedBlobs } from '../scenarios/stored-blobs.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { mountSmallDisk } from './small-disk.ts'

const MIB = 1024 * 1024
const DISK = 48 * MIB
/** Left free, unless another program takes it. */
const MIN_FREE = MIB
/** Blobs that a budget of half the disk has to make room for, one after the other. */
const CYCLED = 40
const BUDGET = 24 * MIB
const AT_ONCE = 3

afterEach(() => {
  vi.unstubAllEnvs()
})

it('a layer larger than the disk is passed through, and nothing goes for its sake', async () => {
  await using disk = await mountSmallDisk(DISK)
  await using registry = await startRegistry()
  await using mirror = await startOn(disk.folder, registry)
  const small = offer(registry, 'small', 8 * MIB)
  const huge = offer(registry, 'huge', 64 * MIB)
  await pullBy(1, mirror, small)
  await mirror.app.idle()

  await pullBy(AT_ONCE, mirror, huge)
  await mirror.app.idle()
  expect(await metric(mirror, 'entrepot_passed_through_total')).toBeGreaterThan(0)
  expect(await storedBlobs(mirror)).not.toContain(layerOf(huge))
  await expectKept(mirror, registry, small)
})

it('a disk that others fill before a download begins keeps what is stored', async () => {
  await using disk = await mountSmallDisk(DISK)
  await using registry = await startRegistry()
  await using mirror = await startOn(disk.folder, registry)
  const small = offer(registry, 'small', 4 * MIB)
  const next = offer(registry, 'next', 12 * MIB)
  await pullBy(1, mirror, small)
  await mirror.app.idle()

  // Even without the small image there would be no room for the next one.
  await disk.fillUp(2 * MIB)
  await pullBy(AT_ONCE, mirror, next)
  await mirror.app.idle()
  expect(await metric(mirror, 'entrepot_passed_through_total')).toBeGreaterThan(0)
  await expectKept(mirror, registry, small)

  await disk.giveBack()
  await pullBy(1, mirror, next)
  await mirror.app.idle()
  await expectKept(mirror, registry, next)
  await expectKept(mirror, registry, small)
})

it('a disk that others fill in the middle of a download cuts no client', async () => {
  await using disk = await mountSmallDisk(DISK)
  await using registry = await startRegistry()
  await using mirror = await startOn(disk.folder, registry)
  const image = offer(registry, 'middle', 16 * MIB)
  const gate = createGate()
  registry.fault({ match: { digest: layerOf(image) }, times: 1, hold: { after: 4 * MIB, gate } })

  const pulls = pullBy(AT_ONCE, mirror, image)
  await gate.reached
  await disk.fillUp(0)
  gate.open()
  await pulls
  await mirror.app.idle()
  expect(await metric(mirror, 'entrepot_passed_through_total')).toBeGreaterThan(0)
  expect(await metric(mirror, 'entrepot_storage_failures_total')).toBeGreaterThan(0)

  await disk.giveBack()
  await pullBy(1, mirror, image)
  await mirror.app.idle()
  await expectKept(mirror, registry, image)
})

it(`a budget of half the disk lets ${CYCLED} images through it without ever filling it`, async () => {
  await using disk = await mountSmallDisk(DISK)
  await using registry = await startRegistry()
  await using mirror = await startOn(disk.folder, registry, { budget: `${BUDGET / MIB}MiB` })
  const images = Array.from({ length: CYCLED }, (_, number) =>
    offer(registry, `cycled-${number}`, (1 + (number % 6)) * MIB),
  )
  for (let first = 0; first < CYCLED; first += AT_ONCE) {
    const together = images.slice(first, first + AT_ONCE)
    await Promise.all(together.map((image) => pullBy(2, mirror, image)))
    expect(await metric(mirror, 'entrepot_cache_bytes')).toBeLessThanOrEqual(BUDGET)
  }
  await mirror.app.idle()
  expect(await metric(mirror, 'entrepot_evicted_bytes_total')).toBeGreaterThan(BUDGET)
  expect(await metric(mirror, 'entrepot_storage_failures_total')).toBe(0)
  expect(await metric(mirror, 'entrepot_passed_through_total')).toBe(0)
  const newest = images.at(-1)
  if (newest) await expectKept(mirror, registry, newest)
})

interface OfferedImage {
  readonly name: string
  readonly image: FakeImage
}

function offer(registry: FakeRegistry, seed: string, size: number): OfferedImage {
  const image = buildImage({ seed, layers: [size] })
  registry.push(`library/${seed}`, 'v1', image)
  return { name: `docker.io/library/${seed}`, image }
}

function layerOf({ image }: OfferedImage): string {
  return image.blobs.at(-1)?.digest ?? ''
}

/** A mirror all of whose files are on that disk. */
function startOn(
  folder: string,
  registry: FakeRegistry,
  yaml: Readonly<Record<string, unknown>> = {},
): Promise<Mirror> {
  vi.stubEnv('TMPDIR', folder)
  return startMirror({
    upstreams: { 'docker.io': { registry, tagTtl: '1d' } },
    yaml: { minFree: `${MIN_FREE / MIB}MiB`, ...yaml },
    // A part of a large download may wait for the next client.
    mayLeaveSpool: true,
  })
}

async function pullBy(
  clients: number,
  mirror: Mirror,
  { name, image }: OfferedImage,
): Promise<void> {
  const pulls = Array.from({ length: clients }, () => mirror.pull(name, 'v1'))
  for (const { digest } of await Promise.all(pulls)) expect(digest).toBe(image.digest)
}

/** It can be pulled without upstream. */
async function expectKept(
  mirror: Mirror,
  registry: FakeRegistry,
  image: OfferedImage,
): Promise<void> {
  await registry.goDown()
  await pullBy(1, mirror, image)
  await registry.comeUp()
}
