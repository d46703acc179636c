/**
 * Reads the whole store again and again, slowly, so that a file which the disk has spoilt is found
 * before anybody needs it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import { StorageError } from '../storage-error.ts'
import type { Damage } from './damage.ts'
import { createPace, type Pause } from './pace.ts'
import { untilAborted } from '../abort.ts'
import { checkStored, type Content } from './verify.ts'

export interface ScrubReport {
  /** Files. */
  readonly checked: number
  readonly bytes: number
  /** Files that were taken out of service, and rows whose files had gone. */
  readonly damaged: number
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Likewise; `undefined` while the cycle runs. */
  readonly finishedAt: number | undefined
}

export interface Scrubber {
  /** Begins the first cycle after a minute, and then one a day at most. */
  start(): void
  /**
   * One cycle now; without a limit where the rate is 0.
   * @throws {StorageError} when the store or the catalog cannot be read
   * @throws the signal's reason when it aborts
   */
  runOnce(signal: AbortSignal): Promise<ScrubReport>
  /** Of the latest cycle; `undefined` before the first. */
  progress(): ScrubReport | undefined
  /** Resolves when no cycle runs any more. */
  close(): Promise<void>
}

interface Dependencies extends Content {
  /** Bytes per second; 0: nothing is read in the background. */
  readonly rate: number
  readonly damage: Pick<Damage, 'found'>
  readonly metrics: Metrics
  readonly log: Log
  readonly now?: () => number
  /** @throws the signal's reason when it aborts */
  readonly pause?: Pause
}

/** Milliseconds. */
const FIRST_CYCLE_AFTER = 60_000
const CYCLE_INTERVAL = 24 * 3_600_000
/** Files in a row that the disk cannot read: with one more it is the disk itself, and the cycle ends. */
const MAX_UNREADABLE = 8
const PAGE = 200

export function createScrubber(dependencies: Dependencies): Scrubber {
  const { store, catalog, rate, damage, metrics, log, now = Date.now, pause = sleep } = dependencies
  const closing = new AbortController()
  const running = new Set<Promise<unknown>>()
  const pace = createPace({ rate, pause })
  let latest: (() => ScrubReport) | undefined

  async function cycle(signal: AbortSignal): Promise<ScrubReport> {
    const startedAt = now()
    let finishedAt: number | undefined
    let [checked, bytes, damaged, unreadable] = [0, 0, 0, 0]
    const report = (): ScrubReport => ({ checked, bytes, damaged, startedAt, finishedAt })
    latest = report

    async function onRead(count: number): Promise<void> {
      bytes += count
      metrics.scrubbed(count)
      await pace(count, signal)
    }

    async function check(digest: Digest): Promise<void> {
      const verdict = await checkStored({ store, catalog }, digest, { signal, onRead })
      if (verdict === 'missing') return
      checked += 1
      unreadable = verdict === 'unreadable' ? unreadable + 1 : 0
      if (unreadable > MAX_UNREADABLE) {
        throw new StorageError('broken', 'The disk of the data folder cannot be read.')
      }
      if (verdict !== 'sound') await tell(digest)
    }

    /** What is being fetched again may take longer than we have, and goes on by itself. */
    async function tell(digest: Digest): Promise<void> {
      if (await untilAborted(damage.found(digest, 'scrub'), signal)) damaged += 1
    }

    for await (const { digest } of store.list()) {
      signal.throwIfAborted()
      await check(digest)
    }
    for await (const digest of rowsWithoutFiles(signal)) await tell(digest)
    finishedAt = now()
    log.info({ files: checked, bytes, damaged }, 'the stored files were checked')
    return report()
  }

  async function* rowsWithoutFiles(signal: AbortSignal): AsyncGenerator<Digest> {
    for (let page = await catalog.blobs.leastRecentlyUsed(PAGE); page.length > 0;) {
      for (const { digest } of page) {
        signal.throwIfAborted()
        if ((await store.size(digest)) === undefined) yield digest
      }
      page = await catalog.blobs.leastRecentlyUsed(PAGE, page.at(-1))
    }
  }

  async function runForEver(): Promise<void> {
    await pause(FIRST_CYCLE_AFTER, closing.signal)
    for (;;) {
      const startedAt = now()
      await cycle(closing.signal).catch(complain)
      await pause(Math.max(0, startedAt + CYCLE_INTERVAL - now()), closing.signal)
    }
  }

  function complain(error: unknown): void {
    if (closing.signal.aborted) throw error
    if (error instanceof StorageError) metrics.storageFailed(error.code)
    log.error({ err: error }, 'the stored files could not be checked')
  }

  async function tracked<T>(work: Promise<T>): Promise<T> {
    running.add(work)
    try {
      return await work
    } finally {
      running.delete(work)
    }
  }

  return {
    start() {
      // It ends only by the abort.
      if (rate > 0) tracked(runForEver()).catch(() => undefined)
    },
    runOnce: (signal) => tracked(cycle(AbortSignal.any([signal, closing.signal]))),
    progress: () => latest?.(),
    async close() {
      closing.abort(new Error('The mirror is shutting down.'))
      await Promise.allSettled(running)
    },
  }
}

/** Keeps no process alive. */
async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  await delay(milliseconds, undefined, { signal, ref: false }).catch(() => signal.throwIfAborted())
}
