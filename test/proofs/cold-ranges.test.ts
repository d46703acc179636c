/** Any part of a blob that is not here yet: soon, right, and without fetching the blob twice. */
import { expect, it } from 'vitest'
import { createGate } from '../fakes/gate.ts'
import { startRegistry } from '../fakes/registry.ts'
import { parseMultipart } from '../http/multipart.ts'
import { openStream } from '../support/client.ts'
import { within } from '../support/until.ts'
import { type Chance, LONG, openChance } from './chance.ts'
import {
  type ColdBlob,
  costOfStored,
  expectPart,
  getFrom,
  getRange,
  getWhole,
  LAYER_BYTES,
  MIB,
  startColdMirror,
  throttledLayer,
} from './cold-blob.ts'
import { pieces, takeTogether } from './held-back.ts'
import { storedFiles } from './stored-files.ts'

/** Upstream may send this much more than the blob: what was under way when a connection was cut short. */
const HARDLY_MORE = 1.05
const CLIENTS = 10
const RANGES = LONG ? 300 : 30
const CHUNKS = 8

it('the end comes before half of the blob has come', async () => {
  await using registry = await startRegistry()
  await using mirror = await startColdMirror(registry)
  const cold = await throttledLayer(registry, mirror)
  for (const length of [51, 20_000]) {
    const { status, headers, body } = await getRange(cold, `bytes=-${length}`)
    expect(registry.bodyBytes(cold.layer.digest)).toBeLessThan(LAYER_BYTES / 2)
    const first = LAYER_BYTES - length
    expect(status).toBe(206)
    expect(headers['content-range']).toBe(`bytes ${first}-${LAYER_BYTES - 1}/${LAYER_BYTES}`)
    expectPart(cold, first, body, length)
  }
  expect(await costOfStored(cold)).toBeLessThanOrEqual(HARDLY_MORE)
})

it('the end comes while the download stands still', async () => {
  await using registry = await startRegistry()
  await using mirror = await startColdMirror(registry)
  const cold = await throttledLayer(registry, mirror)
  const gate = createGate()
  registry.fault({ match: { kind: 'blob', method: 'GET' }, times: 1, hold: { after: MIB, gate } })
  const whole = getWhole(cold)
  await gate.reached
  const length = 3 * MIB
  const { body } = await getRange(cold, `bytes=-${length}`)
  expect(registry.bodyBytes(cold.layer.digest)).toBeLessThan(LAYER_BYTES / 2)
  expectPart(cold, LAYER_BYTES - length, body, length)
  gate.open()
  expect(await whole).toMatchObject({ status: 200, complete: true, digest: cold.layer.digest })
  expect(await costOfStored(cold)).toBeLessThanOrEqual(HARDLY_MORE)
})

it(`${CHUNKS} chunks come side by side, each asked for to the end and left early`, async () => {
  await using registry = await startRegistry()
  await using mirror = await startColdMirror(registry)
  const cold = await throttledLayer(registry, mirror)
  await chunksSideBySide(cold)
  expect(await costOfStored(cold)).toBeLessThanOrEqual(HARDLY_MORE)
})

it('two parts come in one answer', async () => {
  await using registry = await startRegistry()
  await using mirror = await startColdMirror(registry)
  const cold = await throttledLayer(registry, mirror)
  const { status, headers, body } = await getRange(cold, 'bytes=0-1023,30000000-30100000')
  expect(registry.bodyBytes(cold.layer.digest)).toBeLessThan(LAYER_BYTES / 2)
  expect(status).toBe(206)
  const parts = parseMultipart(headers['content-type'], body)
  expect(parts.map(({ first, last, total }) => [first, last, total])).toEqual([
    [0, 1023, LAYER_BYTES],
    [30_000_000, 30_100_000, LAYER_BYTES],
  ])
  for (const { first, last, bytes } of parts) expectPart(cold, first, bytes, last - first + 1)
  expect(await costOfStored(cold)).toBeLessThanOrEqual(HARDLY_MORE)
})

it(`${RANGES} ranges at random for ${CLIENTS} clients are right and cost the blob once`, async () => {
  const chance = openChance('cold ranges')
  await using registry = await startRegistry()
  await using mirror = await startColdMirror(registry)
  const cold = await throttledLayer(registry, mirror)
  await manyRanges(cold, chance)
  expect(await costOfStored(cold)).toBeLessThanOrEqual(HARDLY_MORE)
})

