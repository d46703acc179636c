/** A stop lets transfers end, and a second start goes on with the same cache, whatever ended the first. */
import { request as requestHttp, Agent } from 'node:http'
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf } from '../../src/oci/digest.ts'
import { describe, expect, it } from 'vitest'
import { digestHex, type Digest } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { buildImage, buildMultiPlatform } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { download, openStream, request } from '../support/client.ts'
import { spoolFiles } from '../support/leaks.ts'
import { mirrorYaml } from '../support/mirror-config.ts'
import { startMirror } from '../support/mirror.ts'
import { pull } from '../support/pull.ts'
import { within } from '../support/until.ts'
import { BLOB_REQUEST, coldLayer, holdAt } from './cold-layer.ts'
import { buildProgram, type Program } from './program.ts'
import { storedBlobs } from './stored-blobs.ts'

const MIB = 1024 * 1024
const IMAGE = buildMultiPlatform('restart', [0, 2, 100_000])

describe('a stop', () => {
  it('refuses new clients, and lets the transfers that run come to their end', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, path } = await coldLayer(registry, mirror, { size: 4 * MIB, seed: 'running' })
    const [gate] = holdAt(registry, MIB)
    const clients = [0, 1].map(() => download({ url: mirror.url, path, idleMs: 20_000 }))
    await gate.reached

    const { url, app } = mirror
    const closed = app.close(20_000)
    await expect(request({ url, path: '/v2/' })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    gate.open()
    for (const got of await Promise.all(clients)) {
      expect(got).toMatchObject({ digest, complete: true })
    }
    await within(closed, { deadlineMs: 10_000, what: 'the close, long before its grace is over' })
    expect(await storedBlobs(mirror)).toContain(digest)
  })

  it('is not held up by connections that are kept alive', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { path } = await coldLayer(registry, mirror, { size: MIB, seed: 'alive' })
    const [gate] = holdAt(registry, 1000)
    const agent = new Agent({ keepAlive: true })
    try {
      const idle = await overAgent(agent, `${mirror.url}/v2/`)
      const busy = overAgent(agent, `${mirror.url}${path}`)
      await gate.reached
      const closed = mirror.app.close(20_000)
      gate.open()
      expect([idle, await busy]).toEqual([2, MIB])
      await within(closed, { deadlineMs: 10_000, what: 'the close, long before its grace is over' })
    } finally {
      agent.destroy()
    }
  })

  it('cuts what has not ended when its grace is over, and goes on with it after the start', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { digest, path } = await coldLayer(registry, mirror, { size: 4 * MIB, seed: 'cut' })
    const [gate] = holdAt(registry, 2 * MIB)
    const stream = await openStream({ url: mirror.url, path })
    await stream.read(MIB)

    await within(mirror.app.close(100), { deadlineMs: 5000, what: 'the close' })
    await stream.rest()
    expect(stream.complete).toBe(false)
    expect(await storedBlobs(mirror)).not.toContain(digest)
    gate.open()
    const before = registry.bodyBytes(digest)

    await mirror.restart()
    expect(digestOf((await mirror.get(path)).body)).toBe(digest)
    await mirror.app.idle()
    expect(registry.bodyBytes(digest) - before).toBeLessThanOrEqual(3 * MIB)
    expect(await storedBlobs(mirror)).toContain(digest)
    expect(await spoolFiles(mirror.dataDir)).toEqual([])
  })
})

describe('a second start', () => {
  it('serves all that was pulled before, and asks upstream for nothing', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const first = await mirror.pull('docker.io/library/app', 'v1')
    await mirror.app.idle()
    const before = registry.requests.length

    await mirror.restart()
    for (const reference of ['v1', IMAGE.digest]) {
      expect(await mirror.pull('docker.io/library/app', reference)).toEqual(first)
    }
    expect(registry.requests).toHaveLength(before)
  })

  it('sweeps the spool of the first', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const leftover = join(mirror.dataDir, 'spool', `${digestHex(IMAGE.digest)}.left-over`)
    await writeFile(leftover, 'half a layer')
    await mirror.restart()
    expect(await spoolFiles(mirror.dataDir)).toEqual([])
  })

  it('fetches a stored layer again that was cut or deleted behind its back', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const layers = []
    for (const seed of ['cut', 'deleted']) {
      const layer = await coldLayer(registry, mirror, { size: MIB, seed })
      await download({ url: mirror.url, path: layer.path })
      await mirror.app.idle()
      layers.push(layer)
    }
    await mirror.stop()
    const [cut, deleted] = layers.map(({ digest }) => storedFile(mirror.dataDir, digest))
    await truncate(cut ?? '', 1000)
    await rm(deleted ?? '')

    await mirror.restart()
    for (const { digest, path } of layers) {
      expect(await download({ url: mirror.url, path })).toMatchObject({ digest, complete: true })
    }
  })
})

describe('a process that is killed in the middle of a download', () => {
  it('loses nothing that was stored, and the next one fetches the rest', async () => {
    await using build = await buildProgram()
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    const other = buildImage({ seed: 'interrupted', layers: [4 * MIB] })
    registry.push('library/other', 'v1', other)
    const folder = await mkdtemp(join(tmpdir(), 'entrepot-killed-'))
    const data = join(folder, 'data')
    const config = join(folder, 'mirrors.yml')
    const upstreams = { 'docker.io': { registry, tagTtl: '1d' } }
    await writeFile(config, mirrorYaml({ upstreams }, data))
    const start = (): Program => build.start({ args: ['serve', '--config', config] })
    try {
      await using first = start()
      const { url } = await first.ready()
      await pull(url, 'docker.io/library/app', 'v1')
      const gate = createGate()
      const held = registry.fault({ match: { kind: 'blob' }, hold: { after: MIB, gate } })
      const interrupted = pull(url, 'docker.io/library/other', 'v1').catch((error: Error) => error)
      await gate.reached
      first.kill('SIGKILL')
      expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' })
      expect(await interrupted).toBeInstanceOf(Error)
      expect(await readdir(join(data, 'spool'))).not.toHaveLength(0)
      held.remove()
      const before = registry.requests.length

      await using second = start()
      const again = await second.ready()
      expect(await readdir(join(data, 'spool'))).toEqual([])
      const kept = await pull(again.url, 'docker.io/library/app', 'v1')
      expect(kept.digest).toBe(IMAGE.digest)
      expect(registry.requests).toHaveLength(before)
      const whole = await pull(again.url, 'docker.io/library/other', 'v1')
      expect(whole.digest).toBe(other.digest)
      expect(registry.requests.slice(before).filter(isBlobRequest)).not.toHaveLength(0)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

/** @returns the length of the body */
function overAgent(agent: Agent, url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = requestHttp(url, { agent }, (incoming) => {
      let bytes = 0
      incoming.on('data', (chunk: Buffer) => (bytes += chunk.length))
      incoming.once('end', () => resolve(bytes))
      incoming.once('error', reject)
    })
    outgoing.once('error', reject)
    outgoing.end()
  })
}

function storedFile(dataDir: string, digest: Digest): string {
  const hex = digestHex(digest)
  return join(dataDir, 'blobs-v1', 'sha256', hex.slice(0, 2), hex)
}

function isBlobRequest({ method, path }: { method: string; path: string }): boolean {
  return BLOB_REQUEST.test(`${method} ${path}`)
}
