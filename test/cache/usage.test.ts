import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createUsage } from '../../src/cache/usage.ts'
import type { BlobCatalog } from '../../src/catalog/catalog.ts'
import { createLog } from '../../src/log.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'

const one = digestOf(Buffer.from('one'))
const two = digestOf(Buffer.from('two'))

beforeEach(() => {
  vi.useFakeTimers()
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
  const usage = createUsage({ blobs, now: () => time, log })
  return {
    usage,
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
        [one, 2000],
        [two, 2000],
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

  it('that cannot be written is logged, and what follows is written', async () => {
    const { usage, written, lines, failWith } = createFixture()
    failWith(new Error('The disk is full.'))
    usage.used(one)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(lines.join()).toContain('The disk is full.')

    failWith(undefined)
    usage.used(two)
    await vi.advanceTimersByTimeAsync(10_000)

    expect(written).toEqual([[[one, 1000]], [[two, 1000]]])
    await usage.close()
  })
})
