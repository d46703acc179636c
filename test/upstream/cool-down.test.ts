import { describe, expect, test } from 'vitest'
import { createCoolDown } from '../../src/upstream/cool-down.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'

const OUTAGE = new UpstreamError('unavailable', 'down')
const SECOND = 1000

function createClock() {
  let time = 5 * SECOND
  return { now: () => time, wait: (milliseconds: number): void => void (time += milliseconds) }
}

describe('a rest after a failure', () => {
  test('doubles with every failure in a row, up to a minute', () => {
    const { now, wait } = createClock()
    const coolDown = createCoolDown(now)
    expect(coolDown.remaining()).toBe(0)
    const rests = Array.from({ length: 2000 }, () => {
      coolDown.failed(OUTAGE)
      const rest = coolDown.remaining()
      wait(rest)
      expect(coolDown.remaining()).toBe(0)
      return rest / SECOND
    })
    expect(rests.slice(0, 8)).toEqual([1, 2, 4, 8, 16, 32, 60, 60])
    expect(new Set(rests.slice(8))).toEqual(new Set([60]))
  })

  test('many failures at once count as one', () => {
    const { now, wait } = createClock()
    const coolDown = createCoolDown(now)
    for (let count = 0; count < 50; count += 1) coolDown.failed(OUTAGE)
    expect(coolDown.remaining()).toBe(SECOND)
    wait(SECOND)
    coolDown.failed(OUTAGE)
    expect(coolDown.remaining()).toBe(2 * SECOND)
  })

  test('an answer ends it, and what came before is forgotten', () => {
    const { now, wait } = createClock()
    const coolDown = createCoolDown(now)
    coolDown.failed(OUTAGE)
    wait(SECOND)
    coolDown.failed(OUTAGE)
    coolDown.answered()
    expect(coolDown.remaining()).toBe(0)
    coolDown.failed(OUTAGE)
    expect(coolDown.remaining()).toBe(SECOND)
    expect(coolDown.demand()).toBeUndefined()
  })

  test('a guess how long is taken, within a minute', () => {
    for (const [retryAfter, rest] of [
      [7, 7],
      [60, 60],
      [3600, 60],
    ] as const) {
      const coolDown = createCoolDown(() => 0)
      coolDown.failed(new UpstreamError('rate-limited', 'limited', { retryAfter }))
      expect([coolDown.remaining(), coolDown.demand()]).toEqual([rest * SECOND, undefined])
    }
  })
})

describe('a wait that upstream demands', () => {
  const demand = (retryAfter: number): UpstreamError =>
    new UpstreamError('rate-limited', `wait ${retryAfter}`, { retryAfter, mustWait: true })

  test('holds for as long, and no answer ends it', () => {
    const { now, wait } = createClock()
    const coolDown = createCoolDown(now)
    coolDown.failed(demand(24 * 3600))
    coolDown.answered()
    wait(SECOND / 2)
    expect(coolDown.remaining()).toBe(24 * 3600 * SECOND - SECOND / 2)
    expect(coolDown.demand()).toMatchObject({ reason: 'rate-limited', retryAfter: 24 * 3600 })
    wait(24 * 3600 * SECOND - SECOND / 2 - 1)
    expect(coolDown.demand()?.retryAfter).toBe(1)
    wait(1)
    expect([coolDown.remaining(), coolDown.demand()]).toEqual([0, undefined])
  })

  test('the longest counts, whichever comes first', () => {
    for (const waits of [
      [5, 9],
      [9, 5],
    ]) {
      const coolDown = createCoolDown(() => 0)
      for (const seconds of waits) coolDown.failed(demand(seconds))
      expect(coolDown.demand()?.retryAfter).toBe(9)
      expect(coolDown.demand()?.message).toContain('wait 9')
    }
  })

  test('of no time is none', () => {
    const coolDown = createCoolDown(() => 0)
    coolDown.failed(demand(0))
    expect([coolDown.remaining(), coolDown.demand()]).toEqual([0, undefined])
  })
})
