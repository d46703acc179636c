import { describe, expect, it } from 'vitest'
import { nextTime } from '../../src/warm/cron-times.ts'
import { createScheduler, type ScheduledWork, type Timers } from '../../src/warm/scheduler.ts'
import { createGate } from '../fakes/gate.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** A clock that a test moves. */
function createClock(start: string, random = 0) {
  let now = Date.parse(start)
  const waits = new Set<{ at: number; call: () => void }>()
  const timers: Timers = {
    now: () => now,
    random: () => random,
    wait(milliseconds, call) {
      const wait = { at: now + milliseconds, call }
      waits.add(wait)
      return () => void waits.delete(wait)
    },
  }
  return {
    timers,
    waiting: () => waits.size,
    /** As whoever sets a clock: timers do not notice. */
    set(to: string) {
      const by = Date.parse(to) - now
      now += by
      for (const wait of waits) wait.at += by
    },
    /** Lets everything happen on the way, in its order. */
    async pass(milliseconds: number) {
      const end = now + milliseconds
      for (;;) {
        const [next] = [...waits].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)
        if (next === undefined) break
        now = Math.max(now, next.at)
        waits.delete(next)
        next.call()
        await Promise.resolve()
      }
      now = end
    },
  }
}

function scheduled(start: string, random?: number) {
  const clock = createClock(start, random)
  const told: string[] = []
  const at = (what: string): void => {
    told.push(`${new Date(clock.timers.now()).toISOString()} ${what}`)
  }
  const scheduler = createScheduler({
    timers: clock.timers,
    onSkipped: ({ name }) => at(`${name} skipped`),
    onNever: ({ name }, reason) => told.push(`${name} never: ${reason}`),
  })
  const work = (name: string, schedule: string, more: Partial<ScheduledWork> = {}) => ({
    name,
    schedule,
    timeZone: 'UTC',
    jitter: 0,
    run: async () => at(name),
    ...more,
  })
  return { clock, told, scheduler, work }
}

describe('nextTime', () => {
  it.each([
    ['0 3 * * *', 'Europe/Berlin', '2026-01-31T12:00:00Z', '2026-02-01T02:00:00.000Z'],
    ['0 3 * * *', 'Europe/Berlin', '2026-06-30T12:00:00Z', '2026-07-01T01:00:00.000Z'],
    ['*/15 * * * *', 'UTC', '2026-01-31T12:00:00Z', '2026-01-31T12:15:00.000Z'],
    ['0 0 13 * fri', 'UTC', '2026-01-31T12:00:00Z', '2026-02-06T00:00:00.000Z'],
    ['@monthly', 'UTC', '2026-01-31T12:00:00Z', '2026-02-01T00:00:00.000Z'],
  ])('%s in %s after %s', (schedule, zone, after, next) => {
    expect(new Date(nextTime(schedule, zone, Date.parse(after)) ?? 0).toISOString()).toBe(next)
  })

  it('is none for a day that never comes, and an error for six fields', () => {
    expect(nextTime('0 0 31 2 *', 'UTC', 0)).toBeUndefined()
    expect(() => nextTime('0 0 0 * * *', 'UTC', 0)).toThrow(/./)
  })

  it('goes by the zone of the process without one', () => {
    expect(nextTime('0 * * * *', undefined, Date.parse('2026-01-31T12:10:00Z'))).toBeGreaterThan(0)
  })
})

