/**
 * Keeps the store within its budget and the disk from running full. What was used least recently goes
 * first; never what is pinned, read or filled. Manifests are small, and go only by age.
 */
import type { BlobRecord, Catalog, UsedBlob } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import { StorageError } from '../storage-error.ts'
import type { BlobStore } from '../store/blob-store.ts'
import type { InUse } from './in-use.ts'
import { pinnedDigests } from './pins.ts'
import { budgetDemand, spaceDemand, type Demand, type DiskLimits } from './room.ts'
import type { CacheSettings } from './upstreams.ts'
import type { Usage } from './usage.ts'

/** `unused`: older than the age limit. `space`: others need the disk, or we do. */
type EvictionReason = 'budget' | 'unused' | 'space'

export interface Eviction extends UsedBlob {
  readonly because: EvictionReason
}

/** Room for a blob that is being fetched. */
export interface Reservation {
  /** Tells how many bytes of it are on disk by now, so that they are not counted as still to come. */
  wrote(bytes: number): void
  /** To be called when the blob has its row, or will not come; a second call does nothing. */
  release(): void
}

export interface Evictor {
  /**
   * Removes what is too old or too much.
   * @throws {StorageError}
   */
  makeRoom(): Promise<void>
  /**
   * Makes room for a blob; `undefined` when it cannot be stored. Removes nothing in vain.
   * @param written bytes of it that are on disk already
   */
  reserve(blob: BlobRecord, written?: number): Promise<Reservation | undefined>
  /**
   * What `makeRoom` would remove now, and why.
   * @throws {StorageError}
   */
  plan(): Promise<Eviction[]>
  /** Ends the removal by age; resolves when nothing is being removed. */
  close(): Promise<void>
}

interface Dependencies {
  readonly catalog: Catalog
  readonly store: BlobStore
  readonly usage: Pick<Usage, 'flush'>
  readonly disk: DiskLimits
  readonly settings: () => Pick<CacheSettings, 'isPinned' | 'frozenDigests'>
  readonly inUse: Pick<InUse, 'has'>
  /** Told after something was removed, so that memory forgets it too. */
  readonly onRemoved: (digest: Digest) => void
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
}

interface Room {
  readonly budget: Demand
  readonly space: Demand
}

const PAGE = 100
/** Milliseconds between two looks for what was not used for too long. */
const AGE_INTERVAL = 3_600_000

