/** Does things at the times of cron expressions, each no more than once at a time. */
import { nextTime } from './cron-times.ts'

export interface ScheduledWork {
  /** What it is: work that stays the same through a change keeps its time. */
  readonly name: string
  /** Cron expression. */
  readonly schedule: string
  readonly timeZone: string | undefined
  /** Milliseconds by which it begins later at most. */
  readonly jitter: number
  /** Must not throw. */
  readonly run: (signal: AbortSignal) => Promise<void>
}

export interface Scheduler {
  /** Replaces what was scheduled before; what runs goes on. */
  configure(works: readonly ScheduledWork[]): void
  /** Resolves when nothing runs. */
  idle(): Promise<void>
  /** Ends what runs. */
  close(): Promise<void>
}

export interface Timers {
  /** @returns ends the wait */
  wait(milliseconds: number, then: () => void): () => void
  /** Milliseconds since the epoch. */
  now(): number
  /** From 0 to below 1. */
  random(): number
}

interface SchedulerOptions {
  /** It was time, and the run before has not ended. */
  readonly onSkipped: (work: ScheduledWork) => void
  /** Its expression cannot be used, or never comes. */
  readonly onNever: (work: ScheduledWork, reason: string) => void
  readonly timers?: Timers
}

/** Timers overflow after 24 days, and clocks are set: the time is looked at again after so long. */
const LONGEST_WAIT = 60 * 60 * 1000

export function createScheduler({
  onSkipped,
  onNever,
  timers = REAL_TIMERS,
}: SchedulerOptions): Scheduler {
  const closing = new AbortController()
  /** By name. */
  const scheduled = new Map<string, () => void>()
  const running = new Map<string, Promise<void>>()

  function schedule(work: ScheduledWork): void {
    let at: number | undefined
    try {
      at = nextTime(work.schedule, work.timeZone, timers.now())
    } catch (error) {
      return onNever(work, error instanceof Error ? error.message : String(error))
    }
    if (at === undefined) return onNever(work, 'it names a day that never comes')
    waitUntil(work, at + Math.floor(timers.random() * work.jitter))
  }

  function waitUntil(work: ScheduledWork, at: number): void {
    const lookedAt = timers.now()
    const left = Math.max(0, Math.min(at - lookedAt, LONGEST_WAIT))
    const end = timers.wait(left, () => {
      const now = timers.now()
      // What was reckoned by a clock that was far ahead would never come.
      if (now < lookedAt - LONGEST_WAIT) return schedule(work)
      // Timers have another clock, and may be early: the same time would come twice.
      return now < at ? waitUntil(work, at) : begin(work)
    })
    scheduled.set(work.name, end)
  }

  function begin(work: ScheduledWork): void {
    schedule(work)
    const { name } = work
    if (running.has(name)) return onSkipped(work)
    const run = work.run(closing.signal).finally(() => running.delete(name))
    running.set(name, run)
  }

  function stop(name: string): void {
    scheduled.get(name)?.()
    scheduled.delete(name)
  }

  return {
    configure(works) {
      const kept = new Set(works.map(({ name }) => name))
      for (const name of [...scheduled.keys()].filter((it) => !kept.has(it))) stop(name)
      for (const work of works) if (!scheduled.has(work.name)) schedule(work)
    },
    async idle() {
      while (running.size > 0) await Promise.all(running.values())
    },
    async close() {
      for (const name of scheduled.keys()) stop(name)
      closing.abort(new Error('The mirror is shutting down.'))
      await Promise.all(running.values())
    },
  }
}

const REAL_TIMERS: Timers = {
  wait(milliseconds, then) {
    const timer = setTimeout(then, milliseconds)
    timer.unref()
    return () => clearTimeout(timer)
  },
  now: Date.now,
  random: Math.random,
}
