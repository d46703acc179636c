/** Readers that do not begin at the beginning, while the blob is on its way. */
import { describe, expect, it } from 'vitest'
import type { ByteSource } from '../../src/byte-source.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { randomBlob } from '../fakes/images.ts'
import { until, within } from '../support/until.ts'
import { fillOf, MIB } from './fill-of.ts'
import { opened, rejection, signal } from './fill-under-test.ts'
import type { Connection } from './scripted-upstream.ts'
import { makeSpoolFolder, type SpoolFolder } from './spool-folder.ts'

const large = Buffer.from(randomBlob(24 * MIB, 'large layer'))

function startLarge(folder: SpoolFolder, script: readonly Connection[], sent = large) {
  return fillOf(folder, large, { script, sent })
}

async function readRange(source: ByteSource, first: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  for (let done = 0; done < length;) {
    const count = await within(source.read(bytes.subarray(done), first + done, signal))
    if (count === 0) break
    done += count
  }
  await source.close()
  return bytes
}

describe('a reader far ahead of the download', () => {
  it('is served before what lies between has come', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const { fill, upstream } = startLarge(folder, [{ end: MIB, gate, ending: 'cut' }])
    const source = await opened(fill)
    await gate.reached

    const bytes = await readRange(source, 12 * MIB, 100_000)

    expect(bytes.equals(large.subarray(12 * MIB, 12 * MIB + 100_000))).toBe(true)
    expect(upstream.offsets.slice(0, 2)).toEqual([0, 12 * MIB])
    gate.open()
    await within(fill.settled)
    expect((await folder.kept()).map((kept) => digestOf(kept))).toEqual([digestOf(large)])
    expect(upstream.sentBytes()).toBeLessThanOrEqual(large.length * 1.05)
    expect(await folder.leftovers()).toEqual([])
  })

  it('gets the end of the blob without waiting for the whole', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const { fill } = startLarge(folder, [{ end: MIB, gate, ending: 'cut' }])
    const source = await opened(fill)
    await gate.reached

    const bytes = await readRange(source, large.length - 51, 51)

    expect(bytes.equals(large.subarray(-51))).toBe(true)
    gate.open()
    await within(fill.settled)
    expect(await folder.leftovers()).toEqual([])
  })

  it('is one of many, who share what each of them has fetched', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream } = startLarge(folder, [])
    const parts = [0, 20, 5, 15, 10, 23].map(async (at) => {
      const bytes = await readRange(await opened(fill), at * MIB, MIB)
      return bytes.equals(large.subarray(at * MIB, (at + 1) * MIB))
    })

    expect(await Promise.all(parts)).toEqual(parts.map(() => true))

    await within(fill.settled)
    expect(upstream.sentBytes()).toBeLessThanOrEqual(large.length * 1.3)
    expect((await folder.kept()).map((kept) => digestOf(kept))).toEqual([digestOf(large)])
    expect(await folder.leftovers()).toEqual([])
  })

  it('waits for its turn where upstream ignores ranges', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const script = [{ end: 2 * MIB, gate }, { ignoresRange: true }, { ignoresRange: true }]
    const { fill, upstream } = startLarge(folder, script)
    const source = await opened(fill)
    await gate.reached
    const reading = readRange(source, 12 * MIB, 1000)
    await until(() => upstream.offsets.length === 2)

    gate.open()

    expect((await reading).equals(large.subarray(12 * MIB, 12 * MIB + 1000))).toBe(true)
    await within(fill.settled)
    expect(upstream.offsets).toEqual([0, 12 * MIB, 2 * MIB])
    expect(await folder.leftovers()).toEqual([])
  })
})

describe('a download that was cut off', () => {
  const cut: Connection = { end: 20 * MIB, ending: 'cut' }
  const refused: readonly Connection[] = Array.from({ length: 6 }, () => ({
    refused: 'not-found',
  }))

  it('goes on from the bytes that it had', async () => {
    await using folder = await makeSpoolFolder()
    const first = startLarge(folder, [cut, ...refused])
    await expect(within(first.fill.settled)).rejects.toMatchObject({ reason: 'not-found' })

    const second = startLarge(folder, [])
    await within(second.fill.settled)

    expect(second.upstream.offsets).toEqual([20 * MIB])
    expect((await folder.kept()).map((kept) => digestOf(kept))).toEqual([digestOf(large)])
    expect(await folder.leftovers()).toEqual([])
  })

  it('goes on in another process, too', async () => {
    await using folder = await makeSpoolFolder()
    const first = startLarge(folder, [cut, ...refused])
    await expect(within(first.fill.settled)).rejects.toThrow('Refused')

    await folder.reopen()
    const second = startLarge(folder, [])
    await within(second.fill.settled)

    expect(second.upstream.sentBytes()).toBe(4 * MIB)
    expect((await folder.kept()).map((kept) => digestOf(kept))).toEqual([digestOf(large)])
  })

  it('is given up when its bytes are wrong, and begins anew after that', async () => {
    await using folder = await makeSpoolFolder()
    const wrong = Buffer.from(large)
    wrong[MIB] = (wrong[MIB] ?? 0) ^ 1
    const first = startLarge(folder, [cut, ...refused], wrong)
    await expect(within(first.fill.settled)).rejects.toThrow('Refused')

    const second = startLarge(folder, [])
    await expect(within(second.fill.settled)).rejects.toMatchObject({ reason: 'corrupt' })
    const third = startLarge(folder, [])
    await within(third.fill.settled)

    expect(second.upstream.distrusted()).toBe(1)
    expect(third.upstream.offsets).toEqual([0])
    expect((await folder.kept()).map((kept) => digestOf(kept))).toEqual([digestOf(large)])
    expect(await folder.leftovers()).toEqual([])
  })
})

describe('a download that was whole when its process was killed', () => {
  it('is stored at the next start, and nobody has to be asked for it', async () => {
    await using folder = await makeSpoolFolder()
    const killed = createGate()
    const { fill: dying } = fillOf(folder, large, {
      async keep() {
        await killed.pass()
        throw new Error('The process is gone.')
      },
    })
    const source = await opened(dying)
    expect(digestOf(await readRange(source, 0, large.length))).toBe(digestOf(large))
    await killed.reached

    await using copy = await folder.copy()
    expect(copy.spool.finished()).toEqual([{ upstream: 'docker.io', digest: digestOf(large) }])
    const { fill, upstream: unasked } = startLarge(copy, [])
    await within(fill.settled)

    expect(unasked.offsets).toEqual([])
    expect((await copy.kept()).map((kept) => digestOf(kept))).toEqual([digestOf(large)])
    expect(await copy.leftovers()).toEqual([])
    killed.open()
    await rejection(dying.settled)
  })
})
