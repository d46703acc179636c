/** Whatever happens, in whatever order: right bytes, no denied name, and what was pulled stays pullable. */
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { LONG, openChance } from './chance.ts'
import { createModel } from './history-model.ts'
import { type Command, COMMANDS } from './history-steps.ts'
import { expectAllKept, openWorld } from './history-world.ts'

const HISTORIES = LONG ? 2000 : 150
/** At most; on average half of them. */
const STEPS = LONG ? 100 : 80
/** Milliseconds after which no further history begins, unless a shorter one is sought that fails too. */
const TIME_LIMIT = LONG ? Infinity : 60_000

it(`of up to ${HISTORIES} histories none gives a wrong answer`, async () => {
  const { seed } = openChance('histories')
  const end = performance.now() + TIME_LIMIT
  let begun = 0
  let isShrinking = false
  const histories = fc.commands(COMMANDS, { maxCommands: STEPS, size: 'max' })
  const property = fc.asyncProperty(histories, async (commands) => {
    if (performance.now() > end && !isShrinking) return
    begun += 1
    try {
      await live(commands)
    } catch (error) {
      isShrinking = true
      throw error
    }
  })
  await fc.assert(property, { seed, numRuns: HISTORIES })
  process.stdout.write(`histories: ${begun}\n`)
  expect(begun).toBeGreaterThan(0)
})

async function live(commands: Iterable<Command>): Promise<void> {
  const model = createModel()
  await using world = await openWorld(model)
  await fc.asyncModelRun(() => ({ model, real: world }), commands)
  await expectAllKept(world, model)
}
