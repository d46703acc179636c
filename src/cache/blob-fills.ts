/** Fills as the mirror begins them: with room reserved for them, proof written down, and the file adopted. */
import type { BlobRecord, Catalog, RepositoryKey } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import { StorageError } from '../storage-error.ts'
import type { BlobStore } from '../store/blob-store.ts'
import type { ByteWindow, UpstreamBlob } from '../upstream/upstream.ts'
import type { Evictor, Reservation } from './evict.ts'
import type { StorageTrouble } from './failure.ts'
import type { Fill } from './fill.ts'
import type { FillRequest, Fills } from './fills.ts'
import type { InUse } from './in-use.ts'
import type { Spool } from './spool.ts'
import { clientOf, type CacheSettings } from './upstreams.ts'
import type { VerifiedMemory } from './verified-source.ts'

export interface BlobRequest {
  readonly key: RepositoryKey
  readonly digest: Digest
  /** Bytes, as manifests say. */
  readonly expectedSize: number | undefined
  /** As in FillOptions. */
  readonly confirm?: () => Promise<void>
  /** No client waits for it. */
  readonly isBackground?: boolean
}

export interface BlobFills {
  /** The running fill of the blob, or a new one. */
  join(request: BlobRequest): { fill: Fill; joined: boolean }
  /** Asks upstream; what it sends proves that the repository holds the blob. */
  connect(
    key: RepositoryKey,
    digest: Digest,
    window: ByteWindow,
    signal: AbortSignal,
  ): Promise<UpstreamBlob>
}

interface Dependencies {
  readonly catalog: Catalog
  readonly store: BlobStore
  readonly fills: Fills
  readonly spool: Spool
  readonly evictor: Evictor
  readonly inUse: InUse
  readonly verified: VerifiedMemory
  readonly trouble: StorageTrouble
  readonly settings: () => CacheSettings
  /** Bytes of the disk that are left free. */
  readonly minFree: number
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
}

export function createBlobFills(dependencies: Dependencies): BlobFills {
  const { catalog, store, fills, spool, evictor, settings, metrics, log, now } = dependencies
  const { inUse, verified, trouble, minFree } = dependencies

  /**
   * The client is asked for anew at each resume, as a reload of the configuration may replace it. What
   * upstream sends proves at once that the repository holds it, so that nobody asks who comes later.
   */
  async function connect(
    key: RepositoryKey,
    digest: Digest,
    window: ByteWindow,
    signal: AbortSignal,
  ): Promise<UpstreamBlob> {
    const client = clientOf(settings(), key.upstream)
    const blob = await client.getBlob(key.repository, digest, window, signal)
    try {
      await trouble.survive(catalog.contents.prove(key, [digest]))
      return blob
    } catch (error) {
      blob.body.destroy()
      throw error
    }
  }

  function join({ key, ...request }: BlobRequest) {
    const { digest, isBackground = false } = request
    let reservation: Reservation | undefined
    const begun = fills.join({
      ...key,
      ...request,
      connect: (window, signal) => connect(key, digest, window, signal),
      division: divisionOf(key),
      async reserve(size, written) {
        reservation = await reserve({ digest, size }, written)
        if (reservation === undefined && isBackground) throw noRoom(size)
      },
      wrote: (bytes) => reservation?.wrote(bytes),
      passedThrough: () => metrics.passedThrough('disk'),
      async keep(path, size) {
        if (reservation === undefined) return
        await keep(path, digest, size)
        // It has its row: from now on it counts as stored.
        reservation.release()
        await trouble.survive(evictor.makeRoom())
      },
    })
    if (!begun.joined) holdUntil(begun.fill.settled, digest, () => reservation?.release())
    return begun
  }

  function divisionOf({ upstream }: RepositoryKey): NonNullable<FillRequest['division']> {
    const { connections = 1, endpoints = [] } = settings().upstreams.get(upstream) ?? {}
    return { connections, canSpread: endpoints.length > 1 }
  }

  function holdUntil(settled: Promise<void>, digest: Digest, release: () => void): void {
    const letGo = inUse.hold(digest)
    const end = (): void => {
      release()
      letGo()
    }
    settled.then(end, end)
  }

  /**
   * @returns undefined when the disk has room for the download, but the budget has none for the blob
   * @throws {StorageError} when the disk has no room either
   */
  async function reserve(blob: BlobRecord, written: number): Promise<Reservation | undefined> {
    const { digest, size } = blob
    const reserved = await evictor.reserve(blob, written)
    if (reserved !== undefined) return reserved
    // What was begun and left is worth less than what a client waits for.
    const swept = await spool.sweep(0)
    const again = swept > 0 ? await evictor.reserve(blob, written) : undefined
    if (again !== undefined) return again
    const free = await store.freeSpace()
    if (free !== undefined && free - minFree < size - written) throw noRoom(size)
    metrics.passedThrough('budget')
    log.warn({ digest, bytes: size }, 'the budget has no room for it: passed on, not stored')
    return undefined
  }

  /** In this order: a crash in between leaves a file without a row, never a row that lies. */
  async function keep(path: string, digest: Digest, size: number): Promise<void> {
    await store.adopt(path, digest)
    verified.add(digest)
    await trouble.survive(catalog.blobs.put({ digest, size }, now()))
  }

  return { join, connect }
}

function noRoom(size: number): StorageError {
  return new StorageError('full', `There is no room for a blob of ${size} bytes.`)
}
