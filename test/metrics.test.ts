import { describe, expect, it } from 'vitest'
import { createMetrics, type Metrics, type RequestRecord } from '../src/metrics.ts'

const request: RequestRecord = {
  kind: 'blob',
  upstream: 'quay.io',
  outcome: 'hit',
  status: 206,
  bytes: 500,
  milliseconds: 3,
}

/** The samples of one metric, without the lines that describe it. */
async function samples(metrics: Metrics, name: string): Promise<string[]> {
  const { text } = await metrics.render()
  return text.split('\n').filter((line) => line.startsWith(`entrepot_${name}`))
}

describe('the metrics', () => {
  it('count requests by what, where, how and status class', async () => {
    const metrics = createMetrics()
    metrics.requestEnded(request)
    metrics.requestEnded({ ...request, status: 200 })
    metrics.requestEnded({ ...request, kind: 'manifest', outcome: 'miss', status: 503 })

    expect(await samples(metrics, 'requests_total')).toEqual([
      'entrepot_requests_total{kind="blob",upstream="quay.io",outcome="hit",status="2xx"} 2',
      'entrepot_requests_total{kind="manifest",upstream="quay.io",outcome="miss",status="5xx"} 1',
    ])
  })

  it('have no name for an upstream and an outcome that there were not', async () => {
    const metrics = createMetrics()
    metrics.requestEnded({ ...request, upstream: undefined, outcome: undefined, status: 404 })

    expect(await samples(metrics, 'requests_total')).toEqual([
      'entrepot_requests_total{kind="blob",upstream="",outcome="",status="4xx"} 1',
    ])
  })

  it('count the bytes of clients and of upstreams apart', async () => {
    const metrics = createMetrics()
    metrics.requestEnded(request)
    metrics.requestEnded(request)
    metrics.requestEnded({ ...request, upstream: 'docker.io', bytes: 0 })
    metrics.upstreamReceived('quay.io', 300)
    metrics.upstreamReceived('quay.io', 200)

    expect(await samples(metrics, 'client_bytes_total')).toEqual([
      'entrepot_client_bytes_total{upstream="quay.io"} 1000',
    ])
    expect(await samples(metrics, 'upstream_bytes_total')).toEqual([
      'entrepot_upstream_bytes_total{upstream="quay.io"} 500',
    ])
  })

  it('count the same however often somebody looks', async () => {
    const metrics = createMetrics()
    const looks: string[][] = []
    for (let time = 0; time < 3; time += 1) {
      metrics.requestEnded(request)
      metrics.requestEnded({ ...request, outcome: 'miss' })
      // Two who look at once see the same.
      const both = await Promise.all([samples(metrics, 'requests'), samples(metrics, 'requests')])
      expect(both[0]).toEqual(both[1])
      looks.push(both[0] ?? [])
    }
    const sample = (outcome: string, count: number): string =>
      `entrepot_requests_total{kind="blob",upstream="quay.io",outcome="${outcome}",status="2xx"} ${count}`
    expect(looks).toEqual([1, 2, 3].map((count) => [sample('hit', count), sample('miss', count)]))
    expect(await samples(metrics, 'client_bytes_total')).toEqual([
      'entrepot_client_bytes_total{upstream="quay.io"} 3000',
    ])
  })

  it('have counted all bytes whichever number is looked at first', async () => {
    const metrics = createMetrics()
    metrics.requestEnded(request)
    const counted = (await metrics.snapshot()).filter(({ name }) => name.endsWith('bytes_total'))
    expect(counted.find(({ name }) => name === 'entrepot_client_bytes_total')?.values).toEqual([
      { value: 500, labels: { upstream: 'quay.io' } },
    ])
  })

  it('measure requests in seconds', async () => {
    const metrics = createMetrics()
    metrics.requestEnded({ ...request, milliseconds: 250 })

    const duration = await samples(metrics, 'request_duration_seconds')
    expect(duration).toContain('entrepot_request_duration_seconds_bucket{le="0.1",kind="blob"} 0')
    expect(duration).toContain('entrepot_request_duration_seconds_bucket{le="0.5",kind="blob"} 1')
    expect(duration).toContain('entrepot_request_duration_seconds_sum{kind="blob"} 0.25')
  })

  it.each<[string, (metrics: Metrics) => void, string]>([
    [
      'requests to upstreams',
      (it) => it.upstreamRequested('a'),
      'upstream_requests_total{upstream="a"} 1',
    ],
    [
      'their failures',
      (it) => it.upstreamFailed('a', 'corrupt'),
      'upstream_failures_total{upstream="a",reason="corrupt"} 1',
    ],
    [
      'token requests',
      (it) => it.tokenRequested('a'),
      'upstream_token_requests_total{upstream="a"} 1',
    ],
    [
      'what a limit leaves',
      (it) => it.rateLimitSeen('a', 'anonymous', { limit: 100, remaining: 76 }),
      'upstream_ratelimit_remaining{upstream="a",account="anonymous"} 76',
    ],
    [
      'the limit itself',
      (it) => it.rateLimitSeen('a', 'credentials[0]', { limit: 200, remaining: undefined }),
      'upstream_ratelimit_limit{upstream="a",account="credentials[0]"} 200',
    ],
    [
      'hedges',
      (it) => it.hedged('a', 'second'),
      'upstream_hedges_total{upstream="a",winner="second"} 1',
    ],
    [
      'prefetches',
      (it) => it.prefetched('a', 'stored'),
      'prefetches_total{upstream="a",result="stored"} 1',
    ],
    ['what waits to be prefetched', (it) => it.prefetchesWaiting(3), 'prefetches_waiting 3'],
    [
      'what was passed through',
      (it) => it.passedThrough('disk'),
      'passed_through_total{reason="disk"} 1',
    ],
    [
      'trouble with the disk',
      (it) => it.storageFailed('full'),
      'storage_failures_total{failure="full"} 1',
    ],
    ['what was read again', (it) => it.scrubbed(512), 'scrubbed_bytes_total 512'],
    ['damage', (it) => it.damaged('read'), 'damaged_blobs_total{found="read"} 1'],
    ['what was mended', (it) => it.healed(), 'healed_blobs_total 1'],
    ['joined readers', (it) => it.readerJoined('a'), 'fill_joined_readers_total{upstream="a"} 1'],
    ['the size of the store', (it) => it.cacheSized(1e12), 'cache_bytes 1000000000000'],
    ['evicted bytes', (it) => it.evicted(40), 'evicted_bytes_total 40'],
  ])('tell %s', async (_, happen, sample) => {
    const metrics = createMetrics()
    happen(metrics)

    expect((await metrics.render()).text.split('\n')).toContain(`entrepot_${sample}`)
  })

  it('tell how many fills run, and how they ended', async () => {
    const metrics = createMetrics()
    metrics.fillStarted()
    metrics.fillStarted()
    metrics.fillStarted()
    metrics.fillEnded('quay.io', 'stored')
    metrics.fillEnded('quay.io', 'failed')

    expect(await samples(metrics, 'fills')).toEqual([
      'entrepot_fills_running 1',
      'entrepot_fills_total{upstream="quay.io",result="stored"} 1',
      'entrepot_fills_total{upstream="quay.io",result="failed"} 1',
    ])
  })

  it('are in the format of Prometheus, each with a line of help', async () => {
    const { text, contentType } = await createMetrics().render()

    expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/)
    for (const [, name] of text.matchAll(/^# TYPE (\S+)/gm)) {
      expect(name).toMatch(/^entrepot_/)
      expect(text).toContain(`# HELP ${name} `)
    }
  })

  it('of two servers in one process are kept apart', async () => {
    const [one, other] = [createMetrics(), createMetrics()]
    one.cacheSized(7)

    expect(await samples(other, 'cache_bytes')).toEqual(['entrepot_cache_bytes 0'])
  })
})