export function createEvictor(dependencies: Dependencies): Evictor {
  const { catalog, store, usage, disk, settings, inUse, onRemoved, metrics, log, now } =
    dependencies
  const reservations = new Set<{ readonly size: number; written: number }>()
  const inTurn = createTurns()
  const timer = setInterval(() => {
    inTurn(makeRoom).catch(complain)
  }, AGE_INTERVAL)
  timer.unref()

  async function makeRoom(): Promise<void> {
    const stored = await catalog.blobs.totalSize()
    const room = await roomFor(stored, 0)
    const freed = await remove(await select(room, cutoff()))
    metrics.cacheSized(stored - freed)
    if (freed < Math.max(room.budget.required, room.space.required)) {
      const { budget, minFree } = disk
      log.warn(
        { bytes: stored - freed, budget, minFree },
        'the store takes more than it should, and nothing more can go',
      )
    }
  }

  async function reserve(blob: BlobRecord, written: number): Promise<Reservation | undefined> {
    if (!(await fits(blob, written))) {
      const { budget, minFree } = disk
      log.warn(
        { digest: blob.digest, bytes: blob.size, budget, minFree },
        'there is no room for a blob: passed on, not stored',
      )
      return undefined
    }
    const reservation = { size: blob.size, written }
    reservations.add(reservation)
    return {
      wrote: (bytes) => void (reservation.written = Math.min(bytes, reservation.size)),
      release: () => void reservations.delete(reservation),
    }
  }

  async function fits({ size }: BlobRecord, written: number): Promise<boolean> {
    if (size > (disk.budget ?? Infinity)) return false
    const stored = await catalog.blobs.totalSize()
    const { budget, space } = await roomFor(stored, size, written)
    const required = Math.max(budget.required, space.required)
    if (required === 0) return true
    const selected = await select({ budget, space }, -Infinity)
    if (totalOf(selected) < required) return false
    const freed = await remove(selected)
    metrics.cacheSized(stored - freed)
    return freed >= required
  }

  async function roomFor(stored: number, size: number, written = 0): Promise<Room> {
    const reserved = totalOf(reservations)
    const onDisk = [...reservations].reduce((sum, reservation) => sum + reservation.written, 0)
    const free = await store.freeSpace()
    return {
      budget: budgetDemand(disk, { stored, reserved, size }),
      space: spaceDemand(disk, { free, unwritten: reserved - onDisk, size: size - written }),
    }
  }

  /** @param unusedBefore milliseconds since the epoch: what was used last before goes by age */
  async function select({ budget, space }: Room, unusedBefore: number): Promise<Eviction[]> {
    const wanted = Math.max(budget.wanted, space.wanted)
    if (wanted === 0 && unusedBefore === -Infinity) return []
    await usage.flush()
    const selected: Eviction[] = []
    const mustStay = createKeeper()
    let bytes = 0
    for await (const blob of leastRecentlyUsed()) {
      const isOld = blob.usedAt < unusedBefore
      if (!isOld && bytes >= wanted) break
      if ((!isOld && blob.isManifest) || (await mustStay(blob))) continue
      const because = isOld ? 'unused' : bytes < budget.wanted ? 'budget' : 'space'
      selected.push({ ...blob, because })
      bytes += blob.size
    }
    // Where the disk stays full in any case, emptying the store would help nobody.
    return bytes >= space.required
      ? selected
      : selected.filter(({ because }) => because !== 'space')
  }

  /** Pins cost a walk over all tags, so only where something is about to go. */
  function createKeeper(): (blob: UsedBlob) => Promise<boolean> {
    let pinned: ReadonlySet<Digest> | undefined
    return async ({ digest }) => {
      pinned ??= await pinnedDigests(catalog, settings())
      return pinned.has(digest) || inUse.has(digest)
    }
  }

  async function* leastRecentlyUsed(): AsyncGenerator<UsedBlob> {
    for (let last: UsedBlob | undefined, more = true; more;) {
      const page = await catalog.blobs.leastRecentlyUsed(PAGE, last)
      yield* page
      last = page.at(-1)
      more = page.length === PAGE
    }
  }

  /** @returns bytes that were removed */
  async function remove(selected: readonly Eviction[]): Promise<number> {
    let freed = 0
    for (const { digest, size, usedAt, isManifest, because } of selected) {
      if (!(await removeOne({ digest, size, usedAt, isManifest }))) continue
      freed += size
      metrics.evicted(size)
      log.info({ digest, bytes: size, because }, 'evicted')
    }
    return freed
  }

  /** The row goes first: a file without a row is found again, a row without a file would lie. */
  async function removeOne(blob: UsedBlob): Promise<boolean> {
    const { digest, usedAt, isManifest } = blob
    if (inUse.has(digest)) return false
    await catalog.blobs.remove(digest)
    if (inUse.has(digest)) {
      // Somebody came meanwhile, and may have stored it anew.
      await catalog.blobs.put(blob, usedAt)
      return false
    }
    if (isManifest) await catalog.contents.forgetManifest(digest)
    onRemoved(digest)
    await store.delete(digest)
    return true
  }

  function cutoff(): number {
    return disk.maxUnused === undefined ? -Infinity : now() - disk.maxUnused
  }

  function complain(error: unknown): undefined {
    if (error instanceof StorageError) metrics.storageFailed(error.code)
    log.error({ err: error }, 'room could not be made in the store')
    return undefined
  }

  return {
    makeRoom: () => inTurn(makeRoom),
    reserve: (blob, written = 0) => inTurn(() => reserve(blob, written)).catch(complain),
    plan: () =>
      inTurn(async () => select(await roomFor(await catalog.blobs.totalSize(), 0), cutoff())),
    async close() {
      clearInterval(timer)
      await inTurn(async () => undefined)
    },
  }
}

function totalOf(blobs: Iterable<{ readonly size: number }>): number {
  let total = 0
  for (const { size } of blobs) total += size
  return total
}

/** One at a time, in the order in which they came; each sees what those before it have done. */
function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const result = last.then(work, work)
    last = result.catch(() => undefined)
    return result
  }
}
