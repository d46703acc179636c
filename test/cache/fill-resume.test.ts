import type * as Timers from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { blob, start } from './fill-under-test.ts'
import type { Connection } from './scripted-upstream.ts'
import { makeSpoolFolder } from './spool-folder.ts'

const { pauses, LONGEST_PAUSE } = vi.hoisted(() => ({
  pauses: [] as number[],
  LONGEST_PAUSE: 1600,
}))

// The pauses between connections are written down and not waited for; deadlines are as they were.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof Timers>()
  const withoutPauses: typeof timers.setTimeout = (milliseconds = 0, value, options) => {
    if (milliseconds > LONGEST_PAUSE) return timers.setTimeout(milliseconds, value, options)
    pauses.push(milliseconds)
    return timers.setTimeout(0, value, options)
  }
  return { ...timers, setTimeout: withoutPauses }
})

afterEach(() => {
  pauses.length = 0
})

describe('a download that is cut', () => {
  it('goes on at the next byte, after a pause that grows while nothing comes', async () => {
    await using folder = await makeSpoolFolder()
    const refused: Connection = { refused: 'unavailable' }
    const { fill, upstream } = start(folder, [
      { end: 1000, ending: 'cut' },
      refused,
      refused,
      refused,
      refused,
      refused,
      { end: 2000, ending: 'clean' },
      refused,
    ])

    await fill.settled

    expect(upstream.offsets).toEqual([0, 1000, 1000, 1000, 1000, 1000, 1000, 2000, 2000])
    expect(pauses).toEqual([50, 100, 200, 400, 800, LONGEST_PAUSE, 50, 100])
    expect((await folder.kept()).map((bytes) => digestOf(bytes))).toEqual([digestOf(blob)])
  })

  it('is given up when six connections in a row brought nothing', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream } = start(folder, [{ end: 1000, ending: 'cut' }], {
      afterwards: { refused: 'unavailable' },
    })

    await expect(fill.settled).rejects.toMatchObject({ reason: 'unavailable' })

    expect(upstream.offsets).toEqual([0, ...Array.from({ length: 6 }, () => 1000)])
    expect(await folder.leftovers()).toEqual([])
  })

  it('is given up when upstream lets through one byte at a time', async () => {
    await using folder = await makeSpoolFolder()
    const oneByteEach = Array.from({ length: 200 }, (_, offset): Connection => {
      return { end: offset + 1, ending: 'cut' }
    })
    const { fill, upstream } = start(folder, oneByteEach)

    await expect(fill.settled).rejects.toMatchObject({ reason: 'unavailable' })

    expect(upstream.offsets).toEqual(Array.from({ length: 101 }, (_, offset) => offset))
    expect(await folder.leftovers()).toEqual([])
  })

  it('has all that it needs when it is cut behind the last byte', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream } = start(folder, [{ ending: 'cut' }])

    await fill.settled

    expect(upstream.offsets).toEqual([0])
  })

  it.each(['not-found', 'unauthorized', 'forbidden', 'corrupt'] as const)(
    'is not resumed when upstream then says that it is %s',
    async (reason) => {
      await using folder = await makeSpoolFolder()
      const { fill, upstream } = start(folder, [{ end: 10, ending: 'cut' }, { refused: reason }])

      await expect(fill.settled).rejects.toMatchObject({ reason })

      expect(upstream.offsets).toEqual([0, 10])
    },
  )

  it('is not resumed when the body itself says what is wrong', async () => {
    await using folder = await makeSpoolFolder()
    const ending = new UpstreamError('corrupt', 'The chunks are malformed.')
    const { fill, upstream } = start(folder, [{ end: 10, ending }])

    await expect(fill.settled).rejects.toBe(ending)

    expect(upstream.offsets).toEqual([0])
  })

  it.each(['unavailable', 'rate-limited', 'not-found'] as const)(
    'before its size is known fails at once: %s',
    async (reason) => {
      await using folder = await makeSpoolFolder()
      const { fill, upstream } = start(folder, [{ refused: reason }], { expectedSize: blob.length })

      await expect(fill.size).rejects.toMatchObject({ reason })

      await expect(fill.settled).rejects.toMatchObject({ reason })
      expect(upstream.offsets).toEqual([0])
      expect(await folder.leftovers()).toEqual([])
    },
  )
})
