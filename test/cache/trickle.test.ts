/** Connections that go on and bring next to nothing. The clock is one that the test sets. */
import { Readable } from 'node:stream'
import type * as Timers from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createChunkReader } from '../../src/cache/chunk-reader.ts'
import { TrickleError, watchTrickle } from '../../src/cache/trickle.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate, type Gate } from '../fakes/gate.ts'
import { within } from '../support/until.ts'
import { blob, KIB, start } from './fill-under-test.ts'
import { makeSpoolFolder } from './spool-folder.ts'

const INTERVAL = 60_000
const LONGEST_PAUSE = vi.hoisted(() => 1600)

// The pauses between connections are not waited for; deadlines are as they were.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof Timers>()
  const withoutPauses: typeof timers.setTimeout = (milliseconds = 0, value, options) =>
    timers.setTimeout(milliseconds > LONGEST_PAUSE ? milliseconds : 0, value, options)
  return { ...timers, setTimeout: withoutPauses }
})
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  const leaked = vi.getTimerCount()
  vi.useRealTimers()
  if (leaked > 0) throw new Error(`${leaked} timers are left.`)
})

/** Connections that each bring a chunk more, and then stand at a gate. */
function trickling(count: number) {
  const gates = Array.from({ length: count }, createGate)
  return { gates, script: gates.map((gate, index) => ({ end: (index + 1) * KIB, gate })) }
}

async function passInterval({ reached }: Gate): Promise<void> {
  await within(reached)
  await vi.advanceTimersByTimeAsync(INTERVAL)
}

describe('a download that trickles', () => {
  it('is taken up on another connection', async () => {
    await using folder = await makeSpoolFolder()
    const { gates, script } = trickling(1)
    const { fill, upstream } = start(folder, script)

    for (const gate of gates) await passInterval(gate)
    await within(fill.settled)

    expect(upstream.offsets).toEqual([0, KIB])
    expect(upstream.bodies[0]?.errored).toBeInstanceOf(TrickleError)
    expect((await folder.kept()).map((bytes) => digestOf(bytes))).toEqual([digestOf(blob)])
  })

  it('is given up after six connections, although each brought something', async () => {
    await using folder = await makeSpoolFolder()
    const { gates, script } = trickling(7)
    const { fill, upstream } = start(folder, script)

    for (const gate of gates.slice(0, 6)) await passInterval(gate)
    await expect(within(fill.settled)).rejects.toBeInstanceOf(TrickleError)

    expect(upstream.offsets).toEqual([0, 1, 2, 3, 4, 5].map((offset) => offset * KIB))
  })

  it('is not blamed on upstream while it is our turn that is waited for', async () => {
    await using folder = await makeSpoolFolder()
    const turn = createGate()
    const { fill, upstream } = start(folder, [], { turn: () => turn.pass() })

    await within(turn.reached)
    await vi.advanceTimersByTimeAsync(10 * INTERVAL)
    turn.open()
    await within(fill.settled)

    expect(upstream.offsets).toEqual([0])
  })
})

describe('what a connection must bring', () => {
  /** Sends so many bytes after each interval. */
  async function sends(...amounts: readonly number[]): Promise<Error | undefined> {
    const body = new Readable({ read: () => undefined })
    const watch = watchTrickle({ body })
    const chunks = createChunkReader(body)
    let failure: Error | undefined
    for (const amount of amounts) {
      const next = watch.next(chunks).catch((error: Error) => void (failure ??= error))
      await vi.advanceTimersByTimeAsync(INTERVAL - 1)
      body.push(Buffer.alloc(amount))
      await next
      await watch.next({ next: () => passed(1) })
    }
    watch.stop()
    body.destroy()
    return failure
  }

  async function passed(milliseconds: number): Promise<undefined> {
    await vi.advanceTimersByTimeAsync(milliseconds)
  }

  it('is 60 KiB in each minute of waiting', async () => {
    expect(await sends(60 * KIB, 60 * KIB, 60 * KIB, 60 * KIB)).toBeUndefined()
    expect(await sends(60 * KIB, 60 * KIB - 1, 60 * KIB)).toBeInstanceOf(TrickleError)
    expect(await sends(60 * KIB - 1, 60 * KIB)).toBeInstanceOf(TrickleError)
    // Much at once does not pay for the minutes that follow.
    expect(await sends(600 * KIB, 1, 1)).toBeInstanceOf(TrickleError)
  })
})
