import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createUsage } from '../../src/cache/usage.ts'
import type { BlobCatalog } from '../../src/catalog/catalog.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import { createGate } from '../fakes/gate.ts'

const one = digestOf(Buffer.from('one'))
const two = digestOf(Buffer.from('two'))

beforeEach(() => {
  // Not `performance`, by which the metrics look at the event loop.
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'],
  })
})

afterEach(() => {
  vi.useRealTimers()
})

function createFixture() {
  const written: [Digest, number][][] = []
  const lines: string[] = []
  let failure: Error | undefined
  let time = 1000
  const touch: BlobCatalog['touch'] = async (used) => {
    written.push([...used])
    if (failure !== undefined) throw failure
  }
  const blobs = { touch } as BlobCatalog
  const log = createLog({ write: (line) => void lines.push(line) })
  const metrics = createMetrics()
  const usage = createUsage({ blobs, now: () => time, metrics, log })
  return {
    usage,
    metrics,
    written,
    lines,
    at: (now: number) => (time = now),
    failWith: (error: Error | undefined) => (failure = error),
  }
}

describe('the use of blobs', () => {
  it('is written in batches, the last use of each', async () => {
    const { usage, written, at } = createFixture()
    usage.used(one)
    at(2000)
    usage.used(two)
    usage.used(one)
    expect(written).toEqual([])

    await usage.flush()

    expect(written).toEqual([
      [
        [two, 2000],
        [one, 2000],
      ],
    ])
    await usage.flush()
    expect(written).toHaveLength(1)
    await usage.close()
  })

  it('is written every ten seconds, while there is any', async () => {
    const { usage, written } = createFixture()

    await vi.advanceTimersByTimeAsync(10_000)
    expect(written).toEqual([])
    usage.used(one)
    await vi.advanceTimersByTimeAsync(9_999)
    expect(written).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(written).toEqual([[[one, 1000]]])
    await usage.close()
  })

  it('is written when it is closed, and then no more', async () => {
    const { usage, written } = createFixture()
    usage.used(one)

    await usage.close()

    expect(written).toEqual([[[one, 1000]]])
    usage.used(two)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(written).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('that cannot be written is logged and counted, and written later', async () => {
    const { usage, written, lines, metrics, failWith } = createFixture()
    failWith(new StorageError('full', 'The disk is full.'))
    usage.used(one)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(lines.join()).toContain('The disk is full.')
    expect((await metrics.render()).text).toContain(
      'entrepot_storage_failures_total{failure="full"} 1',
    )

    failWith(undefined)
    usage.used(two)
    await vi.advanceTimersByTimeAsync(10_000)

    expect(written.at(-1)).toEqual([
      [one, 1000],
      [two, 1000],
    ])
    await usage.close()
  })

  it('that cannot be written yet does not hide a later one', async () => {
    const { usage, written, at, failWith } = createFixture()
    usage.used(one)
    usage.used(two)
    failWith(new StorageError('full', 'The disk is full.'))
    await expect(usage.flush()).rejects.toThrow(StorageError)
    at(2000)
    usage.used(one)
    await expect(usage.flush()).rejects.toThrow(StorageError)

    failWith(undefined)
    await usage.flush()

    expect(written.at(-1)).toEqual([
      [two, 1000],
      [one, 2000],
    ])
    await usage.close()
  })

  it('that comes while others are written, in vain, counts as the later one', async () => {
    const lines: string[] = []
    const gate = createGate()
    const written: [Digest, number][][] = []
    let time = 1000
    const touch: BlobCatalog['touch'] = async (used) => {
      written.push([...used])
      if (written.length > 1) return
      await gate.pass()
      throw new StorageError('full', 'The disk is full.')
    }
    const log = createLog({ write: (line) => void lines.push(line) })
    const usage = createUsage({ blobs: { touch }, now: () => time, metrics: createMetrics(), log })
    usage.used(one)
    usage.used(two)
    const failing = usage.flush()
    await gate.reached
    time = 2000
    usage.used(one)
    const next = usage.flush()
    gate.open()

    await expect(failing).rejects.toThrow(StorageError)
    await next

    expect(written.at(-1)).toEqual([
      [two, 1000],
      [one, 2000],
    ])
    await usage.close()
  })

  it('is complained about once a minute, while nothing can be written', async () => {
    const { usage, lines, at, failWith } = createFixture()
    failWith(new StorageError('full', 'The disk is full.'))
    usage.used(one)
    for (let seconds = 0; seconds < 120; seconds += 10) {
      at(seconds * 1000)
      await vi.advanceTimersByTimeAsync(10_000)
    }

    expect(lines).toHaveLength(2)
    failWith(undefined)
    await usage.close()
  })

  it('is kept for so many while nothing can be written: the longest unused are forgotten', async () => {
    const { usage, written, failWith } = createFixture()
    failWith(new StorageError('full', 'The disk is full.'))
    const digests = Array.from({ length: 100_001 }, (_, at) => `sha256:${at}` as Digest)
    for (const digest of digests.slice(0, 60_000)) usage.used(digest)
    await expect(usage.flush()).rejects.toThrow(StorageError)
    usage.used(digestAt(digests, 0))
    for (const digest of digests.slice(60_000)) usage.used(digest)

    failWith(undefined)
    await usage.flush()

    const kept = new Set(written.at(-1)?.map(([digest]) => digest))
    expect(kept.size).toBe(100_000)
    expect(digests.filter((digest) => !kept.has(digest))).toEqual([digests[1]])
    await usage.close()
  })

  it('that cannot be written at the end fails nothing', async () => {
    const { usage, lines, failWith } = createFixture()
    failWith(new StorageError('broken', 'The disk is gone.'))
    usage.used(one)

    await usage.close()

    expect(lines.join()).toContain('The disk is gone.')
    expect(vi.getTimerCount()).toBe(0)
  })
})

function digestAt(digests: readonly Digest[], at: number): Digest {
  const digest = digests[at]
  if (digest === undefined) throw new Error(`There is no digest ${at}.`)
  return digest
}
