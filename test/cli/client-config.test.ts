import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { clientConfig } from '../../src/cli/client-config.ts'
import { CLIENT_NAMES, clientConfig as configOf, describeClient } from '../../src/client-setup.ts'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { configFile } from './config-file.ts'
import { type Ran, runCommand } from './run-command.ts'

const FACTS = {
  url: 'http://mirror.example:5000',
  upstreams: ['docker.io', 'quay.io'],
  defaultUpstream: 'docker.io',
  ca: undefined,
  login: undefined,
  fallback: true,
}
const GIVEN = ['--url', FACTS.url, '--upstream', 'docker.io', '--upstream', 'quay.io']

let certificate: string

beforeAll(async () => {
  await using authority = await createCertificateAuthority()
  certificate = authority.ca
})

describe('entrepot client-config', () => {
  it('lists every client with its title', async () => {
    const { code, out } = await runCommand(clientConfig, [])
    expect(code).toBe(0)
    const rows = out.split('\n').map((row) => row.split(/ {2,}/))
    expect(rows).toEqual(CLIENT_NAMES.map((name) => [name, configOf(name, FACTS).title]))
    const json = JSON.parse((await runCommand(clientConfig, ['--json'])).out) as unknown[]
    expect(json).toEqual(CLIENT_NAMES.map((name) => ({ name, title: configOf(name, FACTS).title })))
  })

  it.each(CLIENT_NAMES)('prints what %s needs', async (name) => {
    for (const fallback of [true, false]) {
      const args = [name, ...GIVEN, ...(fallback ? [] : ['--no-fallback'])]
      const expected = configOf(name, { ...FACTS, fallback })
      const { code, out, error } = await runCommand(clientConfig, args)
      expect([code, error]).toEqual([0, ''])
      expect(out).toBe(describeClient(expected).trimEnd())
      const { files, commands, notes, title } = expected
      const json = JSON.parse((await runCommand(clientConfig, [...args, '--json'])).out) as unknown
      expect(json).toEqual({
        name,
        title,
        commands,
        notes,
        files: files.map(({ path, mode, text, onlyIfThere = false }) => {
          return { path, mode: mode.toString(8), onlyIfThere, text }
        }),
      })
    }
  })

  it('takes upstreams, and the mirror, from the configuration', async () => {
    const { file } = configFile('publicUrl: https://mirror.lan')
    const { out } = await runCommand(clientConfig, ['podman', '--config', file])
    const facts = { ...FACTS, url: 'https://mirror.lan', upstreams: ['docker.io'] }
    expect(out).toBe(describeClient(configOf('podman', facts)).trimEnd())
    const { out: other } = await runCommand(clientConfig, [
      'docker',
      '--config',
      file,
      '--upstream',
      'Quay.io',
    ])
    const quay = { ...facts, upstreams: ['quay.io'], defaultUpstream: undefined }
    expect(other).toBe(describeClient(configOf('docker', quay)).trimEnd())
  })

  it.each([
    ['192.0.2.7:5000', 'http://192.0.2.7:5000'],
    ['[2001:db8::7]:80', 'http://[2001:db8::7]'],
    ['mirror.lan:5000', 'http://mirror.lan:5000'],
  ])('takes the address %s where others reach it', async (listen, url) => {
    const { file } = configFile()
    const { out } = await runCommand(clientConfig, ['k3s', '--config', file, '--listen', listen])
    expect(out).toContain(`${url}/v2/docker.io`)
  })

  it.each([
    '127.0.0.1:5000',
    'localhost:5000',
    '[::1]:5000',
    '0.0.0.0:5000',
    '[::]:5000',
    'unix:/run/x',
    '192.0.2.7:0',
  ])('wants a URL where the mirror listens on %s', async (listen) => {
    const { file } = configFile()
    const ran = await runCommand(clientConfig, ['k3s', '--config', file, '--listen', listen])
    expect(ran).toEqual({
      code: 2,
      out: '',
      error:
        'The configuration does not say what clients call the mirror: give --url, such as https://mirror.example, or set publicUrl.',
    })
  })

  it('says so where nobody has told it the registries', async () => {
    const guess = await runCommand(clientConfig, ['docker', '--url', FACTS.url])
    expect([guess.code, guess.error]).toEqual([
      0,
      expect.stringMatching(/^These are .*--upstream\.$/),
    ])
    const { file } = configFile()
    const told = await runCommand(clientConfig, ['docker', '--url', FACTS.url, '--config', file])
    expect([told.code, told.error]).toEqual([0, ''])
  })

  it('puts an authority and a login into it', async () => {
    await using host = await makeHost()
    await writeFile(host.at('ca.pem'), certificate)
    await writeFile(host.at('password'), 'secret word\n')
    const { out } = await host.run(
      'containerd',
      '--ca',
      host.at('ca.pem'),
      '--username',
      'node',
      '--password-file',
      host.at('password'),
    )
    const login = { username: 'node', password: 'secret word' }
    expect(out).toBe(
      describeClient(configOf('containerd', { ...FACTS, ca: certificate, login })).trimEnd(),
    )
  })
})

