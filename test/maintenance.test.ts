/** What commands do with the folder of a mirror that runs, or does not. */
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../src/config/load.ts'
import type { Config } from '../src/config/schema.ts'
import { createLog } from '../src/log.ts'
import { openMaintenance, type Maintenance } from '../src/maintenance.ts'
import { digestHex } from '../src/oci/digest.ts'
import { buildImage } from './fakes/images.ts'
import { startRegistry, type FakeRegistry } from './fakes/registry.ts'
import { mirrorYaml } from './support/mirror-config.ts'
import { startMirror, type Mirror } from './support/mirror.ts'

const IMAGES = ['one', 'two', 'three'].map((seed) => buildImage({ seed, layers: [50_000] }))
const NAME = 'docker.io/library/app'
const log = createLog(undefined, 'silent')
const { signal } = new AbortController()

/** Each image was pulled, the first one longest ago. */
async function startWarm(registry: FakeRegistry): Promise<Mirror> {
  for (const [index, image] of IMAGES.entries()) registry.push('library/app', `v${index}`, image)
  const mirror = await startMirror({ upstreams: { 'docker.io': registry } })
  for (const index of IMAGES.keys()) await mirror.pull(NAME, `v${index}`)
  await mirror.app.idle()
  return mirror
}

function configOf(registry: FakeRegistry, mirror: Mirror, yaml = {}): Config {
  const text = mirrorYaml({ upstreams: { 'docker.io': registry }, yaml }, mirror.dataDir)
  return parseConfig(text, { file: join(mirror.dataDir, 'mirrors.yml'), env: {} })
}

/** Closed at the end, whatever happens. */
async function using<T>(opening: Promise<Maintenance>, work: (it: Maintenance) => Promise<T>) {
  const maintenance = await opening
  try {
    return await work(maintenance)
  } finally {
    await maintenance.close()
  }
}

function verify(maintenance: Maintenance) {
  return maintenance.verify({ signal, onProgress: () => undefined })
}

function pathOf({ dataDir }: Mirror, digest: string): string {
  const hex = digestHex(digest as Parameters<typeof digestHex>[0])
  return join(dataDir, 'blobs-v1', 'sha256', hex.slice(0, 2), hex)
}

const BLOBS = new Set(IMAGES.flatMap(({ blobs }) => blobs.map(({ digest }) => digest)))
const layerOf = (index: number) => IMAGES[index]?.blobs.find(({ bytes }) => bytes.length > 10_000)

describe('beside a running mirror', () => {
  it('what would go can be seen, and nothing goes', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    const config = configOf(registry, mirror, { budget: '100KiB' })

    const plan = await using(openMaintenance(config, { log, exclusive: false }), (it) => it.plan())

    expect(plan.map(({ because }) => because)).toContain('budget')
    expect(IMAGES[0]?.blobs.map(({ digest }) => digest)).toContain(plan[0]?.digest)
    await registry.goDown()
    for (const [index, image] of IMAGES.entries()) {
      expect((await mirror.pull(NAME, `v${index}`)).digest).toBe(image.digest)
    }
  })

  it('the folder is not to be had alone', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)

    const opening = openMaintenance(configOf(registry, mirror), { log, exclusive: true })

    await expect(opening).rejects.toMatchObject({ name: 'StorageError', code: 'exhausted' })
    expect((await mirror.pull(NAME, 'v0')).digest).toBe(IMAGES[0]?.digest)
  })
})

