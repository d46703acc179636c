/**
 * Cells of the fault grid drawn by chance: two faults in any phases, at any byte, once or for ever. The
 * seed is in the name of each test; ENTREPOT_SEED repeats a run, ENTREPOT_PROOFS=long draws 2,000.
 */
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { LONG, openChance } from '../chance.ts'
import { ANSWER_FAULTS } from './answer-faults.ts'
import { type BadPlaces, startBadPlaces } from './bad-places.ts'
import { BODY_FAULTS } from './body-faults.ts'
import { createCell, LAYER_BYTES } from './cell.ts'
import { runCells } from './grid.ts'

const CELLS = LONG ? 2000 : 60
const CELLS_A_MIRROR = 10

vi.setConfig({ maxConcurrency: 6 })

const trouble = fc.constantFrom(...ANSWER_FAULTS, ...BODY_FAULTS).chain((fault) =>
  fc.record({
    fault: fc.constant(fault),
    phase: fc.constantFrom(...fault.phases),
    at: fc.integer({ min: 1, max: LAYER_BYTES - 1 }),
    times: fc.constantFrom(1, 2, 3, Infinity),
  }),
)
const drawn = fc.record({
  clients: fc.constantFrom(1, 3, 10, 50),
  troubles: fc.tuple(trouble, trouble),
})
const { seed } = openChance('fault grid')
const groups = Array.from({ length: CELLS / CELLS_A_MIRROR }, (_, group) => seed + group)

let places: BadPlaces
beforeAll(async () => {
  places = await startBadPlaces()
})
afterAll(() => places[Symbol.asyncDispose]())

it.concurrent.each(groups)('ENTREPOT_SEED=%i', { timeout: 180_000 }, async (ofGroup) => {
  const cells = fc
    .sample(drawn, { seed: ofGroup, numRuns: CELLS_A_MIRROR })
    .map(({ clients, troubles }) => {
      const said = troubles.map(
        ({ fault, phase, at, times }) => `${fault.name}/${phase}/${at}/${times}`,
      )
      return createCell(`${said.join(' + ')}/${clients} clients`, clients, troubles)
    })
  expect(await runCells(cells, places)).toEqual([])
})