describe('--write and --remove', () => {
  const fileNames = CLIENT_NAMES.filter((name) => configOf(name, FACTS).files.length > 0)

  it.each(fileNames)('put %s in place, and take it away', async (name) => {
    await using host = await makeHost()
    const { code, out, error } = await host.run(name, '--write')
    expect([code, error]).toEqual([0, ''])
    const { files, commands } = configOf(name, FACTS)
    for (const { path, text, onlyIfThere } of files) {
      if (onlyIfThere) continue
      const real = path.replace(/^~/, '/home/ann')
      expect(out).toMatch(new RegExp(`^written +${escaped(host.at(real))}$`, 'm'))
      expect(await host.read(real)).toBe(text)
    }
    for (const command of commands) expect(out).toContain(`\n  ${command}`)
    expect((await host.run(name, '--write')).out).not.toContain('written')
    expect(await host.run(name, '--remove')).toMatchObject({ code: 0, error: '' })
    expect(await host.tree()).toEqual({})
  })

  it('say as data what they did', async () => {
    await using host = await makeHost()
    await host.put('/etc/docker/daemon.json', '{}\n')
    const { title, commands, notes } = configOf('docker', FACTS)
    const written = JSON.parse((await host.run('docker', '--write', '--json')).out) as object
    const path = host.at('/etc/docker/daemon.json')
    expect(written).toMatchObject({ name: 'docker', title, commands, notes })
    expect(written).toHaveProperty('changed.0', {
      path,
      change: 'written',
      backup: `${path}.entrepot-backup`,
    })
    const removed = JSON.parse((await host.run('docker', '--remove', '--json')).out) as object
    expect(removed).toHaveProperty('changed.0', { path, change: 'restored' })
  })

  it('tell what they kept, and what they left', async () => {
    await using host = await makeHost()
    await host.put('/etc/docker/daemon.json', '{}\n')
    await host.put('/home/ann/.docker/config.json', '{ "auths": \n')
    const { code, out } = await host.run('docker', '--write')
    expect(code).toBe(0)
    const path = host.at('/etc/docker/daemon.json')
    expect(out).toMatch(new RegExp(`^written +${path} +as it was: ${path}\\.entrepot-backup$`, 'm'))
    expect(out).toMatch(/^left +\S+\/config\.json +\S+\/config\.json:\d/m)
    expect(out).toContain('\nTo make it count:\n  systemctl reload docker')
    const removed = await host.run('docker', '--remove')
    expect(removed.out).toContain('\nAs for its service:\n  systemctl reload docker')
  })

  it('have nothing to do for what is called by arguments alone', async () => {
    await using host = await makeHost()
    const { code, out } = await host.run('kaniko', '--write')
    expect(code).toBe(0)
    expect(out).toContain('kaniko has no file of its own for this.')
    expect(out).toContain('--registry-map')
    expect(await host.tree()).toEqual({})
  })

  it('find the home folder by themselves', async () => {
    await using host = await makeHost()
    const args = ['jib', ...GIVEN, '--write', '--root', host.at('/')]
    await runCommand(clientConfig, args, { HOME: '/home/bob' })
    expect(Object.keys(await host.tree())).toEqual([
      '/home/bob/.config/google-cloud-tools-java/jib/config.json',
    ])
    const lost = await runCommand(clientConfig, [...args, '--home', 'ann'])
    expect([lost.code, lost.error]).toEqual([
      2,
      '--home takes an absolute path, as the host has it',
    ])
  })
})

