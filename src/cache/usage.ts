/** When blobs were last used, written behind in batches: a hit writes nothing. */
import type { BlobCatalog } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Digest } from '../oci/digest.ts'

export interface Usage {
  used(digest: Digest): void
  flush(): Promise<void>
  close(): Promise<void>
}

/** Milliseconds between two writes; a crash loses at most this much of who was used last. */
const FLUSH_INTERVAL = 10_000

export function createUsage({
  blobs,
  now,
  log,
}: {
  blobs: BlobCatalog
  now: () => number
  log: Log
}): Usage {
  let pending = new Map<Digest, number>()
  const timer = setInterval(() => {
    flush().catch((error: unknown) => log.error({ err: error }, 'last use could not be written'))
  }, FLUSH_INTERVAL)
  timer.unref()

  async function flush(): Promise<void> {
    if (pending.size === 0) return
    const batch = pending
    pending = new Map()
    await blobs.touch(batch)
  }

  return {
    used: (digest) => void pending.set(digest, now()),
    flush,
    async close() {
      clearInterval(timer)
      await flush()
    },
  }
}
