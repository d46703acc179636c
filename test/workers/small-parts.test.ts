import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createMetrics, type MetricsSnapshot } from '../../src/metrics.ts'
import { trafficOf } from '../../src/traffic.ts'
import { createLineRelay, writeWhole } from '../../src/workers/line-relay.ts'
import { createMetricsSum } from '../../src/workers/metrics-sum.ts'
import { createRestartPace } from '../../src/workers/restart-pace.ts'
import { withSharedLogins } from '../../src/workers/shared-logins.ts'
import { fakeControl, principal } from '../http/fake-control.ts'
import { createGate } from '../fakes/gate.ts'

describe('lines of another process', () => {
  it('are passed on whole, however they come', () => {
    const written: string[] = []
    const relay = createLineRelay((lines) => written.push(lines.toString()))
    for (const piece of ['one\ntw', 'o', '\nthree\nfo', 'ur ', 'is long\n']) {
      relay(Buffer.from(piece))
    }
    expect(written).toEqual(['one\n', 'two\nthree\n', 'four is long\n'])
  })

  it('are ended where the process ended in the middle of one', () => {
    const written: string[] = []
    const relay = createLineRelay((lines) => written.push(lines.toString()))
    relay(Buffer.from('one\nha'))
    relay()
    relay()
    expect(written).toEqual(['one\n', 'ha\n'])
  })

  it('are written to the last byte, and nowhere where that fails', () => {
    const folder = mkdtempSync(join(tmpdir(), 'entrepot-lines-'))
    const file = join(folder, 'log')
    const descriptor = openSync(file, 'w')
    writeWhole(descriptor, Buffer.from('one\n'))
    closeSync(descriptor)
    writeWhole(descriptor, Buffer.from('two\n'))
    expect(readFileSync(file, 'utf8')).toBe('one\n')
    rmSync(folder, { recursive: true })
  })
})

describe('a successor', () => {
  it('starts at once, but for the sixth within a minute, and at once again later', () => {
    let now = 1000
    const died = createRestartPace(() => now)
    const pauses = Array.from({ length: 7 }, () => died())
    expect(pauses).toEqual([0, 0, 0, 0, 0, 10_000, 10_000])
    now += 60_000
    expect(died()).toBe(0)
  })

  it('is not held up by a clock that was set back', () => {
    let now = 1_000_000
    const died = createRestartPace(() => now)
    for (let count = 0; count < 7; count += 1) died()
    now = 5
    expect(died()).toBe(0)
  })
})

describe('the metrics of all processes', () => {
  const served = (count: number): ReturnType<typeof createMetrics> => {
    const metrics = createMetrics()
    for (let index = 0; index < count; index += 1) {
      metrics.requestEnded({
        kind: 'blob',
        upstream: 'docker.io',
        outcome: 'hit',
        status: 200,
        bytes: 10,
        milliseconds: 3,
      })
    }
    return metrics
  }
  const valueOf = (text: string, name: string): number =>
    text
      .split('\n')
      .filter((line) => line.startsWith(name) && !line.startsWith('#'))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)

  it('are one page, with what those had counted that are gone', async () => {
    const own = createMetrics()
    own.cacheSized(500)
    own.fillStarted()
    const sum = createMetricsSum(() => own.snapshot())
    const [first, second] = [served(2), served(3)]
    sum.add(1, () => first.snapshot())
    sum.add(2, () => second.snapshot())
    const page = await sum.page()
    expect(valueOf(page.text, 'entrepot_requests_total')).toBe(5)
    expect(valueOf(page.text, 'entrepot_client_bytes_total')).toBe(50)
    expect(valueOf(page.text, 'entrepot_request_duration_seconds_count')).toBe(5)
    expect(valueOf(page.text, 'entrepot_cache_bytes')).toBe(500)
    expect(valueOf(page.text, 'entrepot_fills_running')).toBe(1)
    expect(page.contentType).toBe((await own.render()).contentType)
    expect(trafficOf(await sum.totals())).toMatchObject({ answers: 5, clientBytes: 50 })

    sum.remove(2)
    sum.add(3, () => served(1).snapshot())
    sum.remove(1)
    const later = (await sum.page()).text
    expect(valueOf(later, 'entrepot_requests_total')).toBe(6)
    expect(valueOf(later, 'entrepot_request_duration_seconds_bucket{le="0.005"')).toBe(6)
  })

  it('leave out the state of those that are gone', async () => {
    const own = createMetrics()
    const sum = createMetricsSum(() => own.snapshot())
    const other = createMetrics()
    other.cacheSized(70)
    sum.add(1, () => other.snapshot())
    expect(valueOf((await sum.page()).text, 'entrepot_cache_bytes')).toBe(70)
    sum.remove(1)
    expect(valueOf((await sum.page()).text, 'entrepot_cache_bytes')).toBe(0)
  })

  it('say what a process said last that does not answer', async () => {
    const sum = createMetricsSum(() => createMetrics().snapshot())
    const answers: (() => Promise<MetricsSnapshot>)[] = [
      () => served(4).snapshot(),
      () => Promise.reject(new Error('busy')),
    ]
    sum.add(1, () => answers.shift()?.() ?? Promise.reject(new Error('gone')))
    for (let count = 0; count < 3; count += 1) {
      expect(valueOf((await sum.page()).text, 'entrepot_requests_total')).toBe(4)
    }
  })

  it('never count one twice that dies while they are added up', async () => {
    const gate = createGate()
    const sum = createMetricsSum(async () => {
      await gate.pass()
      return createMetrics().snapshot()
    })
    sum.add(1, () => served(2).snapshot())
    const page = sum.page()
    await gate.reached
    sum.remove(1)
    gate.open()
    expect(valueOf((await page).text, 'entrepot_requests_total')).toBe(2)
    expect(valueOf((await sum.page()).text, 'entrepot_requests_total')).toBe(2)
  })
})

describe('a login at one of several processes', () => {
  const ALICE = principal('user', 'alice', 'pull=**')
  const PASSWORD = `Basic ${Buffer.from('alice:secret').toString('base64')}`

  it('is judged where all are, and looked up here when it is right', async () => {
    const control = fakeControl({ identities: { [PASSWORD]: { principal: ALICE } } })
    const judged: unknown[] = []
    const shared = withSharedLogins(control, async (...shown) => {
      judged.push(shown)
      return { credential: 'accepted', retryAfter: undefined }
    })
    const identity = await shared.identify(PASSWORD, '10.0.0.1')
    expect(identity).toMatchObject({ credential: 'accepted' })
    expect(identity.principal).toBe(ALICE)
    expect(judged).toEqual([[PASSWORD, '10.0.0.1']])
  })

  it('is nobody when it is wrong or held back there, without a look here', async () => {
    const control = fakeControl({ identities: { [PASSWORD]: { principal: ALICE } } })
    const shared = withSharedLogins(control, async () => ({
      credential: 'rejected',
      retryAfter: 17,
    }))
    expect(await shared.identify(PASSWORD, '10.0.0.1')).toEqual({
      principal: control.policy().anonymous,
      credential: 'rejected',
      retryAfter: 17,
      validUntil: 0,
    })
    expect(control.identified).toEqual([])
  })

  it('asks nobody about what cannot be guessed', async () => {
    const control = fakeControl()
    const shared = withSharedLogins(control, () => Promise.reject(new Error('asked')))
    expect(await shared.identify(undefined, '10.0.0.1')).toMatchObject({ credential: 'none' })
    expect(await shared.identify('Bearer x.y.z', '10.0.0.1')).toMatchObject({
      credential: 'rejected',
    })
    expect(control.identified).toHaveLength(2)
  })
})