it('they are right of an upstream that knows no ranges, for the price of two', async () => {
  const chance = openChance('ranges without ranges')
  await using registry = await startRegistry()
  await using mirror = await startColdMirror(registry)
  const cold = await throttledLayer(registry, mirror, { ignoreRange: true })
  await Promise.all([chunksSideBySide(cold), manyRanges(cold, chance)])
  const { body } = await getRange(cold, 'bytes=-51')
  expectPart(cold, LAYER_BYTES - 51, body, 51)
  expect(await costOfStored(cold)).toBeLessThanOrEqual(2)
})

it('no clients together are given all of a blob that is wrong', async () => {
  const chance = openChance('wrong blob')
  await using registry = await startRegistry()
  await using mirror = await startColdMirror(registry)
  const wrongByteAt = chance.between(0, LAYER_BYTES)
  const cold = await throttledLayer(registry, mirror, { wrongByteAt })
  const before = await storedFiles(mirror.dataDir)
  const given = await takeTogether(cold, pieces(chance, LAYER_BYTES, 2 * CLIENTS))
  expect(given.includes(1), 'bytes were given out before all had come').toBe(true)
  expect(given.includes(0), 'a byte was given to no client').toBe(true)
  await within(mirror.app.idle(), { deadlineMs: 60_000, what: 'the download' })
  expect(await storedFiles(mirror.dataDir)).toEqual(before)
})

it('the download goes on to its end when all who asked have left', async () => {
  await using registry = await startRegistry()
  await using mirror = await startColdMirror(registry)
  const cold = await throttledLayer(registry, mirror)
  const starts = [0, LAYER_BYTES / 2, LAYER_BYTES - MIB]
  for (const first of starts) {
    const headers = { range: `bytes=${first}-` }
    const stream = await openStream({ url: mirror.url, path: cold.layer.path, headers })
    expectPart(cold, first, await stream.read(1000), 1000)
    stream.abort()
  }
  expect(registry.bodyBytes(cold.layer.digest)).toBeLessThan(LAYER_BYTES)
  expect(await costOfStored(cold)).toBeLessThanOrEqual(HARDLY_MORE)
})

/** As containerd does: the first chunk tells it how long the blob is, the others follow at once. */
async function chunksSideBySide(cold: ColdBlob): Promise<void> {
  const length = LAYER_BYTES / CHUNKS
  await Promise.all(
    Array.from({ length: CHUNKS }, async (_, index) => {
      const first = index * length
      const { status, contentRange, bytes } = await getFrom(cold, first, length)
      expect(status).toBe(206)
      expect(contentRange).toBe(`bytes ${first}-${LAYER_BYTES - 1}/${LAYER_BYTES}`)
      expectPart(cold, first, bytes, length)
    }),
  )
}

async function manyRanges(cold: ColdBlob, chance: Chance): Promise<void> {
  const left = Array.from({ length: RANGES }, () => randomRange(chance))
  const client = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) await next(cold)
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
}

type Ask = (cold: ColdBlob) => Promise<void>

/** Short and long ones, from the beginning, from the end, and left in the middle. */
function randomRange(chance: Chance): Ask {
  const first = chance.between(0, LAYER_BYTES)
  const most = Math.min(LAYER_BYTES - first, chance.oneOf([1, 1000, 64 * 1024, 5 * MIB]))
  const length = chance.between(1, most + 1)
  const range = `bytes=${first}-${first + length - 1}`
  const bounded: Ask = async (cold) => {
    const { status, body } = await getRange(cold, range)
    expect(status).toBe(206)
    expectPart(cold, first, body, length)
  }
  const suffix: Ask = async (cold) => {
    const { status, body } = await getRange(cold, `bytes=-${length}`)
    expect(status).toBe(206)
    expectPart(cold, LAYER_BYTES - length, body, length)
  }
  const left: Ask = async (cold) => {
    const { status, bytes } = await getFrom(cold, first, length)
    expect(status).toBe(206)
    expectPart(cold, first, bytes, length)
  }
  return chance.oneOf([bounded, bounded, suffix, left])
}
