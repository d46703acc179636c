/** What an operator may ask of a running mirror. Sent as JSON to whoever asks, so without any secret. */
import type { Catalog } from '../catalog/catalog.ts'
import type { BlobStore } from '../store/blob-store.ts'
import type { UpstreamState } from '../upstream/upstream.ts'
import type { Download, Fills } from './fills.ts'
import type { Prefetcher } from './prefetch.ts'
import type { DiskLimits } from './room.ts'
import type { Upkeep } from './upkeep.ts'
import type { CacheSettings } from './upstreams.ts'

interface UpstreamStatus extends UpstreamState {
  /** As in image references, e.g. `docker.io`. */
  readonly name: string
}

interface StoreStatus {
  /** Bytes of all that is stored. */
  readonly bytes: number
  /** Bytes that the store may take; `undefined`: no limit. */
  readonly budget: number | undefined
  /** Bytes that may still be written to the disk; `undefined` where that is not known. */
  readonly freeBytes: number | undefined
}

interface ScrubStatus {
  /** Bytes that the running pass has checked, or the last one where none runs. */
  readonly checkedBytes: number
  /** Files that it found damaged. */
  readonly damaged: number
  /** Milliseconds since the epoch at which a pass last reached the end; `undefined`: not yet. */
  readonly finishedAt: number | undefined
}

/** Without what whoever asks has no right to. */
export type DownloadStatus = Omit<Download, 'repository' | 'digest'> &
  Partial<Pick<Download, 'repository' | 'digest'>>

export interface MirrorStatus {
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** No upstream is asked at all. */
  readonly offline: boolean
  readonly store: StoreStatus
  readonly fills: {
    readonly running: number
    /** Blobs that wait to be fetched in the background. */
    readonly waitingPrefetches: number
    readonly downloads: readonly DownloadStatus[]
  }
  readonly scrub: ScrubStatus
  readonly upstreams: readonly UpstreamStatus[]
}

interface Sources {
  readonly catalog: Catalog
  readonly store: BlobStore
  readonly startedAt: number
  readonly fills: Pick<Fills, 'running' | 'downloads'>
  readonly prefetcher: Pick<Prefetcher, 'waiting'>
  readonly upkeep: Pick<Upkeep, 'scrubbed'>
  readonly settings: () => Pick<CacheSettings, 'upstreams'>
  readonly disk: Pick<DiskLimits, 'budget'>
}

export async function statusOf(sources: Sources): Promise<MirrorStatus> {
  const { catalog, store, fills, prefetcher, upkeep, settings, disk } = sources
  const upstreams = [...settings().upstreams].map(([name, { client }]) => ({
    name,
    ...client.state(),
  }))
  const scrubbed = upkeep.scrubbed()
  return {
    startedAt: sources.startedAt,
    offline: upstreams.length > 0 && upstreams.every(({ offline }) => offline),
    store: {
      bytes: await catalog.blobs.totalSize(),
      budget: disk.budget,
      freeBytes: await store.freeSpace(),
    },
    fills: {
      running: fills.running(),
      waitingPrefetches: prefetcher.waiting(),
      downloads: fills.downloads(),
    },
    scrub: {
      checkedBytes: scrubbed?.bytes ?? 0,
      damaged: scrubbed?.damaged ?? 0,
      finishedAt: scrubbed?.finishedAt,
    },
    upstreams,
  }
}
