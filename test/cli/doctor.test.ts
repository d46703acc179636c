import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createDoctor } from '../../src/cli/doctor.ts'
import { examine, type Examination, type Examine } from '../../src/doctor.ts'
import { openDataFolder } from '../../src/data-folder.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { answering, listen, type Answer } from './answering-server.ts'
import { configFile } from './config-file.ts'
import { runCommand, type Ran } from './run-command.ts'

const REGISTRY: Answer = { headers: { 'Docker-Distribution-Api-Version': 'registry/2.0' } }
const TOKEN = 'entp_t1_secretsecret'
const SMALL = { trialBytes: 2 ** 20 }
const doctor = createDoctor(examine, SMALL)

/** Runs it without looking at anything, and keeps what it would have looked at. */
async function told(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Ran & { readonly examination: Examination | undefined }> {
  let examination: Examination | undefined
  const keep: Examine = async (given) => void (examination = given)
  const ran = await runCommand(createDoctor(keep), args, env)
  return { ...ran, examination }
}

function healthy() {
  return answering(({ path }) => ({
    ...REGISTRY,
    ...(path === '/readyz' && { body: 'ready\n' }),
    ...(path === '/status' && { body: '{"upstreams":[]}' }),
  }))
}

describe('entrepot doctor', () => {
  it('says what it found, in order, and how much of it', async () => {
    const { url } = await healthy()
    const { code, out, error } = await runCommand(doctor, ['--server', url])
    expect([code, error]).toEqual([0, ''])
    expect(out.split('\n')).toEqual([
      'ok       proxies: the environment names no proxy for it',
      'ok       name: 127.0.0.1 is an address, and needs no name',
      `ok       connection: ${url} can be reached`,
      `ok       registry: a registry answers at ${url}/v2/`,
      'ok       ready: the mirror is ready',
      'ok       clock: the clock of the mirror is the same as here',
      'ok       login: the mirror asks nobody for a login',
      'ok       status: the mirror has no upstream',
      '',
      '8 ok.',
    ])
  })

  it('ends with 1 when something has failed, and says what to do', async () => {
    const { code, out } = await runCommand(doctor, ['--server', 'http://127.0.0.1:1'])
    expect(code).toBe(1)
    expect(out).toContain('failed   connection: http://127.0.0.1:1 cannot be reached')
    expect(out).toMatch(/^ {9}→ See whether the mirror runs there/m)
    expect(out).toMatch(/\n2 ok, 1 failed, 5 skipped\.$/)
  })

  it('ends with 0 where there are but warnings', async () => {
    const { url } = await answering(({ path }) =>
      path === '/readyz' || path === '/status' ? { ...REGISTRY, status: 404 } : REGISTRY,
    )
    const env = { HTTP_PROXY: 'http://proxy.example' }
    const { code, out } = await runCommand(doctor, ['--server', url], env)
    expect([code, out.includes('warning  ready:')]).toEqual([0, true])
  })

  it('prints data for programs', async () => {
    const { url } = await healthy()
    const { code, out } = await runCommand(doctor, ['--json', '--server', url])
    const said = JSON.parse(out) as Record<string, unknown>
    expect([code, said['mirror'], said['counts']]).toEqual([
      0,
      url,
      { ok: 8, warning: 0, failed: 0, skipped: 0 },
    ])
    expect(said['findings']).toContainEqual({
      check: 'ready',
      state: 'ok',
      found: 'the mirror is ready',
    })
  })

  it('shows no control characters of what answers', async () => {
    const { url } = await answering({ status: 502, headers: { Server: 'a\u009b2Jb' } })
    const { out } = await runCommand(doctor, ['--server', url])
    expect(out).toContain('(a?2Jb)')
  })

  it('ends when it is told to', async () => {
    const server = createServer(() => undefined)
    const port = await listen(server)
    const stop = new AbortController()
    const args = ['--server', `http://127.0.0.1:${port}`]
    const running = runCommand(doctor, args, {}, stop.signal)
    server.once('request', () => stop.abort())
    expect(await running).toMatchObject({ code: 1, error: expect.stringContaining('aborted') })
  })
})

describe('entrepot doctor on the host of the mirror', () => {
  it('looks at the host, and asks the mirror that runs there', async () => {
    const { port } = await healthy()
    const { file, data } = configFile(`listen: 127.0.0.1:${port}\noffline: true`)
    mkdirSync(data)
    const log = createLog({ write: () => undefined })
    const stopped = await runCommand(doctor, ['--config', file])
    expect([stopped.code, stopped.error]).toEqual([0, ''])
    expect(stopped.out).toContain(`ok       configuration: ${file} is right`)
    expect(stopped.out).toContain('skipped  name: not looked at: "running" comes first')
    const running = await openDataFolder(data, { metrics: createMetrics(), log })
    try {
      const { code, out } = await runCommand(doctor, ['--config', file])
      expect(code).toBe(0)
      expect(out).toContain(`ok       running: a mirror runs on ${data}`)
      expect(out).toContain('ok       ready: the mirror is ready')
      expect(out).toContain('skipped  upstream docker.io: the mirror is offline')
    } finally {
      await running.close()
    }
  })

  it('follows the switch of "entrepot offline"', async () => {
    const { file, data } = configFile()
    mkdirSync(data)
    expect((await told(['--config', file])).examination?.host?.offline).toBe(false)
    writeFileSync(join(data, 'offline'), '')
    expect((await told(['--config', file])).examination?.host?.offline).toBe(true)
    expect((await told(['--config', file])).examination?.isOwn).toBe(true)
  })

  it('says every mistake of the configuration', async () => {
    const { file } = configFile('budget: much\nworkers: no')
    const { code, out, error } = await runCommand(doctor, ['--config', file])
    expect([code, error]).toEqual([1, ''])
    expect(out).toContain(`failed   configuration: ${file}:4 budget:`)
    expect(out).toMatch(/\n2 failed\.$/)
  })

  it('takes the example for what it is', async () => {
    const { out } = await told([])
    expect(out).toContain('warning  configuration: there is no mirrors.yml in this folder')
    expect(out).toMatch(/\n1 warning\.$/)
  })

  it('asks nobody where only the running mirror knows its address', async () => {
    const { file } = configFile('listen: 127.0.0.1:0')
    expect((await told(['--config', file])).examination).toMatchObject({ place: undefined })
  })

  it('may look at both, the host and an address that others use', async () => {
    const { file, folder } = configFile()
    const { examination } = await told([
      '--config',
      file,
      '--data',
      folder,
      '--server',
      'https://mirror.example',
    ])
    expect(examination).toMatchObject({
      isOwn: false,
      place: { name: 'https://mirror.example', host: 'mirror.example', port: 443, secure: true },
      host: { config: { data: folder } },
    })
  })
})

describe('what entrepot doctor is told', () => {
  it('is who pulls what, as whom', async () => {
    await using authority = await createCertificateAuthority()
    const { folder } = configFile()
    const [password, token] = [join(folder, 'password'), join(folder, 'token')]
    writeFileSync(password, 'secret-word\n')
    writeFileSync(token, `${TOKEN}\n`)
    const { code, examination } = await told([
      '--server=https://mirror.example:5000',
      `--ca=${authority.caFile}`,
      '--username=alice',
      `--password-file=${password}`,
      `--token-file=${token}`,
      '--image=quay.io/team/tool:1',
      '--client=crane',
    ])
    expect(code).toBe(0)
    expect(examination).toMatchObject({
      host: undefined,
      place: { port: 5000, ca: authority.ca, fingerprints: undefined },
      login: { username: 'alice', password: 'secret-word' },
      token: TOKEN,
      pull: {
        client: 'crane',
        image: { upstream: 'quay.io', repository: 'team/tool', reference: '1' },
      },
    })
    const image = await told(['--server', 'unix:/run/entrepot', '--image', 'redis'])
    expect(image.examination).toMatchObject({
      place: { socketPath: '/run/entrepot', host: undefined, port: 80 },
      pull: { client: 'containerd', image: { repository: 'library/redis' } },
    })
  })

  it('may be wrong: one line, nothing looked at', async () => {
    const { folder } = configFile()
    const password = join(folder, 'password')
    writeFileSync(password, 'secret-word')
    const server = ['--server', 'https://mirror.example']
    for (const [args, sentence] of [
      [['--server', 'mirror'], /--server takes a URL/],
      [['--config', join(folder, 'none.yml')], /there is no such file$/],
      [[...server, '--client', 'crane'], /--client says how --image is pulled/],
      [[...server, '--image', 'redis', '--client', 'dokcer'], /^There is no client "dokcer"/],
      [[...server, '--image', 'Redis:7'], /^--image "Redis:7" /],
      [[...server, '--ca', folder], /^--ca .* it is a folder/],
      [[...server, '--username', 'alice'], /belong together/],
      [[...server, '--username', 'a:b', '--password-file', password], /without colons/],
      [[...server, '--username', 'a', '--password-file', folder], /--password-file .* folder/],
      [
        ['--server', 'http://mirror.example', '--username', 'a', '--password-file', password],
        /^The password is not sent to http:\/\/mirror\.example, as everybody/,
      ],
      [[...server, '--imagee', 'redis'], /did you mean --image/],
      [['everything'], /Unexpected argument/],
    ] as const) {
      const { code, out, error, examination } = await told(args)
      expect([code, out, examination]).toEqual([2, '', undefined])
      expect(error).toMatch(sentence)
      expect(error).not.toMatch(/\n|secret-word/)
    }
    const { code, error } = await told(['--server', 'http://mirror.example'], {
      ENTREPOT_TOKEN: TOKEN,
    })
    expect([code, error]).toEqual([2, expect.stringMatching(/^The token is not sent to/)])
  })
})
