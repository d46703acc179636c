/** Times are told to who asks for them, and to nobody else. */
import { describe, expect, it } from 'vitest'
import { asksForTiming, createServerTiming } from '../../src/http/server-timing.ts'
import { buildImage } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import type { ClientResponse } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'

const IMAGE = buildImage({ seed: 'timed', layers: [10_000] })
const APP = '/v2/docker.io/library/app'
const TAG = `${APP}/manifests/v1`
const BLOB = `${APP}/blobs/${IMAGE.blobs.at(-1)?.digest}`
const PREFER = { prefer: 'server-timing' }

/** `policy cache:hit total`, without the times, each of which has to be one. */
function partsOf({ headers }: ClientResponse): string {
  const metrics = (headers['server-timing'] ?? '').split(', ').map((metric) => {
    const [, name = '', description, duration] =
      /^(\w+)(?:;desc=(\w+))?(?:;dur=(\d+\.\d\d))?$/.exec(metric) ?? []
    expect(description ?? duration).toBeDefined()
    return description === undefined ? name : `${name}:${description}`
  })
  return metrics.join(' ')
}

async function startTimed(settings: Partial<Parameters<typeof startMirror>[0]> = {}) {
  const registry = await startRegistry()
  registry.push('library/app', 'v1', IMAGE)
  const mirror = await startMirror({ upstreams: { 'docker.io': registry }, ...settings })
  return {
    mirror,
    async [Symbol.asyncDispose]() {
      await mirror[Symbol.asyncDispose]()
      await registry.close()
    },
  }
}

async function timed(mirror: Mirror, path: string, headers = {}): Promise<string> {
  const answer = await mirror.get(path, { headers: { ...PREFER, ...headers } })
  expect(answer.headers).toMatchObject({ 'preference-applied': 'server-timing', vary: 'Prefer' })
  return partsOf(answer)
}

describe('Server-Timing', () => {
  it('says where the time went, for each way of being served', async () => {
    await using served = await startTimed()
    const { mirror } = served
    expect(await timed(mirror, TAG)).toBe('policy cache:miss upstream total')
    expect(await timed(mirror, TAG)).toBe('policy cache:hit total')
    expect(await timed(mirror, BLOB)).toBe('policy cache:miss upstream total')
    await mirror.app.idle()
    expect(await timed(mirror, BLOB)).toBe('policy cache:hit total')
    expect(await timed(mirror, BLOB, { range: 'bytes=5-9' })).toBe('policy cache:hit total')
    expect(await timed(mirror, `${APP}/tags/list`)).toBe('policy cache:bypass upstream total')
    const unchanged = { 'if-none-match': `"${IMAGE.digest}"` }
    expect(await timed(mirror, TAG, unchanged)).toBe('policy cache:hit total')
  })

  it('says how long it took where nothing was found, or nobody was asked', async () => {
    await using served = await startTimed({ deny: ['docker.io/library/secret'] })
    const { mirror } = served
    expect(await timed(mirror, `${APP}/manifests/none`)).toBe('policy total')
    expect(await timed(mirror, '/v2/docker.io/library/secret/manifests/v1')).toBe('total')
    expect(await timed(mirror, '/v2/')).toBe('total')
    expect(await timed(mirror, '/nothing')).toBe('total')
  })

  it('is told to nobody else, nor remembered for them', async () => {
    await using served = await startTimed()
    const { mirror } = served
    await mirror.pull('docker.io/library/app', 'v1')
    await mirror.app.idle()
    for (const path of [TAG, BLOB]) {
      for (const headers of [PREFER, {}, {}, PREFER, { prefer: 'respond-async' }, {}]) {
        const answer = await mirror.get(path, { headers })
        expect(answer.status).toBe(200)
        const isAsked = headers === PREFER
        for (const name of ['server-timing', 'preference-applied', 'vary']) {
          expect([path, name, name in answer.headers]).toEqual([path, name, isAsked])
        }
      }
    }
  })

  it('of a HEAD is that of a GET', async () => {
    await using served = await startTimed()
    await served.mirror.get(TAG)
    const answer = await served.mirror.head(TAG, { headers: PREFER })
    expect(partsOf(answer)).toBe('policy cache:hit total')
  })

  it('counts each moment once', () => {
    const times = [0, 2, 10, 11]
    const timing = createServerTiming(() => times.shift() ?? 0)
    timing.admitted()
    timing.found('miss')
    const headers: Record<string, unknown> = {}
    const set = (name: string, value: unknown): void => void (headers[name] = value)
    timing.tell({ setHeader: set, appendHeader: set } as never)
    expect(headers['Server-Timing']).toBe(
      'policy;dur=2.00, cache;desc=miss, upstream;dur=8.00, total;dur=11.00',
    )
  })
})

describe('the preference', () => {
  it.each([
    'server-timing',
    'Server-Timing',
    ' respond-async , server-timing',
    'wait=10, server-timing; q=1',
    'foo="a, b"; bar, server-timing',
    'server-timing=""',
    'server-timing="", foo="bar"',
    'foo="\\", x", server-timing',
  ])('is stated by %j', (prefer) => {
    expect(asksForTiming({ prefer })).toBe(true)
  })

  it.each([
    undefined,
    '',
    'server-timings',
    'server-timing=no',
    'server-timing="no"',
    'foo="server-timing"',
    'foo="a, server-timing, b"',
    // What nothing ends goes to the end, and is not looked through again from each of its quotes.
    'foo="a, server-timing',
    'foo="\\"\\", server-timing',
    'foo; server-timing',
    'x-server-timing',
  ])('is not stated by %j', (prefer) => {
    expect(asksForTiming(prefer === undefined ? {} : { prefer })).toBe(false)
  })

  it('may come in several lines', () => {
    expect(asksForTiming({ prefer: ['wait=1', 'server-timing'] })).toBe(true)
  })
})
