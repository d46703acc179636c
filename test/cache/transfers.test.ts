/** How a blob is divided between connections, where readers are far ahead and upstream is not well. */
import { setImmediate } from 'node:timers/promises'
import { afterEach, expect, it, vi } from 'vitest'
import type { ByteSource } from '../../src/byte-source.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { createGate } from '../fakes/gate.ts'
import { randomBlob } from '../fakes/images.ts'
import { until, within } from '../support/until.ts'
import { fillOf, MIB, readFrom } from './fill-of.ts'
import { opened } from './fill-under-test.ts'
import { makeSpoolFolder } from './spool-folder.ts'

const large = Buffer.from(randomBlob(24 * MIB, 'divided layer'))
const DENIED = new UpstreamError('forbidden', 'Upstream does not want that.')

afterEach(() => {
  vi.restoreAllMocks()
})

it('an upstream that breaks off what is ahead is asked for the next byte only, once the first can go on', async () => {
  await using folder = await makeSpoolFolder()
  const gate = createGate()
  const script = [
    { end: MIB, gate, ending: 'cut' as const },
    { end: 13 * MIB, ending: DENIED },
  ]
  const { fill, upstream } = fillOf(folder, large, { script })
  const source = await opened(fill)
  await gate.reached
  // Reads what came of it, and waits for the rest.
  const part = readFrom(source, 12 * MIB, 2 * MIB)
  await until(() => upstream.bodies[1]?.destroyed)
  const later = await opened(fill)
  const other = readFrom(later, 20 * MIB, MIB)

  gate.open()

  expect((await part).bytes.equals(large.subarray(12 * MIB, 14 * MIB))).toBe(true)
  expect((await other).bytes.equals(large.subarray(20 * MIB, 21 * MIB))).toBe(true)
  await within(fill.settled)
  expect(upstream.offsets).toEqual([0, 12 * MIB, MIB, 13 * MIB])
  await source.close()
  await later.close()
  expect(await folder.leftovers()).toEqual([])
})

it('four connections are made at most', async () => {
  // A second goes by whenever somebody looks: nobody is near enough to be asked to wait.
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000))
  await using folder = await makeSpoolFolder()
  const firsts = [0, 6 * MIB, 12 * MIB, 17.5 * MIB, 22 * MIB]
  const ways = firsts.map((first) => ({ end: first + MIB / 4, gate: createGate() }))
  const { fill, upstream } = fillOf(folder, large, { script: ways })
  const readings: Promise<boolean>[] = []
  for (const [index, first] of firsts.entries()) {
    readings.push(readPart(await opened(fill), first))
    if (index < 4) await within(ways[index]?.gate.reached ?? Promise.reject())
  }
  for (let turn = 0; turn < 10; turn += 1) await setImmediate()
  expect(upstream.offsets).toEqual(firsts.slice(0, 4))

  for (const { gate } of ways) gate.open()

  expect(await Promise.all(readings)).toEqual(firsts.map(() => true))
  await within(fill.settled)
  expect((await folder.kept()).map((bytes) => digestOf(bytes))).toEqual([digestOf(large)])
  expect(await folder.leftovers()).toEqual([])
})

it('who waits far ahead and leaves has nothing more fetched for it', async () => {
  await using folder = await makeSpoolFolder()
  const gate = createGate()
  const connecting = createGate()
  const { fill, upstream } = fillOf(folder, large, {
    script: [
      { end: MIB, gate, ending: 'cut' },
      { end: 12 * MIB, gate: connecting, ending: DENIED },
    ],
  })
  const source = await opened(fill)
  await gate.reached
  const leaving = new AbortController()
  const reading = source.read(Buffer.alloc(1), 12 * MIB, leaving.signal)
  await connecting.reached
  leaving.abort(new Error('The client left.'))
  await expect(within(reading)).rejects.toThrow('left')
  await source.close()

  connecting.open()
  gate.open()
  await within(fill.settled)

  // What was begun ahead failed, and nobody asked for it again.
  expect(upstream.offsets).toEqual([0, 12 * MIB, MIB])
  expect(await folder.leftovers()).toEqual([])
})

async function readPart(source: ByteSource, first: number): Promise<boolean> {
  const { bytes } = await readFrom(source, first, MIB)
  await source.close()
  return bytes.equals(large.subarray(first, first + MIB))
}
