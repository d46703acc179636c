/** A large blob over several connections: every byte once, in whatever world it comes from. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { startFill, type Fill, type FillOptions } from '../../src/cache/fill.ts'
import type { Parallelism } from '../../src/cache/parallelism.ts'
import { createSharedConnections } from '../../src/cache/shared-connections.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { ByteWindow } from '../../src/upstream/upstream.ts'
import { createGate } from '../fakes/gate.ts'
import { randomBlob } from '../fakes/images.ts'
import { within } from '../support/until.ts'
import {
  createClock,
  divideUpstream,
  type DividedUpstream,
  type UpstreamOptions,
} from './divided-upstream.ts'
import { MIB, readFrom } from './fill-of.ts'
import { opened } from './fill-under-test.ts'
import type { Connection } from './scripted-upstream.ts'
import { makeSpoolFolder, type SpoolFolder } from './spool-folder.ts'

const SIZE = 100 * MIB + 12_345
const large = Buffer.from(randomBlob(SIZE, 'divided'))
const digest = digestOf(large)
const PATIENCE = { deadlineMs: 20_000 }

afterEach(() => {
  vi.restoreAllMocks()
})

interface Options extends UpstreamOptions {
  readonly connections?: number
  readonly canSpread?: boolean
  readonly shared?: ReturnType<typeof createSharedConnections>
  readonly clock?: ReturnType<typeof createClock>
  /** What the last blob has shown: it is divided at once. */
  readonly known?: Parallelism
  readonly isBusy?: boolean
  readonly fill?: Partial<FillOptions>
}

function startDivided(folder: SpoolFolder, options: Options = {}) {
  const { connections = 4, canSpread = false, clock = createClock() } = options
  const shared = options.shared ?? createSharedConnections(() => performance.now())
  if (options.known) shared.remember(options.known)
  const watchLoad = () => () => options.isBusy ?? false
  const upstream = divideUpstream(large, clock, options)
  const fill = startFill({
    upstream: 'docker.io',
    digest,
    expectedSize: large.length,
    spool: folder.spool,
    connect: (window, signal) => upstream.connect(window, signal),
    keep: (path) => folder.keep(path),
    division: { connections, canSpread, shared, watchLoad },
    ...options.fill,
  })
  return { fill, upstream, shared, clock }
}

/** As a client does. @returns whether all bytes were right */
async function readWhole(fill: Fill): Promise<boolean> {
  const source = await opened(fill)
  const { bytes } = await readFrom(source, 0, large.length)
  await source.close()
  return bytes.equals(large)
}

async function expectStored(folder: SpoolFolder, fill: Fill): Promise<void> {
  await within(fill.settled, PATIENCE)
  expect((await folder.kept()).map((bytes) => digestOf(bytes))).toEqual([digest])
  expect(await folder.leftovers()).toEqual([])
}

/** What was asked for, from the first byte to the last, each once. */
function expectEachByteOnce({ windows, sentBytes }: DividedUpstream): void {
  const sorted = windows.toSorted((one, other) => one.first - other.first)
  const isCut = sorted.length > 1 && sorted[0]?.last === undefined
  let next = 0
  for (const [index, { first, last }] of sorted.entries()) {
    // The first one is cut where the second begins.
    expect(first).toBe(isCut && index === 1 ? first : next)
    next = (last ?? large.length - 1) + 1
  }
  expect(next).toBe(large.length)
  expect(sentBytes()).toBeGreaterThanOrEqual(large.length)
  expect(sentBytes()).toBeLessThanOrEqual(large.length + (isCut ? UNDER_WAY : 0))
}

function freeConnections(shared: ReturnType<typeof createSharedConnections>, limit = 4): number {
  let count = 0
  while (shared.take(limit) !== undefined) count += 1
  return count
}

/** Bytes that may be under way when a connection is cut. */
const UNDER_WAY = MIB
const KNOWN: Parallelism = { connections: 4, spread: false }
const WHOLE: readonly ByteWindow[] = [{ first: 0 }]

