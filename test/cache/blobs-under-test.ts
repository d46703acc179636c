/** Blobs of one upstream, on a real folder, of repositories that hold them or do not. */
import { createBlobFills } from '../../src/cache/blob-fills.ts'
import { createBlobs, type Blobs } from '../../src/cache/blobs.ts'
import { createEvictor } from '../../src/cache/evict.ts'
import { createStorageTrouble } from '../../src/cache/failure.ts'
import { createFills, type Fills } from '../../src/cache/fills.ts'
import { createInUse, type InUse } from '../../src/cache/in-use.ts'
import type { DiskLimits } from '../../src/cache/room.ts'
import { createStoredBlobs } from '../../src/cache/stored-blobs.ts'
import { createUpstreamWork } from '../../src/cache/upstream-work.ts'
import { createUsage } from '../../src/cache/usage.ts'
import { createVerifiedMemory } from '../../src/cache/verified-source.ts'
import type { RepositoryKey } from '../../src/catalog/catalog.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics, type Metrics } from '../../src/metrics.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import { parseRepository } from '../../src/oci/reference.ts'
import { UpstreamError, type Upstream } from '../../src/upstream/upstream.ts'
import { scriptUpstream, type Connection } from './scripted-upstream.ts'
import { openStoredContent, type StoredContent } from './stored-content.ts'

export const HOLDER: RepositoryKey = {
  upstream: 'quay.io',
  repository: parseRepository('team/holder'),
}
export const OTHER_HOLDER: RepositoryKey = {
  upstream: 'quay.io',
  repository: parseRepository('team/other'),
}
/** Upstream denies it everything. */
export const STRANGER: RepositoryKey = {
  upstream: 'quay.io',
  repository: parseRepository('team/stranger'),
}

interface Options extends Partial<DiskLimits> {
  readonly bytes: Buffer
  readonly script?: readonly Connection[]
  /** Waited for before the stranger is denied a download. */
  readonly denial?: () => Promise<void>
  /** Replaces parts of what the blobs stand on. */
  readonly content?: (content: StoredContent) => Partial<StoredContent>
  /** What upstream says of the size, where it is asked without a download. */
  readonly headSize?: number | undefined
}

export interface BlobsUnderTest extends AsyncDisposable {
  readonly blobs: Blobs
  readonly fills: Fills
  readonly content: StoredContent
  readonly inUse: InUse
  readonly metrics: Metrics
  readonly digest: Digest
  /** What upstream was asked, as `GET team/holder` with the first byte, or `HEAD team/holder`. */
  readonly asked: string[]
  readonly damaged: Digest[]
}

export async function openBlobs(options: Options): Promise<BlobsUnderTest> {
  const { bytes, budget, lowWatermark, maxUnused, minFree = 0 } = options
  const digest = digestOf(bytes)
  const content = await openStoredContent()
  const asked: string[] = []
  const damaged: Digest[] = []
  const shutdown = new AbortController()
  const metrics = createMetrics()
  const log = createLog(undefined, 'silent')
  const now = Date.now
  const inUse = createInUse()
  const trouble = createStorageTrouble({ metrics, log })
  const verified = createVerifiedMemory({ max: 100, ttl: 1e9 })
  const upstreams = new Map([['quay.io', mirrored(upstreamOf({ ...options, digest, asked }))]])
  const settings = () => ({
    upstreams,
    rateLimitStatus: 503 as const,
    admits: () => true,
    minAge: () => 0,
    isApproved: () => false,
    frozenTo: () => undefined,
    frozenDigests: () => [],
    isPinned: () => false,
  })
  const parts = { ...content, ...options.content?.(content) }
  const common = { ...parts, settings, metrics, log, now, trouble, inUse, verified }
  const usage = createUsage({ blobs: content.catalog.blobs, now, metrics, log })
  const disk = { budget, lowWatermark, maxUnused, minFree }
  const evictor = createEvictor({ ...common, usage, disk, onRemoved: () => undefined })
  const fills = createFills({ spool: parts.spool, metrics, log })
  const blobFills = createBlobFills({ ...common, fills, evictor, minFree })
  const stored = createStoredBlobs({ ...common, damaged: (it) => void damaged.push(it) })
  const work = createUpstreamWork(shutdown.signal)
  const blobs = createBlobs({ ...common, stored, fills, blobFills, work, usage })
  return {
    blobs,
    fills,
    content,
    inUse,
    metrics,
    digest,
    asked,
    damaged,
    async [Symbol.asyncDispose]() {
      shutdown.abort(new Error('The test is over.'))
      await work.idle()
      await fills.close()
      await evictor.close()
      await usage.close()
      await content[Symbol.asyncDispose]()
    },
  }
}

function mirrored(client: Upstream) {
  return {
    client,
    tagTtl: 0,
    staleWhileRevalidate: 0,
    staleIfError: Infinity,
    keepDeleted: true,
    complete: 'off' as const,
  }
}

function upstreamOf({
  bytes,
  script = [],
  denial = async () => undefined,
  digest,
  asked,
  ...options
}: Options & { digest: Digest; asked: string[] }): Upstream {
  const { connect } = scriptUpstream(bytes, script, { chunkSizes: [64 * 1024] })
  const denied = new UpstreamError('not-found', 'Upstream does not have it.')
  const client: Pick<Upstream, 'headBlob' | 'getBlob'> = {
    async headBlob(repository) {
      asked.push(`HEAD ${repository}`)
      if (repository === STRANGER.repository) throw denied
      const size = 'headSize' in options ? options.headSize : bytes.length
      return { digest, size, contentType: undefined }
    },
    async getBlob(repository, _, window, signal) {
      asked.push(`GET ${repository} ${window.first}`)
      if (repository !== STRANGER.repository) return connect(window, signal)
      await denial()
      throw denied
    },
  }
  return client as Upstream
}
