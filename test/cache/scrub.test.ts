import { copyFile, rename } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { createDamage } from '../../src/cache/damage.ts'
import { createScrubber, type Scrubber } from '../../src/cache/scrub.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics, type Metrics } from '../../src/metrics.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import { createGate } from '../fakes/gate.ts'
import { until, within } from '../support/until.ts'
import { cutOff, empty, extend, flipBit, vanish } from './rot.ts'
import { openStoredContent, type StoredContent } from './stored-content.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const { signal } = new AbortController()

interface ScrubberUnderTest extends AsyncDisposable {
  readonly scrubber: Scrubber
  readonly metrics: Metrics
  readonly lines: string[]
  /** Fetched again, in this order. */
  readonly healed: Digest[]
  /** Milliseconds that were asked for. */
  readonly pauses: number[]
  time: number
}

/** Waits for nothing: a pause only moves the clock. */
function scrubberOn(
  content: StoredContent,
  {
    rate = 0,
    heal = async () => true,
    onPause = async () => undefined,
  }: {
    rate?: number
    heal?: (digest: Digest) => Promise<boolean>
    onPause?: (milliseconds: number, signal: AbortSignal) => Promise<void>
  } = {},
): ScrubberUnderTest {
  const metrics = createMetrics()
  const lines: string[] = []
  const log = createLog({ write: (line) => void lines.push(line) })
  const healed: Digest[] = []
  const damage = createDamage({
    ...content,
    heal(digest) {
      healed.push(digest)
      return heal(digest)
    },
    onRemoved: () => undefined,
    metrics,
    log,
  })
  const under = { metrics, lines, healed, pauses: [] as number[], time: 1000 }
  const scrubber = createScrubber({
    ...content,
    rate,
    damage,
    metrics,
    log,
    now: () => under.time,
    async pause(milliseconds, leaving) {
      under.pauses.push(milliseconds)
      under.time += milliseconds
      await onPause(milliseconds, leaving)
    },
  })
  return Object.assign(under, {
    scrubber,
    async [Symbol.asyncDispose]() {
      await scrubber.close()
      await damage.idle()
    },
  })
}

/** Never comes to an end by itself. */
/** The same content, whose rows are told like this. */
function withRows(
  content: StoredContent,
  leastRecentlyUsed: StoredContent['catalog']['blobs']['leastRecentlyUsed'],
): StoredContent {
  const blobs = { ...content.catalog.blobs, leastRecentlyUsed }
  return { ...content, catalog: { ...content.catalog, blobs } }
}

function untilAborted(leaving: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const leave = () => reject(leaving.reason as Error)
    if (leaving.aborted) leave()
    leaving.addEventListener('abort', leave, { once: true })
  })
}

