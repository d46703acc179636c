/**
 * Whatever changes, what is given from memory is what would be given without: each history is lived by two
 * mirrors, one of which has no memory for answers, and held against a plain model.
 */
import { expect, it } from 'vitest'
import { LONG, openChance } from './chance.ts'
import { createHistory } from './short-path-steps.ts'
import { openWorld } from './short-path-world.ts'

const HISTORIES = LONG ? 2000 : 60
const STEPS = 60
/** Histories that follow one another on the same data. */
const IN_A_ROW = 20

/** What changes an answer that was given before, one of each. */
const CHANGES = [
  ['rule: served'],
  ['rule: refused'],
  ['file: served', 'file: refused'],
  ['move: served', 'lifetime: served', 'freeze: served', 'unfreeze: served'],
  ['rights: refused', 'user: login', 'password: login', 'robot: login'],
]

it(`in ${HISTORIES} histories no answer from memory is another than without`, async () => {
  const chance = openChance('short path')
  const counts = new Map<string, number>()
  const changed = new Map<string, number>()
  const logins = { hot: 0, cold: 0 }
  for (let begun = 0; begun < HISTORIES; begun += IN_A_ROW) {
    await using world = await openWorld()
    const history = createHistory(world, chance)
    const before = await world.logins()
    for (let step = 0; step < IN_A_ROW * STEPS; step += 1) await history.step()
    const after = await world.logins()
    logins.hot += after.hot - before.hot
    logins.cold += after.cold - before.cold
    addTo(counts, history.counts)
    addTo(changed, history.changed)
  }
  const told = { logins, changed: Object.fromEntries(changed), counts: Object.fromEntries(counts) }
  process.stdout.write(`short path: ${JSON.stringify(told)}\n`)
  // Whoever is answered from memory is not looked at again.
  expect(logins.cold - logins.hot).toBeGreaterThan(2 * HISTORIES)
  expectEverything(counts, changed)
})

/** Nothing of this is worth anything unless it has happened. */
function expectEverything(
  counts: ReadonlyMap<string, number>,
  changed: ReadonlyMap<string, number>,
): void {
  for (const kind of ['tag', 'digest', 'blob']) {
    for (const method of ['GET', 'HEAD']) {
      for (const who of ['none', 'password', 'bearer', 'robot']) {
        expect.soft(counts.get(`${method} ${kind} as ${who}: served`) ?? 0).toBeGreaterThan(0)
      }
    }
  }
  for (const labels of CHANGES) {
    const sum = labels.reduce((total, label) => total + (changed.get(label) ?? 0), 0)
    expect.soft(sum, labels.join()).toBeGreaterThan(0)
  }
}

function addTo(sum: Map<string, number>, counts: ReadonlyMap<string, number>): void {
  for (const [key, count] of counts) sum.set(key, (sum.get(key) ?? 0) + count)
}
