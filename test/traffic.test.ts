/** What is made of the figures: which answers count, and which of them came from here. */
import { describe, expect, it } from 'vitest'
import { createMetrics, type Outcome, type RequestRecord } from '../src/metrics.ts'
import { trafficOf } from '../src/traffic.ts'

const REQUEST: RequestRecord = {
  kind: 'blob',
  upstream: 'docker.io',
  outcome: 'hit',
  status: 200,
  bytes: 100,
  milliseconds: 1,
}

describe('the traffic', () => {
  it('is nothing at the start', async () => {
    expect(trafficOf(await createMetrics().snapshot())).toEqual({
      clientBytes: 0,
      upstreamBytes: 0,
      savedBytes: 0,
      answers: 0,
      hits: 0,
      hitRatio: undefined,
    })
  })

  it('knows by the outcome what upstream had to send', async () => {
    const outcomes: Outcome[] = ['hit', 'joined', 'revalidated', 'stale', 'miss', 'bypass']
    const metrics = createMetrics()
    for (const outcome of outcomes) metrics.requestEnded({ ...REQUEST, outcome })
    const { answers, hits, hitRatio } = trafficOf(await metrics.snapshot())
    expect([answers, hits, hitRatio]).toEqual([6, 4, 4 / 6])
  })

  it('counts manifests and blobs that clients were given', async () => {
    const metrics = createMetrics()
    metrics.requestEnded({ ...REQUEST, status: 206 })
    metrics.requestEnded({ ...REQUEST, kind: 'manifest', status: 304, bytes: 0 })
    metrics.requestEnded({ ...REQUEST, kind: 'tags' })
    metrics.requestEnded({ ...REQUEST, status: 403, outcome: 'denied' })
    metrics.requestEnded({ ...REQUEST, kind: 'api', upstream: undefined, outcome: undefined })
    const { answers, clientBytes } = trafficOf(await metrics.snapshot())
    expect([answers, clientBytes]).toEqual([2, 300])
  })

  it('saves what was sent more often than fetched, and less than nothing where more was fetched', async () => {
    const metrics = createMetrics()
    metrics.requestEnded({ ...REQUEST, bytes: 1000 })
    metrics.upstreamReceived('docker.io', 300)
    expect(trafficOf(await metrics.snapshot()).savedBytes).toBe(700)
    metrics.upstreamReceived('quay.io', 1700)
    expect(trafficOf(await metrics.snapshot()).savedBytes).toBe(-1000)
  })
})