describe('one cycle', () => {
  it('finds whatever is wrong with a file, and leaves the others alone', async () => {
    await using content = await openStoredContent()
    const rots = [flipBit, cutOff, extend, empty, vanish]
    const sound: Digest[] = []
    const rotten: Digest[] = []
    for (const [at, rot] of rots.entries()) {
      sound.push(await content.put(`sound ${at}`, 1000, at))
      const digest = await content.put(`rotten ${at}`, 300_000, at)
      await rot(content, digest)
      rotten.push(digest)
    }
    await using under = scrubberOn(content)

    const report = await under.scrubber.runOnce(signal)

    expect(report).toMatchObject({ checked: 9, damaged: 5, startedAt: 1000, finishedAt: 1000 })
    expect(under.healed.toSorted()).toEqual(rotten.toSorted())
    for (const digest of sound) expect(await content.store.size(digest)).toBe(1000)
    for (const digest of rotten) expect(await content.store.size(digest)).toBeUndefined()
    expect(await content.catalog.blobs.totalSize()).toBe(5000)
    expect((await under.metrics.render()).text).toContain(
      'entrepot_damaged_blobs_total{found="scrub"} 5',
    )
  })

  it('finds two files that were swapped', async () => {
    await using content = await openStoredContent()
    const [one, two] = [await content.put('a', 1000, 1), await content.put('b', 1000, 1)]
    await copyFile(content.pathOf(one), `${content.folder}/aside`)
    await rename(content.pathOf(two), content.pathOf(one))
    await rename(`${content.folder}/aside`, content.pathOf(two))
    await using under = scrubberOn(content)

    await under.scrubber.runOnce(signal)

    expect(under.healed.toSorted()).toEqual([one, two].toSorted())
  })

  it('checks files that have no row by their name', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 1000, 1)
    await content.catalog.blobs.remove(digest)
    await using under = scrubberOn(content)
    expect(await under.scrubber.runOnce(signal)).toMatchObject({ checked: 1, damaged: 0 })

    await flipBit(content, digest)

    expect(await under.scrubber.runOnce(signal)).toMatchObject({ checked: 1, damaged: 1 })
  })

  it('counts what it has read, and tells how far it is', async () => {
    await using content = await openStoredContent()
    await content.put('a', 300_000, 1)
    const gate = createGate()
    await using under = scrubberOn(content, { rate: 1, onPause: () => gate.pass() })
    expect(under.scrubber.progress()).toBeUndefined()

    const running = under.scrubber.runOnce(signal)
    await gate.reached
    expect(under.scrubber.progress()).toMatchObject({ bytes: 262_144, finishedAt: undefined })
    gate.open()
    const report = await running

    expect(report).toMatchObject({ checked: 1, bytes: 300_000, damaged: 0 })
    expect(under.scrubber.progress()).toEqual(report)
    expect((await under.metrics.render()).text).toContain('entrepot_scrubbed_bytes_total 300000')
    expect(under.lines.join()).toContain('the stored files were checked')
  })

  it('does not read faster than it may', async () => {
    await using content = await openStoredContent()
    for (const name of ['a', 'b', 'c', 'd']) await content.put(name, 256 * 1024, 1)
    await using slow = scrubberOn(content, { rate: 64 * 1024 })

    await slow.scrubber.runOnce(signal)

    // 1 MiB at 64 KiB a second takes 16 s, of which a quarter of a second may be taken at once. As the
    // pauses take no time here, each is what is owed until then.
    expect(Math.max(...slow.pauses)).toBeGreaterThan(14_000)
    expect(Math.max(...slow.pauses)).toBeLessThanOrEqual(15_750)
    await using unlimited = scrubberOn(content, { rate: 0 })
    await unlimited.scrubber.runOnce(signal)
    expect(unlimited.pauses).toEqual([])
  })

  it('skips what vanishes under way, with its row', async () => {
    await using content = await openStoredContent()
    const digests = [await content.put('a', 1000, 1), await content.put('b', 1000, 1)]
    const open: typeof content.store.open = async (digest) => {
      for (const gone of digests) {
        await content.catalog.blobs.remove(gone)
        await content.store.delete(gone)
      }
      return content.store.open(digest)
    }
    await using under = scrubberOn({ ...content, store: { ...content.store, open } })

    expect(await under.scrubber.runOnce(signal)).toMatchObject({ checked: 0, damaged: 0 })
    expect(under.healed).toEqual([])
  })

  it('does not take a file for damaged that is replaced while it is read', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 1000, 1)
    await flipBit(content, digest)
    let opened = 0
    const open: typeof content.store.open = async (which) => {
      const source = await content.store.open(which)
      if ((opened += 1) === 1) await content.put('a', 1000, 1)
      return source
    }
    await using under = scrubberOn({ ...content, store: { ...content.store, open } })

    expect(await under.scrubber.runOnce(signal)).toMatchObject({ checked: 1, damaged: 0 })
    expect(opened).toBe(2)
    expect(await content.store.size(digest)).toBe(1000)
  })

  it('ends when the disk cannot read anything, and takes away no more than a few files', async () => {
    await using content = await openStoredContent()
    for (let at = 0; at < 20; at += 1) await content.put(`${at} `, 100, at)
    const open = async () => {
      throw new StorageError('broken', 'The disk failed.')
    }
    await using under = scrubberOn({ ...content, store: { ...content.store, open } })

    await expect(under.scrubber.runOnce(signal)).rejects.toMatchObject({ code: 'broken' })

    expect(under.healed).toHaveLength(8)
  })

  it('is left by whoever asked for it, also while a file is fetched again', async () => {
    await using content = await openStoredContent()
    await flipBit(content, await content.put('a', 1000, 1))
    const gate = createGate()
    const heal = async () => {
      await gate.pass()
      return true
    }
    await using under = scrubberOn(content, { heal })
    const leaving = new AbortController()
    const running = under.scrubber.runOnce(leaving.signal)
    await gate.reached

    leaving.abort(new Error('no more'))

    await expect(within(running)).rejects.toThrow('no more')
    gate.open()
  })
})

