/** When blobs were last used, written behind in batches: a hit writes nothing. */
import type { BlobCatalog } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import { StorageError } from '../storage-error.ts'

export interface Usage {
  used(digest: Digest): void
  /**
   * Resolves when every use so far is written.
   * @throws {StorageError} what could not be written is tried again at the next flush
   */
  flush(): Promise<void>
  /** Never fails: what cannot be written now is lost. */
  close(): Promise<void>
}

/** Milliseconds between two writes; a crash loses at most this much of who was used last. */
const FLUSH_INTERVAL = 10_000
/** Blobs whose use waits to be written while that fails; the longest unused are forgotten first. */
const MAX_PENDING = 100_000
/** Milliseconds between two log lines while nothing can be written. */
const COMPLAINT_INTERVAL = 60_000

export function createUsage({
  blobs,
  now,
  metrics,
  log,
}: {
  blobs: Pick<BlobCatalog, 'touch'>
  now: () => number
  metrics: Pick<Metrics, 'storageFailed'>
  log: Log
}): Usage {
  /** The longest unused first. */
  let pending = new Map<Digest, number>()
  let writing: Promise<void> = Promise.resolve()
  let complainedAt = -Infinity
  const timer = setInterval(() => void flush().catch(complain), FLUSH_INTERVAL)
  timer.unref()

  function used(digest: Digest): void {
    pending.delete(digest)
    pending.set(digest, now())
    bound()
  }

  /** One at a time: who flushes may rely on what an earlier flush has taken being written too. */
  function flush(): Promise<void> {
    writing = writing.then(write, write)
    return writing
  }

  async function write(): Promise<void> {
    if (pending.size === 0) return
    const batch = pending
    pending = new Map()
    try {
      await blobs.touch(batch)
    } catch (error) {
      const newer = pending
      for (const digest of newer.keys()) batch.delete(digest)
      pending = new Map([...batch, ...newer])
      bound()
      throw error
    }
  }

  function bound(): void {
    for (const oldest of pending.keys()) {
      if (pending.size <= MAX_PENDING) return
      pending.delete(oldest)
    }
  }

  function complain(error: unknown): void {
    if (error instanceof StorageError) metrics.storageFailed(error.code)
    if (now() - complainedAt < COMPLAINT_INTERVAL) return
    complainedAt = now()
    log.error({ err: error }, 'last use could not be written')
  }

  return {
    used,
    flush,
    async close() {
      clearInterval(timer)
      await flush().catch(complain)
    },
  }
}
