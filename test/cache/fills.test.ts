import { describe, expect, it } from 'vitest'
import { createFills, type FillRequest, type Fills } from '../../src/cache/fills.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics, type Metrics } from '../../src/metrics.ts'
import { parseRepository } from '../../src/oci/reference.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import { createGate } from '../fakes/gate.ts'
import { until, within } from '../support/until.ts'
import { blob, opened, readToEnd, rejection } from './fill-under-test.ts'
import { scriptUpstream, type Connection } from './scripted-upstream.ts'
import { makeSpoolFolder, type SpoolFolder } from './spool-folder.ts'

const digest = digestOf(blob)

interface FillsUnderTest {
  readonly fills: Fills
  readonly metrics: Metrics
  readonly lines: string[]
  readonly request: (upstream: string, script?: readonly Connection[]) => FillRequest
}

function createUnderTest(folder: SpoolFolder): FillsUnderTest {
  const lines: string[] = []
  const metrics = createMetrics()
  const log = createLog({ write: (line) => void lines.push(line) })
  return {
    fills: createFills({ spool: folder.spool, metrics, log }),
    metrics,
    lines,
    request(upstream, script = []) {
      const { connect } = scriptUpstream(blob, script)
      const keep = (path: string) => folder.keep(path)
      const repository = parseRepository('library/app')
      return { upstream, repository, digest, expectedSize: undefined, connect, keep }
    },
  }
}

