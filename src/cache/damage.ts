/**
 * What happens when stored bytes are no longer those of their name: out of service at once, aside for
 * the operator, and fetched again from an upstream that has them.
 */
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import { StorageError } from '../storage-error.ts'
import { createSingleFlight } from './single-flight.ts'
import { checkStored, type Content, type Verdict } from './verify.ts'

export interface Damage {
  /**
   * Looks once more, and takes the file out of service when it is really bad. Never throws.
   * @returns whether it was; `false` for one that is sound, as it may have been replaced meanwhile
   */
  found(digest: Digest, by: 'scrub' | 'read'): Promise<boolean>
  /** Resolves when nothing is being mended. */
  idle(): Promise<void>
}

interface Dependencies extends Content {
  /** Fetches it again; resolves whether it is stored now. May fail. */
  readonly heal: (digest: Digest, isManifest: boolean) => Promise<boolean>
  /** Told when the file is out of service, so that memory forgets it too. */
  readonly onRemoved: (digest: Digest) => void
  readonly metrics: Metrics
  readonly log: Log
}

export function createDamage(dependencies: Dependencies): Damage {
  const { store, catalog, heal, onRemoved, metrics, log } = dependencies
  const flights = createSingleFlight()
  const { signal } = new AbortController()

  async function handle(digest: Digest, by: 'scrub' | 'read'): Promise<boolean> {
    const verdict = await checkStored({ store, catalog }, digest, { signal })
    if (verdict === 'sound') return false
    if (verdict === 'missing' && (await catalog.blobs.size(digest)) === undefined) return false
    metrics.damaged(by)
    log.error({ digest, by, verdict }, EXPLANATIONS[verdict])
    // Asked before the file goes: whoever compares the store meanwhile forgets a manifest without file.
    let isManifest = false
    await attempt(async () => {
      isManifest = (await catalog.contents.findManifest(digest)) !== undefined
    })
    // Each step counts by itself: the file must go even if its row cannot, and the other way round.
    if (verdict !== 'missing') await attempt(() => takeOut(digest))
    await attempt(() => forget(digest))
    onRemoved(digest)
    await mend(digest, isManifest)
    return true
  }

  /** A full disk may leave no room for the other name; what is bad must not be served then either. */
  async function takeOut(digest: Digest): Promise<void> {
    try {
      await store.quarantine(digest)
    } catch (error) {
      complain(error)
      await store.delete(digest)
    }
  }

  async function forget(digest: Digest): Promise<void> {
    await catalog.blobs.remove(digest)
    await catalog.contents.forgetManifest(digest)
  }

  async function mend(digest: Digest, isManifest: boolean): Promise<void> {
    try {
      if (!(await heal(digest, isManifest))) return
      metrics.healed()
      log.info({ digest }, 'a damaged file was fetched again')
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log.warn({ digest, reason }, 'a damaged file could not be fetched again: it is missing now')
    }
  }

  async function attempt(work: () => Promise<void>): Promise<void> {
    await work().catch(complain)
  }

  function complain(error: unknown): void {
    if (error instanceof StorageError) metrics.storageFailed(error.code)
    log.error({ err: error }, 'a damaged file could not be taken out of service')
  }

  return {
    found(digest, by) {
      const { result } = flights.run(digest, () => handle(digest, by))
      return result.catch((error: unknown) => {
        complain(error)
        return false
      })
    },
    idle: () => flights.idle(),
  }
}

const EXPLANATIONS: Readonly<Record<Exclude<Verdict, 'sound'>, string>> = {
  wrong: 'a stored file is damaged: its bytes are no longer those of its name',
  unreadable: 'a stored file is damaged: the disk cannot read it',
  missing: 'a stored file is gone',
}
