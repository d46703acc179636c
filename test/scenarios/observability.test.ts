/** What operators see: metrics that move with what happens, a log line for each request, and no secret. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { buildImage, randomBlob } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { download, openStream, request } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { until } from '../support/until.ts'
import { BLOB_REQUEST, coldLayer, holdAt, joinedReaders } from './cold-layer.ts'
import { metric } from './metrics-page.ts'
import { storedBlobs } from './stored-blobs.ts'

const MIB = 1024 * 1024
const HOUR = 3600 * 1000
const IMAGE = buildImage({ seed: 'observed' })
const HUB = '/v2/docker.io/library/app/manifests/v1'
const UNKNOWN = digestOf(Buffer.from('unknown'))

afterEach(() => {
  vi.useRealTimers()
})

describe('the metrics', () => {
  it('count requests by how they were served, and the log says the same', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '1h' } },
      allow: ['docker.io/library/*'],
    })
    const served = async (outcome: string): Promise<number> => {
      const labels = { kind: 'manifest', upstream: 'docker.io', outcome, status: '2xx' }
      return metric(mirror, 'entrepot_requests_total', labels)
    }

    await mirror.get(HUB)
    expect(await served('miss')).toBe(1)
    await mirror.get(HUB)
    expect(await served('hit')).toBe(1)
    vi.setSystemTime(Date.now() + 2 * HOUR)
    await mirror.get(HUB)
    expect(await served('revalidated')).toBe(1)
    await registry.goDown()
    vi.setSystemTime(Date.now() + 2 * HOUR)
    await mirror.get(HUB)
    expect(await served('stale')).toBe(1)
    await registry.comeUp()
    await until(
      async () => (await mirror.get('/v2/docker.io/library/app/tags/list')).status === 200,
    )
    await mirror.get('/v2/docker.io/other/app/manifests/v1')

    const requests = (labels: Record<string, string>): Promise<number> =>
      metric(mirror, 'entrepot_requests_total', labels)
    expect(await requests({ kind: 'tags', outcome: 'bypass', status: '2xx' })).toBe(1)
    expect(await requests({ outcome: 'denied', status: '4xx', upstream: 'docker.io' })).toBe(1)
    const outcomes = ['miss', 'hit', 'revalidated', 'stale', 'bypass', 'denied']
    const logged = requestLines(mirror).flatMap(({ outcome }) => outcome ?? [])
    expect([...new Set(logged)]).toEqual(outcomes)
    expect(await requests({})).toBe(requestLines(mirror).length)
  })

  it('count bytes, downloads and those who joined them', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { path } = await coldLayer(registry, mirror, { size: MIB, seed: 'counted' })
    const manifest = await metric(mirror, 'entrepot_client_bytes_total')
    expect(await metric(mirror, 'entrepot_upstream_bytes_total')).toBe(manifest)
    const [gate] = holdAt(registry, 500_000)

    const clients = [0, 1, 2].map(() => download({ url: mirror.url, path }))
    await gate.reached
    await until(async () => (await joinedReaders(mirror)) === 2)
    expect(await metric(mirror, 'entrepot_fills_running')).toBe(1)
    gate.open()
    await Promise.all(clients)
    await mirror.app.idle()

    const hub = { upstream: 'docker.io' }
    await until(async () => (await metric(mirror, 'entrepot_client_bytes_total', hub)) > 3 * MIB)
    expect(await metric(mirror, 'entrepot_client_bytes_total', hub)).toBe(manifest + 3 * MIB)
    expect(await metric(mirror, 'entrepot_upstream_bytes_total', hub)).toBe(manifest + MIB)
    expect(await metric(mirror, 'entrepot_upstream_requests_total', hub)).toBe(2)
    expect(await metric(mirror, 'entrepot_fills_running')).toBe(0)
    expect(await metric(mirror, 'entrepot_fills_total', { ...hub, result: 'stored' })).toBe(1)
    expect(await metric(mirror, 'entrepot_cache_bytes')).toBe(manifest + MIB)
    expect(await storedBlobs(mirror)).toHaveLength(2)
    const joined = { kind: 'blob', outcome: 'joined', status: '2xx', ...hub }
    expect(await metric(mirror, 'entrepot_requests_total', joined)).toBe(2)
  })

  it('count what goes wrong upstream, by reason', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { path } = await coldLayer(registry, mirror, { size: 100_000, seed: 'wrong' })
    const failures = (reason: string): Promise<number> =>
      metric(mirror, 'entrepot_upstream_failures_total', { upstream: 'docker.io', reason })

    for (const [status, reason] of [
      [404, 'not-found'],
      [401, 'unauthorized'],
      [403, 'forbidden'],
      [429, 'rate-limited'],
      [503, 'unavailable'],
    ] as const) {
      const fault = registry.fault({ status })
      await mirror.get(`/v2/docker.io/library/app/manifests/status-${status}`)
      expect(await failures(reason)).toBe(1)
      fault.remove()
    }
    registry.fault({ match: { kind: 'blob' }, wrongByteAt: 0 })
    await download({ url: mirror.url, path })
    await mirror.app.idle()
    expect(await metric(mirror, 'entrepot_fills_total', { result: 'failed' })).toBe(1)
  })

  it('show the token requests, and what is left of a rate limit', async () => {
    await using hub = await startRegistry({ pullsLeft: 100 })
    await using quay = await startRegistry({ auth: { kind: 'token' } })
    for (const registry of [hub, quay]) registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': hub, 'quay.io': quay } })
    await mirror.get(HUB)
    await mirror.pull('quay.io/library/app', 'v1')

    const labels = { upstream: 'docker.io' }
    expect(await metric(mirror, 'entrepot_upstream_ratelimit_remaining', labels)).toBe(99)
    const tokens = 'entrepot_upstream_token_requests_total'
    expect(await metric(mirror, tokens, { upstream: 'quay.io' })).toBe(1)
    expect(await metric(mirror, tokens, labels)).toBe(0)
  })
})

describe('the log', () => {
  it('has one line for each request, under the id that the client was given', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      allow: ['docker.io/library/*'],
    })
    const layer = await coldLayer(registry, mirror, { size: 100_000, seed: 'logged' })
    const paths = [
      '/v2/',
      layer.path,
      '/v2/docker.io/library/logged/tags/list',
      `/v2/docker.io/library/logged/blobs/${UNKNOWN}`,
      '/v2/docker.io/denied/app/manifests/v1',
      '/v2/UPPER/manifests/v1',
      '/nothing/here',
    ]
    const before = requestLines(mirror).length
    const answers = []
    for (const path of paths) {
      answers.push(await mirror.get(path, { headers: { 'user-agent': 'observer/1' } }))
    }

    const lines = await until(() => {
      const lines = requestLines(mirror).slice(before)
      return lines.length >= paths.length && lines
    })
    expect(lines).toHaveLength(paths.length)
    for (const [index, { status, headers, body }] of answers.entries()) {
      expect(lines[index]).toMatchObject({
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        id: headers['x-request-id'],
        client: '127.0.0.1',
        method: 'GET',
        status,
        bytes: body.length,
        ms: expect.any(Number),
        userAgent: 'observer/1',
      })
    }
    expect(lines[1]).toMatchObject({
      kind: 'blob',
      upstream: 'docker.io',
      repository: 'library/logged',
      reference: layer.digest,
      outcome: 'miss',
    })
    expect(lines[4]).toMatchObject({ outcome: 'denied', reason: expect.stringMatching(/^DENIED /) })
    expect(new Set(lines.map(({ id }) => id)).size).toBe(paths.length)
  })

  it('says what a client that left has got', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { path } = await coldLayer(registry, mirror, { size: 32 * MIB, seed: 'left' })
    const stream = await openStream({ url: mirror.url, path })
    await stream.read(MIB)
    stream.abort()

    const line = await until(() => requestLines(mirror).find(({ kind }) => kind === 'blob'))
    expect(line).toMatchObject({ cut: true, outcome: 'miss', status: 200 })
    // The client's last read may end in the middle of a chunk that the mirror counts as a whole.
    expect(line['bytes']).toBeGreaterThan(MIB / 2)
    expect(line['bytes']).toBeLessThan(32 * MIB)
    await mirror.app.idle()
  })

  it('passes over those who only look whether it is alive', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const statuses = []
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      statuses.push((await mirror.get(path)).status)
    }
    await mirror.get('/v2/')
    expect(statuses).toEqual([200, 200, 200])
    expect(requestLines(mirror).map(({ kind }) => kind)).toEqual(['ping'])
  })

  it('holds nothing that a terminal would obey', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    // CSI in one byte, which is legal in a header.
    const userAgent = `\u009b2J${'x'.repeat(1000)}`
    await mirror.get('/v2/', { headers: { 'user-agent': userAgent } })
    const [line] = requestLines(mirror)
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(line?.['userAgent']).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
    expect(line?.['userAgent']).toContain('2Jx')
    expect(String(line?.['userAgent']).length).toBeLessThanOrEqual(256)
  })
})

describe('a secret', () => {
  const PASSWORD = 'pass-of-upstream'
  const BASIC = Buffer.from(`robot:${PASSWORD}`).toString('base64')
  const CLIENT = Buffer.from('somebody:pass-of-client').toString('base64')
  const SECRETS = [PASSWORD, BASIC, CLIENT, 'pass-of-client', 'fake-token', 'signed-by-cdn']

  it('is in no log line, metric, header or error, whatever goes wrong', async () => {
    const user = { username: 'robot', password: PASSWORD }
    await using basic = await startRegistry({ auth: { kind: 'basic', ...user } })
    await using token = await startRegistry({ auth: { kind: 'token', anonymous: false, ...user } })
    await using cdn = await startRegistry()
    const credentials = [{ username: 'robot', password: '${UPSTREAM_PASSWORD}' }]
    await using mirror = await startMirror({
      upstreams: {
        'basic.lan': { registry: basic, credentials },
        'token.lan': { registry: token, credentials },
      },
      env: { UPSTREAM_PASSWORD: PASSWORD },
    })
    const bytes = randomBlob(100_000, 'signed')
    const digest = cdn.pushBlob('app', bytes)
    const redirectTo = ({ pathname }: URL): string =>
      `${cdn.url}${pathname}?signature=signed-by-cdn`
    const rests = ['manifests/v1', `blobs/${digest}`, 'tags/list', `referrers/${IMAGE.digest}`]
    const paths = ['basic.lan', 'token.lan'].flatMap((upstream) =>
      rests.map((rest) => `/v2/${upstream}/app/${rest}`),
    )
    const shown: unknown[] = []
    const ask = async (): Promise<number[]> => {
      const answers = await Promise.all(
        paths.map((path) =>
          request({ url: mirror.url, path, headers: { authorization: `Basic ${CLIENT}` } }).catch(
            (error: Error) => error.message,
          ),
        ),
      )
      await mirror.app.idle()
      shown.push(answers.map((answer) => describeAnswer(answer)))
      return answers.map((answer) => (typeof answer === 'string' ? 0 : answer.status))
    }

    await basic.goDown()
    await token.goDown()
    expect(new Set(await ask())).toEqual(new Set([503]))
    await basic.comeUp()
    await token.comeUp()
    for (const registry of [basic, token]) {
      registry.push('app', 'v1', IMAGE)
      registry.fault({ match: { kind: 'blob' }, redirectTo })
    }
    token.tokenServer?.fault({ status: 500, times: 1 })
    for (const upstream of ['basic.lan', 'token.lan']) {
      await until(async () => (await mirror.get(`/v2/${upstream}/app/tags/list`)).status === 200)
    }
    for (const fault of [{ status: 403 }, { wrongByteAt: 0 }, { claimLength: 9 }]) {
      const handle = cdn.fault(fault)
      await ask()
      expect(handle.happened).toBeGreaterThan(0)
      handle.remove()
    }
    await cdn.goDown()
    await ask()
    await cdn.comeUp()
    cdn.fault({ cutAfter: 10, times: 2 })
    await until(async () => (await ask()).every((status) => status === 200), { deadlineMs: 15_000 })

    expect(cdn.count(BLOB_REQUEST)).toBeGreaterThan(0)
    expect(token.tokenServer?.asked.some(({ credentials: sent }) => sent?.includes(PASSWORD))).toBe(
      true,
    )
    const { body } = await mirror.get('/metrics')
    const seen = JSON.stringify([mirror.logs, shown, body.toString()])
    for (const secret of SECRETS) expect(seen).not.toContain(secret)
  })
})

function requestLines({ logs }: Mirror): Readonly<Record<string, unknown>>[] {
  return logs.filter(({ msg }) => msg === 'request')
}

function describeAnswer(answer: Awaited<ReturnType<typeof request>> | string): unknown {
  if (typeof answer === 'string') return answer
  return { ...answer, body: answer.body.toString('latin1') }
}
