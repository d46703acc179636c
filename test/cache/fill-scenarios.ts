/** Random downloads: how upstream behaves, who reads meanwhile, and how it may lie. */
import * as fc from 'fast-check'
import { randomBlob } from '../fakes/images.ts'
import type { Connection } from './scripted-upstream.ts'

export const HELD_BACK_BYTES = 64 * 1024
const RANDOM_BYTES = Buffer.from(randomBlob(1024 * 1024, 'fill'))

/** A client: when it comes, what it wants, and when it has had enough. */
export interface ReaderPlan {
  readonly joinsAt: number
  /** Part of the blob that it leaves out at the beginning. */
  readonly skips: number
  readonly readsPerBlob: number
  readonly leavesAfterReads: number | undefined
  readonly leavesAt: number | undefined
}

export interface Scenario {
  readonly blob: Buffer
  readonly expectedSize: number | undefined
  readonly chunkSizes: readonly number[]
  readonly script: readonly Connection[]
  /** What follows the script. */
  readonly afterwards: Connection
  readonly readers: readonly ReaderPlan[]
}

const sizes = fc.oneof(
  fc.constantFrom(0, 1, 2, HELD_BACK_BYTES - 1, HELD_BACK_BYTES, HELD_BACK_BYTES + 1),
  fc.integer({ min: 0, max: 200_000 }),
  fc.integer({ min: 0, max: RANDOM_BYTES.length }),
)
const fractions = fc.nat({ max: 1000 }).map((thousandths) => thousandths / 1000)

/** Counted in steps that upstream has made. */
export const moments = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 30 }))

const readers = fc.array(
  fc.record({
    joinsAt: moments,
    skips: fc.oneof(fc.constant(0), fractions),
    readsPerBlob: fc.integer({ min: 1, max: 20 }),
    leavesAfterReads: fc.option(fc.nat({ max: 5 }), { nil: undefined, freq: 3 }),
    leavesAt: fc.option(moments, { nil: undefined, freq: 3 }),
  }),
  { maxLength: 6 },
)

const interruptions = fc.array(
  fc.record({
    at: fractions,
    ending: fc.constantFrom('cut' as const, 'clean' as const),
    refused: fc.option(fc.constantFrom('unavailable' as const, 'rate-limited' as const), {
      nil: undefined,
      freq: 3,
    }),
    ignoresRange: fc.boolean(),
    saysSize: fc.boolean(),
  }),
  { maxLength: 5 },
)

export const scenarios: fc.Arbitrary<Scenario> = fc
  .record({
    size: sizes,
    from: fc.nat(),
    manifestSaysSize: fc.boolean(),
    chunksPerBlob: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 3 }),
    interruptions,
    readers,
  })
  .map(({ size, from, manifestSaysSize, chunksPerBlob, interruptions, readers }) => {
    const start = from % (RANDOM_BYTES.length - size + 1)
    return {
      blob: RANDOM_BYTES.subarray(start, start + size),
      expectedSize: manifestSaysSize ? size : undefined,
      chunkSizes: chunksPerBlob.map((chunks) => Math.ceil((size + 1) / chunks)),
      script: interruptions.map(({ at, saysSize, refused, ...connection }, index) => ({
        ...connection,
        end: Math.floor(at * size),
        // The first connection must be made, and the size be known then.
        ...(index > 0 && { refused }),
        ...(!saysSize && (manifestSaysSize || index > 0) && { says: 'nothing' as const }),
      })),
      afterwards: {},
      readers,
    }
  })

/** The same, but that upstream lies in the end, if not from the beginning. */
export const lyingScenarios: fc.Arbitrary<Scenario> = fc
  .record({
    scenario: scenarios.filter(({ blob }) => blob.length > 0),
    lie: fc.constantFrom('wrong byte', 'too long', 'wrong size', 'another part'),
    at: fc.nat(),
    by: fc.integer({ min: 1, max: 100_000 }),
  })
  .map(({ scenario, lie, at, by }) => {
    const { blob } = scenario
    // The honest part must not be all there is.
    const script = scenario.script.map((connection) => ({
      ...connection,
      end: Math.min(connection.end ?? 0, blob.length - 1),
    }))
    switch (lie) {
      case 'wrong byte': {
        const sends = withOtherByte(blob, at % blob.length)
        const lying = script.map((connection) => ({ ...connection, sends }))
        return { ...scenario, script: lying, afterwards: { sends } }
      }
      case 'too long': {
        const sends = Buffer.concat([blob, RANDOM_BYTES.subarray(0, by)])
        return { ...scenario, script, afterwards: { sends } }
      }
      case 'wrong size': {
        const says = at % 2 === 0 ? blob.length + by : Math.max(0, blob.length - by)
        return { ...scenario, script, expectedSize: blob.length, afterwards: { says } }
      }
      case 'another part':
        return { ...scenario, script, afterwards: { skips: by } }
    }
  })

function withOtherByte(blob: Buffer, at: number): Buffer {
  const wrong = Buffer.from(blob)
  wrong[at] = (wrong[at] ?? 0) ^ 1
  return wrong
}
