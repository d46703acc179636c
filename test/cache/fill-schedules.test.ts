/** The fill, driven by random joins, leaves, cuts and lies in a random order of events. */
import { createHash } from 'node:crypto'
import type * as Timers from 'node:timers/promises'
import * as fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import type { ByteSource } from '../../src/byte-source.ts'
import { createExtents } from '../../src/cache/extents.ts'
import { startFill, type Fill } from '../../src/cache/fill.ts'
import { digestOf } from '../../src/oci/digest.ts'
import {
  HELD_BACK_BYTES,
  lyingScenarios,
  moments,
  scenarios,
  type ReaderPlan,
  type Scenario,
} from './fill-scenarios.ts'
import { makeSpoolFolder, type SpoolFolder } from './spool-folder.ts'
import { scriptUpstream, type ScriptedUpstream } from './scripted-upstream.ts'

// The back-off between connections takes no time here; how long it is has a test of its own.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof Timers>()
  const noDelay: typeof timers.setTimeout = (_, value, options) =>
    timers.setTimeout(0, value, options)
  return { ...timers, setTimeout: noDelay }
})

const CLIENT_LEFT = new Error('The client left.')
const SHUTDOWN = new Error('The mirror is shutting down.')

interface Reading {
  readonly start: number
  readonly bytes: Buffer
  readonly result: 'whole' | 'left' | 'too late' | 'failed'
  readonly error: unknown
}

describe('a fill', () => {
  it('gives everybody the right bytes, whoever joins or leaves, and however often it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), scenarios, async (scheduler, scenario) => {
        await using folder = await makeSpoolFolder()
        const run = await play(scheduler, scenario, folder)

        expect(run.failure).toBeUndefined()
        expect(await run.fill.size).toBe(scenario.blob.length)
        expect(resultsOf(run)).not.toContain('failed')
        expectRightBytes(run, scenario)
        expect((await folder.kept()).map(sha256)).toEqual([sha256(scenario.blob)])
        expect(run.upstream.offsets).toEqual(offsetsOf(scenario))
        await expectNothingLeft(run, folder)
      }),
      { numRuns: 150, timeout: 5000 },
    )
  })

  it('takes each byte from upstream once, where nothing is cut', async () => {
    const uninterrupted = scenarios.map((scenario) => ({ ...scenario, script: [] }))
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), uninterrupted, async (scheduler, scenario) => {
        await using folder = await makeSpoolFolder()
        const run = await play(scheduler, scenario, folder)

        expect(run.upstream.offsets).toEqual([0])
        expect(run.upstream.sentBytes()).toBe(scenario.blob.length)
        expectRightBytes(run, scenario)
      }),
      { numRuns: 50, timeout: 5000 },
    )
  })

  it('E-14: keeps a piece of a wrong blob from everybody together, and stores nothing of it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), lyingScenarios, async (scheduler, scenario) => {
        await using folder = await makeSpoolFolder()
        const run = await play(scheduler, scenario, folder)

        expect(run.failure).toMatchObject({ name: 'UpstreamError', reason: 'corrupt' })
        for (const { error } of run.readings) expect([undefined, run.failure]).toContain(error)
        const { length } = scenario.blob
        expect(keptFromAll(run, length)).toBeGreaterThanOrEqual(Math.min(length, HELD_BACK_BYTES))
        expect(await folder.kept()).toEqual([])
        await expectNothingLeft(run, folder)
      }),
      { numRuns: 150, timeout: 5000 },
    )
  })

  it('ends for everybody alike when it is aborted, at whatever moment', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        scenarios,
        moments,
        async (scheduler, scenario, abortedAt) => {
          await using folder = await makeSpoolFolder()
          const run = await play(scheduler, scenario, folder, abortedAt)

          expect([undefined, SHUTDOWN]).toContain(run.failure)
          for (const { error } of run.readings) expect([undefined, run.failure]).toContain(error)
          expectRightBytes(run, scenario)
          expect(await folder.kept()).toHaveLength(run.failure === undefined ? 1 : 0)
          await expectNothingLeft(run, folder)
        },
      ),
      { numRuns: 100, timeout: 5000 },
    )
  })
})

interface Run {
  readonly fill: Fill
  readonly upstream: ScriptedUpstream
  /** Why it failed; `undefined` when the blob was stored. */
  readonly failure: unknown
  readonly readings: readonly Reading[]
}

