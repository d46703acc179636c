/** What the mirror does for its own store in the background: compare, read again, mend. */
import type { Catalog } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobStore } from '../store/blob-store.ts'
import { createDamage } from './damage.ts'
import { reconcile } from './reconcile.ts'
import { createScrubber, type ScrubReport } from './scrub.ts'

export interface Upkeep {
  /** Compares files and rows now, and begins to read the store again and again. */
  start(): void
  /** Reads the whole store once, now. */
  scrub(): Promise<ScrubReport>
  scrubbed(): ScrubReport | undefined
  /** A file was found to be not what was stored. */
  damaged(digest: Digest, by: 'read' | 'scrub'): void
  /** Resolves when nothing is being compared or mended. */
  idle(): Promise<void>
  close(): Promise<void>
}

interface Dependencies {
  readonly catalog: Catalog
  readonly store: BlobStore
  /** Fetches it again; resolves whether it is stored now. */
  readonly heal: (digest: Digest, isManifest: boolean) => Promise<boolean>
  readonly onRemoved: (digest: Digest) => void
  /** Bytes per second; 0: nothing is read in the background. */
  readonly scrubRate: number
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
}

export function createUpkeep(dependencies: Dependencies): Upkeep {
  const { scrubRate, log } = dependencies
  const closing = new AbortController()
  const damage = createDamage(dependencies)
  const scrubber = createScrubber({ ...dependencies, rate: scrubRate, damage })
  let comparing = Promise.resolve()

  async function compare(): Promise<void> {
    try {
      const damaged = (digest: Digest) => damage.found(digest, 'scrub')
      await reconcile({ ...dependencies, damaged, signal: closing.signal })
    } catch (error) {
      if (!closing.signal.aborted) log.warn({ err: error }, 'the store could not be compared')
    }
  }

  return {
    start() {
      comparing = compare()
      scrubber.start()
    },
    scrub: () => scrubber.runOnce(closing.signal),
    scrubbed: () => scrubber.progress(),
    damaged: (digest, by) => void damage.found(digest, by),
    async idle() {
      await comparing
      await damage.idle()
    },
    async close() {
      closing.abort(new Error('The mirror is shutting down.'))
      await comparing
      await scrubber.close()
      await damage.idle()
    },
  }
}
