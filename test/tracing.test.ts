/** What is traced, what is told to whom, and that it costs nothing where nobody asked for it. */
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createLog } from '../src/log.ts'
import { openTracing, type Tracing } from '../src/tracing.ts'
import { type CollectedSpan, type FakeCollector, startCollector } from './fakes/collector.ts'
import { buildImage } from './fakes/images.ts'
import { startRegistry } from './fakes/registry.ts'
import { coldLayer, holdAt, joinedReaders } from './scenarios/cold-layer.ts'
import { request } from './support/client.ts'
import { type Mirror, type MirrorOptions, startMirror } from './support/mirror.ts'
import { until } from './support/until.ts'

const IMAGE = buildImage({ seed: 'traced', layers: [200_000] })
const LAYER = IMAGE.blobs.at(-1)?.digest
const TAG = '/v2/docker.io/library/app/manifests/v1'
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const PARENT = `00-${TRACE_ID}-b7ad6b7169203331-01`
const [INTERNAL, SERVER, CLIENT] = [1, 2, 3]

afterEach(() => {
  vi.unstubAllEnvs()
})

interface Traced extends AsyncDisposable {
  readonly mirror: Mirror
  readonly tracing: Tracing
  /** Stops the mirror; all spans have been sent then. */
  spans(): Promise<readonly CollectedSpan[]>
}

async function startTraced(
  collector: FakeCollector,
  options: Omit<MirrorOptions, 'tracing'>,
): Promise<Traced> {
  const { tracing } = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
  if (tracing === undefined) throw new Error('Nothing is traced.')
  const mirror = await startMirror({ ...options, tracing })
  return {
    mirror,
    tracing,
    async spans() {
      await mirror.app.idle()
      await mirror.stop()
      await tracing.close()
      return collector.spans
    },
    async [Symbol.asyncDispose]() {
      await mirror[Symbol.asyncDispose]()
      await tracing.close()
    },
  }
}

/** The libraries read the variables of the process. */
async function open(env: Readonly<Record<string, string>>, options: { closeWithin?: number } = {}) {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  const lines: string[] = []
  const log = createLog({ write: (line) => void lines.push(line) })
  return { tracing: await openTracing(env, { ...options, log }), lines }
}

const childrenOf = (spans: readonly CollectedSpan[], parent: CollectedSpan | undefined) =>
  spans.filter(({ parentSpanId }) => parentSpanId !== '' && parentSpanId === parent?.spanId)

const named = (spans: readonly CollectedSpan[], name: string): CollectedSpan | undefined =>
  spans.find((span) => span.name === name)

