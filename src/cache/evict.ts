/** Keeps the store under its budget: the least recently used blobs go first, manifests stay. */
import type { BlobRecord, Catalog } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { BlobStore } from '../store/blob-store.ts'
import type { Usage } from './usage.ts'

export interface Evictor {
  /** Removes until the store is within its budget, or nothing more can go. */
  makeRoom(): Promise<void>
  /** Whether a blob may be stored at all: one above the whole budget would push out everything else. */
  admits(blob: BlobRecord): boolean
}

const BATCH = 50

export function createEvictor({
  catalog,
  store,
  usage,
  budget,
  metrics,
  log,
}: {
  catalog: Catalog
  store: BlobStore
  usage: Usage
  /** Bytes; `undefined`: no limit. */
  budget: number | undefined
  metrics: Metrics
  log: Log
}): Evictor {
  let running: Promise<void> | undefined

  async function evict(): Promise<void> {
    let total = await catalog.blobs.totalSize()
    if (budget !== undefined && total > budget) await usage.flush()
    while (budget !== undefined && total > budget) {
      const freed = await removeOldest(total - budget)
      if (freed === 0) {
        log.warn({ bytes: total, budget }, 'the store is over its budget and nothing more can go')
        break
      }
      total -= freed
    }
    metrics.cacheSized(total)
  }

  /** The row goes first: a file without a row is found again, a row without a file would lie. */
  async function removeOldest(excess: number): Promise<number> {
    let freed = 0
    for (const { digest, size } of await catalog.blobs.leastRecentlyUsed(BATCH)) {
      if (freed >= excess) break
      await catalog.blobs.remove(digest)
      await store.delete(digest)
      metrics.evicted(size)
      log.info({ digest, bytes: size }, 'evicted')
      freed += size
    }
    return freed
  }

  return {
    async makeRoom() {
      // One at a time; whoever comes meanwhile is served by a run that begins after its own change.
      while (running) await running.catch(() => undefined)
      running = evict().finally(() => {
        running = undefined
      })
      await running
    },
    admits({ digest, size }) {
      if (budget === undefined || size <= budget) return true
      log.warn({ digest, bytes: size, budget }, 'larger than the budget: passed on, not stored')
      return false
    },
  }
}
