import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { createGate } from '../fakes/gate.ts'
import { buildMultiPlatform } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { openStream } from './client.ts'
import { mirrorYaml } from './mirror-config.ts'
import { startMirror } from './mirror.ts'

const IMAGE = buildMultiPlatform('mirrored', [0, 2, 5000])

describe('a mirror under test', () => {
  it('stands before open, Basic, token and TLS registries', async () => {
    await using authority = await createCertificateAuthority()
    await using open_ = await startRegistry()
    await using basic = await startRegistry({
      auth: { kind: 'basic', username: 'u', password: 'p' },
    })
    await using token = await startRegistry({ auth: { kind: 'token' } })
    await using tls = await startRegistry({ tls: await authority.issue() })
    for (const registry of [open_, basic, token, tls]) registry.push('coreos/etcd', 'v1', IMAGE)
    await using mirror = await startMirror({
      upstreams: {
        'docker.io': open_,
        'basic.lan': { registry: basic, credentials: [{ username: 'u', password: '${PASSWORD}' }] },
        'quay.io': token,
        'tls.lan': { registry: tls, ca: authority.caFile },
      },
      env: { PASSWORD: 'p' },
    })

    for (const upstream of ['docker.io', 'basic.lan', 'quay.io', 'tls.lan']) {
      const pulled = await mirror.pull(`${upstream}/coreos/etcd`, 'v1')
      expect(pulled.digest).toBe(IMAGE.digest)
    }
    expect(token.tokenServer?.asked).toHaveLength(1)
    expect(JSON.stringify(mirror.logs)).toContain('coreos/etcd')
  })

  it('keeps its data over a restart, and changes its rules in a reload', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await mirror.pull('docker.io/library/app', 'v1')
    const before = registry.requests.length

    await mirror.restart()
    await mirror.pull('docker.io/library/app', IMAGE.digest)
    expect(registry.requests).toHaveLength(before)

    const path = '/v2/docker.io/library/app/manifests/v1'
    expect((await mirror.head(path)).status).toBe(200)
    mirror.reload({ allow: [] })
    expect((await mirror.get(path)).status).toBe(403)
  })
})

describe('the disposal of a mirror', () => {
  it('fails for a file in the spool, unless the test may leave one', async () => {
    await using registry = await startRegistry()
    const disposed = async (mayLeaveSpool: boolean): Promise<void> => {
      const mirror = await startMirror({ upstreams: { 'docker.io': registry }, mayLeaveSpool })
      await writeFile(join(mirror.dataDir, 'spool', 'left'), '')
      await mirror[Symbol.asyncDispose]()
    }
    await expect(disposed(false)).rejects.toThrow('Left in the spool: left')
    await expect(disposed(true)).resolves.toBeUndefined()
  })

  it('fails for an open file', async () => {
    await using registry = await startRegistry()
    const mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const file = await open(join(mirror.dataDir, 'blobs-v1', 'CACHEDIR.TAG'))
    await expect(mirror[Symbol.asyncDispose]()).rejects.toThrow(/Open after the close: .*CACHEDIR/)
    await file.close()
  })

  it('fails for an open connection to an upstream', async () => {
    await using registry = await startRegistry()
    registry.fault({ hold: { after: 0, gate: createGate() } })
    const mirror = await startMirror({ upstreams: { 'docker.io': registry }, disconnectMs: 50 })
    const stream = await openStream({ url: registry.url, path: '/v2/' })
    await expect(mirror[Symbol.asyncDispose]()).rejects.toThrow(/no connection to its upstreams/)
    stream.abort()
  })
})

describe('the configuration of a mirror under test', () => {
  it('is YAML whose keys an object or a text may replace', () => {
    const made = mirrorYaml({ upstreams: {}, yaml: { offline: true, timeouts: {} } }, '/data')
    expect(made).toContain('\noffline: true')
    expect(made).toContain('\ntimeouts: {}')
    const text = mirrorYaml({ upstreams: {}, yaml: 'allow:\n  - docker.io/**' }, '/data')
    expect(text.match(/^allow:.*/gm)).toEqual(['allow:'])
    expect(text).toContain('data: "/data"')
  })
})