describe('the scheduler', () => {
  it('begins at each time', async () => {
    const { clock, told, scheduler, work } = scheduled('2026-01-31T12:00:00Z')
    scheduler.configure([work('daily', '0 3 * * *'), work('hourly', '@hourly')])
    await clock.pass(2 * HOUR)
    expect(told).toEqual(['2026-01-31T13:00:00.000Z hourly', '2026-01-31T14:00:00.000Z hourly'])
    await clock.pass(48 * HOUR)
    expect(told.filter((line) => line.endsWith('daily'))).toEqual([
      '2026-02-01T03:00:00.000Z daily',
      '2026-02-02T03:00:00.000Z daily',
    ])
    await scheduler.close()
    expect(clock.waiting()).toBe(0)
  })

  it('begins once at a time, also where timers are early', async () => {
    const { clock, told, scheduler, work } = scheduled('2026-01-31T12:00:00Z')
    const wait = clock.timers.wait.bind(clock.timers)
    const early = {
      ...clock.timers,
      wait: (ms: number, then: () => void) => wait(ms > 1 ? ms - 1 : ms, then),
    }
    const punctual = createScheduler({
      timers: early,
      onSkipped: () => told.push('skipped'),
      onNever: () => undefined,
    })
    const run = async (): Promise<void> => void told.push(new Date(early.now()).toISOString())
    punctual.configure([work('a', '@hourly', { run })])
    await clock.pass(2 * HOUR)
    expect(told).toEqual(['2026-01-31T13:00:00.000Z', '2026-01-31T14:00:00.000Z'])
    await punctual.close()
    await scheduler.close()
  })

  it('reckons anew when the clock was set back by far', async () => {
    const { clock, told, scheduler, work } = scheduled('2040-01-31T12:00:00Z')
    scheduler.configure([work('daily', '0 3 * * *')])
    clock.set('2026-01-31T12:00:00Z')
    await clock.pass(24 * HOUR)
    expect(told).toEqual(['2026-02-01T03:00:00.000Z daily'])
    await scheduler.close()
  })

  it('begins later by chance, within the jitter', async () => {
    const { clock, told, scheduler, work } = scheduled('2026-01-31T12:00:00Z', 0.5)
    scheduler.configure([work('late', '@hourly', { jitter: 10 * MINUTE })])
    await clock.pass(2 * HOUR)
    expect(told).toEqual(['2026-01-31T13:05:00.000Z late'])
    await scheduler.close()
  })

  it('does not begin what still runs, and waits for it', async () => {
    const { clock, told, scheduler, work } = scheduled('2026-01-31T12:00:00Z')
    const gate = createGate()
    scheduler.configure([work('slow', '@hourly', { run: () => gate.opened })])
    await clock.pass(2 * HOUR)
    expect(told).toEqual(['2026-01-31T14:00:00.000Z slow skipped'])
    gate.open()
    await scheduler.idle()
    await scheduler.close()
  })

  it('follows a change: what is gone does not begin, what stays keeps its time', async () => {
    const { clock, told, scheduler, work } = scheduled('2026-01-31T12:00:00Z')
    scheduler.configure([work('a', '@hourly'), work('b', '@hourly')])
    scheduler.configure([work('b', '@hourly'), work('c', '30 * * * *')])
    await clock.pass(HOUR)
    expect(told).toEqual(['2026-01-31T12:30:00.000Z c', '2026-01-31T13:00:00.000Z b'])
    scheduler.configure([])
    expect(clock.waiting()).toBe(0)
    await scheduler.close()
  })

  it('tells what never begins', async () => {
    const { clock, told, scheduler, work } = scheduled('2026-01-31T12:00:00Z')
    scheduler.configure([work('none', '0 0 31 2 *'), work('bad', 'x')])
    expect(told[0]).toBe('none never: it names a day that never comes')
    expect(told[1]).toMatch(/^bad never: ./)
    expect(clock.waiting()).toBe(0)
    await scheduler.close()
  })

  it('ends what runs when it is closed', async () => {
    const { clock, scheduler, work } = scheduled('2026-01-31T12:00:00Z')
    let ended: unknown
    scheduler.configure([
      work('long', '@hourly', {
        run: (signal) =>
          new Promise((resolve) => {
            signal.addEventListener('abort', () => {
              ended = signal.reason
              resolve()
            })
          }),
      }),
    ])
    await clock.pass(HOUR)
    await scheduler.close()
    expect(String(ended)).toContain('shutting down')
  })

  it('waits by the real clock as well', async () => {
    const never: string[] = []
    const onNever = ({ name }: ScheduledWork): void => void never.push(name)
    const scheduler = createScheduler({ onSkipped: () => undefined, onNever })
    scheduler.configure([
      { name: 'a', schedule: '@yearly', timeZone: 'UTC', jitter: 0, run: async () => undefined },
    ])
    await scheduler.idle()
    await scheduler.close()
    expect(never).toEqual([])
  })
})