describe('a large blob', () => {
  it('comes over more connections where each of them is limited, every byte once and in order', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream, shared } = startDivided(folder)

    expect(await readWhole(fill)).toBe(true)

    await expectStored(folder, fill)
    expectEachByteOnce(upstream)
    expect(upstream.most()).toBe(4)
    expect(shared.remembered()).toEqual({ connections: 4, spread: false })
    expect(freeConnections(shared)).toBe(6)
  })

  it('is divided at once where that was faster for the last one', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream, shared } = startDivided(folder, { known: KNOWN })

    expect(await readWhole(fill)).toBe(true)

    await expectStored(folder, fill)
    expect(upstream.windows[0]).toMatchObject({ first: 0, last: 16 * MIB - 1 })
    expectEachByteOnce(upstream)
    expect(upstream.most()).toBe(4)
    expect(shared.remembered()).toEqual(KNOWN)
  })

  it('is divided also where nobody knew its size before', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream } = startDivided(folder, { fill: { expectedSize: undefined } })

    expect(await readWhole(fill)).toBe(true)

    await expectStored(folder, fill)
    expectEachByteOnce(upstream)
    expect(upstream.most()).toBe(4)
  })

  it('comes over one where more bring nothing, and the next one in one request', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream, ...world } = startDivided(folder, { bottleneck: 'the line' })

    expect(await readWhole(fill)).toBe(true)

    await expectStored(folder, fill)
    expectEachByteOnce(upstream)
    expect(upstream.windows.length).toBeLessThanOrEqual(4)
    expect(world.shared.remembered()).toEqual({ connections: 1, spread: false })
    await using other = await makeSpoolFolder()
    const next = startDivided(other, world)
    await expectStored(other, next.fill)
    expect(next.upstream.windows).toMatchObject(WHOLE)
    expect(next.upstream.windows).toHaveLength(1)
  })

  it('comes from several endpoints where each of them is limited', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream, shared } = startDivided(folder, {
      bottleneck: 'each endpoint',
      canSpread: true,
      connections: 2,
    })

    expect(await readWhole(fill)).toBe(true)

    await expectStored(folder, fill)
    expectEachByteOnce(upstream)
    expect(upstream.most()).toBe(2)
    expect(new Set(upstream.windows.map(({ lane }) => lane))).toEqual(new Set([undefined, 0, 1]))
    expect(shared.remembered()).toEqual({ connections: 2, spread: true })
  })

  it('has one connection as long as nobody waits for it', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream, shared } = startDivided(folder, { known: KNOWN })

    await expectStored(folder, fill)

    expectEachByteOnce(upstream)
    // The next stretch is asked for shortly before this one ends.
    expect(upstream.most()).toBeLessThanOrEqual(2)
    expect(shared.remembered()).toEqual(KNOWN)
  })

  it.each([0, 1])('has its own and the %i that other blobs have left', async (left) => {
    await using folder = await makeSpoolFolder()
    const shared = createSharedConnections(() => performance.now())
    for (let taken = 0; taken < 6 - left; taken += 1) shared.take(4)
    const { fill, upstream } = startDivided(folder, { shared })

    expect(await readWhole(fill)).toBe(true)

    await expectStored(folder, fill)
    expectEachByteOnce(upstream)
    expect(upstream.most()).toBe(1 + left)
    expect(freeConnections(shared)).toBe(left)
  })

  it.each([
    ['one connection is allowed', { connections: 1 }],
    ['one connection is fast', { chunkTime: 2 }],
    ['the mirror is at its own limit', { isBusy: true }],
    ['upstream is not to be divided', { fill: { division: undefined } }],
  ])('comes in one request when %s', async (_, options) => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream } = startDivided(folder, options)

    expect(await readWhole(fill)).toBe(true)

    await expectStored(folder, fill)
    expect(upstream.windows).toHaveLength(1)
    expect(upstream.windows).toMatchObject(WHOLE)
    expectEachByteOnce(upstream)
  })

  it('that is aborted leaves no connection, and gives back those that were shared', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const { fill, upstream, shared } = startDivided(folder, {
      script: [{}, {}, { gate }, {}, {}],
      known: KNOWN,
    })
    const reading = readWhole(fill)
    await within(gate.reached, PATIENCE)
    fill.abort(new Error('The mirror is shutting down.'))
    gate.open()

    await expect(within(fill.settled)).rejects.toThrow('shutting down')
    expect(await reading).toBe(false)
    expect(upstream.open()).toBe(0)
    expect(freeConnections(shared)).toBe(6)
  })

  it('that was left unfinished is gone on with where it has holes', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const first = startDivided(folder, { script: [{}, {}, { gate }], known: KNOWN })
    const reading = readWhole(first.fill)
    await within(gate.reached, PATIENCE)
    first.fill.abort(new Error('The mirror is shutting down.'))
    gate.open()
    await expect(within(first.fill.settled)).rejects.toThrow('shutting down')
    expect(await reading).toBe(false)

    await folder.reopen()
    const second = startDivided(folder, { clock: first.clock })
    expect(await readWhole(second.fill)).toBe(true)

    await expectStored(folder, second.fill)
    // What was on its way when it was aborted comes again.
    expect(first.upstream.sentBytes() + second.upstream.sentBytes()).toBeLessThanOrEqual(
      large.length + 8 * MIB,
    )
    expect(second.upstream.sentBytes()).toBeLessThan(large.length - 16 * MIB)
  })
})

