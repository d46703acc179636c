/** A disk that fails under a download: clients get what they asked for, and nothing bad stays behind. */
import { truncate } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { createGate } from '../fakes/gate.ts'
import { randomBlob } from '../fakes/images.ts'
import { within } from '../support/until.ts'
import { failingSpool } from './failing-spool.ts'
import { fillOf, MIB, readFrom, spoilt } from './fill-of.ts'
import { KIB, opened, rejection } from './fill-under-test.ts'
import { makeSpoolFolder, type SpoolFolder } from './spool-folder.ts'

const small = Buffer.from(randomBlob(10 * KIB, 'config'))
const large = Buffer.from(randomBlob(12 * MIB, 'layer in trouble'))
const BROKEN = { name: 'StorageError', code: 'broken' }
/** It ends a download at once, and leaves what came to the next one. */
const DENIED = new UpstreamError('not-found', 'Upstream does not have it.')

async function digestsKept(folder: SpoolFolder): Promise<string[]> {
  return (await folder.kept()).map((bytes) => digestOf(bytes))
}

describe('when nothing can be written', () => {
  it.each([1, 10, 64, 65, 200].map((kib) => kib * KIB))(
    'a blob of %i bytes is served whole',
    async (size) => {
      await using folder = await makeSpoolFolder()
      const bytes = large.subarray(0, size)
      const spool = failingSpool(folder.spool, { write: () => true })
      let passed = 0
      const { fill } = fillOf(folder, bytes, { spool, passedThrough: () => void (passed += 1) })
      const sources = await Promise.all([opened(fill), opened(fill)])

      for (const source of sources) {
        const read = await readFrom(source, 0, size)
        expect(read.error).toBeUndefined()
        expect(digestOf(read.bytes)).toBe(digestOf(bytes))
        await source.close()
      }

      await expect(within(fill.settled)).rejects.toMatchObject(BROKEN)
      expect(passed).toBe(2)
      expect(await folder.leftovers()).toEqual([])
    },
  )

  it('a small blob that is wrong goes to nobody', async () => {
    await using folder = await makeSpoolFolder()
    const spool = failingSpool(folder.spool, { write: () => true })
    const { fill } = fillOf(folder, small, { spool, sent: spoilt(small, 5000) })
    const source = await opened(fill)

    const { bytes, error } = await readFrom(source, 0, small.length)

    expect(error).toMatchObject({ reason: 'corrupt' })
    expect(bytes).toHaveLength(0)
    await source.close()
    expect(await folder.leftovers()).toEqual([])
  })
})

describe('when a write fails close to the end', () => {
  const lastChunk = large.length - 256 * KIB

  it('who had everything before it gets the rest', async () => {
    await using folder = await makeSpoolFolder()
    const spool = failingSpool(folder.spool, { write: (position) => position >= lastChunk })
    const { fill } = fillOf(folder, large, { spool })
    const source = await opened(fill)

    const { bytes, error } = await readFrom(source, 0, large.length)

    expect(error).toBeUndefined()
    expect(digestOf(bytes)).toBe(digestOf(large))
    await source.close()
    await expect(within(fill.settled)).rejects.toMatchObject(BROKEN)
  })

  it('nobody gets the whole of a wrong blob', async () => {
    await using folder = await makeSpoolFolder()
    const spool = failingSpool(folder.spool, { write: (position) => position >= lastChunk })
    const { fill } = fillOf(folder, large, { spool, sent: spoilt(large, MIB) })
    const source = await opened(fill)

    const { bytes, error } = await readFrom(source, 0, large.length)

    expect(error).toMatchObject({ reason: 'corrupt' })
    expect(bytes.length).toBeLessThan(large.length)
    await source.close()
  })
})

describe('when a write fails behind what was fetched ahead', () => {
  /** Fetched up to 1 MiB and from 8 MiB on; the disk fails in between. */
  async function startWithHole(folder: SpoolFolder, sent: Buffer = large) {
    const gate = createGate()
    const spool = failingSpool(folder.spool, { write: (at) => at >= 2 * MIB && at < 8 * MIB })
    const script = [{ end: MIB, gate, ending: 'cut' as const }]
    const { fill, upstream } = fillOf(folder, large, { spool, script, sent })
    const source = await opened(fill)
    await gate.reached
    const ahead = await opened(fill)
    const part = await readFrom(ahead, 8 * MIB, 4 * MIB)
    await ahead.close()
    gate.open()
    await expect(within(fill.settled)).rejects.toMatchObject(BROKEN)
    return { source, part, upstream }
  }

  it('both get what they asked for', async () => {
    await using folder = await makeSpoolFolder()
    const { source, part } = await startWithHole(folder)

    const whole = await readFrom(source, 0, large.length)

    expect(whole.error).toBeUndefined()
    expect(digestOf(whole.bytes)).toBe(digestOf(large))
    expect(part.bytes.equals(large.subarray(8 * MIB))).toBe(true)
    await source.close()
  })

  it.each([0, 3 * MIB, 9 * MIB, large.length - 1])(
    'who reads the whole never gets all of it when byte %i is wrong',
    async (at) => {
      await using folder = await makeSpoolFolder()
      const { source } = await startWithHole(folder, spoilt(large, at))

      const whole = await readFrom(source, 0, large.length)

      expect(whole.error).toMatchObject({ reason: 'corrupt' })
      expect(whole.bytes.length).toBeLessThanOrEqual(large.length - 64 * KIB)
      await source.close()
    },
  )
})

