/** Disk stays under its budget, memory does not grow with size or clients, and nothing makes it hang or leak. */
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { FaultRule } from '../fakes/faults.ts'
import { buildImage } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { download, openStream } from '../support/client.ts'
import { openFilesBelow, spoolFiles } from '../support/leaks.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { until } from '../support/until.ts'
import { BLOB_REQUEST, coldLayer, type ColdLayer, holdAt, joinedReaders } from './cold-layer.ts'
import { metric } from './metrics-page.ts'
import { expectOciError } from './oci-error.ts'
import { storedBlobs } from './stored-blobs.ts'

const MIB = 1024 * 1024
const MINUTE = 60_000
/** The most that is read of a manifest or list, and what sockets may hold beyond. */
const LARGEST_DOCUMENT = 16 * MIB

afterEach(() => {
  vi.useRealTimers()
})

describe('the disk', () => {
  it('keeps within its budget: what was used longest ago goes, manifests stay', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using registry = await startRegistry()
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { budget: '3.5MiB' },
    })
    const layers: ColdLayer[] = []
    for (const seed of ['a', 'b', 'c', 'd']) {
      layers.push(await coldLayer(registry, mirror, { size: MIB, seed }))
    }
    const [a, b, c, d] = layers
    for (const used of [a, b, c, a, d]) await pullLayer(mirror, used)

    const stored = await storedBlobs(mirror)
    expect(stored).toEqual(expect.arrayContaining([a?.digest, c?.digest, d?.digest]))
    expect(stored).not.toContain(b?.digest)
    expect(await metric(mirror, 'entrepot_cache_bytes')).toBeLessThanOrEqual(3.5 * MIB)
    expect(await metric(mirror, 'entrepot_evicted_bytes_total')).toBe(MIB)

    const before = registry.count(BLOB_REQUEST)
    await pullLayer(mirror, b)
    await pullLayer(mirror, d)
    expect(registry.count(BLOB_REQUEST)).toBe(before + 1)
    for (const seed of ['a', 'b', 'c', 'd']) {
      const manifest = await mirror.get(`/v2/docker.io/library/${seed}/manifests/v1`)
      expect(manifest.headers['cache-status']).toBe('entrepot; fwd=stale; fwd-status=304')
    }
  })

  it('is brought under a lower budget at the start', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const old = await coldLayer(registry, mirror, { size: MIB, seed: 'old' })
    const recent = await coldLayer(registry, mirror, { size: MIB, seed: 'recent' })
    await pullLayer(mirror, old)
    await pullLayer(mirror, recent)

    await mirror.restart({ yaml: { budget: '1.5MiB' } })
    const stored = await storedBlobs(mirror)
    expect(stored).toContain(recent.digest)
    expect(stored).not.toContain(old.digest)
  })

  it('is not emptied for a layer that is larger than the budget: that one is passed through', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { budget: '2MiB' },
    })
    const small = await coldLayer(registry, mirror, { size: MIB, seed: 'small' })
    const large = await coldLayer(registry, mirror, { size: 4 * MIB, seed: 'large' })
    await pullLayer(mirror, small)

    await pullLayer(mirror, large)
    expect(await storedBlobs(mirror)).toContain(small.digest)
    expect(await storedBlobs(mirror)).not.toContain(large.digest)
    expect(mirror.logs).toContainEqual(
      expect.objectContaining({ level: 'warn', digest: large.digest, budget: 2 * MIB }),
    )
    await pullLayer(mirror, large)
  })

  it('keeps a layer that is read, and passes on what it has no room for meanwhile', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { budget: '20MiB' },
    })
    const read = await coldLayer(registry, mirror, { size: 16 * MIB, seed: 'read' })
    await pullLayer(mirror, read)
    const stream = await openStream({ url: mirror.url, path: read.path })
    const start = await stream.read(MIB)

    const next = await coldLayer(registry, mirror, { size: 8 * MIB, seed: 'next' })
    await pullLayer(mirror, next)
    expect(await storedBlobs(mirror)).toContain(read.digest)
    expect(await storedBlobs(mirror)).not.toContain(next.digest)
    expect(digestOf(Buffer.concat([start, await stream.rest()]))).toBe(read.digest)

    await pullLayer(mirror, next)
    expect(await storedBlobs(mirror)).toContain(next.digest)
  })
})

describe('the memory', () => {
  it('does not grow with a layer or with the clients that read it slowly', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { path } = await coldLayer(registry, mirror, { size: 64 * MIB, seed: 'slow' })
    const gates = holdAt(registry, 16 * MIB, 32 * MIB, 48 * MIB)
    const before = memory()

    const clients = Array.from({ length: 50 }, () => openStream({ url: mirror.url, path }))
    await Promise.all(clients)
    await until(async () => (await joinedReaders(mirror)) === 49)
    const cold = []
    for (const gate of gates) {
      await gate.reached
      cold.push(memory() - before)
      gate.open()
    }
    await mirror.app.idle()
    const more = Array.from({ length: 50 }, () => openStream({ url: mirror.url, path }))
    await Promise.all(more)
    const hot = memory() - before

    for (const grown of [...cold, hot]) expect(grown).toBeLessThan(150 * MIB)
    for (const client of [...clients, ...more]) (await client).abort()
    await expectNothingOpen(mirror)
  })
})

