/** Blobs: from the store, from a fill that is running, or from a fill that begins now. */
import type { ByteSource } from '../byte-source.ts'
import type { Catalog, RepositoryKey } from '../catalog/catalog.ts'
import type { Metrics, Outcome } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import { StorageError } from '../storage-error.ts'
import { isDenial, UpstreamError } from '../upstream/upstream.ts'
import type { BlobFills, BlobRequest } from './blob-fills.ts'
import type { StorageTrouble } from './failure.ts'
import type { Fill } from './fill.ts'
import type { Fills } from './fills.ts'
import { createPassThrough } from './pass-through.ts'
import type { StoredBlobs } from './stored-blobs.ts'
import { untilAborted } from '../abort.ts'
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
  /**
   * Makes sure in the background that the blob is stored and known to belong to the repository.
   * @throws {UpstreamError} {StorageError} when it cannot be had or stored, or the signal's reason
   */
  ensure(key: RepositoryKey, digest: Digest, signal: AbortSignal): Promise<'present' | 'stored'>
}

interface Dependencies {
  readonly catalog: Catalog
  readonly stored: StoredBlobs
  readonly fills: Fills
  readonly blobFills: BlobFills
  readonly work: UpstreamWork
  readonly usage: Usage
  readonly trouble: StorageTrouble
  readonly settings: () => CacheSettings
  readonly metrics: Metrics
}

/** Fills of other repositories that may fail under a client before it is told so. */
const MAX_JOINS = 3

export function createBlobs(dependencies: Dependencies): Blobs {
  const { catalog, stored, fills, blobFills, work, usage, trouble, settings, metrics } =
    dependencies

  async function head(key: RepositoryKey, digest: Digest): Promise<BlobHead> {
    const storedSize = await stored.size(digest)
    const proven = await isProven(key, digest)
    const running = fills.find(key.upstream, digest)
    if (proven && storedSize !== undefined) return { size: storedSize, outcome: 'hit' }
    if (running && (proven || running.repository === key.repository)) {
      const size = await running.fill.size.catch(fallBackUnlessOutage)
      if (size !== undefined) return { size, outcome: 'joined' }
    }
    const said = await askUpstream(key, digest)
    return storedSize === undefined
      ? { size: said, outcome: 'miss' }
      : { size: storedSize, outcome: 'hit' }
  }

  async function get(key: RepositoryKey, digest: Digest): Promise<BlobAnswer> {
    const source = await stored.open(digest)
    if (source) return fromStore(key, digest, source)
    return fromFill({
      key,
      digest,
      expectedSize: await expectedSizeOf(key, digest),
      confirm: () => prove(key, digest),
    })
  }

  async function fromFill(request: BlobRequest, attempts = MAX_JOINS): Promise<BlobAnswer> {
    const { key, digest } = request
    const running = fills.find(key.upstream, digest)
    // A fill that was begun for this repository proves by itself that it holds the blob.
    if (running && running.repository !== key.repository) await prove(key, digest)
    const { fill, joined } = blobFills.join(request)
    try {
      return { source: await open(fill, digest), outcome: joined ? 'joined' : 'miss' }
    } catch (error) {
      if (error instanceof StorageError) return passThrough(request)
      // What went wrong for the repository that began the fill may go right for this one.
      if (joined && attempts > 1 && isOfRepository(error)) {
        await fill.settled.catch(() => undefined)
        return fromFill(request, attempts - 1)
      }
      throw error
    }
  }

  /** Nothing can be stored: the client is served all the same, by upstream's bytes as they come. */
  async function passThrough({ key, digest, expectedSize }: BlobRequest): Promise<BlobAnswer> {
    const size = expectedSize ?? (await askUpstream(key, digest))
    metrics.passedThrough('disk')
    const source = createPassThrough({
      digest,
      size,
      connect: (window, signal) => blobFills.connect(key, digest, window, signal),
    })
    return { source, outcome: 'bypass' }
  }

  async function fromStore(
    key: RepositoryKey,
    digest: Digest,
    source: ByteSource,
  ): Promise<BlobAnswer> {
    try {
      await prove(key, digest)
    } catch (error) {
      await source.close()
      throw error
    }
    usage.used(digest)
    return { source, outcome: 'hit' }
  }

  async function ensure(
    key: RepositoryKey,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<'present' | 'stored'> {
    if ((await stored.size(digest)) !== undefined) {
      await prove(key, digest)
      return 'present'
    }
    const { fill } = blobFills.join({
      key,
      digest,
      expectedSize: await expectedSizeOf(key, digest),
      confirm: () => prove(key, digest),
      isBackground: true,
    })
    await untilAborted(fill.settled, signal)
    // The fill may have been begun for another repository, or without room to store the blob.
    await prove(key, digest)
    if ((await stored.size(digest)) === undefined) throw notStored()
    return 'stored'
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
      await trouble.survive(catalog.contents.prove(key, [digest]))
      return size ?? (await expectedSizeOf(key, digest))
    })
    const size = await result
    if (size === undefined) {
      throw new UpstreamError('unavailable', `${key.upstream} does not say how long the blob is.`)
    }
    return size
  }

  async function prove(key: RepositoryKey, digest: Digest): Promise<void> {
    if (!(await isProven(key, digest))) await askUpstream(key, digest)
  }

  /** What the catalog cannot tell, upstream must. */
  async function isProven(key: RepositoryKey, digest: Digest): Promise<boolean> {
    return (await trouble.survive(catalog.contents.isProven(key, digest))) ?? false
  }

  function expectedSizeOf(key: RepositoryKey, digest: Digest): Promise<number | undefined> {
    return trouble.survive(catalog.contents.expectedSize(key, digest))
  }

  /** A fill that has just settled has no file open any more: its blob is in the store, or it failed. */
  async function open(fill: Fill, digest: Digest): Promise<ByteSource> {
    const source = (await fill.open()) ?? (await stored.open(digest))
    if (source) return source
    await fill.settled
    throw notStored()
  }

  return { head, get, ensure }
}

/** What went wrong for the repository that began the fill, or for our disk, may go right upstream. */
function fallBackUnlessOutage(error: unknown): undefined {
  if (!(error instanceof StorageError) && !isOfRepository(error)) throw error
}

/** Not an outage, which would meet every repository of the upstream alike. */
function isOfRepository(error: unknown): boolean {
  return isDenial(error) || (error instanceof UpstreamError && error.reason === 'corrupt')
}

function notStored(): StorageError {
  return new StorageError('full', 'This blob was passed on without being stored.')
}