describe('a pull', () => {
  it('is a span for each request, with the requests to upstream and the download within', async () => {
    await using collector = await startCollector()
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using traced = await startTraced(collector, { upstreams: { 'docker.io': registry } })
    await traced.mirror.pull('docker.io/library/app', 'v1')
    const spans = await traced.spans()

    const head = named(spans, 'HEAD /v2/{repository}/manifests/{reference}')
    expect(head?.kind).toBe(SERVER)
    expect(head?.attributes).toMatchObject({
      'http.request.method': 'HEAD',
      'http.route': '/v2/{repository}/manifests/{reference}',
      'http.response.status_code': 200,
      'url.path': TAG,
      'client.address': '127.0.0.1',
      'entrepot.upstream': 'docker.io',
      'entrepot.repository': 'library/app',
      'entrepot.reference': 'v1',
      'entrepot.outcome': 'miss',
    })
    const asked = childrenOf(spans, head)
    expect(asked.length).toBeGreaterThan(0)
    expect(asked.every(({ kind }) => kind === CLIENT)).toBe(true)

    const layer = spans.find(
      ({ kind, attributes }) => kind === SERVER && attributes['entrepot.reference'] === LAYER,
    )
    expect(layer?.name).toBe('GET /v2/{repository}/blobs/{digest}')
    const [fill] = childrenOf(spans, layer).filter(({ name }) => name === 'fill')
    expect([fill?.kind, fill?.attributes]).toEqual([
      INTERNAL,
      {
        'entrepot.upstream': 'docker.io',
        'entrepot.repository': 'library/app',
        'entrepot.digest': LAYER,
        'entrepot.background': false,
        'entrepot.bytes': 200_000,
      },
    ])
    const [download] = childrenOf(spans, fill)
    expect([download?.name, download?.kind]).toEqual(['GET', CLIENT])
    expect(download?.attributes).toMatchObject({
      'http.response.status_code': 200,
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(registry.url).port),
      'url.full': `${registry.url}/v2/library/app/blobs/${LAYER}`,
      'entrepot.upstream': 'docker.io',
    })
    expect(new Set(spans.map(({ resource }) => resource['service.name']))).toEqual(
      new Set(['entrepot']),
    )
  })

  it('goes on with the trace of the client, and tells upstream nothing of it', async () => {
    await using collector = await startCollector()
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using traced = await startTraced(collector, { upstreams: { 'docker.io': registry } })
    const headers = { traceparent: PARENT, tracestate: 'vendor=1', baggage: 'user=alice' }
    await traced.mirror.get(TAG, { headers })
    const spans = await traced.spans()

    expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE_ID]))
    const server = spans.find(({ kind }) => kind === SERVER)
    expect(server?.parentSpanId).toBe('b7ad6b7169203331')
    expect(childrenOf(spans, server).length).toBeGreaterThan(0)
    const told = registry.requests.flatMap(({ headers: sent }) => Object.keys(sent))
    expect(told).not.toContain('traceparent')
    expect(told).not.toContain('tracestate')
    expect(told).not.toContain('baggage')
  })

  it.each([
    ['is no trace', 'nonsense'],
    ['has the id of none', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`],
    ['is part of none', `00-${TRACE_ID}-${'0'.repeat(16)}-01`],
    ['is of a version that there will never be', `ff-${TRACE_ID}-b7ad6b7169203331-01`],
    ['has more than its version has', `${PARENT}-00`],
  ])('begins a trace where what the client shows %s', async (_, traceparent) => {
    await using collector = await startCollector()
    const { tracing } = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
    tracing?.startRequest('GET', { traceparent }).end()
    await tracing?.close()
    expect(collector.spans).toHaveLength(1)
    expect(collector.spans[0]).toMatchObject({ parentSpanId: '' })
    expect(collector.spans[0]?.traceId).not.toBe(TRACE_ID)
  })

  it('is not traced where the client says so', async () => {
    await using collector = await startCollector()
    const { tracing } = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
    tracing?.startRequest('GET', { traceparent: PARENT.replace(/01$/, '00') }).end()
    tracing?.startRequest('GET', { traceparent: `01${PARENT.slice(2)}-more` }).end()
    await tracing?.close()
    expect(collector.spans.map(({ parentSpanId }) => parentSpanId)).toEqual(['b7ad6b7169203331'])
  })

  it('from memory is a span like any other', async () => {
    await using collector = await startCollector()
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using traced = await startTraced(collector, { upstreams: { 'docker.io': registry } })
    for (const _ of [1, 2, 3]) await traced.mirror.get(TAG)
    await traced.mirror.get(TAG, { headers: { traceparent: PARENT } })
    const spans = await traced.spans()
    const served = spans.filter(({ kind }) => kind === SERVER)
    expect(served.map(({ attributes }) => attributes['entrepot.outcome'])).toEqual([
      'miss',
      'hit',
      'hit',
      'hit',
    ])
    expect(new Set(served.map(({ name }) => name))).toEqual(
      new Set(['GET /v2/{repository}/manifests/{reference}']),
    )
    expect(served.at(-1)).toMatchObject({ traceId: TRACE_ID, parentSpanId: 'b7ad6b7169203331' })
    expect(served[2]?.attributes['http.response.body.size']).toBe(IMAGE.bytes.length)
  })

  it('that waits for the download of another is linked to that', async () => {
    await using collector = await startCollector()
    await using registry = await startRegistry()
    await using traced = await startTraced(collector, { upstreams: { 'docker.io': registry } })
    const { mirror } = traced
    const { path } = await coldLayer(registry, mirror, { size: 100_000, seed: 'joined' })
    const [gate] = holdAt(registry, 50_000)
    const first = mirror.get(path)
    await gate.reached
    const second = mirror.get(path)
    await until(async () => (await joinedReaders(mirror)) === 1)
    gate.open()
    await Promise.all([first, second])
    const spans = await traced.spans()
    const fill = named(spans, 'fill')
    const join = named(spans, 'join fill')
    expect(join?.links).toEqual([fill?.spanId])
    const joiner = spans.find(({ attributes }) => attributes['entrepot.outcome'] === 'joined')
    expect(join?.parentSpanId).toBe(joiner?.spanId)
    expect(joiner?.traceId).not.toBe(fill?.traceId)
  })

  it('that fails says where', async () => {
    await using collector = await startCollector()
    await using registry = await startRegistry()
    await using traced = await startTraced(collector, { upstreams: { 'docker.io': registry } })
    const { path } = await coldLayer(registry, traced.mirror, { size: 1000, seed: 'failing' })
    registry.fault({ match: { kind: 'blob' }, wrongByteAt: 10 })
    expect((await traced.mirror.get(path)).complete).toBe(false)
    await registry.goDown()
    await traced.mirror.get('/v2/docker.io/library/other/manifests/v1')
    const failed = (await traced.spans()).filter(({ statusCode }) => statusCode === 2)
    const types = failed.map(
      ({ name, attributes }) => `${name}: ${String(attributes['error.type'])}`,
    )
    expect(new Set(types)).toEqual(
      new Set([
        'fill: corrupt',
        'GET /v2/{repository}/blobs/{digest}: cut',
        'GET: unavailable',
        'GET /v2/{repository}/manifests/{reference}: 503',
      ]),
    )
  })

  it('tells no secret: neither a password, nor a signature, nor who it was', async () => {
    await using collector = await startCollector()
    await using storage = await startRegistry()
    storage.push('library/app', 'v1', IMAGE)
    await using registry = await startRegistry({
      auth: { kind: 'basic', username: 'someone', password: 'hunter2' },
    })
    registry.push('library/app', 'v1', IMAGE)
    registry.fault({
      match: { kind: 'blob' },
      redirectTo: ({ pathname }) => `${storage.url}${pathname}?X-Signature=s1gnature`,
    })
    await using traced = await startTraced(collector, {
      upstreams: {
        'docker.io': {
          registry,
          credentials: [{ username: 'someone', password: 'hunter2' }],
        },
      },
    })
    const { mirror } = traced
    await mirror.pull('docker.io/library/app', 'v1', {
      headers: { authorization: `Basic ${Buffer.from('alice:c0rrect').toString('base64')}` },
    })
    await mirror.get('/token?service=x&account=alice&scope=s')
    await mirror.get('/api/v1/users/alice?password=c0rrect')
    const spans = await traced.spans()
    expect(storage.requests.some(({ query }) => query.includes('s1gnature'))).toBe(true)
    expect(
      spans.some(
        ({ attributes }) => attributes['server.port'] === Number(new URL(storage.url).port),
      ),
    ).toBe(true)
    for (const secret of ['hunter2', 's1gnature', 'X-Signature', 'c0rrect', 'alice', 'someone']) {
      expect([secret, collector.text.includes(secret)]).toEqual([secret, false])
    }
    expect(spans.map(({ name }) => name)).toContain('GET /api/v1')
  })

  it('with a method that nobody knows is named by none', async () => {
    await using collector = await startCollector()
    await using registry = await startRegistry()
    await using traced = await startTraced(collector, { upstreams: { 'docker.io': registry } })
    const { url } = traced.mirror
    await request({ url, path: TAG, method: 'PURGE' })
    await request({ url, path: '/somewhere', method: 'PUT' })
    const [purge, put] = await traced.spans()
    expect([purge?.name, purge?.attributes['http.request.method']]).toEqual([
      'HTTP /v2/{repository}/manifests/{reference}',
      '_OTHER',
    ])
    expect([put?.name, put?.attributes['url.path'], put?.attributes['http.route']]).toEqual([
      'PUT',
      undefined,
      undefined,
    ])
  })

  it('is nothing of probes and scrapes', async () => {
    await using collector = await startCollector()
    await using registry = await startRegistry()
    await using traced = await startTraced(collector, { upstreams: { 'docker.io': registry } })
    for (const path of ['/healthz', '/readyz', '/metrics', '/status', '/v2/']) {
      await traced.mirror.get(path)
    }
    expect((await traced.spans()).map(({ name }) => name)).toEqual(['GET /v2/'])
  })
})

describe('what was begun for nobody', () => {
  it('is a trace of its own', async () => {
    await using collector = await startCollector()
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using traced = await startTraced(collector, {
      upstreams: { 'docker.io': { registry, complete: 'pulled' } },
    })
    await traced.mirror.get(TAG)
    const fills = (await traced.spans()).filter(({ name }) => name === 'fill')
    expect(fills.length).toBe(IMAGE.blobs.length)
    for (const { parentSpanId, attributes } of fills) {
      expect([parentSpanId, attributes['entrepot.background']]).toEqual(['', true])
    }
  })
})

describe('from one process to another', () => {
  it('a trace goes on', async () => {
    await using collector = await startCollector()
    const { tracing } = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
    if (tracing === undefined) throw new Error('Nothing is traced.')
    expect(tracing.current()).toBeUndefined()
    const outer = tracing.startRequest('GET', {})
    const carried = outer.run(() => tracing.current())
    expect(carried).toBe(outer.traceparent)
    tracing.resume(carried, () => tracing.start('inner', { attributes: {} }).end())
    tracing.resume(undefined, () => tracing.start('alone', { attributes: {} }).end())
    outer.end()
    // What has ended does not end again.
    outer.end('late')
    await tracing.close()
    const { spans } = collector
    expect(named(spans, 'inner')?.parentSpanId).toBe(named(spans, 'GET')?.spanId)
    expect(named(spans, 'alone')?.parentSpanId).toBe('')
    expect(named(spans, 'GET')?.statusCode).toBe(0)
  })
})

describe('the standard variables', () => {
  it.each<[string, Record<string, string>]>([
    ['nothing is said', {}],
    ['empty', { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_TRACES_EXPORTER: '' }],
    ['disabled', { OTEL_SDK_DISABLED: 'TRUE', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c.example' }],
    [
      'no exporter',
      { OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c.example' },
    ],
    ['only what metrics go by', { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://c.example' }],
  ])('mean no tracing, without a word: %s', async (_, env) => {
    const { tracing, lines } = await open(env)
    expect([tracing, lines]).toEqual([undefined, []])
  })

  it.each<[Record<string, string>, string]>([
    [{ OTEL_TRACES_EXPORTER: 'zipkin' }, 'may be otlp or none'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector.example:4318' }, 'no URL with http or https'],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c.example:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      'only http/json is spoken, not grpc',
    ],
  ])('that cannot be followed mean none, and one line: %j', async (env, said) => {
    const { tracing, lines } = await open(env)
    expect(tracing).toBeUndefined()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('"level":"warn"')
    expect(lines[0]).toContain(said)
  })

  it.each<[Record<string, string>, string]>([
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, 'traces are sent as that'],
    [{ OTEL_TRACES_SAMPLER: 'sometimes' }, 'names no sampler'],
  ])('that are followed in part say so: %j', async (env, said) => {
    await using collector = await startCollector()
    const { tracing, lines } = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env })
    tracing?.startRequest('GET', {}).end()
    await tracing?.close()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(said)
    expect(collector.spans).toHaveLength(1)
  })

  it('say who sends, with what, and how much', async () => {
    await using collector = await startCollector()
    const { tracing, lines } = await open({
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces`,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=k3y',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_SERVICE_NAME: 'mirror-of-the-house',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=cellar',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0',
    })
    tracing?.startRequest('dropped', {}).end()
    tracing?.startRequest('kept', { traceparent: PARENT }).end()
    await tracing?.close()
    expect(collector.spans.map(({ name }) => name)).toEqual(['kept'])
    expect(collector.headers[0]).toMatchObject({ 'x-api-key': 'k3y' })
    const { resource } = collector.spans[0] ?? {}
    expect(resource).toMatchObject({
      'service.name': 'mirror-of-the-house',
      'deployment.environment.name': 'cellar',
      'service.instance.id': expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      'process.pid': process.pid,
    })
    expect(lines).toEqual([])
  })
})

describe('a collector', () => {
  it('that refuses costs one line, without what it was sent', async () => {
    await using collector = await startCollector(401)
    const { tracing, lines } = await open({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url.replace('//', '//user:p4ss@'),
      OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=k3y',
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '1',
    })
    for (let count = 0; count < 5; count += 1) tracing?.startRequest('GET', {}).end()
    await tracing?.close()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('traces are not taken by the collector')
    expect(lines[0]).toContain(`"collector":"${collector.url}"`)
    expect(lines[0]).not.toMatch(/k3y|p4ss/)
  })

  it('that says nothing holds the end up no longer than the deadline', async () => {
    const sockets: Socket[] = []
    const silent = createServer((socket) => void sockets.push(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    const { tracing } = await open(
      { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` },
      { closeWithin: 20 },
    )
    tracing?.startRequest('GET', {}).end()
    await tracing?.close()
    // It has taken the connection, and has not answered.
    expect(sockets).toHaveLength(1)
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => silent.close(resolve))
  })
})
