/** The configuration is read again while the program runs, and a broken edit changes nothing. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { download, request } from '../support/client.ts'
import { type MirrorSettings, mirrorYaml } from '../support/mirror-config.ts'
import { until } from '../support/until.ts'
import { type Build, buildProgram, type Program } from './program.ts'
import { createGate } from '../fakes/gate.ts'

const IMAGE = buildImage({ seed: 'live', layers: [200_000] })
const LAYER = IMAGE.blobs.at(-1)?.digest ?? ''
const HUB = '/v2/docker.io/library/app/manifests/v1'
const QUAY = '/v2/quay.io/library/app/manifests/v1'

let build: Build
beforeAll(async () => {
  build = await buildProgram()
})
afterAll(() => build[Symbol.asyncDispose]())

describe('an edit of the allowlist', () => {
  it('holds without a restart, in both directions', async () => {
    await using scene = await startScene({ allow: [] })
    expect(await scene.status(HUB)).toBe(403)

    await scene.edit({ allow: ['docker.io/library/*'] })
    await until(async () => (await scene.status(HUB)) === 200)
    await scene.edit({ allow: ['docker.io/library/*'], deny: ['**/app'] })
    await until(async () => (await scene.status(HUB)) === 403)
  })

  it('holds when the file is replaced by another, as editors do', async () => {
    await using scene = await startScene({ allow: [] })
    await scene.replace({ allow: ['**'] })
    await until(async () => (await scene.status(HUB)) === 200)
    await scene.replace({ allow: [] })
    expect(await until(async () => (await scene.status(HUB)) === 403)).toBe(true)
  })

  it('holds at once on SIGHUP', async () => {
    await using scene = await startScene({ allow: [] })
    await scene.edit({ allow: ['**'] })
    scene.program.kill('SIGHUP')
    await until(async () => (await scene.status(HUB)) === 200)
    expect(scene.messages()).toContain('the configuration was read again')
  })
})

describe('a broken edit', () => {
  it('keeps the rules that are in force, and says all that is wrong', async () => {
    await using scene = await startScene({ allow: ['docker.io/library/*'] })
    await scene.write(
      'allow: [docker.io]\nlisten: nowhere\ntagTTL: 5\nupstreams: { docker.io: {} }\n',
    )

    const refusal = await until(() =>
      scene.program.log.find(({ reason }) => String(reason).includes('allow[0]')),
    )
    expect(refusal).toMatchObject({
      level: 'error',
      msg: 'the configuration is not usable: the earlier one stays in force',
    })
    for (const key of ['listen', 'tagTTL']) expect(refusal['reason']).toContain(key)
    expect(refusal['reason']).toContain(scene.file)
    expect(await scene.status(HUB)).toBe(200)
    expect(await scene.status(QUAY)).toBe(403)

    await scene.edit({ allow: ['quay.io/**'] })
    await until(async () => (await scene.status(QUAY)) === 200)
    expect(await scene.status(HUB)).toBe(403)
  })

  it.each([
    ['that is no YAML', 'allow: [\n\t- {'],
    ['that is empty', ''],
    ['that is no mapping', '- docker.io\n'],
  ])('%s keeps them as well', async (_how, text) => {
    await using scene = await startScene({ allow: ['docker.io/library/*'] })
    await scene.write(text)
    scene.program.kill('SIGHUP')
    await until(() => scene.program.log.some(({ level }) => level === 'error'))
    expect(await scene.status(HUB)).toBe(200)
  })
})

describe('an edit of the upstreams', () => {
  it('adds and removes them, and a transfer that runs comes to its end', async () => {
    await using scene = await startScene({ allow: ['**'] })
    const { registry } = scene
    const gate = createGate()
    registry.fault({ match: { kind: 'blob' }, hold: { after: 1000, gate } })
    const path = `/v2/quay.io/library/app/blobs/${LAYER}`
    const transfer = download({ url: scene.url, path, idleMs: 30_000 })
    await gate.reached

    await scene.edit({ allow: ['**'], upstreams: { 'docker.io': registry, 'gcr.io': registry } })
    await until(async () => (await scene.status('/v2/gcr.io/library/app/manifests/v1')) === 200)
    expect(await scene.status(QUAY)).toBe(404)
    gate.open()
    expect(await transfer).toMatchObject({ digest: LAYER, complete: true })
    expect(await scene.status(HUB)).toBe(200)
  })

  it('uses a new password from its file on SIGHUP', async () => {
    await using locked = await startRegistry({
      auth: { kind: 'basic', username: 'robot', password: 'new' },
    })
    locked.push('app', 'v1', IMAGE)
    const credentials = [{ username: 'robot', passwordFile: 'secret' }]
    const upstreams = { 'locked.lan': { registry: locked, credentials } }
    await using scene = await startScene({ upstreams, allow: ['**'] }, { secret: 'old' })
    const path = '/v2/locked.lan/app/manifests/v1'
    expect(await scene.status(path)).toBe(404)

    await writeFile(join(scene.folder, 'secret'), 'new\n')
    scene.program.kill('SIGHUP')
    // A refusal is remembered for ten seconds under the name that was asked for.
    const other = `/v2/locked.lan/app/manifests/${IMAGE.digest}`
    await until(() => scene.messages().includes('the configuration was read again'))
    expect(await scene.status(other)).toBe(200)
  })
})

interface Scene extends AsyncDisposable {
  readonly url: string
  readonly program: Program
  readonly registry: FakeRegistry
  readonly folder: string
  readonly file: string
  status(path: string): Promise<number>
  messages(): unknown[]
  /** Writes into the file. */
  write(text: string): Promise<void>
  edit(settings: Partial<MirrorSettings>): Promise<void>
  /** Puts another file in its place. */
  replace(settings: Partial<MirrorSettings>): Promise<void>
}

async function startScene(
  settings: Partial<MirrorSettings>,
  files: Readonly<Record<string, string>> = {},
): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-live-'))
  const registry = await startRegistry()
  registry.push('library/app', 'v1', IMAGE)
  const upstreams = { 'docker.io': registry, 'quay.io': registry }
  const file = join(folder, 'mirrors.yml')
  const text = (changed: Partial<MirrorSettings>): string =>
    mirrorYaml({ upstreams, ...changed }, join(folder, 'data'))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  await writeFile(file, text(settings))
  const program = build.start({ args: ['serve', '--config', file] })
  const { url } = await program.ready()
  return {
    url,
    program,
    registry,
    folder,
    file,
    status: async (path) => (await request({ url, path })).status,
    messages: () => program.log.map(({ msg }) => msg),
    write: (content) => writeFile(file, content),
    edit: (changed) => writeFile(file, text(changed)),
    async replace(changed) {
      await writeFile(`${file}.new`, text(changed))
      await rename(`${file}.new`, file)
    },
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]()
      await registry.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
