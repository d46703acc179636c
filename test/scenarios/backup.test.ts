/** The data folder is copied and put back as docs/operations.md says, and everything is there again. */
import { execFile } from 'node:child_process'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blocksOf, ROOT } from '../docs/pages.ts'
import { buildImage, buildMultiPlatform } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { openPeople } from '../support/people.ts'

const IMAGE = buildMultiPlatform('backup', [2000, 300_000])
const SECRET = buildImage({ seed: 'for users only', layers: [1000] })
const APP = '/v2/docker.io/library/app/manifests/v1'
const DENIED = '/v2/docker.io/library/denied/manifests/v1'
const TEAM = '/v2/docker.io/team/secret/manifests/v1'
const SETTINGS = { anonymous: ['docker.io/library/*'] }

let copy: string
beforeEach(async () => {
  copy = await mkdtemp(join(tmpdir(), 'entrepot-backup-'))
})
afterEach(() => rm(copy, { recursive: true }))

/** Runs what stands in the block, with other paths, and with whoever runs the tests as the user of the mirror. */
async function follow(
  block: string,
  data: string,
  elsewhere: (script: string) => string = (script) => script,
): Promise<void> {
  const found = blocksOf('docs/operations.md').filter(({ info }) => info === block)
  expect(found).toHaveLength(1)
  const { uid, gid } = userInfo()
  const script = elsewhere(found[0]?.text ?? '')
    .replaceAll('/var/lib/entrepot', data)
    .replaceAll('/backup', copy)
    .replaceAll('/opt/entrepot', fileURLToPath(ROOT))
    .replaceAll('-o entrepot -g entrepot', `-o ${uid} -g ${gid}`)
    .replaceAll('entrepot:entrepot', `${uid}:${gid}`)
  await promisify(execFile)('bash', ['--norc', '-euo', 'pipefail', '-c', script])
}

/** In place of the container, this host. */
async function followInContainer(data: string): Promise<void> {
  await follow('container-backup', data, (script) =>
    script
      .replaceAll('docker exec entrepot node', `cd ${fileURLToPath(ROOT)} && node`)
      .replaceAll('docker exec entrepot ', '')
      .replaceAll('docker cp entrepot:', 'cp ')
      .replaceAll('/data/', `${data}/`),
  )
}

/** Where the mirror is, another one with these settings, whose folder is put back from the copy. */
async function restored(mirror: Mirror): Promise<Mirror> {
  await mirror.stop()
  await rm(mirror.dataDir, { recursive: true })
  await follow('restore', mirror.dataDir)
  await mirror.restart()
  return mirror
}

describe('a backup', () => {
  it('has images, users and rules, with every upstream down and no catalog', async () => {
    const registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.push('library/denied', 'v1', SECRET)
    registry.push('team/secret', 'v1', SECRET)
    const settings = { upstreams: { 'docker.io': registry }, ...SETTINGS }
    await using mirror = await startMirror(settings)
    await using other = await startMirror(settings)
    const people = await openPeople(mirror)
    const alice = await people.user('alice', 'correct horse', 'pull docker.io/team/*')
    await people.api('POST', '/rules', { effect: 'deny', pattern: 'docker.io/library/denied' })
    const before = await mirror.pull('docker.io/library/app', 'v1')
    await mirror.pull('docker.io/team/secret', 'v1', { headers: alice })

    // While it runs, twice: the second time most of it is there already.
    await follow('backup', mirror.dataDir)
    await follow('backup', mirror.dataDir)
    await mirror.stop()
    await registry.close()

    const back = await restored(other)
    expect(back.logs.map(({ msg }) => msg)).toContain(
      'the catalog was made anew from the journal and the stored files',
    )
    expect(await back.pull('docker.io/library/app', 'v1')).toEqual(before)
    await back.pull('docker.io/team/secret', 'v1', { headers: alice })
    expect((await back.get(TEAM)).status).toBe(401)
    expect((await back.get(DENIED)).status).toBe(403)
  })

  it('has operators’ decisions that can be put back alone, without what came since', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const people = await openPeople(mirror)
    await followInContainer(mirror.dataDir)
    await people.api('POST', '/rules', { effect: 'deny', pattern: 'docker.io/library/*' })
    expect((await mirror.get(APP)).status).toBe(403)

    await mirror.stop()
    await follow('restore-control', mirror.dataDir)
    await mirror.restart()
    expect((await mirror.get(APP)).status).toBe(200)
  })
})

describe('a downgrade', () => {
  it('refuses a newer catalog and leaves it, and goes on without it from the journal', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.pull('docker.io/library/app', 'v1')
    const asked = registry.requests.length
    await mirror.stop()
    const file = join(mirror.dataDir, 'catalog.sqlite')
    newer(file)

    await expect(mirror.restart()).rejects.toThrow(/catalog has schema version/)
    expect(versionOf(file)).toBe(10_000)
    await rename(file, join(copy, 'catalog.sqlite'))
    await mirror.restart()
    await mirror.pull('docker.io/library/app', 'v1')
    // Upstream is asked about the tag at most.
    expect(registry.requests.slice(asked).map(({ method }) => method)).not.toContain('GET')
  })
})

function newer(file: string): void {
  const database = new Database(file)
  database.pragma('user_version = 10000')
  database.close()
}

function versionOf(file: string): unknown {
  const database = new Database(file, { readonly: true })
  try {
    return database.pragma('user_version', { simple: true })
  } finally {
    database.close()
  }
}
