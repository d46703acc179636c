/** entrepot warm with the whole program behind it: without a mirror, beside one, and from elsewhere. */
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createApp } from '../../src/app.ts'
import { createWarm } from '../../src/cli/warm.ts'
import { loadConfig } from '../../src/config/load.ts'
import { createLog } from '../../src/log.ts'
import { openOperator } from '../../src/operator.ts'
import { openWarming } from '../../src/warming.ts'
import { runCommand } from '../cli/run-command.ts'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { mirrorYaml, type MirrorSettings } from '../support/mirror-config.ts'
import { until } from '../support/until.ts'
import { BLOBS } from './warm-jobs.ts'

const command = createWarm({ openWarming, openOperator })
const IMAGE = buildImage({ seed: 'warm here', layers: [1000, 2000] })

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrepot-warm-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** @returns the arguments that name it */
async function configure(settings: MirrorSettings): Promise<string[]> {
  const file = join(folder, 'mirrors.yml')
  await writeFile(file, mirrorYaml(settings, join(folder, 'data')))
  return ['--config', file]
}

async function listOf(text: string): Promise<string[]> {
  const file = join(folder, 'images.yml')
  await writeFile(file, text)
  return ['--file', file]
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function push(registry: FakeRegistry): void {
  registry.push('library/app', '1', IMAGE)
}

const LAST_LINE = '1 image, none failed: 3 blobs fetched'

describe('without a mirror that runs', () => {
  it('the data folder is filled, for the mirror that starts then', async () => {
    await using registry = await startRegistry()
    push(registry)
    const config = await configure({ upstreams: { 'docker.io': registry } })
    const first = await runCommand(command, [...config, 'app:1'])
    expect([first.code, first.error]).toEqual([0, ''])
    expect(first.out).toContain(LAST_LINE)
    const again = await runCommand(command, [...config, 'app:1'])
    expect(again.out).toContain('1 image, none failed: 0 blobs fetched (0 bytes), 3 already there.')
    expect(registry.count(BLOBS)).toBe(3)
  })

  it('accounts and authorities of the list are used, and shown to nobody else', async () => {
    await using authority = await createCertificateAuthority()
    const tls = await authority.issue(['IP:127.0.0.1'])
    await using registry = await startRegistry({
      tls,
      auth: { kind: 'basic', username: 'john', password: 'this is a secret' },
    })
    push(registry)
    const config = await configure({ upstreams: { 'docker.io': registry } })
    const wrong = await runCommand(command, [...config, 'app:1'])
    expect([wrong.code, wrong.error]).toEqual([1, expect.stringContaining('cannot be reached')])
    const list = (certs: string, more = '') =>
      listOf(`docker.io:
  images: { library/app: ['1'] }
  credentials: { username: john, password: this is a secret }
  cert-dir: ${certs}
${more}`)
    const certs = await mkdtemp(join(folder, 'certs-'))
    await writeFile(join(certs, 'ca.crt'), authority.ca)
    const right = await runCommand(command, [...config, ...(await list(certs))])
    expect([right.code, right.error, right.out]).toEqual([
      0,
      '',
      expect.stringContaining(LAST_LINE),
    ])
    const warned = await runCommand(command, [
      ...config,
      ...(await list(certs, '  tls-verify: false\n')),
    ])
    expect(warned.error).toContain('docker.io: certificates are verified all the same')
    for (const [bad, message] of [
      [join(folder, 'none'), 'none cannot be read: ENOENT.'],
      [folder, 'has no certificate of an authority (*.crt).'],
    ] as const) {
      const { code, error } = await runCommand(command, [...config, ...(await list(bad))])
      expect([code, error]).toEqual([2, expect.stringContaining(message)])
    }
  })

  it('a list may say that plain HTTP will do, and of registries that are not mirrored nothing', async () => {
    await using registry = await startRegistry()
    push(registry)
    const config = await configure({
      upstreams: { 'docker.io': { registry, insecure: true } },
    })
    const list = await listOf(`docker.io:
  images: { library/app: ['1'] }
  tls-verify: false
quay.io: { images: { a/b: ['1'] }, tls-verify: true }
`)
    const { code, out, error } = await runCommand(command, [...config, ...list])
    expect([code, out]).toEqual([1, expect.stringContaining('2 images, 1 failed: 3 blobs fetched')])
    expect(error).toContain('quay.io/a/b:1: failed: image: quay.io is not mirrored here.')
  })

  it.runIf(process.getuid?.() === 0)(
    'root writes nothing into the folder of another user',
    async () => {
      await using registry = await startRegistry()
      const config = await configure({ upstreams: { 'docker.io': registry } })
      await runCommand(command, [...config, 'none:1'])
      await chown(join(folder, 'data'), 12_345, 12_345)
      const { code, error } = await runCommand(command, [...config, 'none:1'])
      expect([code, error]).toEqual([
        1,
        expect.stringContaining('belongs to the user 12345, who could not read what root writes'),
      ])
    },
  )

  it('ends at once when it is told to, and leaves nothing open', async () => {
    await using registry = await startRegistry()
    push(registry)
    registry.fault({ match: { kind: 'blob' }, delayHeaders: new Promise(() => undefined) })
    const config = await configure({ upstreams: { 'docker.io': registry } })
    const stop = new AbortController()
    const running = runCommand(command, [...config, 'app:1'], {}, stop.signal)
    await until(() => registry.count(BLOBS) > 0)
    stop.abort()
    expect(await running).toMatchObject({
      code: 1,
      error: 'It was given up. What has come is kept, and the next run goes on from there.',
    })
    registry.clearFaults()
    expect((await runCommand(command, [...config, 'app:1'])).code).toBe(0)
  })
})

describe('with a mirror', () => {
  it('that runs on the data folder, that is asked, by the host and from elsewhere', async () => {
    await using registry = await startRegistry()
    push(registry)
    const port = await freePort()
    const config = await configure({
      upstreams: { 'docker.io': registry },
      deny: ['docker.io/library/secret'],
      yaml: { listen: `127.0.0.1:${port}` },
    })
    const log = createLog({ write: () => undefined })
    const app = await createApp(loadConfig(join(folder, 'mirrors.yml'), {}), { log })
    try {
      await app.listen()
      const first = await runCommand(command, [...config, 'app:1', 'secret:1'])
      expect([first.code, first.error]).toEqual([
        1,
        `secret:1: failed: Refused: the file's rule "docker.io/library/secret" denies it.`,
      ])
      expect(first.out).toContain('2 images, 1 failed: 3 blobs fetched')
      const opened = await openOperator(loadConfig(join(folder, 'mirrors.yml'), {}), { log })
      expect(await opened.operator.tokens()).toEqual([])
      const { token } = await opened.operator.addToken({
        name: 'ci',
        grants: [{ role: 'operate', pattern: 'docker.io/library/other' }],
      })
      await opened.close()
      const server = ['--server', `http://127.0.0.1:${port}`]
      const other = await runCommand(command, [...server, 'app:1'], { ENTREPOT_TOKEN: token })
      expect([other.code, other.error]).toEqual([1, expect.stringMatching(/^app:1: failed: .*ci/)])
      expect(registry.count(BLOBS)).toBe(3)
    } finally {
      await app.close(0)
    }
  })
})