describe('in the background', () => {
  it('a cycle begins after a minute, and then one a day', async () => {
    await using content = await openStoredContent()
    const starts: number[] = []
    const leastRecentlyUsed = async () => {
      starts.push(under.time)
      under.time += 5000
      return []
    }
    const { blobs } = content.catalog
    const catalog = { ...content.catalog, blobs: { ...blobs, leastRecentlyUsed } }
    await using under = scrubberOn(
      { ...content, catalog },
      {
        rate: 1024,
        onPause: async (_, leaving) => {
          if (starts.length >= 3) await untilAborted(leaving)
        },
      },
    )

    under.scrubber.start()
    await until(() => starts.length === 3)

    expect(starts).toEqual([1000 + MINUTE, 1000 + MINUTE + DAY, 1000 + MINUTE + 2 * DAY])
    expect(under.pauses.slice(0, 2)).toEqual([MINUTE, DAY - 5000])
  })

  it('one that takes longer than a day is followed by the next', async () => {
    await using content = await openStoredContent()
    let cycles = 0
    const leastRecentlyUsed = async () => {
      cycles += 1
      under.time += 3 * DAY
      return []
    }
    await using under = scrubberOn(withRows(content, leastRecentlyUsed), {
      rate: 1024,
      onPause: async (_, leaving) => {
        if (cycles >= 2) await untilAborted(leaving)
      },
    })

    under.scrubber.start()
    await until(() => cycles === 2)

    expect(under.pauses.slice(0, 2)).toEqual([MINUTE, 0])
  })

  it('nothing is read where the rate is 0', async () => {
    await using content = await openStoredContent()
    await using under = scrubberOn(content, { rate: 0 })

    under.scrubber.start()

    expect(under.pauses).toEqual([])
  })

  it('a cycle that fails is logged and counted, and the next one comes', async () => {
    await using content = await openStoredContent()
    let cycles = 0
    const leastRecentlyUsed = async () => {
      if ((cycles += 1) === 1) throw new StorageError('damaged', 'The catalog is damaged.')
      return []
    }
    await using under = scrubberOn(withRows(content, leastRecentlyUsed), {
      rate: 1024,
      onPause: async (_, leaving) => {
        if (cycles >= 2) await untilAborted(leaving)
      },
    })

    under.scrubber.start()
    await until(() => cycles === 2)

    expect(under.lines.join()).toContain('The catalog is damaged.')
    expect((await under.metrics.render()).text).toContain(
      'entrepot_storage_failures_total{failure="damaged"} 1',
    )
  })

  it('all ends at once when it is closed, in the first minute and within a file', async () => {
    await using content = await openStoredContent()
    await content.put('a', 1000, 1)
    const waiting = createScrubber({
      ...content,
      rate: 1024,
      damage: { found: async () => true },
      metrics: createMetrics(),
      log: createLog({ write: () => undefined }),
    })
    waiting.start()
    await within(waiting.close())

    const gate = createGate()
    const reading = scrubberOn(content, {
      rate: 1,
      onPause: async (milliseconds, leaving) => {
        if (milliseconds === MINUTE) return
        gate.open()
        await untilAborted(leaving)
      },
    })
    reading.scrubber.start()
    await within(gate.opened)
    await within(reading.scrubber.close())
    expect(reading.lines).toEqual([])
    await expect(reading.scrubber.runOnce(signal)).rejects.toThrow('shutting down')
  })
})

it('a hundred files, each damaged in some way, are all found and all healed', async () => {
  await using content = await openStoredContent()
  const rots = [flipBit, cutOff, extend, empty, vanish]
  const names = new Map<Digest, string>()
  for (let at = 0; at < 100; at += 1) {
    const name = `${String(at).padStart(3, '0')} `
    names.set(await content.put(name, 2000 + at, at), name)
  }
  for (const [at, digest] of [...names.keys()].entries()) {
    await rots[at % rots.length]?.(content, digest)
  }
  const heal = async (digest: Digest) => {
    const name = names.get(digest) ?? ''
    return (await content.put(name, 2000 + Number(name), 1)) === digest
  }
  await using under = scrubberOn(content, { heal })

  expect(await under.scrubber.runOnce(signal)).toMatchObject({ damaged: 100 })
  expect(await under.scrubber.runOnce(signal)).toMatchObject({ checked: 100, damaged: 0 })
})