/** As people leave them. */
const BUSY: Readonly<Record<string, string>> = {
  '/etc/docker/daemon.json':
    '\uFEFF{\r\n\t"log-driver": "journald",\r\n\r\n\t"registry-mirrors" : [ "https://other.example" ],\r\n\t"labels":["a"]\r\n}',
  '/etc/docker/certs.d/quay.io/hosts.toml':
    '# by hand\n\nserver = "https://quay.io"\n\n[host."https://other.example"]\n  capabilities = ["pull"]   # only\n',
  '/etc/containerd/config.toml':
    "# old\r\nversion = 2\r\n[plugins]\r\n  [plugins.'io.containerd.grpc.v1.cri']\r\n    sandbox_image = 'pause'\r\n",
  '/etc/containerd/certs.d/docker.io/hosts.toml': 'server = "https://registry-1.docker.io"\n',
  '/etc/containers/registries.conf.d/50-entrepot.conf':
    '[[registry]]\nprefix = "ghcr.io"\nlocation = "ghcr.io"',
  '/etc/buildkit/buildkitd.toml': 'debug = true\n[worker.oci]\n  enabled = true # yes\n',
  '/etc/rancher/k3s/registries.yaml':
    '# first\r\nmirrors:\r\n  ghcr.io:\r\n    endpoint: ["https://other.example"] # x\r\n',
  '/etc/rancher/rke2/registries.yaml':
    'configs:\n  other.example:\n    auth: {username: a, password: b}\n',
  '/home/ann/.docker/config.json':
    '{"auths":{"ghcr.io":{"auth":"YTpi"}},\n  "psFormat": "table"}\n',
  '/home/ann/.config/containers/auth.json': '{}',
  '/home/ann/.regctl/config.json': '{\n  "hosts": {\n    "ghcr.io": {"user": "a"}\n  }\n}\n',
}

describe('a busy host', () => {
  it.each(CLIENT_NAMES.filter((name) => configOf(name, FACTS).files.length > 0))(
    'is what it was after %s came and went, in every way',
    async (name) => {
      await using host = await makeHost()
      for (const [path, text] of Object.entries(BUSY)) await host.put(path, text)
      const before = await host.tree()
      await using settings = await makeHost()
      await writeFile(settings.at('ca'), certificate)
      await writeFile(settings.at('word'), 'secret')
      const full = [
        '--no-fallback',
        '--ca',
        settings.at('ca'),
        '--username',
        'u',
        '--password-file',
        settings.at('word'),
      ]
      for (const [first, second] of [
        [full, []],
        [[], full],
      ]) {
        expect(await host.run(name, '--write', ...(first ?? []))).toMatchObject({
          code: 0,
          error: '',
        })
        expect(await host.run(name, '--write', ...(second ?? []))).toMatchObject({
          code: 0,
          error: '',
        })
        expect(await host.run(name, '--remove')).toMatchObject({ code: 0, error: '' })
        expect(await host.tree()).toEqual(before)
      }
    },
  )

  it.each([
    ['docker', '/etc/docker/daemon.json', '{ "debug": true,, }\n', ':1:', '"registry-mirrors": ['],
    [
      'containerd',
      '/etc/containerd/certs.d/quay.io/hosts.toml',
      'server = \n',
      ':1:',
      'override_path = true',
    ],
    [
      'podman',
      '/etc/containers/registries.conf.d/50-entrepot.conf',
      '[[registry]]\nprefix = "quay.io"\n',
      ': it has an entry',
      'insecure = true',
    ],
    ['k3s', '/etc/rancher/k3s/registries.yaml', 'mirrors:\n  - a\n  b: c\n', ':3:', 'endpoint:'],
  ])(
    'whose file of %s cannot be merged stays, and is told what to add',
    async (name, path, text, place, part) => {
      await using host = await makeHost()
      await host.put(path, text)
      const before = await host.tree()
      const { code, out, error } = await host.run(name, '--write')
      expect([code, out]).toEqual([2, ''])
      const [line = '', ...rest] = error.split('\n')
      expect(line).toContain(`${host.at(path)}${place}`)
      expect(line).toMatch(
        /[^.]\. Nothing was changed\. This belongs there, to be put in by hand:$/,
      )
      expect(rest.join('\n')).toContain(part)
      expect(await host.tree()).toEqual(before)
    },
  )

  it('is told what to take out where it asked for that', async () => {
    await using host = await makeHost()
    await host.put('/etc/docker/daemon.json', '{')
    const { code, error } = await host.run('docker', '--remove')
    expect(code).toBe(2)
    expect(error).toContain(
      'Nothing was changed. This has to go, to be taken out by hand:\n\n{\n  "registry-mirrors"',
    )
  })

  it('is not told a secret that it did not ask for', async () => {
    await using host = await makeHost()
    await host.put('/etc/containerd/certs.d/docker.io/hosts.toml', 'server = \n')
    await writeFile(host.at('word'), 'secret')
    const { code, error } = await host.run(
      'containerd',
      '--write',
      '--username',
      'u',
      '--password-file',
      host.at('word'),
    )
    expect(code).toBe(2)
    expect(error).toMatch(/Nothing was changed\. What belongs there is printed without --write\.$/)
    expect(error).not.toContain(Buffer.from('u:secret').toString('base64'))
  })
})