describe('the running fills', () => {
  it('are joined by all who want the same blob of the same upstream', async () => {
    await using folder = await makeSpoolFolder()
    const { fills, request, metrics } = createUnderTest(folder)
    const gate = createGate()
    const first = fills.join(request('docker.io', [{ end: 0, gate, ending: 'cut' }]))

    const second = fills.join(request('docker.io', [{ refused: 'not-found' }]))

    expect([first.joined, second.joined]).toEqual([false, true])
    expect(second.fill).toBe(first.fill)
    expect(fills.find('docker.io', digest)?.fill).toBe(first.fill)
    const readers = [await opened(first.fill), await opened(second.fill)]
    gate.open()
    for (const reader of readers) expect((await readToEnd(reader)).equals(blob)).toBe(true)
    await fills.idle()
    expect(await folder.kept()).toHaveLength(1)
    expect((await metrics.render()).text).toContain(
      'entrepot_fill_joined_readers_total{upstream="docker.io"} 1',
    )
  })

  it('of several upstreams do not wait for each other', async () => {
    await using folder = await makeSpoolFolder()
    const { fills, request } = createUnderTest(folder)
    const gate = createGate()
    fills.join(request('slow.example', [{ end: 0, gate, ending: 'cut' }]))

    const { fill, joined } = fills.join(request('quay.io'))

    expect(joined).toBe(false)
    await within(fill.settled)
    expect(fills.find('quay.io', digest)).toBeUndefined()
    expect(fills.find('slow.example', digest)).toBeDefined()
    gate.open()
    await fills.idle()
  })

  it('tell how far they are, and who waits for them', async () => {
    await using folder = await makeSpoolFolder()
    const { fills, request } = createUnderTest(folder)
    expect(fills.downloads()).toEqual([])
    const gate = createGate()
    const half = blob.length / 2
    const { fill } = fills.join(request('quay.io', [{ end: half, gate, ending: 'cut' }]))
    fills.join(request('docker.io', [{ end: 0, gate, ending: 'cut' }]))
    const readers = [await opened(fill), await opened(fill)]
    await within(gate.reached)
    await until(() => (fills.downloads()[0]?.bytes ?? 0) >= half)

    const [first, second] = fills.downloads()
    expect(first).toEqual({
      upstream: 'quay.io',
      repository: 'library/app',
      digest,
      bytes: half,
      size: blob.length,
      rate: expect.any(Number),
      clients: 2,
    })
    expect(second).toMatchObject({ upstream: 'docker.io', bytes: 0, clients: 0 })

    gate.open()
    for (const reader of readers) await readToEnd(reader)
    await fills.idle()
    expect(fills.downloads()).toEqual([])
  })

  it('are forgotten when they are stored', async () => {
    await using folder = await makeSpoolFolder()
    const { fills, request, metrics } = createUnderTest(folder)
    fills.join(request('quay.io'))

    await fills.idle()

    expect(fills.find('quay.io', digest)).toBeUndefined()
    expect(fills.join(request('quay.io')).joined).toBe(false)
    await fills.idle()
    const { text } = await metrics.render()
    expect(text).toContain('entrepot_fills_total{upstream="quay.io",result="stored"} 2')
    expect(text).toContain('entrepot_fills_running 0')
  })

  it('are forgotten when they fail, and the reason is in the log', async () => {
    await using folder = await makeSpoolFolder()
    const { fills, request, metrics, lines } = createUnderTest(folder)
    const { fill } = fills.join(request('quay.io', [{ refused: 'not-found' }]))
    const joined = fills.join(request('quay.io'))

    const reasons = await Promise.all([rejection(fill.settled), rejection(joined.fill.open())])

    expect(reasons[0]).toMatchObject({ reason: 'not-found' })
    expect(reasons[1]).toBe(reasons[0])
    await fills.idle()
    const again = fills.join(request('quay.io'))
    expect(again.joined).toBe(false)
    await again.fill.settled
    expect((await metrics.render()).text).toContain(
      'entrepot_fills_total{upstream="quay.io",result="failed"} 1',
    )
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { level: 'warn', msg: 'a blob could not be downloaded', upstream: 'quay.io', digest },
    ])
  })

  it('end when they are closed, and leave nothing in the spool', async () => {
    await using folder = await makeSpoolFolder()
    const { fills, request } = createUnderTest(folder)
    const gates = [createGate(), createGate()]
    const running = gates.map((gate, index) =>
      fills.join(request(`registry-${index}.example`, [{ end: 1000, gate, ending: 'cut' }])),
    )
    await Promise.all(gates.map(({ reached }) => reached))

    await within(fills.close())

    for (const { fill } of running) {
      await expect(fill.settled).rejects.toThrow('The mirror is shutting down.')
    }
    expect(await folder.leftovers()).toEqual([])
    await fills.idle()
  })

  it('let those go first that a client waits for', async () => {
    await using folder = await makeSpoolFolder()
    const { fills, request } = createUnderTest(folder)
    const gate = createGate()
    const { signal } = new AbortController()
    await within(fills.onceCalm(signal))
    const { fill } = fills.join(request('docker.io', [{ end: 100_000, gate, ending: 'cut' }]))
    const client = await opened(fill)
    await gate.reached
    let written = 0
    const background = fills.join({
      ...request('quay.io'),
      isBackground: true,
      wrote: () => void (written += 1),
    })

    expect(await background.fill.size).toBe(blob.length)
    expect(fills.running()).toBe(2)
    expect(fills.isBusy()).toBe(true)
    const calm = fills.onceCalm(signal)
    // Time enough to write something, if it did not stand still.
    for (let turn = 0; turn < 20; turn += 1) await folder.files()
    expect(written).toBe(0)

    await client.close()
    await within(calm)
    await within(background.fill.settled)
    expect(fills.isBusy()).toBe(false)
    gate.open()
    await fills.idle()
  })

  it('in the background go on as fast as they can once a client has joined', async () => {
    await using folder = await makeSpoolFolder()
    const { fills, request, metrics } = createUnderTest(folder)
    const background = { ...request('quay.io'), isBackground: true }
    const { fill } = fills.join(background)
    expect(fills.join(background).joined).toBe(true)

    const client = await opened(fills.join(request('quay.io')).fill)

    expect((await readToEnd(client)).equals(blob)).toBe(true)
    await within(fill.settled)
    expect((await metrics.render()).text).toContain(
      'entrepot_fill_joined_readers_total{upstream="quay.io"} 1',
    )
  })

  it('of which one meets a disk that fails are counted and told of', async () => {
    await using folder = await makeSpoolFolder()
    const { fills, request, metrics, lines } = createUnderTest(folder)
    const full = new StorageError('full', 'No space is left.')
    const { fill } = fills.join({ ...request('quay.io'), reserve: () => Promise.reject(full) })

    await expect(fill.settled).rejects.toBe(full)

    await fills.idle()
    expect((await metrics.render()).text).toMatch(/storage\w*\{[^}]*"full"[^}]*\} 1/)
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { msg: 'a blob could not be stored: clients are served from upstream' },
    ])
  })
})
