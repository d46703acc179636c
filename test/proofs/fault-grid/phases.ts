/** Each fault that can happen in some phases of a pull, as a test of its own. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { ANSWER_FAULTS } from './answer-faults.ts'
import { type BadPlaces, startBadPlaces } from './bad-places.ts'
import { BODY_FAULTS } from './body-faults.ts'
import { cellsOf } from './cell.ts'
import type { Phase } from './fault.ts'
import { runCells } from './grid.ts'

const CROWD = 50

export function testFaultsIn(these: readonly Phase[]): void {
  const faults = [...ANSWER_FAULTS, ...BODY_FAULTS].filter(({ phases }) =>
    phases.some((phase) => these.includes(phase)),
  )
  vi.setConfig({ maxConcurrency: 8 })

  let places: BadPlaces
  beforeAll(async () => {
    places = await startBadPlaces()
  })
  afterAll(() => places[Symbol.asyncDispose]())

  it.concurrent.each(faults)('$name', { timeout: 120_000 }, async (fault) => {
    expect(await runCells(cellsOf(fault, these, CROWD), places)).toEqual([])
  })
}
