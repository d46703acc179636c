/** `kill -9` at any moment: nothing that was pulled is lost or wrong, and nothing is downloaded in vain. */
import { copyFile, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { expect, it } from 'vitest'
import { createGate } from '../fakes/gate.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { mirrorYaml } from '../support/mirror-config.ts'
import { pull } from '../support/pull.ts'
import { until } from '../support/until.ts'
import { type Build, buildProgram, type Program } from '../scenarios/program.ts'
import { type Chance, LONG, openChance } from './chance.ts'
import { createGrowingImages, type OfferedImage } from './growing-images.ts'
import { startClients } from './killed-clients.ts'
import { wrongFiles } from './stored-files.ts'

const MIB = 1024 * 1024
const KILLS = LONG ? 5000 : 100
/** How often one data folder is killed before all of it is looked through. */
const KILLS_PER_FOLDER = 20
const CLIENTS = 8
/** Images that no client has pulled yet. */
const NOT_PULLED = 4
/** Most milliseconds from the start of the load, or now and then of the process, to its end. */
const LONGEST_LIFE = 400
const FIRST_IMAGE_DEADLINE = 60_000
/** Of so many starts, one is killed before it is ready. */
const KILLED_AT_START = 8

it(
  `loses nothing that was pulled, killed ${KILLS} times under load`,
  async () => {
    const chance = openChance('kill')
    await using build = await buildProgram()
    let pulled = 0
    for (let kills = 0; kills < KILLS; kills += KILLS_PER_FOLDER) {
      pulled += await killOneFolder(build, chance)
    }
    expect(pulled).toBeGreaterThan(0)
    process.stdout.write(`kill: ${pulled} images were pulled, and all of them were kept\n`)
  },
  /* milliseconds */ LONG ? 6 * 3_600_000 : 600_000,
)

/** @returns how many images clients had whole before the process was killed */
async function killOneFolder(build: Build, chance: Chance): Promise<number> {
  await using folder = await openFolder(build)
  const images = createGrowingImages(folder.registry, chance)
  const violations: string[] = []
  for (let kill = 0; kill < KILLS_PER_FOLDER; kill += 1) {
    images.replenish(NOT_PULLED)
    await using program = folder.start()
    if (kill % KILLED_AT_START === KILLED_AT_START - 1) {
      await randomLife(chance)
      await killed(program)
    } else {
      const { url } = await program.ready()
      const onViolation = (what: string): void => void violations.push(what)
      const clients = startClients({ url, images: images.all, chance, count: CLIENTS, onViolation })
      // However busy the machine is: there must be something to lose.
      if (kill === 0) await onePulled(images.all)
      await randomLife(chance)
      clients.expectDeath()
      await killed(program)
      await clients.gone()
    }
    violations.push(...(await damageOf(folder.data)))
    expect({ kill, violations }).toEqual({ kill, violations: [] })
  }
  await expectAllKept(folder, images.all)
  return images.all.filter(({ isPulled }) => isPulled).length
}

function randomLife(chance: Chance): Promise<void> {
  return delay(chance.between(0, LONGEST_LIFE))
}

async function onePulled(images: readonly OfferedImage[]): Promise<void> {
  await until(() => images.some(({ isPulled }) => isPulled), {
    deadlineMs: FIRST_IMAGE_DEADLINE,
    what: 'a client has pulled one image',
  })
}

async function killed(program: Program): Promise<void> {
  program.kill('SIGKILL')
  expect(await program.exited).toEqual({ code: null, signal: 'SIGKILL' })
}

/** @returns what is not as it must be while nobody runs */
async function damageOf(data: string): Promise<string[]> {
  const wrong = await wrongFiles(data).catch(missingIsNothing)
  const integrity = await integrityOf(data).catch(missingIsNothing)
  return [...wrong, ...integrity.filter((line) => line !== 'ok')]
}

function missingIsNothing(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return []
  throw error
}

/** Of a copy: what the killed process left behind is for the next one to recover, not for the test. */
async function integrityOf(data: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-integrity-'))
  try {
    const files = (await readdir(data)).filter((name) => /^catalog\.sqlite(-wal)?$/.test(name))
    for (const name of files) await copyFile(join(data, name), join(folder, name))
    if (files.length === 0) return []
    const sql = new Database(join(folder, 'catalog.sqlite'))
    try {
      const rows = sql.pragma('integrity_check') as { integrity_check: string }[]
      return rows.map((row) => row.integrity_check)
    } finally {
      sql.close()
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Without upstream whatever a client has once had whole, and with it everything. */
async function expectAllKept(folder: Folder, images: readonly OfferedImage[]): Promise<void> {
  await folder.registry.goDown()
  {
    await using offline = folder.start()
    const { url } = await offline.ready()
    for (const { name, tag, image } of images.filter(({ isPulled }) => isPulled)) {
      expect((await pull(url, name, tag)).digest).toBe(image.digest)
    }
    await killed(offline)
  }
  await folder.registry.comeUp()
  await using online = folder.start()
  const { url } = await online.ready()
  for (const { name, tag, image } of images) {
    expect((await pull(url, name, tag)).digest).toBe(image.digest)
  }
}

it('goes on with a download from the bytes on the disk', async () => {
  await using build = await buildProgram()
  await using folder = await openFolder(build)
  const { registry, data } = folder
  const size = 24 * MIB
  const image = buildImage({ seed: 'half', layers: [size] })
  registry.push('library/half', 'v1', image)
  const layer = image.blobs.at(-1)?.digest ?? ''
  const gate = createGate()
  registry.fault({ match: { digest: layer }, bytesPerSecond: 64 * MIB })
  const held = registry.fault({ match: { digest: layer }, hold: { after: size / 2, gate } })
  {
    await using first = folder.start()
    const { url } = await first.ready()
    const cut = pull(url, 'docker.io/library/half', 'v1').catch((error: Error) => error)
    await gate.reached
    const arrived = async (): Promise<boolean> => (await spooledBytes(data)) >= size / 2 - MIB
    await until(arrived, { what: 'half of the layer is on the disk' })
    await killed(first)
    expect(await cut).toBeInstanceOf(Error)
  }
  held.remove()
  {
    await using second = folder.start()
    const { url } = await second.ready()
    expect((await pull(url, 'docker.io/library/half', 'v1')).digest).toBe(image.digest)
    await killed(second)
  }
  expect(await wrongFiles(data)).toEqual([])
  expect(registry.bodyBytes(layer) / size).toBeLessThanOrEqual(1.1)
})

/** Bytes that have been written, whatever size the file says: it may have holes. */
async function spooledBytes(data: string): Promise<number> {
  const folder = join(data, 'spool')
  const written = (await readdir(folder)).map(async (name) => {
    const found = await stat(join(folder, name)).catch(() => undefined)
    return (found?.blocks ?? 0) * BLOCK
  })
  return (await Promise.all(written)).reduce((sum, bytes) => sum + bytes, 0)
}

/** Of `stat`: 512 bytes, whatever the file system has. */
const BLOCK = 512

interface Folder extends AsyncDisposable {
  readonly data: string
  readonly registry: FakeRegistry
  start(): Program
}

/** A data folder that outlives the processes that use it, and their upstream. */
async function openFolder(build: Build): Promise<Folder> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-killed-'))
  const data = join(folder, 'data')
  const config = join(folder, 'mirrors.yml')
  const registry = await startRegistry()
  await writeFile(config, mirrorYaml({ upstreams: { 'docker.io': registry } }, data))
  return {
    data,
    registry,
    start: () => build.start({ args: ['serve', '--config', config] }),
    async [Symbol.asyncDispose]() {
      await registry.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
