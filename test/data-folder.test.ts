/** The folder of a mirror, in whatever state it is found. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openDataFolder } from '../src/data-folder.ts'
import { createLog } from '../src/log.ts'
import { createMetrics } from '../src/metrics.ts'
import { buildMultiPlatform } from './fakes/images.ts'
import { startRegistry, type FakeRegistry } from './fakes/registry.ts'
import { openFilesBelow } from './support/leaks.ts'
import { startMirror, type Mirror } from './support/mirror.ts'

const IMAGE = buildMultiPlatform('rebuilt', [0, 2, 100_000])
const BLOBS = new Set(IMAGE.blobs.map(({ digest }) => digest))
const NAME = 'docker.io/library/app'

interface Folder extends AsyncDisposable {
  readonly path: string
}

/** The disposal fails when something was left open. */
async function makeFolder(): Promise<Folder> {
  const parent = await mkdtemp(join(tmpdir(), 'entrepot-data-'))
  return {
    path: join(parent, 'data'),
    async [Symbol.asyncDispose]() {
      const left = await openFilesBelow(parent)
      await rm(parent, { recursive: true })
      expect(left).toEqual([])
    },
  }
}

const options = () => ({ metrics: createMetrics(), log: createLog(undefined, 'silent') })

describe('a data folder', () => {
  it('is made where there is none, for nobody else; backups may leave its blobs out', async () => {
    await using folder = await makeFolder()

    const data = await openDataFolder(folder.path, options())

    expect(data.rebuilt).toBeUndefined()
    await data.close()
    expect((await stat(folder.path)).mode & 0o777).toBe(0o700)
    expect(await readFile(join(folder.path, 'blobs-v1', 'CACHEDIR.TAG'), 'utf8')).toMatch(
      /^Signature: 8a477f597d28d172789f06886806bc55\n/,
    )
    expect(await readdir(folder.path)).not.toContain('CACHEDIR.TAG')
  })

  it('loses the tag of an older version, which left all of it out, and no other', async () => {
    await using folder = await makeFolder()
    const [root, blobs] = ['', 'blobs-v1'].map((part) => join(folder.path, part, 'CACHEDIR.TAG'))
    await (await openDataFolder(folder.path, options())).close()
    await mkdir(join(folder.path, 'quarantine'))
    await writeFile(String(root), await readFile(String(blobs), 'utf8'))

    await (await openDataFolder(folder.path, options())).close()
    expect(await readdir(folder.path)).not.toContain('CACHEDIR.TAG')
    expect(await readdir(join(folder.path, 'quarantine'))).toEqual(['CACHEDIR.TAG'])

    await writeFile(String(root), 'Signature: of the operator')
    await (await openDataFolder(folder.path, options())).close()
    expect(await readFile(String(root), 'utf8')).toBe('Signature: of the operator')
  })

  it('belongs to one at a time, and to the next after that', async () => {
    await using folder = await makeFolder()
    const data = await openDataFolder(folder.path, options())

    await expect(openDataFolder(folder.path, options())).rejects.toMatchObject({
      name: 'StorageError',
      code: 'exhausted',
      message: expect.stringContaining(folder.path) as string,
    })

    await data.close()
    const next = await openDataFolder(folder.path, options())
    await next.close()
  })

  it('that cannot be opened is let go of', async () => {
    await using folder = await makeFolder()
    await mkdir(folder.path)
    await writeFile(join(folder.path, 'spool'), 'a file in the place of the folder')

    await expect(openDataFolder(folder.path, options())).rejects.toMatchObject({
      name: 'StorageError',
    })

    await rm(join(folder.path, 'spool'))
    const data = await openDataFolder(folder.path, options())
    await data.close()
  })

  it('that is a file is refused', async () => {
    await using folder = await makeFolder()
    await writeFile(folder.path, '')

    await expect(openDataFolder(folder.path, options())).rejects.toMatchObject({
      name: 'StorageError',
      code: 'broken',
    })
  })

  it('does without a journal that cannot be written, and says so', async () => {
    await using folder = await makeFolder()
    const { metrics, log } = options()
    await (await openDataFolder(folder.path, options())).close()
    await rm(join(folder.path, 'journal.jsonl'))
    // In the way of the new one.
    await mkdir(join(folder.path, 'journal.jsonl.new'))

    const data = await openDataFolder(folder.path, { metrics, log })

    await data.close()
    expect((await metrics.render()).text).toMatch(/storage\w*\{[^}]*"broken"[^}]*\} [1-9]/)
  })

  it('is made anew when that is asked for', async () => {
    await using folder = await makeFolder()
    await (await openDataFolder(folder.path, options())).close()

    const data = await openDataFolder(folder.path, { ...options(), rebuild: true })

    expect(data.rebuilt).toEqual({ applied: 0, missing: 0, unusable: 0 })
    await data.close()
  })
})

describe.each<[string, (file: string) => Promise<unknown>]>([
  ['is gone', (file) => rm(file)],
  ['is garbage', (file) => writeFile(file, Buffer.alloc(50_000, 'garbage'))],
  ['was cut off in the middle', async (file) => truncate(file, (await stat(file)).size / 2)],
  ['was cut off in its first page', (file) => truncate(file, 100)],
  ['is empty', (file) => truncate(file, 0)],
])('when the catalog %s', (_, damage) => {
  it('everything that was pulled can be pulled with upstream down', async () => {
    await using registry = await startRegistry()
    await using mirror = await startWarm(registry)
    await mirror.stop()
    await damage(join(mirror.dataDir, 'catalog.sqlite'))
    await registry.goDown()

    await mirror.restart()

    for (const reference of ['v1', IMAGE.digest]) {
      const pulled = await mirror.pull(NAME, reference)
      expect(pulled.digest).toBe(IMAGE.digest)
      expect(pulled.blobs).toHaveLength(BLOBS.size)
    }
    const lines = mirror.logs.map(({ msg }) => msg)
    expect(lines).toContain('the catalog was made anew from the journal and the stored files')
  })
})

it('a damaged catalog is kept aside for the operator', async () => {
  await using registry = await startRegistry()
  await using mirror = await startWarm(registry)
  await mirror.stop()
  await writeFile(join(mirror.dataDir, 'catalog.sqlite'), 'garbage'.repeat(1000))

  await mirror.restart()

  const names = await readdir(mirror.dataDir)
  expect(names.filter((name) => name.startsWith('catalog.sqlite.damaged-'))).toHaveLength(1)
})

async function startWarm(registry: FakeRegistry): Promise<Mirror> {
  registry.push('library/app', 'v1', IMAGE)
  const mirror = await startMirror({ upstreams: { 'docker.io': registry } })
  await mirror.pull(NAME, 'v1')
  await mirror.app.idle()
  return mirror
}
