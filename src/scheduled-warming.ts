/** Images that are fetched at the times of the configuration, by the process that fetches. */
import { readFile } from 'node:fs/promises'
import type { Mirror } from './cache/mirror.ts'
import type { WarmSchedule } from './config/schema.ts'
import type { Control } from './control/control.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { WarmEvent, WarmSummary } from './warm/events.ts'
import { ImageListError, parseImageList } from './warm/image-list.ts'
import type { WarmJob, WarmSurroundings } from './warm/job.ts'
import { parsePlatforms } from './warm/platforms.ts'
import { runWarmJob } from './warm/run.ts'
import { createScheduler, type ScheduledWork, type Timers } from './warm/scheduler.ts'
import type { ImageSource } from './warm/sources.ts'

type WarmOptions = Pick<WarmSurroundings, 'onEvent' | 'signal' | 'lookEvery'>

export type WarmRunner = (job: WarmJob, options: WarmOptions) => Promise<WarmSummary>

interface Dependencies {
  readonly mirror: Mirror
  readonly control: Pick<Control, 'refresh' | 'operator'>
  readonly metrics: Pick<Metrics, 'warmed' | 'warmRunFailed'>
}

/** Jobs of the host itself, which may have all that the rules let in. */
export function createWarmRunner({ mirror, control, metrics }: Dependencies): WarmRunner {
  const principal = {
    kind: 'host',
    name: 'warm',
    grants: [{ role: 'admin', pattern: '**' }],
  } as const
  const operator = control.operator({ principal, address: 'local' })
  return async (job, options) => {
    try {
      const summary = await runWarmJob(job, {
        ...options,
        mirror,
        async explain(image) {
          await control.refresh()
          return operator.explain(image)
        },
      })
      metrics.warmed(summary)
      return summary
    } catch (error) {
      if (!options.signal.aborted) metrics.warmRunFailed()
      throw error
    }
  }
}

export interface ScheduledWarming {
  configure(entries: readonly WarmSchedule[]): void
  /** Resolves when no run is under way. */
  idle(): Promise<void>
  close(): Promise<void>
}

interface ScheduleDependencies {
  readonly run: WarmRunner
  readonly metrics: Pick<Metrics, 'warmScheduleEnded'>
  readonly log: Log
  readonly timers?: Timers | undefined
}

/** Lines of the log about images that could not be had, of one run. */
const MAX_COMPLAINTS = 50

export function createScheduledWarming(dependencies: ScheduleDependencies): ScheduledWarming {
  const { run, metrics, log, timers } = dependencies
  const scheduler = createScheduler({
    ...(timers && { timers }),
    onSkipped: ({ schedule }) =>
      log.warn({ schedule }, 'a scheduled run was left out: the one before has not ended'),
    onNever: ({ schedule }, reason) =>
      log.error({ schedule, reason }, 'a schedule can never begin'),
  })

  async function begin(entry: WarmSchedule, signal: AbortSignal): Promise<void> {
    const { schedule } = entry
    try {
      const job = await jobOf(entry, log)
      log.info({ schedule, sources: job.sources.length }, 'a scheduled run fetches images')
      const { event: _event, ...summary } = await run(job, { signal, onEvent: complainer(entry) })
      log.info({ schedule, ...summary }, 'a scheduled run has ended')
      metrics.warmScheduleEnded(Date.now())
    } catch (error) {
      if (signal.aborted) return
      log.error({ schedule, reason: reasonOf(error) }, 'a scheduled run could not be done')
    }
  }

  function complainer({ schedule }: WarmSchedule): (event: WarmEvent) => void {
    let complaints = 0
    return (event) => {
      if (event.event !== 'image-failed') return
      complaints += 1
      if (complaints > MAX_COMPLAINTS) return
      const { image, reason, message } = event
      log.warn({ schedule, image, reason, message }, 'an image could not be fetched by schedule')
    }
  }

  function workOf(entry: WarmSchedule): ScheduledWork {
    const { schedule, timeZone, jitter } = entry
    const name = JSON.stringify(entry)
    return { name, schedule, timeZone, jitter, run: (signal) => begin(entry, signal) }
  }

  return {
    configure(entries) {
      scheduler.configure(entries.map(workOf))
      for (const { file } of entries) if (file !== undefined) void checkList(file, log)
    },
    idle: () => scheduler.idle(),
    close: () => scheduler.close(),
  }
}

async function jobOf(entry: WarmSchedule, log: Log): Promise<WarmJob> {
  const { images, file, platforms, concurrency } = entry
  const named = images.map((image): ImageSource => ({ image }))
  const listed = file === undefined ? [] : await readList(file, log)
  return { sources: [...named, ...listed], platforms: parsePlatforms(platforms), concurrency }
}

async function readList(file: string, log: Log): Promise<readonly ImageSource[]> {
  const { sources, access } = parseImageList(await readFile(file, 'utf8'), file)
  if (access.length > 0) {
    const registries = access.map(({ registry }) => registry)
    log.warn(
      { file, registries },
      'what a list of images says of accounts and TLS does not count: the upstreams have their own',
    )
  }
  return sources
}

/** Whoever has just changed it is told at once, and not in the night. */
async function checkList(file: string, log: Log): Promise<void> {
  try {
    parseImageList(await readFile(file, 'utf8'), file)
  } catch (error) {
    log.error({ file, reason: reasonOf(error) }, 'a list of images cannot be used')
  }
}

/** What is wrong with a list is what its reader has to know, and no fault of the program. */
function reasonOf(error: unknown): string {
  if (error instanceof ImageListError) return error.message
  return error instanceof Error ? error.message : String(error)
}