describe('on the folder of a mirror that was stopped', () => {
  it('what is too much goes, and the mirror fetches it again', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    await mirror.stop()
    const config = configOf(registry, mirror, { budget: '100KiB' })
    const opening = openMaintenance(config, { log, exclusive: true })

    const gone = await using(opening, (it) => it.collect())

    expect(gone.length).toBeGreaterThan(0)
    const again = openMaintenance(config, { log, exclusive: true })
    expect(await using(again, (it) => it.plan())).toEqual([])
    await mirror.restart()
    expect((await mirror.pull(NAME, 'v0')).digest).toBe(IMAGES[0]?.digest)
  })

  it('what is pinned stays', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    await mirror.stop()
    const config = configOf(registry, mirror, { budget: '1KiB', pin: [`${NAME}:v0`] })

    await using(openMaintenance(config, { log, exclusive: true }), (it) => it.collect())

    await registry.goDown()
    await mirror.restart()
    expect((await mirror.pull(NAME, 'v0')).digest).toBe(IMAGES[0]?.digest)
  })

  it('every file is checked, and those that are damaged are taken out of service', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    await mirror.stop()
    const [spoilt, shorter, missing] = [layerOf(0), layerOf(1), layerOf(2)]
    await writeFile(pathOf(mirror, spoilt?.digest ?? ''), Buffer.alloc(spoilt?.bytes.length ?? 0))
    await writeFile(pathOf(mirror, shorter?.digest ?? ''), 'shorter')
    await rm(pathOf(mirror, missing?.digest ?? ''))
    const config = configOf(registry, mirror)
    const progress: number[] = []

    const report = await using(openMaintenance(config, { log, exclusive: true }), (it) =>
      it.verify({ signal, onProgress: ({ checked }) => void progress.push(checked) }),
    )

    expect(report).toMatchObject({ rowsWithoutFiles: 1, filesWithoutRows: 0, rebuilt: undefined })
    expect(new Set(report.damaged)).toEqual(new Set([spoilt?.digest, shorter?.digest]))
    expect(progress.at(-1)).toBe(report.checked)
    expect((await readdir(join(mirror.dataDir, 'quarantine'))).length).toBeGreaterThan(0)
    const again = await using(openMaintenance(config, { log, exclusive: true }), verify)
    expect(again).toMatchObject({ damaged: [], rowsWithoutFiles: 0, filesWithoutRows: 0 })
    expect(again.checked).toBe(BLOBS.size + IMAGES.length - 3)
    await mirror.restart()
    for (const index of IMAGES.keys()) {
      expect((await mirror.pull(NAME, `v${index}`)).digest).toBe(IMAGES[index]?.digest)
    }
  })

  it('the catalog can be made anew', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    await mirror.stop()
    const opening = openMaintenance(configOf(registry, mirror), {
      log,
      exclusive: true,
      rebuild: true,
    })

    const report = await using(opening, verify)

    expect(report).toMatchObject({ damaged: [], rebuilt: { missing: 0, unusable: 0 } })
    expect(report.rebuilt?.applied).toBeGreaterThanOrEqual(IMAGES.length * 2)
    expect(report.filesWithoutRows).toBeGreaterThanOrEqual(BLOBS.size)
    await registry.goDown()
    await mirror.restart()
    for (const index of IMAGES.keys()) {
      expect((await mirror.pull(NAME, `v${index}`)).digest).toBe(IMAGES[index]?.digest)
    }
  })

  it('a check that is broken off says so, and lets go of the folder', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    await mirror.stop()
    const config = configOf(registry, mirror)
    const leaving = new AbortController()
    const onProgress = () => leaving.abort(new Error('Interrupted.'))

    const checking = using(openMaintenance(config, { log, exclusive: true }), (it) =>
      it.verify({ signal: leaving.signal, onProgress }),
    )

    await expect(checking).rejects.toThrow('Interrupted.')
    await using(openMaintenance(config, { log, exclusive: true }), async () => undefined)
  })
})

describe.each([true, false])('where there is no folder (exclusive: %s)', (exclusive) => {
  it('none is made, and the operator is told where to look', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const data = join(mirror.dataDir, 'elsewhere')
    const config = { ...configOf(registry, mirror), data }

    await expect(openMaintenance(config, { log, exclusive })).rejects.toMatchObject({
      name: 'StorageError',
      message: expect.stringContaining(data) as string,
    })

    expect(await readdir(mirror.dataDir)).not.toContain('elsewhere')
  })
})

it('beside a mirror, a folder without a catalog is refused', async () => {
  await using registry = await startRegistry()
  await using mirror = await startWarm(registry)
  await mirror.stop()
  await rm(join(mirror.dataDir, 'catalog.sqlite'))

  const opening = openMaintenance(configOf(registry, mirror), { log, exclusive: false })

  await expect(opening).rejects.toMatchObject({ name: 'StorageError' })
})
