/** Large fills with readers of any part, upstreams that cut and know no ranges, and disks that fail. */
import { basename } from 'node:path'
import type * as Timers from 'node:timers/promises'
import { setImmediate } from 'node:timers/promises'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createExtents } from '../../src/cache/extents.ts'
import type { Fill } from '../../src/cache/fill.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { StorageError } from '../../src/storage-error.ts'
import { randomBlob } from '../fakes/images.ts'
import { within } from '../support/until.ts'
import { failingSpool } from './failing-spool.ts'
import { fillOf, MIB, spoilt } from './fill-of.ts'
import { KIB, rejection, signal } from './fill-under-test.ts'
import { makeSpoolFolder, type SpoolFolder } from './spool-folder.ts'
import type { Connection, ScriptedUpstream } from './scripted-upstream.ts'

// The back-off between connections takes no time here; how long it is has a test of its own.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof Timers>()
  const noDelay: typeof timers.setTimeout = (milliseconds = 0, value, options) =>
    timers.setTimeout(milliseconds > 1600 ? milliseconds : 0, value, options)
  return { ...timers, setTimeout: noDelay }
})

const RANDOM_BYTES = Buffer.from(randomBlob(12 * MIB, 'parts'))
const HELD_BACK_BYTES = 64 * KIB
const MAX_RUNS = { numRuns: 40, timeout: 15_000 }

// A second goes by whenever somebody looks, so that whoever is far ahead is not asked to wait.
beforeEach(() => {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000))
})
afterEach(() => {
  vi.restoreAllMocks()
})

interface ReaderPlan {
  /** Turns of the event loop before it comes. */
  readonly joinsAfter: number
  /** Parts of the blob. */
  readonly first: number
  readonly length: number
  readonly leavesAfterReads: number | undefined
}

interface Scenario {
  readonly blob: Buffer
  readonly script: readonly Connection[]
  readonly knowsRanges: boolean
  readonly readers: readonly ReaderPlan[]
}

const fractions = fc.nat({ max: 1000 }).map((thousandths) => thousandths / 1000)

const readers = fc.array(
  fc.record({
    joinsAfter: fc.nat({ max: 40 }),
    first: fc.oneof(fc.constant(0), fractions),
    length: fc.oneof(fc.constant(1), fractions),
    leavesAfterReads: fc.option(fc.nat({ max: 10 }), { nil: undefined, freq: 3 }),
  }),
  { minLength: 1, maxLength: 6 },
)

const connections = fc.array(
  fc.record({
    end: fractions,
    ending: fc.constantFrom('cut' as const, 'clean' as const),
    ignoresRange: fc.boolean(),
  }),
  { maxLength: 5 },
)

const scenarios: fc.Arbitrary<Scenario> = fc
  .record({
    size: fc.integer({ min: 4 * MIB, max: RANDOM_BYTES.length }),
    connections,
    /** The second or a later one is refused once. */
    refusedAt: fc.integer({ min: 1, max: 6 }),
    knowsRanges: fc.boolean(),
    readers,
  })
  .map(({ size, connections, refusedAt, knowsRanges, readers }) => {
    const script = connections.map((connection, index): Connection => {
      const end = Math.floor(connection.end * size)
      const ignoresRange = connection.ignoresRange || !knowsRanges
      return { ...connection, end, ignoresRange, ...(index === refusedAt && REFUSED) }
    })
    return { blob: RANDOM_BYTES.subarray(0, size), script, knowsRanges, readers }
  })

const REFUSED = { refused: 'unavailable' } as const

interface Reading {
  readonly first: number
  readonly wanted: number
  readonly bytes: Buffer
  readonly left: boolean
  readonly error: unknown
}

interface Run {
  readonly failure: unknown
  readonly readings: readonly Reading[]
  readonly upstream: ScriptedUpstream
}

async function play(
  folder: SpoolFolder,
  { blob, script, knowsRanges, readers }: Scenario,
  sent: Buffer = blob,
  failsAtWrite = Infinity,
): Promise<Run> {
  let writes = 0
  const write = () => (writes += 1) > failsAtWrite
  const { fill, upstream } = fillOf(folder, blob, {
    spool: failingSpool(folder.spool, { write }),
    script: script.map((connection) => ({ ...connection, sends: sent })),
    afterwards: { sends: sent, ignoresRange: !knowsRanges },
  })
  const readings = readers.map((plan) => follow(fill, plan, blob.length))
  const failure = await rejection(within(fill.settled))
  return { failure, upstream, readings: await Promise.all(readings) }
}