/** Whatever can happen next waits for its turn, and the scheduler decides whose it is. */
async function play(
  scheduler: fc.Scheduler,
  { blob, expectedSize, chunkSizes, script, afterwards, readers }: Scenario,
  folder: SpoolFolder,
  abortedAt?: number,
): Promise<Run> {
  const progress = createProgress()
  const turn = () => scheduler.schedule(Promise.resolve())
  const step = () => {
    progress.step()
    return turn()
  }
  const upstream = scriptUpstream(blob, script, { afterwards, chunkSizes, turn: step })
  const fill = startFill({
    upstream: 'docker.io',
    digest: digestOf(blob),
    expectedSize,
    spool: folder.spool,
    connect: (window, signal) => upstream.connect(window, signal),
    keep: (path) => folder.keep(path),
  })
  const failure = fill.settled
    .then(
      () => undefined,
      (error: unknown) => error,
    )
    .finally(() => progress.end())
  if (abortedAt !== undefined) {
    void progress
      .reached(abortedAt)
      .then(turn)
      .then(() => fill.abort(SHUTDOWN))
  }
  const follow = (plan: ReaderPlan) => read(fill, plan, blob.length, progress, turn)
  const readings = Promise.all(readers.map(follow))
  await scheduler.waitFor(Promise.all([failure, readings]))
  return { fill, upstream, failure: await failure, readings: await readings }
}

async function read(
  fill: Fill,
  { joinsAt, skips, readsPerBlob, leavesAfterReads, leavesAt }: ReaderPlan,
  size: number,
  progress: Progress,
  turn: () => Promise<unknown>,
): Promise<Reading> {
  const start = Math.floor(skips * size)
  const chunks: Buffer[] = []
  const reading = (result: Reading['result'], error?: unknown): Reading => {
    return { start, bytes: Buffer.concat(chunks), result, error }
  }
  const leaving = new AbortController()
  if (leavesAt !== undefined) {
    void progress
      .reached(leavesAt)
      .then(turn)
      .then(() => leaving.abort(CLIENT_LEFT))
  }
  await progress.reached(joinsAt)
  await turn()
  let source: ByteSource | undefined
  try {
    source = await fill.open()
    if (source === undefined) return reading('too late')
    for (let position = start; chunks.length !== leavesAfterReads;) {
      const buffer = Buffer.alloc(Math.ceil((size + 1) / readsPerBlob))
      const count = await source.read(buffer, position, leaving.signal)
      if (count === 0) return reading('whole')
      chunks.push(buffer.subarray(0, count))
      position += count
      await turn()
    }
    return reading('left')
  } catch (error) {
    return error === CLIENT_LEFT ? reading('left') : reading('failed', error)
  } finally {
    await source?.close()
  }
}

/** Bytes of the blob that not one of the readers was given. */
function keptFromAll({ readings }: Run, size: number): number {
  const given = createExtents()
  for (const { start, bytes } of readings) given.add(start, start + bytes.length)
  return size - given.total()
}

/** Whoever read to the end has all that was wanted, and everybody else the first part of it. */
function expectRightBytes({ readings }: Run, { blob }: Scenario): void {
  for (const { start, bytes, result } of readings) {
    const end = result === 'whole' ? blob.length : start + bytes.length
    expect(sha256(bytes)).toBe(sha256(blob.subarray(start, end)))
  }
}

/** Every connection is asked for exactly what is still missing, and none more than needed is made. */
function offsetsOf({ blob, script, afterwards }: Scenario): number[] {
  const offsets: number[] = []
  let written = 0
  for (const { refused, end = blob.length } of [...script, afterwards]) {
    offsets.push(written)
    if (refused === undefined) written = Math.max(written, end)
    if (written === blob.length) break
  }
  return offsets
}

async function expectNothingLeft({ fill, upstream }: Run, folder: SpoolFolder): Promise<void> {
  expect(await fill.open()).toBeUndefined()
  expect(upstream.bodies.filter((body) => !body.destroyed)).toEqual([])
  expect(await folder.leftovers()).toEqual([])
}

function resultsOf({ readings }: Run): Reading['result'][] {
  return readings.map(({ result }) => result)
}

interface Progress {
  step(): void
  end(): void
  /** Resolves when so many steps have been made, or there will be no more. */
  reached(steps: number): Promise<void>
}

function createProgress(): Progress {
  let made = 0
  let waiting: { steps: number; go: () => void }[] = []
  const wake = (): void => {
    for (const { steps, go } of waiting) if (steps <= made) go()
    waiting = waiting.filter(({ steps }) => steps > made)
  }
  const moveTo = (steps: number): void => {
    made = steps
    wake()
  }
  return {
    step: () => moveTo(made + 1),
    end: () => moveTo(Infinity),
    reached: (steps) =>
      new Promise((go) => {
        waiting.push({ steps, go })
        wake()
      }),
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
