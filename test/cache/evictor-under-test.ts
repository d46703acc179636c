/** An evictor on real content, with the limits, pins and uses that a test wants. */
import { expect } from 'vitest'
import { createEvictor, type Evictor } from '../../src/cache/evict.ts'
import { createInUse, type InUse } from '../../src/cache/in-use.ts'
import type { DiskLimits } from '../../src/cache/room.ts'
import { createUsage } from '../../src/cache/usage.ts'
import type { RepositoryKey } from '../../src/catalog/catalog.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics, type Metrics } from '../../src/metrics.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { parseRepository, parseTag, type Tag } from '../../src/oci/reference.ts'
import type { StoredContent } from './stored-content.ts'

export interface EvictorUnderTest extends AsyncDisposable {
  readonly evictor: Evictor
  readonly inUse: InUse
  readonly metrics: Metrics
  /** What was logged, the latest last. */
  lines(): { readonly msg: string }[]
  /** What memory was told to forget. */
  readonly forgotten: readonly Digest[]
  used(digest: Digest): void
}

/** The time at which everything here happens. */
export const NOW = 1_000_000

export function createEvictorUnderTest(
  content: StoredContent,
  limits: Partial<DiskLimits>,
  isPinned: (key: RepositoryKey, tag: Tag) => boolean = () => false,
  frozenDigests: readonly Digest[] = [],
): EvictorUnderTest {
  const lines: string[] = []
  const forgotten: Digest[] = []
  const metrics = createMetrics()
  const log = createLog({ write: (line) => void lines.push(line) })
  const usage = createUsage({ blobs: content.catalog.blobs, now: () => NOW, metrics, log })
  const inUse = createInUse()
  const disk = {
    budget: undefined,
    lowWatermark: limits.budget,
    maxUnused: undefined,
    minFree: 0,
    ...limits,
  }
  const evictor = createEvictor({
    ...content,
    usage,
    disk,
    settings: () => ({ isPinned, frozenDigests: () => frozenDigests }),
    inUse,
    onRemoved: (digest) => void forgotten.push(digest),
    metrics,
    log,
    now: () => NOW,
  })
  return {
    evictor,
    inUse,
    metrics,
    forgotten,
    lines: () => lines.map((line) => JSON.parse(line) as { msg: string }),
    used: (digest) => usage.used(digest),
    async [Symbol.asyncDispose]() {
      await evictor.close()
      await usage.close()
    },
  }
}

/** A store on a disk of so many bytes, of which others take some. */
export function withDisk(
  content: StoredContent,
  { capacity, others = () => 0 }: { capacity: number; others?: () => number },
): StoredContent {
  const freeSpace = async (): Promise<number> => {
    let taken = others()
    for await (const { size } of content.store.list()) taken += size
    return capacity - taken
  }
  return { ...content, store: { ...content.store, freeSpace } }
}

/** Which of them are in the store; the catalog must say the same. */
export async function remaining(
  content: StoredContent,
  digests: readonly Digest[],
): Promise<Digest[]> {
  const sizes = await Promise.all(digests.map((digest) => content.store.size(digest)))
  const stored = digests.filter((_, at) => sizes[at] !== undefined)
  const bytes = sizes.reduce((total: number, size) => total + (size ?? 0), 0)
  expect(await content.catalog.blobs.totalSize()).toBe(bytes)
  return stored
}

const app: RepositoryKey = {
  upstream: 'docker.io',
  repository: parseRepository('library/app'),
}

/** A stored manifest that names these, and that the tag means. */
export async function putImage(
  content: StoredContent,
  name: string,
  { usedAt, children }: { usedAt: number; children: readonly Digest[] },
): Promise<Digest> {
  const size = 10
  const digest = await content.put(name, size, usedAt)
  await content.catalog.contents.putManifest(app, {
    digest,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    size,
    children: children.map((child) => ({
      digest: child,
      mediaType: 'layer',
      size: undefined,
      isManifest: false,
    })),
    subject: undefined,
  })
  await content.catalog.tags.put(app, parseTag(name), { digest, checkedAt: usedAt })
  return digest
}