describe('an upstream that', () => {
  it('answers the second part with the whole is not asked again', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream } = startDivided(folder, { afterwards: { ignoresRange: true } })

    expect(await readWhole(fill)).toBe(true)

    await expectStored(folder, fill)
    expect(upstream.windows).toHaveLength(2)
    expect(upstream.sentBytes()).toBeLessThanOrEqual(large.length + UNDER_WAY)
  })

  it('answers a part with the whole is asked once, and for the next blob as well', async () => {
    await using folder = await makeSpoolFolder()
    const whole: Connection = { ignoresRange: true }
    const { fill, upstream, ...world } = startDivided(folder, { afterwards: whole, known: KNOWN })

    expect(await readWhole(fill)).toBe(true)

    await expectStored(folder, fill)
    expect(upstream.windows).toHaveLength(1)
    expect(upstream.sentBytes()).toBe(large.length)
    await using other = await makeSpoolFolder()
    const next = startDivided(other, { ...world, afterwards: whole })
    await expectStored(other, next.fill)
    expect(next.upstream.windows).toHaveLength(1)
    expect(next.upstream.windows).toMatchObject(WHOLE)
  })

  it('refuses parts is asked for the whole', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream } = startDivided(folder, {
      script: [{ refused: 'corrupt' }],
      known: KNOWN,
    })

    expect(await readWhole(fill)).toBe(true)

    await expectStored(folder, fill)
    expect(upstream.windows.slice(1)).toMatchObject(WHOLE)
    expect(upstream.windows).toHaveLength(2)
    expect(upstream.sentBytes()).toBe(large.length)
  })

  it.each([
    ['corrupt', undefined],
    ['not-found', undefined],
    ['unavailable', undefined],
    ['rate-limited', undefined],
    ['forbidden', KNOWN],
    ['unavailable', KNOWN],
  ] as const)(
    'gives a second connection %s is asked over one, for each byte once',
    async (refused, known) => {
      await using folder = await makeSpoolFolder()
      const { fill, upstream, shared } = startDivided(folder, {
        script: [{}, { refused }],
        ...(known && { known }),
      })

      expect(await readWhole(fill)).toBe(true)

      await expectStored(folder, fill)
      expect(upstream.sentBytes()).toBe(large.length)
      // Those that were begun are read to their end.
      expect(upstream.most()).toBeLessThanOrEqual(known ? 4 : 2)
      expect(upstream.windows.length).toBeLessThanOrEqual(known ? 12 : 2)
      expect(freeConnections(shared)).toBe(6)
    },
  )

  it.each([1, 2])(
    'allows %d connections at a time is not asked for more in vain',
    async (limit) => {
      await using folder = await makeSpoolFolder()
      const { fill, upstream, shared } = startDivided(folder, { limit, known: KNOWN })

      expect(await readWhole(fill)).toBe(true)

      await expectStored(folder, fill)
      expectEachByteOnce(upstream)
      expect(upstream.refusals()).toBeLessThanOrEqual(4)
      expect(freeConnections(shared)).toBe(6)
    },
  )

  it.each([
    { index: 0, at: 3 },
    { index: 1, at: 30 },
    { index: 3, at: 60 },
  ])(
    'cuts connection $index at $at MiB is asked for the next byte there',
    async ({ index, at }) => {
      await using folder = await makeSpoolFolder()
      const script: Connection[] = Array.from({ length: index }, () => ({}))
      const { fill, upstream } = startDivided(folder, {
        script: [...script, { end: at * MIB, ending: 'cut' }],
      })

      expect(await readWhole(fill)).toBe(true)

      await expectStored(folder, fill)
      expect(upstream.sentBytes()).toBeLessThanOrEqual(large.length + 2 * UNDER_WAY)
      expect(upstream.windows).toContainEqual(expect.objectContaining({ first: at * MIB }))
      expect(upstream.most()).toBeLessThanOrEqual(4)
    },
  )

  it('cannot be asked at all is asked once', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream } = startDivided(folder, {
      afterwards: { refused: 'unavailable' },
      known: KNOWN,
    })

    await expect(within(fill.settled)).rejects.toMatchObject({ reason: 'unavailable' })

    expect(upstream.windows).toHaveLength(1)
    expect(await folder.leftovers()).toEqual([])
  })

  it('says another size than the manifest is asked once', async () => {
    await using folder = await makeSpoolFolder()
    const { fill, upstream } = startDivided(folder, { afterwards: { says: SIZE + 1 } })

    await expect(within(fill.settled)).rejects.toMatchObject({ reason: 'corrupt' })

    expect(upstream.windows).toHaveLength(1)
    expect(await folder.leftovers()).toEqual([])
  })

  it('sends a wrong byte in one of the parts: nothing is stored, and all who sent are told', async () => {
    await using folder = await makeSpoolFolder()
    const wrong = Buffer.from(large)
    wrong[70 * MIB] = (wrong[70 * MIB] ?? 0) ^ 1
    const { fill } = startDivided(folder, { afterwards: { sends: wrong } })
    const reading = readWhole(fill)

    await expect(within(fill.settled, PATIENCE)).rejects.toMatchObject({ reason: 'corrupt' })

    expect(await reading).toBe(false)
    expect(await folder.kept()).toEqual([])
  })
})

it('a reader far ahead of a divided blob gets a connection although all are at work', async () => {
  await using folder = await makeSpoolFolder()
  const gates = [createGate(), createGate()]
  const script = gates.map((gate, index): Connection => {
    return { end: (index * 16 + 10) * MIB, gate, ending: 'cut' }
  })
  const { fill, upstream, clock } = startDivided(folder, { connections: 2, script, known: KNOWN })
  const reading = readWhole(fill)
  for (const gate of gates) await within(gate.reached, PATIENCE)
  clock.advance(60_000)
  const source = await opened(fill)

  const { bytes } = await readFrom(source, 80 * MIB, MIB)

  expect(bytes.equals(large.subarray(80 * MIB, 81 * MIB))).toBe(true)
  expect(upstream.windows[2]).toMatchObject({ first: 80 * MIB, last: 96 * MIB - 1 })
  await source.close()
  for (const gate of gates) gate.open()
  expect(await reading).toBe(true)
  await expectStored(folder, fill)
  expect(upstream.sentBytes()).toBe(large.length)
})
