/** A supply of images that clients have not pulled yet, from an upstream whose layers come fast and slowly. */
import { buildImage, type FakeImage } from '../fakes/images.ts'
import type { FakeRegistry } from '../fakes/registry.ts'
import type { Chance } from './chance.ts'

const KIB = 1024
const MIB = 1024 * KIB

export interface OfferedImage {
  readonly image: FakeImage
  /** As clients of the mirror write it. */
  readonly name: string
  readonly repository: string
  readonly tag: string
  /** A client has all of it. */
  isPulled: boolean
}

export interface GrowingImages {
  readonly all: readonly OfferedImage[]
  /** Puts new images upstream until so many are not stored yet. */
  replenish(count: number): void
}

/** Bytes a second at which upstream sends a layer; what is slow is still on its way when the mirror is killed. */
const SPEEDS = [2 * MIB, 8 * MIB, 32 * MIB, 128 * MIB] as const
/** Images of a family share all layers but their last. */
const FAMILY = 3

export function createGrowingImages(registry: FakeRegistry, chance: Chance): GrowingImages {
  const all: OfferedImage[] = []
  const slowed = new Set<string>()
  let layers: number[] = []

  function offer(): void {
    const family = Math.floor(all.length / FAMILY)
    if (all.length % FAMILY === 0) layers = [layerSize(chance)]
    layers = [...layers, layerSize(chance)]
    const image = buildImage({ seed: `${chance.seed}/${family}`, layers })
    const repository = `library/family-${family}`
    const tag = `v${all.length}`
    registry.push(repository, tag, image)
    for (const { digest } of image.blobs.filter((blob) => !slowed.has(blob.digest))) {
      slowed.add(digest)
      registry.fault({ match: { digest }, bytesPerSecond: chance.oneOf(SPEEDS) })
    }
    const name = `docker.io/${repository}`
    all.push({ image, name, repository, tag, isPulled: false })
  }

  return {
    all,
    replenish(count) {
      while (all.filter(({ isPulled }) => !isPulled).length < count) offer()
    },
  }
}

/** Many small ones, and some that take a while. */
function layerSize(chance: Chance): number {
  return chance.between(200 * KIB, chance.next() < 0.5 ? MIB : 6 * MIB)
}
