/** A manifest may name what its repository does not hold: naming is no permission (CVE-2024-39897). */
import { describe, expect, it } from 'vitest'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { startMirror } from '../support/mirror.ts'
import { expectOciError } from './oci-error.ts'

const PRIVATE = buildImage({ seed: 'private' })
const LAYER = PRIVATE.blobs.at(-1)

/** A registry whose `evil/app:v1` names the layers of the private image, and holds none of them. */
function pushClaim(registry: FakeRegistry): void {
  registry.pushManifest('evil/app', PRIVATE)
  registry.setTag('evil/app', 'v1', PRIVATE.digest)
}

describe.each([
  ['another upstream', 'evil.lan'],
  ['another repository of the same upstream', 'docker.io'],
])('a blob that was pulled for one repository, named by a manifest of %s', (_what, upstream) => {
  it('is asked for upstream, and not served', async () => {
    await using hub = await startRegistry()
    await using other = await startRegistry()
    hub.push('private/app', 'v1', PRIVATE)
    pushClaim(upstream === 'docker.io' ? hub : other)
    await using mirror = await startMirror({ upstreams: { 'docker.io': hub, 'evil.lan': other } })
    await mirror.pull('docker.io/private/app', 'v1')
    await mirror.app.idle()

    expect((await mirror.get(`/v2/${upstream}/evil/app/manifests/v1`)).status).toBe(200)
    const path = `/v2/${upstream}/evil/app/blobs/${LAYER?.digest}`
    const got = await mirror.get(path)

    expect(expectOciError(got, 404).code).toBe('BLOB_UNKNOWN')
    expect((await mirror.head(path)).status).toBe(404)
    const asked = upstream === 'docker.io' ? hub : other
    expect(asked.count(/^HEAD .*evil\/app\/blobs\//)).toBe(1)
  })
})

describe('a layer that two images share', () => {
  it('is downloaded once, and asked for once by HEAD for the second', async () => {
    await using hub = await startRegistry()
    hub.push('one/app', 'v1', PRIVATE)
    hub.push('two/app', 'v1', PRIVATE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': hub } })
    await mirror.pull('docker.io/one/app', 'v1')
    await mirror.app.idle()
    await mirror.pull('docker.io/two/app', 'v1')
    await mirror.pull('docker.io/two/app', 'v1')

    const blobs = PRIVATE.blobs.length
    expect(hub.count(/^GET .*blobs/)).toBe(blobs)
    expect(hub.count(/^HEAD .*two\/app\/blobs/)).toBe(blobs)
    expect(hub.count(/^HEAD .*one\/app\/blobs/)).toBe(0)
  })
})
