import { describe, expect, it } from 'vitest'
import type { PasswordVerdict } from '../../src/control/passwords.ts'
import { createVerifiedLogins } from '../../src/control/verified-logins.ts'
import { createGate } from '../fakes/gate.ts'
import { within } from '../support/until.ts'
import { createClock } from './identity-support.ts'

const ALICE = { user: 'alice', password: 'secret', hash: 'h1' }

function createLogins() {
  const clock = createClock()
  let looks = 0
  const looking = (verdict: PasswordVerdict) => async (): Promise<PasswordVerdict> => {
    looks += 1
    return verdict
  }
  return { ...createVerifiedLogins({ now: clock.now }), clock, looking, looks: () => looks }
}

describe('what was found', () => {
  it.each(['matches', 'differs'] as const)('%s: is remembered for a minute', async (verdict) => {
    const logins = createLogins()
    expect(logins.recall(ALICE)).toBeUndefined()
    expect(await logins.verify(ALICE, logins.looking(verdict))).toBe(verdict)
    expect(logins.recall(ALICE)).toBe(verdict)
    logins.clock.advance(59_999)
    expect(logins.recall(ALICE)).toBe(verdict)
    logins.clock.advance(1)
    expect(logins.recall(ALICE)).toBeUndefined()
    logins.clock.advance(-3_600_000)
    expect(logins.recall(ALICE)).toBeUndefined()
  })

  it.each(['busy', 'skipped'] as const)('%s: is not remembered', async (verdict) => {
    const logins = createLogins()
    expect(await logins.verify(ALICE, logins.looking(verdict))).toBe(verdict)
    expect(logins.recall(ALICE)).toBeUndefined()
  })

  it('counts for the very same login only', async () => {
    const logins = createLogins()
    logins.remember(ALICE, 'matches')
    for (const other of [
      { ...ALICE, user: 'alic' },
      { ...ALICE, password: 'Secret' },
      { ...ALICE, hash: 'h2' },
      { ...ALICE, hash: undefined },
      { ...ALICE, user: 'alice","secret' },
      { user: 'alices', password: 'ecret', hash: 'h1' },
    ]) {
      expect(logins.recall(other)).toBeUndefined()
    }
  })

  it('right is not forgotten for many that are wrong', () => {
    const logins = createLogins()
    logins.remember(ALICE, 'matches')
    for (let time = 0; time < 6000; time += 1) {
      logins.remember({ ...ALICE, password: `guess ${time}` }, 'differs')
    }
    expect(logins.recall(ALICE)).toBe('matches')
    expect(logins.recall({ ...ALICE, password: 'guess 0' })).toBeUndefined()
    expect(logins.recall({ ...ALICE, password: 'guess 5999' })).toBe('differs')
  })
})

describe('the same login at the same time', () => {
  it('is looked at once', async () => {
    const logins = createLogins()
    const asked = Array.from({ length: 50 }, () => logins.verify(ALICE, logins.looking('matches')))
    expect(new Set(await within(Promise.all(asked)))).toEqual(new Set(['matches']))
    expect(logins.looks()).toBe(1)
  })

  it('is looked at by the others themselves when the first was skipped', async () => {
    const logins = createLogins()
    const gate = createGate()
    const first = logins.verify(ALICE, async () => {
      await gate.pass()
      return 'skipped'
    })
    const others = Array.from({ length: 5 }, () => logins.verify(ALICE, logins.looking('matches')))
    gate.open()
    expect(await within(first)).toBe('skipped')
    expect(await within(Promise.all(others))).toEqual(Array(5).fill('matches'))
    expect(logins.looks()).toBe(1)
  })

  it('fails for all who wait, and is looked at anew afterwards', async () => {
    const logins = createLogins()
    const broken = () => Promise.reject(new Error('no memory'))
    const asked = [logins.verify(ALICE, broken), logins.verify(ALICE, broken)]
    const outcomes = await within(Promise.allSettled(asked))
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await within(logins.verify(ALICE, logins.looking('matches')))).toBe('matches')
  })
})
