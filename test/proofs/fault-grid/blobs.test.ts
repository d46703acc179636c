/**
 * The fault grid, where most bytes are: each fault at the start, in the middle and at the end of a layer,
 * for one client and for fifty.
 */
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { ANSWER_FAULTS } from './answer-faults.ts'
import { type BadPlaces, startBadPlaces } from './bad-places.ts'
import { BODY_FAULTS } from './body-faults.ts'
import { cellsOf } from './cell.ts'
import type { Phase } from './fault.ts'
import { runCells } from './grid.ts'

const THESE: readonly Phase[] = ['blob start', 'mid-blob', 'blob end']
const FAULTS = [...ANSWER_FAULTS, ...BODY_FAULTS].filter(({ phases }) =>
  phases.some((phase) => THESE.includes(phase)),
)
const CROWD = 50

vi.setConfig({ maxConcurrency: 8 })

let places: BadPlaces
beforeAll(async () => {
  places = await startBadPlaces()
})
afterAll(() => places[Symbol.asyncDispose]())

it.concurrent.each(FAULTS)('$name', { timeout: 120_000 }, async (fault) => {
  expect(await runCells(cellsOf(fault, THESE, CROWD), places)).toEqual([])
})