describe('called wrongly', () => {
  it.each<[readonly string[], string]>([
    [
      ['dokcer'],
      'There is no client "dokcer" here. There are: docker, docker-patched, containerd,',
    ],
    [['docker', 'podman'], 'client-config takes one client at a time'],
    [['--write'], 'client-config needs the name of a client for this'],
    [['--remove'], 'client-config needs the name of a client for this'],
    [['docker', '--write', '--remove'], '--write and --remove are opposites: give one'],
    [['docker', '--url', 'mirror.example'], '--url "mirror.example" '],
    [['docker', '--url', 'http://mirror.example/path'], 'has a path'],
    [['docker', '--url', "http://a'b"], '--url "http://a\'b" has a host that is no name'],
    [['docker', '--url', 'http://a:b@mirror.example'], 'holds user information'],
    [['docker', '--url', 'http://mirror.example.'], 'The URL of the mirror is a scheme and a host'],
    [
      ['docker', '--upstream', 'not a name'],
      '--upstream "not a name" cannot begin an image reference',
    ],
    [['docker', '--username', 'a'], '--username and --password-file belong together: give both'],
    [
      ['docker', '--password-file', 'x'],
      '--username and --password-file belong together: give both',
    ],
    [
      ['docker', '--username', 'a', '--password-file', '/no/such'],
      '--password-file "/no/such" cannot be read',
    ],
    [['docker', '--username', 'a:b', '--password-file', '/etc/hostname'], 'The user name'],
    [['docker', '--ca', '/no/such'], '--ca "/no/such" cannot be read'],
    [['docker', '--ca', '/etc/hostname'], 'is not a file of PEM certificates'],
    [['docker', '--no-such'], '--no-such'],
  ])('by %j it says so in one line', async (args, message) => {
    await using host = await makeHost()
    const { code, out, error } = await host.run(...args)
    expect([code, out]).toEqual([2, ''])
    expect(error).toContain(message)
    expect(error).not.toContain('\n')
    expect(await host.tree()).toEqual({})
  })
})

function escaped(text: string): string {
  return text.replace(/[.*+?^$(){}|[\]\\]/g, '\\$&')
}

interface Host extends AsyncDisposable {
  at(path: string): string
  put(path: string, text: string): Promise<void>
  read(path: string): Promise<string>
  /** Every file with its text. */
  tree(): Promise<Record<string, string>>
  run(...args: string[]): Promise<Ran>
}

async function makeHost(): Promise<Host> {
  const root = await mkdtemp(join(tmpdir(), 'entrepot-host-'))
  const at = (path: string): string => join(root, path)
  return {
    at,
    async put(path, text) {
      await mkdir(dirname(at(path)), { recursive: true })
      await writeFile(at(path), text)
    },
    read: (path) => readFile(at(path), 'utf8'),
    async tree() {
      const entries = await readdir(root, { recursive: true, withFileTypes: true })
      const names = entries.filter((it) => it.isFile()).map((it) => join(it.parentPath, it.name))
      const texts = names.map(
        async (name) => [name.slice(root.length), await readFile(name, 'utf8')] as const,
      )
      return Object.fromEntries(await Promise.all(texts))
    },
    run(...args) {
      // What was given counts: with the last of two options.
      const given = args.includes('--url') ? [] : GIVEN
      return runCommand(clientConfig, [...args, ...given, '--root', root, '--home', '/home/ann'])
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  }
}
