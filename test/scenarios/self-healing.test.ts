/** What the disk spoils is found and fetched again, and what a crash left behind is put in its place. */
import { mkdir, open, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { digestHex, type Digest } from '../../src/oci/digest.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { metric } from './metrics-page.ts'

const IMAGE = buildImage({ seed: 'spoilt', layers: [300_000] })
const NAME = 'docker.io/library/spoilt'
const LAYER = IMAGE.blobs.at(-1)?.digest ?? IMAGE.digest

it('finds damaged layers and manifests, and fetches them again', async () => {
  await using registry = await startRegistry()
  await using mirror = await startWarm(registry)
  await spoil(mirror, LAYER)
  await spoil(mirror, IMAGE.digest)

  expect(await mirror.app.scrub()).toMatchObject({ damaged: 2 })

  await mirror.app.idle()
  await registry.goDown()
  expect((await mirror.pull(NAME, 'v1')).digest).toBe(IMAGE.digest)
  expect(await readdir(join(mirror.dataDir, 'quarantine'))).toHaveLength(2)
  expect(await metric(mirror, 'entrepot_healed_blobs_total')).toBe(2)
  const status: unknown = JSON.parse((await mirror.get('/status')).body.toString())
  expect(status).toMatchObject({
    offline: false,
    fills: { running: 0, waitingPrefetches: 0 },
    scrub: { damaged: 2 },
    upstreams: [{ name: 'docker.io', pullBudget: 'ample' }],
  })
})

it('leaves a damaged layer out of service that nobody may fetch any more', async () => {
  await using registry = await startRegistry()
  await using mirror = await startWarm(registry)
  await spoil(mirror, LAYER)
  const before = registry.requests.length
  mirror.reload({ allow: ['docker.io/other/*'] })

  expect(await mirror.app.scrub()).toMatchObject({ damaged: 1 })

  await mirror.app.idle()
  expect(registry.requests).toHaveLength(before)
  expect(await metric(mirror, 'entrepot_healed_blobs_total')).toBe(0)
})

it('stores at the start what was whole when the process was killed', async () => {
  await using registry = await startRegistry()
  await using mirror = await startWarm(registry)
  await mirror.stop()
  await backToSpool(mirror, LAYER)
  await registry.goDown()

  await mirror.restart()
  await mirror.app.idle()

  expect((await mirror.pull(NAME, 'v1')).digest).toBe(IMAGE.digest)
})

/** A mirror from which the image has been pulled. */
async function startWarm(registry: FakeRegistry): Promise<Mirror> {
  registry.push('library/spoilt', 'v1', IMAGE)
  const mirror = await startMirror({ upstreams: { 'docker.io': registry } })
  await mirror.pull(NAME, 'v1')
  await mirror.app.idle()
  return mirror
}

function fileOf({ dataDir }: Mirror, digest: Digest): string {
  const hex = digestHex(digest)
  return join(dataDir, 'blobs-v1', 'sha256', hex.slice(0, 2), hex)
}

/** Another first byte. */
async function spoil(mirror: Mirror, digest: Digest): Promise<void> {
  const file = await open(fileOf(mirror, digest), 'r+')
  try {
    await file.write('?', 0)
  } finally {
    await file.close()
  }
}

/** As a process leaves it that is killed between the last byte and the store. */
async function backToSpool(mirror: Mirror, digest: Digest): Promise<void> {
  const spool = join(mirror.dataDir, 'spool')
  const file = join(spool, `${digestHex(digest)}.left`)
  await mkdir(spool, { recursive: true })
  await rename(fileOf(mirror, digest), file)
  const header = { version: 1, upstream: 'docker.io', digest, size: 300_000 }
  await writeFile(`${file}.journal`, `${JSON.stringify(header)}\n0 300000\n`)
}