describe('clients that come and go', () => {
  it('leave no file, spool, connection or download behind', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const layers = await Promise.all(
      ['one', 'two', 'three', 'four'].map((seed) =>
        coldLayer(registry, mirror, { size: 2 * MIB, seed }),
      ),
    )

    const visits = Array.from({ length: 200 }, async (_, visit) => {
      const { path } = layers[visit % layers.length] ?? { path: '' }
      const headers = { range: `bytes=${visit * 10_000}-` }
      const stream = await openStream({ url: mirror.url, path, headers })
      if (visit % 3 > 0) await stream.read(visit * 100)
      stream.abort()
    })
    await Promise.all(visits)
    await mirror.app.idle()

    await expectNothingOpen(mirror)
    expect(await metric(mirror, 'entrepot_fills_running')).toBe(0)
    expect(registry.count(BLOB_REQUEST)).toBe(layers.length)
    for (const { digest, path } of layers) {
      expect(await download({ url: mirror.url, path })).toMatchObject({ digest, complete: true })
    }
  })
})

describe('what clients send', () => {
  it('does not make the metrics grow', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry }, allow: [] })
    const ask = async (names: number): Promise<void> => {
      const paths = Array.from({ length: names }, (_, name) => [
        `/v2/docker.io/some/name-${name}/manifests/tag-${name}`,
        `/v2/unknown-${name}.lan/x/tags/list`,
        `/v2/docker.io/x/blobs/sha256:${String(name).padStart(64, '0')}`,
        `/${name}`,
      ]).flat()
      await Promise.all(paths.map((path) => mirror.get(path)))
    }
    await ask(1)
    const before = await seriesOf(mirror)
    await ask(50)
    expect(await seriesOf(mirror)).toEqual(before)
  })
})

describe('what upstream sends', () => {
  const lies: readonly [string, FaultRule][] = [
    ['a redirect to itself', { redirectLoop: true }],
    ['a redirect to a file', { redirectTo: 'file:///etc/passwd' }],
    ['a redirect to a metadata server', { redirectTo: 'http://169.254.169.254/latest/meta-data/' }],
    ['a web page', { html200: true }],
    ['zeros without end', { endless: true, body: '' }],
    ['a length beyond all measure', { claimLength: 2 ** 50 }],
    ['headers beyond all measure', { headers: { 'x-large': 'x'.repeat(40_000) } }],
    ['gzip that becomes very large', gzipped(Buffer.alloc(64 * MIB))],
    ['deeply nested JSON', { body: `${'['.repeat(100_000)}${']'.repeat(100_000)}` }],
    ['an encoding nobody asked for', { headers: { 'content-encoding': 'br' } }],
    ['a reset in the middle', { cutAfter: 1, resetConnection: true }],
    ['a status that is none', { status: 299, body: 'x' }],
  ]
  it.each(lies)('(%s) ends in an error in time, and nothing is stored', async (_lie, fault) => {
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'lies', layers: [MIB] })
    registry.push('library/lies', 'v1', image)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { timeouts: { connect: '1s', firstByte: '1s', idle: '1s' } },
    })
    registry.fault(fault)

    const rests = ['manifests/v1', `manifests/${image.digest}`, 'tags/list']
    const answers = await Promise.all(
      rests.map((rest) => mirror.get(`/v2/docker.io/library/lies/${rest}`)),
    )
    for (const answer of answers) {
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expectOciError(answer, answer.status)
    }
    await mirror.app.idle()
    expect(await storedBlobs(mirror)).toEqual([])
    const received = registry.requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0)
    expect(received).toBeLessThan(rests.length * LARGEST_DOCUMENT)
    expect((await mirror.get('/readyz')).status).toBe(200)
  })
})

async function pullLayer(mirror: Mirror, layer: ColdLayer | undefined): Promise<void> {
  const { digest, path } = layer ?? { digest: '', path: '' }
  expect(await download({ url: mirror.url, path })).toMatchObject({ digest, complete: true })
  await mirror.app.idle()
  if (vi.isFakeTimers()) vi.setSystemTime(Date.now() + MINUTE)
}

/** Bytes outside the heap: where bodies are. The fakes and the clients of the test count as well. */
function memory(): number {
  return process.memoryUsage().external
}

async function expectNothingOpen(mirror: Mirror): Promise<void> {
  await until(
    async () => {
      const open = await openFilesBelow(mirror.dataDir)
      return open.every((file) => /(catalog|control|lock)\.sqlite|journal\.jsonl/.test(file))
    },
    { what: 'only the catalog is open' },
  )
  expect(await spoolFiles(mirror.dataDir)).toEqual([])
}

/** Names and labels of all that is on the page, without the values. */
async function seriesOf(mirror: Mirror): Promise<string[]> {
  const { body } = await mirror.get('/metrics')
  return body
    .toString()
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.slice(0, line.lastIndexOf(' ')))
}

function gzipped(bytes: Buffer): FaultRule {
  return { body: gzipSync(bytes), headers: { 'content-encoding': 'gzip' } }
}
