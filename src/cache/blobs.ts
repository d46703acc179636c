/** Blobs: from the store, from a fill that is running, or from a fill that begins now. */
import type { ByteSource } from '../byte-source.ts'
import type { Catalog, RepositoryKey } from '../catalog/catalog.ts'
import type { Outcome } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobStore } from '../store/blob-store.ts'
import { isDenial, UpstreamError, type UpstreamBlob } from '../upstream/upstream.ts'
import type { Evictor } from './evict.ts'
import type { Fill } from './fill.ts'
import type { Fills } from './fills.ts'
import type { UpstreamWork } from './upstream-work.ts'
import { clientOf, type CacheSettings } from './upstreams.ts'
import type { Usage } from './usage.ts'

export interface BlobHead {
  /** Bytes of the whole blob. */
  readonly size: number
  readonly outcome: Outcome
}

export interface BlobAnswer {
  /** To be closed by whoever asked. */
  readonly source: ByteSource
  readonly outcome: Outcome
}

export interface Blobs {
  /** Never downloads a blob. */
  head(key: RepositoryKey, digest: Digest): Promise<BlobHead>
  /** Resolves as soon as the size is known; the bytes may still be on their way. */
  get(key: RepositoryKey, digest: Digest): Promise<BlobAnswer>
}

interface Dependencies {
  readonly catalog: Catalog
  readonly store: BlobStore
  readonly fills: Fills
  readonly work: UpstreamWork
  readonly usage: Usage
  readonly evictor: Evictor
  readonly settings: () => CacheSettings
  readonly now: () => number
}

/** Fills of other repositories that may fail under a client before it is told so. */
const MAX_JOINS = 3

export function createBlobs(dependencies: Dependencies): Blobs {
  const { catalog, store, fills, work, usage, evictor, settings, now } = dependencies

  async function head(key: RepositoryKey, digest: Digest): Promise<BlobHead> {
    const stored = await storedSize(digest)
    const proven = await catalog.contents.isProven(key, digest)
    const running = fills.find(key.upstream, digest)
    if (proven && stored !== undefined) return { size: stored, outcome: 'hit' }
    if (running && (proven || running.repository === key.repository)) {
      return { size: await running.fill.size, outcome: 'joined' }
    }
    const said = await askUpstream(key, digest)
    return stored === undefined ? { size: said, outcome: 'miss' } : { size: stored, outcome: 'hit' }
  }

  async function get(key: RepositoryKey, digest: Digest): Promise<BlobAnswer> {
    const stored = await openStored(digest)
    const proven = await catalog.contents.isProven(key, digest)
    if (stored) return fromStore(key, digest, proven, stored)
    const expectedSize = await catalog.contents.expectedSize(key, digest)
    // A fill that was begun for this repository proves by itself that it holds the blob.
    const running = fills.find(key.upstream, digest)
    const isOthers = running !== undefined && running.repository !== key.repository
    if (!proven && isOthers) {
      await askUpstream(key, digest)
      return get(key, digest)
    }
    return fromFill(key, digest, expectedSize)
  }

  async function fromFill(
    key: RepositoryKey,
    digest: Digest,
    expectedSize: number | undefined,
    attempts = MAX_JOINS,
  ): Promise<BlobAnswer> {
    const { fill, joined } = joinFill(key, digest, expectedSize)
    try {
      return { source: await open(fill, digest), outcome: joined ? 'joined' : 'miss' }
    } catch (error) {
      // What went wrong for the repository that began the fill may go right for this one.
      if (joined && attempts > 1 && isOfRepository(error)) {
        await fill.settled.catch(() => undefined)
        return fromFill(key, digest, expectedSize, attempts - 1)
      }
      throw error
    }
  }

  /** A file that has another size than it had was damaged behind our back: it counts as missing. */
  async function openStored(digest: Digest): Promise<ByteSource | undefined> {
    const source = await store.open(digest)
    const verified = await catalog.blobs.size(digest)
    if (source === undefined || verified === undefined || source.size === verified) return source
    await source.close()
    return undefined
  }

  async function storedSize(digest: Digest): Promise<number | undefined> {
    const size = await store.size(digest)
    const verified = await catalog.blobs.size(digest)
    return verified === undefined || size === verified ? size : undefined
  }

  async function fromStore(
    key: RepositoryKey,
    digest: Digest,
    proven: boolean,
    source: ByteSource,
  ): Promise<BlobAnswer> {
    try {
      if (!proven) await askUpstream(key, digest)
    } catch (error) {
      await source.close()
      throw error
    }
    usage.used(digest)
    return { source, outcome: 'hit' }
  }

  /**
   * A digest alone is no permission, nor is a manifest that names it: what was stored for one
   * repository answers for another only after upstream has said that this one holds it too
   * (CVE-2026-35172, CVE-2024-39897).
   * @returns the size in bytes
   */
  async function askUpstream(key: RepositoryKey, digest: Digest): Promise<number> {
    const name = `BLOB ${key.upstream}/${key.repository}@${digest}`
    const { result } = work.share(name, async (signal) => {
      const client = clientOf(settings(), key.upstream)
      const { size } = await client.headBlob(key.repository, digest, signal)
      await catalog.contents.prove(key, [digest])
      return size ?? (await catalog.contents.expectedSize(key, digest))
    })
    const size = await result
    if (size === undefined) {
      throw new UpstreamError('unavailable', `${key.upstream} does not say how long the blob is.`)
    }
    return size
  }

  function joinFill(
    key: RepositoryKey,
    digest: Digest,
    expectedSize: number | undefined,
  ): { fill: Fill; joined: boolean } {
    return fills.join({
      ...key,
      digest,
      expectedSize,
      connect: (offset, signal) => connect(key, digest, offset, signal),
      async keep(path, size) {
        if (!evictor.admits({ digest, size })) return
        // In this order: a crash in between leaves a file without a row, never a row that lies.
        await store.adopt(path, digest)
        await catalog.blobs.put({ digest, size }, now())
        await evictor.makeRoom()
      },
    })
  }

  /**
   * The client is asked for anew at each resume, as a reload of the configuration may replace it. What
   * upstream sends proves at once that the repository holds it, so that nobody asks who comes later.
   */
  async function connect(
    key: RepositoryKey,
    digest: Digest,
    offset: number,
    signal: AbortSignal,
  ): Promise<UpstreamBlob> {
    const client = clientOf(settings(), key.upstream)
    const blob = await client.getBlob(key.repository, digest, offset, signal)
    try {
      await catalog.contents.prove(key, [digest])
      return blob
    } catch (error) {
      blob.body.destroy()
      throw error
    }
  }

  /** A fill that has just settled has no file open any more: its blob is in the store, or it failed. */
  async function open(fill: Fill, digest: Digest): Promise<ByteSource> {
    const source = (await fill.open()) ?? (await store.open(digest))
    if (source) return source
    await fill.settled
    throw new UpstreamError('unavailable', 'This blob was passed on without being stored.')
  }

  return { head, get }
}

/** Not an outage, which would meet every repository of the upstream alike. */
function isOfRepository(error: unknown): boolean {
  return isDenial(error) || (error instanceof UpstreamError && error.reason === 'corrupt')
}