describe('a blob that is stored', () => {
  it.each(['close', 'remove', 'note'] as const)(
    'is so although a %s fails, and is read to its end',
    async (name) => {
      await using folder = await makeSpoolFolder()
      const spool = failingSpool(folder.spool, { [name]: true })
      const { fill } = fillOf(folder, large, { spool })
      const source = await opened(fill)

      await within(fill.settled)

      const { bytes, error } = await readFrom(source, 0, large.length)
      expect(error).toBeUndefined()
      expect(digestOf(bytes)).toBe(digestOf(large))
      await source.close()
      await source.close()
      expect(await digestsKept(folder)).toEqual([digestOf(large)])
    },
  )

  it('is so although what was written cannot be read, of which readers are told', async () => {
    await using folder = await makeSpoolFolder()
    const spool = failingSpool(folder.spool, { read: () => true })
    const { fill } = fillOf(folder, large, { spool })
    const source = await opened(fill)
    await within(fill.settled)

    expect((await readFrom(source, 0, 1)).error).toMatchObject(BROKEN)

    await source.close()
    expect(await digestsKept(folder)).toEqual([digestOf(large)])
    expect(await folder.leftovers()).toEqual([])
  })

  it('is read to its end by who had begun, also where it could not be kept', async () => {
    await using folder = await makeSpoolFolder()
    const keep = () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }))
    const { fill } = fillOf(folder, large, { keep })
    const source = await opened(fill)
    await expect(within(fill.settled)).rejects.toThrow('no space')

    const { bytes, error } = await readFrom(source, 0, large.length)

    expect(error).toBeUndefined()
    expect(digestOf(bytes)).toBe(digestOf(large))
    expect(await readFrom(source, large.length, 1)).toMatchObject({ error: undefined })
    await source.close()
    expect(await folder.leftovers()).toEqual([])
  })
})

describe('what an earlier download has left', () => {
  const cut = [{ end: 4 * MIB, ending: DENIED }]

  it('is not gone on from when the file is shorter than was written down', async () => {
    await using folder = await makeSpoolFolder()
    await rejection(fillOf(folder, large, { script: cut }).fill.settled)
    const [file = ''] = await folder.files()
    await truncate(file, 3 * MIB)

    const { fill, upstream } = fillOf(folder, large)
    await within(fill.settled)

    expect(upstream.offsets).toEqual([0])
    expect(await folder.leftovers()).toEqual([])
  })

  it('goes when it cannot be read, so that the next download begins anew', async () => {
    await using folder = await makeSpoolFolder()
    await rejection(fillOf(folder, large, { script: cut }).fill.settled)
    const spool = failingSpool(folder.spool, { read: (position) => position < 4 * MIB })
    const second = fillOf(folder, large, { spool })
    await expect(within(second.fill.settled)).rejects.toMatchObject(BROKEN)
    expect(await folder.leftovers()).toEqual([])

    const third = fillOf(folder, large)
    await within(third.fill.settled)

    expect(third.upstream.offsets).toEqual([0])
  })

  it('is gone on from after the disk was full', async () => {
    await using folder = await makeSpoolFolder()
    const spool = failingSpool(folder.spool, { write: (position) => position >= 4 * MIB })
    await rejection(fillOf(folder, large, { spool }).fill.settled)

    const { fill, upstream } = fillOf(folder, large)
    await within(fill.settled)

    expect(upstream.offsets).toEqual([4 * MIB])
    expect(await digestsKept(folder)).toEqual([digestOf(large)])
  })

  it('is given to nobody before upstream has confirmed it', async () => {
    await using folder = await makeSpoolFolder()
    await rejection(fillOf(folder, large, { script: cut }).fill.settled)
    const denied = fillOf(folder, large, { confirm: () => Promise.reject(DENIED) })

    await expect(within(denied.fill.open())).rejects.toBe(DENIED)
    await expect(denied.fill.settled).rejects.toBe(DENIED)
    expect(denied.upstream.offsets).toEqual([])

    const confirmed = fillOf(folder, large, { confirm: () => Promise.resolve() })
    await within(confirmed.fill.settled)
    expect(confirmed.upstream.offsets).toEqual([4 * MIB])
  })

  it('is left as it is when the fill is aborted before that', async () => {
    await using folder = await makeSpoolFolder()
    await rejection(fillOf(folder, large, { script: cut }).fill.settled)
    const gate = createGate()
    const { fill } = fillOf(folder, large, { confirm: () => gate.pass() })
    await gate.reached

    fill.abort(new Error('The mirror is shutting down.'))

    await expect(within(fill.settled)).rejects.toThrow('shutting down')
    gate.open()
    expect(await folder.files()).toHaveLength(2)
  })

  it('counts as written from the beginning', async () => {
    await using folder = await makeSpoolFolder()
    await rejection(fillOf(folder, large, { script: cut }).fill.settled)
    const written: number[] = []

    const { fill } = fillOf(folder, large, { wrote: (bytes) => void written.push(bytes) })
    await within(fill.settled)

    expect(written[0]).toBe(4 * MIB)
    expect(written.at(-1)).toBe(large.length)
  })
})