async function follow(
  fill: Fill,
  { joinsAfter, leavesAfterReads = Infinity, ...part }: ReaderPlan,
  size: number,
): Promise<Reading> {
  for (let turn = 0; turn < joinsAfter; turn += 1) await setImmediate()
  const first = Math.min(size - 1, Math.floor(part.first * size))
  const wanted = Math.max(1, Math.floor(part.length * (size - first)))
  const bytes = Buffer.alloc(wanted)
  let [done, reads] = [0, 0]
  const source = await fill.open().catch(() => undefined)
  try {
    while (source && done < wanted && reads < leavesAfterReads) {
      const rest = bytes.subarray(done, done + 300 * KIB)
      done += await within(source.read(rest, first + done, signal))
      reads += 1
    }
    return { first, wanted, bytes: bytes.subarray(0, done), left: done < wanted, error: undefined }
  } catch (error) {
    return { first, wanted, bytes: bytes.subarray(0, done), left: false, error }
  } finally {
    await source?.close()
  }
}

/** As messages, since a difference of megabytes says nothing. */
function wrongReadings({ readings }: Run, sent: Buffer): string[] {
  return readings
    .filter(({ first, bytes }) => !bytes.equals(sent.subarray(first, first + bytes.length)))
    .map(({ first, bytes }) => `${bytes.length} bytes from ${first} on`)
}

function isWholeOf({ blob }: Scenario): (reading: Reading) => boolean {
  return ({ first, bytes }) => first === 0 && bytes.length === blob.length
}

async function expectAllClosed(folder: SpoolFolder, { upstream }: Run): Promise<void> {
  expect(upstream.bodies.filter((body) => !body.destroyed)).toEqual([])
  expect(await folder.leftovers()).toEqual((await folder.files()).map((file) => basename(file)))
}

describe('a fill that is read in parts', () => {
  it('gives everybody the right bytes, and is stored', async () => {
    await fc.assert(
      fc.asyncProperty(scenarios, async (scenario) => {
        await using folder = await makeSpoolFolder()
        const run = await play(folder, scenario)

        expect(run.failure).toBeUndefined()
        expect(wrongReadings(run, scenario.blob)).toEqual([])
        expect(run.readings.map(({ error }) => error)).toEqual(run.readings.map(() => undefined))
        expect((await folder.kept()).map((it) => digestOf(it))).toEqual([digestOf(scenario.blob)])
        await expectAllClosed(folder, run)
        expect(await folder.files()).toEqual([])
      }),
      MAX_RUNS,
    )
  })

  it('serves everybody when the disk fails, and goes on later from what was written', async () => {
    const writes = fc.nat({ max: 50 })
    await fc.assert(
      fc.asyncProperty(scenarios, writes, async (scenario, failsAtWrite) => {
        await using folder = await makeSpoolFolder()
        // Straight from upstream, three connections that bring nothing are the end.
        const script = scenario.script.slice(0, 2)
        const run = await play(folder, { ...scenario, script }, scenario.blob, failsAtWrite)

        expect([undefined, 'broken']).toContain((run.failure as StorageError | undefined)?.code)
        expect(wrongReadings(run, scenario.blob)).toEqual([])
        expect(run.readings.map(({ error }) => error)).toEqual(run.readings.map(() => undefined))
        await expectAllClosed(folder, run)
        if (run.failure === undefined) return

        const parked = folder.spool.parkedBytes()
        const { fill, upstream } = fillOf(folder, scenario.blob)
        await within(fill.settled)
        expect(upstream.sentBytes()).toBeLessThanOrEqual(scenario.blob.length - parked)
        expect(await folder.leftovers()).toEqual([])
      }),
      MAX_RUNS,
    )
  })

  it('keeps a piece of a wrong blob from all of them together', async () => {
    await fc.assert(
      fc.asyncProperty(scenarios, fc.nat(), async (scenario, at) => {
        await using folder = await makeSpoolFolder()
        const sent = spoilt(scenario.blob, at % scenario.blob.length)
        const run = await play(folder, scenario, sent)

        expect(run.failure).toMatchObject({ name: 'UpstreamError', reason: 'corrupt' })
        expect(wrongReadings(run, sent)).toEqual([])
        const given = createExtents()
        for (const { first, bytes } of run.readings) given.add(first, first + bytes.length)
        expect(scenario.blob.length - given.total()).toBeGreaterThanOrEqual(HELD_BACK_BYTES)
        await expectAllClosed(folder, run)
        expect(await folder.files()).toEqual([])
        expect(await folder.kept()).toEqual([])
      }),
      MAX_RUNS,
    )
  })

  it('gives nobody the whole of a wrong blob, also when the disk fails', async () => {
    await fc.assert(
      fc.asyncProperty(scenarios, fc.nat(), fc.nat({ max: 50 }), async (scenario, at, writes) => {
        await using folder = await makeSpoolFolder()
        const sent = spoilt(scenario.blob, at % scenario.blob.length)
        const run = await play(folder, scenario, sent, writes)

        expect(run.failure).toBeDefined()
        expect(wrongReadings(run, sent)).toEqual([])
        expect(run.readings.filter(isWholeOf(scenario))).toEqual([])
        await expectAllClosed(folder, run)
        expect(await folder.kept()).toEqual([])
      }),
      MAX_RUNS,
    )
  })
})
