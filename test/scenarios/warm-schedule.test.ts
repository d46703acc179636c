/** Images that are fetched at the times of the configuration. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WarmSchedule } from '../../src/config/schema.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createScheduledWarming, type WarmRunner } from '../../src/scheduled-warming.ts'
import type { WarmEvent } from '../../src/warm/events.ts'
import type { WarmJob } from '../../src/warm/job.ts'
import type { Timers } from '../../src/warm/scheduler.ts'
import { createGate } from '../fakes/gate.ts'
import { buildImage } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { startMirror } from '../support/mirror.ts'
import { until } from '../support/until.ts'
import { metric } from './metrics-page.ts'
import { warm } from './warm-jobs.ts'

const ENTRY: WarmSchedule = {
  schedule: '@hourly',
  timeZone: 'UTC',
  jitter: 0,
  images: ['docker.io/library/redis:7'],
  file: undefined,
  platforms: ['linux/amd64'],
  concurrency: 2,
}
const SUMMARY = {
  event: 'summary',
  images: 1,
  failed: 0,
  blobs: 2,
  bytes: 3,
  alreadyThere: 4,
  milliseconds: 5,
} as const

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrepot-schedule-'))
})
afterEach(() => rm(folder, { recursive: true }))

function schedules(run: WarmRunner) {
  const logs: Record<string, unknown>[] = []
  const log = createLog({ write: (line) => void logs.push(JSON.parse(line)) })
  const metrics = createMetrics()
  let now = Date.parse('2026-01-31T12:00:00Z')
  const waits = new Set<() => void>()
  const timers: Timers = {
    now: () => now,
    random: () => 0,
    wait(_milliseconds, call) {
      waits.add(call)
      return () => void waits.delete(call)
    },
  }
  const warming = createScheduledWarming({ run, metrics, log, timers })
  return {
    warming,
    logs,
    metrics,
    said: (msg: string) => logs.filter((line) => line['msg'] === msg),
    /** Every wait ends, an hour later. */
    anHourPasses: () => {
      now += 3_600_000
      const due = [...waits]
      waits.clear()
      for (const call of due) call()
    },
  }
}

function noting(events: readonly WarmEvent[] = []) {
  const jobs: WarmJob[] = []
  const run: WarmRunner = async (job, { onEvent }) => {
    jobs.push(job)
    for (const event of events) onEvent(event)
    return SUMMARY
  }
  return { jobs, run }
}

