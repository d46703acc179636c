/** Whatever happens, in whatever order: right bytes, no denied name, and what was pulled stays pullable. */
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { LONG, openChance } from './chance.ts'
import { createModel } from './history-model.ts'
import { COMMANDS } from './history-steps.ts'
import { expectAllKept, openWorld } from './history-world.ts'

const HISTORIES = LONG ? 2000 : 150
const STEPS = LONG ? 50 : 40
/** Milliseconds after which no further history begins. */
const TIME_LIMIT = LONG ? Infinity : 60_000

it(`of up to ${HISTORIES} histories none gives a wrong answer`, async () => {
  const { seed } = openChance('histories')
  const histories = fc.commands(COMMANDS, { maxCommands: STEPS, size: 'max' })
  let begun = 0
  await fc.assert(
    fc.asyncProperty(histories, async (commands) => {
      begun += 1
      const model = createModel()
      await using world = await openWorld(model)
      await fc.asyncModelRun(() => ({ model, real: world }), commands)
      await expectAllKept(world, model)
    }),
    {
      seed,
      numRuns: HISTORIES,
      ...(Number.isFinite(TIME_LIMIT) && { interruptAfterTimeLimit: TIME_LIMIT }),
    },
  )
  process.stdout.write(`histories: ${begun}\n`)
  expect(begun).toBeGreaterThan(0)
})