describe('a schedule', () => {
  it('runs what it names and what its list names, and says how it went', async () => {
    const failed = {
      event: 'image-failed',
      image: 'a',
      reason: 'denied',
      message: 'No.',
    } as const
    const { jobs, run } = noting([{ event: 'image-started', image: 'a' }, failed])
    const { warming, said, anHourPasses, metrics } = schedules(run)
    const file = join(folder, 'images.yml')
    await writeFile(file, `quay.io: { images: { a/b: ['1'] }, tls-verify: true }\n`)
    warming.configure([{ ...ENTRY, file }])
    anHourPasses()
    await warming.idle()
    expect(jobs).toEqual([
      {
        sources: [{ image: 'docker.io/library/redis:7' }, { image: 'quay.io/a/b:1' }],
        platforms: [{ os: 'linux', architecture: 'amd64', variant: undefined }],
        concurrency: 2,
      },
    ])
    const { event: _event, ...figures } = SUMMARY
    expect(said('a scheduled run fetches images')).toMatchObject([{ sources: 2 }])
    expect(said('a scheduled run has ended')).toMatchObject([{ schedule: '@hourly', ...figures }])
    expect(said('an image could not be fetched by schedule')).toMatchObject([
      { image: 'a', reason: 'denied', message: 'No.' },
    ])
    expect(
      said(
        'what a list of images says of accounts and TLS does not count: the upstreams have their own',
      ),
    ).toMatchObject([{ registries: ['quay.io'] }])
    const { text } = await metrics.render()
    expect(text).toMatch(
      /^entrepot_warm_last_run_timestamp_seconds 1\.\d+e\+?9|^entrepot_warm_last_run_timestamp_seconds \d{10}/m,
    )
    await warming.close()
  })

  it('says of 50 images at most what was wrong with them', async () => {
    const failed = { event: 'image-failed', image: 'a', reason: 'denied', message: 'No.' } as const
    const { run } = noting(Array.from({ length: 60 }, () => failed))
    const { warming, said, anHourPasses } = schedules(run)
    warming.configure([ENTRY])
    anHourPasses()
    await warming.idle()
    expect(said('an image could not be fetched by schedule')).toHaveLength(50)
    await warming.close()
  })

  it('tells at once what is wrong with its list, and again when it could not run', async () => {
    const { jobs, run } = noting()
    const { warming, said, anHourPasses } = schedules(run)
    const file = join(folder, 'images.yml')
    await writeFile(file, 'quay.io: { image: {} }\n')
    warming.configure([
      { ...ENTRY, file },
      { ...ENTRY, schedule: '0 0 31 2 *' },
    ])
    await until(() => said('a list of images cannot be used').length > 0)
    expect(said('a list of images cannot be used')).toMatchObject([
      { file, reason: expect.stringContaining('images.yml:1:12: this is not a key') },
    ])
    expect(said('a schedule can never begin')).toMatchObject([{ schedule: '0 0 31 2 *' }])
    anHourPasses()
    await warming.idle()
    expect([jobs, said('a scheduled run could not be done')]).toEqual([
      [],
      [expect.objectContaining({ reason: expect.stringContaining('images.yml:1:12') })],
    ])
    await warming.close()
  })

  it('does not begin again what has not ended, and ends with the mirror', async () => {
    const gate = createGate()
    const run: WarmRunner = async (_job, { signal }) => {
      await gate.pass()
      signal.throwIfAborted()
      return SUMMARY
    }
    const { warming, said, anHourPasses } = schedules(run)
    warming.configure([ENTRY])
    anHourPasses()
    await gate.reached
    anHourPasses()
    expect(said('a scheduled run was left out: the one before has not ended')).toHaveLength(1)
    const closed = warming.close()
    gate.open()
    await closed
    expect(said('a scheduled run could not be done')).toEqual([])
  })
})

describe('a mirror', () => {
  it('has schedules that follow its configuration, and counts its jobs', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', '1', buildImage({ seed: 'scheduled' }))
    const yaml = { warm: [{ schedule: '0 0 31 2 *', images: ['app:1'] }] }
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry }, yaml })
    const never = () => mirror.logs.filter(({ msg }) => msg === 'a schedule can never begin')
    expect(never()).toMatchObject([{ schedule: '0 0 31 2 *' }])
    mirror.reload({ yaml: { warm: [{ schedule: '0 0 30 2 *', images: ['app:1'] }] } })
    expect(never()).toMatchObject([{ schedule: '0 0 31 2 *' }, { schedule: '0 0 30 2 *' }])
    await warm(mirror, ['app:1', 'none:1'])
    await warm(mirror, ['app:1'])
    const images = 'entrepot_warm_images_total'
    expect(await metric(mirror, 'entrepot_warm_runs_total', { result: 'complete' })).toBe(1)
    expect(await metric(mirror, 'entrepot_warm_runs_total', { result: 'incomplete' })).toBe(1)
    expect(await metric(mirror, images, { result: 'warmed' })).toBe(2)
    expect(await metric(mirror, images, { result: 'failed' })).toBe(1)
    const tooMany = Array.from({ length: 10_001 }, (_, index) => `app:${index}`)
    await expect(warm(mirror, tooMany)).rejects.toThrow('A job may have 10000 images')
    expect(await metric(mirror, 'entrepot_warm_runs_total', { result: 'failed' })).toBe(1)
  })
})
