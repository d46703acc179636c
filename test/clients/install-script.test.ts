/** The script for hosts, run by the shells that hosts have, on the files of a host of its own. */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ClientName } from '../../src/clients/client-config.ts'
import { clientConfig } from '../../src/clients/configure.ts'
import { installScript } from '../../src/clients/install-script.ts'
import { shellWord } from '../../src/clients/place.ts'

const FACTS = {
  url: 'http://mirror.example:5000',
  upstreams: ['docker.io', 'quay.io'],
  defaultUpstream: 'docker.io',
}
const SCRIPT = installScript(FACTS)
const ENGINES: readonly ClientName[] = [
  'docker',
  'containerd',
  'podman',
  'cri-o',
  'skopeo',
  'k3s',
  'rke2',
  'buildkit',
  'nerdctl',
]
const HOSTS_TOML = '/etc/containerd/certs.d/quay.io/hosts.toml'
const DAEMON_JSON = '/etc/docker/daemon.json'
const REGISTRIES_YAML = '/etc/rancher/k3s/registries.yaml'
/** The first is dash or bash, as the host has it. */
const SHELLS = [['sh'], ['busybox', 'sh']].filter(([program = '']) => find(program) !== undefined)

describe.each(SHELLS.map((shell) => ({ name: shell.join(' '), shell })))('$name', ({ shell }) => {
  it.each([true, false])('writes what each engine needs, once: fallback %s', async (fallback) => {
    await using host = await makeHost(shell)
    const options = ['--only', ENGINES.join(','), ...(fallback ? [] : ['--no-fallback'])]
    const dry = await host.run(...options, '--dry-run')
    expect([dry.code, dry.error]).toEqual([0, ''])
    expect(dry.out).toContain(`would write:     ${host.at(HOSTS_TOML)}`)
    expect(await host.files()).toEqual([])

    expect(await host.run(...options, '--yes')).toMatchObject({ code: 0, error: '' })
    const expected = wantedFiles(fallback)
    expect(expected.size).toBeGreaterThan(5)
    for (const [path, { text, mode }] of expected) {
      expect([path, await host.read(path)]).toEqual([path, text])
      expect((await stat(host.at(path))).mode & 0o777).toBe(mode)
    }
    expect(await host.files()).toEqual([...expected.keys()].toSorted())

    const again = await host.run(...options, '--dry-run')
    expect(again.out).not.toMatch(/would|FAILED|by hand/)
    expect(await host.run(...options, '--yes', '--remove')).toMatchObject({ code: 0, error: '' })
    expect(await host.files()).toEqual([])
    expect(existsSync(host.at(dirname(HOSTS_TOML)))).toBe(false)
  })

  it('replaces a file for one purpose, keeps what it was, and puts it back', async () => {
    await using host = await makeHost(shell)
    const theirs = '# ours for years\r\nserver = "https://other.example"\n\n'
    await host.put(HOSTS_TOML, theirs)
    await chmod(host.at(HOSTS_TOML), 0o640)
    const { out } = await host.run('--only', 'containerd', '--yes')
    expect(out).toContain(`would change:    ${host.at(HOSTS_TOML)}`)
    expect(await host.read(HOSTS_TOML)).toBe(wantedFiles(true).get(HOSTS_TOML)?.text)
    expect((await stat(host.at(HOSTS_TOML))).mode & 0o777).toBe(0o640)
    await host.run('--only', 'containerd', '--yes', '--no-fallback')
    await host.run('--only', 'containerd', '--yes', '--remove')
    expect(await host.read(HOSTS_TOML)).toBe(theirs)
    expect((await stat(host.at(HOSTS_TOML))).mode & 0o777).toBe(0o640)
    expect((await host.files()).filter((it) => it.includes('entrepot-backup'))).toEqual([])
  })

  it('leaves such a file alone where it has kept an earlier one', async () => {
    await using host = await makeHost(shell)
    await host.put(HOSTS_TOML, '# first\n')
    await host.run('--only', 'containerd', '--yes')
    await host.put(HOSTS_TOML, '# second\n')
    const { out } = await host.run('--only', 'containerd', '--yes')
    expect(out).toContain(`left alone:      ${host.at(HOSTS_TOML)}`)
    expect(await host.read(HOSTS_TOML)).toBe('# second\n')
    expect(await host.read(`${HOSTS_TOML}.entrepot-backup`)).toBe('# first\n')
  })

  it('leaves a file for many purposes alone, and says what belongs there', async () => {
    await using host = await makeHost(shell)
    const theirs = 'mirrors:\n  other.example:\n    endpoint: ["http://x"]\n'
    await host.put(REGISTRIES_YAML, theirs)
    const { code, out } = await host.run('--only', 'k3s', '--yes')
    expect(code).toBe(0)
    expect(out).toContain(`${host.at(REGISTRIES_YAML)}; what is below has to be put in by hand`)
    for (const line of wantedFiles(true).get(REGISTRIES_YAML)?.text.trimEnd().split('\n') ?? []) {
      expect(out).toContain(`    | ${line}\n`)
    }
    await host.run('--only', 'k3s', '--yes', '--remove')
    expect(await host.read(REGISTRIES_YAML)).toBe(theirs)
    expect(await host.files()).toEqual([REGISTRIES_YAML])
  })

  it('takes lines of ours out of the midst of others', async () => {
    await using host = await makeHost(shell)
    const before = 'debug: true\nsystem: x\n'
    const ours =
      'debug: true\n  # entrepot: begin\n# entrepot: was system: x\n  a: b\n  # entrepot: end\n'
    await host.put(REGISTRIES_YAML, ours)
    await host.run('--only', 'k3s', '--yes', '--remove')
    expect(await host.read(REGISTRIES_YAML)).toBe(before)
    await host.put(REGISTRIES_YAML, ours)
    await host.put(`${REGISTRIES_YAML}.entrepot-backup`, before)
    const { out } = await host.run('--only', 'k3s', '--yes', '--remove')
    expect(out).toContain('would restore:')
    expect(await host.files()).toEqual([REGISTRIES_YAML])
  })

  it('does nothing when it was cut off', async () => {
    await using host = await makeHost(shell)
    await host.put('/usr/bin/dockerd', '', 0o755)
    const end = SCRIPT.trimEnd().length
    const tail = Array.from({ length: 12 }, (_, at) => end - 1 - at)
    const rest = Array.from({ length: 12 }, (_, at) => Math.floor((end * at) / 12))
    for (const length of [...tail, ...rest]) {
      await host.runText(SCRIPT.slice(0, length), '--yes')
      expect([length, await host.files()]).toEqual([length, ['/usr/bin/dockerd']])
    }
    await host.runText(SCRIPT.slice(0, end), '--yes')
    expect(await host.files()).toContain(DAEMON_JSON)
  })
})

describe('daemon.json', () => {
  const theirs =
    '{\n    "log-driver": "journald",\n    "registry-mirrors": ["https://other.example/"]\n}'
  const tools = ['python3', 'jq'].filter((it) => find(it) !== undefined)

  it.each(tools)('is merged by %s, and is what it was afterwards', async (tool) => {
    await using host = await makeHost(['sh'], [tool])
    await host.put(DAEMON_JSON, theirs)
    expect(await host.run('--only', 'docker', '--yes')).toMatchObject({ code: 0, error: '' })
    const ours = JSON.parse(wantedFiles(true).get(DAEMON_JSON)?.text ?? '') as Record<
      string,
      string[]
    >
    expect(JSON.parse(await host.read(DAEMON_JSON))).toEqual({
      ...ours,
      'log-driver': 'journald',
      'registry-mirrors': [...(ours['registry-mirrors'] ?? []), 'https://other.example/'],
    })
    const again = await host.run('--only', 'docker', '--yes')
    expect(again.out).toContain('as it should be:')
    await host.run('--only', 'docker', '--yes', '--remove')
    expect(await host.read(DAEMON_JSON)).toBe(theirs)
    expect(await host.files()).not.toContain(`${DAEMON_JSON}.entrepot-backup`)
  })

  it.each(tools)('keeps what was added since, with %s', async (tool) => {
    await using host = await makeHost(['sh'], [tool])
    await host.put(DAEMON_JSON, '{}')
    await host.run('--only', 'docker', '--yes')
    const changed = JSON.parse(await host.read(DAEMON_JSON)) as object
    await host.put(DAEMON_JSON, JSON.stringify({ ...changed, debug: true }))
    await host.run('--only', 'docker', '--yes', '--remove')
    expect(JSON.parse(await host.read(DAEMON_JSON))).toEqual({ debug: true })
    await host.run('--only', 'docker', '--yes', '--remove')
    expect(JSON.parse(await host.read(DAEMON_JSON))).toEqual({ debug: true })
  })

  it.each(tools)('goes with %s where nothing else is left', async (tool) => {
    await using host = await makeHost(['sh'], [tool])
    await host.run('--only', 'docker', '--yes')
    await host.put(DAEMON_JSON, JSON.stringify(JSON.parse(await host.read(DAEMON_JSON))))
    await host.run('--only', 'docker', '--yes', '--remove')
    expect(await host.files()).not.toContain(DAEMON_JSON)
  })

  it.each([
    ...tools.flatMap((tool) => [
      [tool, '{"registry-mirrors": [}'],
      [tool, '["a list"]'],
      [tool, '{"registry-mirrors": "no list"}'],
    ]),
    ['nothing', theirs],
  ])('is left alone by %s where it is %j', async (tool = '', text = '') => {
    await using host = await makeHost(['sh'], [tool])
    await host.put(DAEMON_JSON, text)
    const { code, out } = await host.run('--only', 'docker', '--yes')
    expect(code).toBe(0)
    expect(out).toContain('has to be put in by hand')
    expect(out).toContain('    |   "registry-mirrors": [')
    expect(await host.read(DAEMON_JSON)).toBe(text)
    expect(await host.files()).not.toContain(`${DAEMON_JSON}.entrepot-backup`)
  })
})

describe('config.toml of containerd', () => {
  const CONFIG_TOML = '/etc/containerd/config.toml'

  it('is left to people where it does not lead to the files', async () => {
    await using host = await makeHost(['sh'])
    const theirs = 'version = 2\n# config_path = "/etc/containerd/certs.d"\n'
    await host.put(CONFIG_TOML, theirs)
    const { code, out } = await host.run('--only', 'containerd', '--yes')
    expect(code).toBe(0)
    expect(out).toContain(`left alone:      ${host.at(CONFIG_TOML)}`)
    expect(out).toContain('    | [plugins."io.containerd.grpc.v1.cri".registry]\n')
    expect(out).toContain('    | [plugins."io.containerd.cri.v1.images".registry]\n')
    expect(await host.read(CONFIG_TOML)).toBe(theirs)
  })

  it('is as it should be where it does', async () => {
    await using host = await makeHost(['sh'])
    await host.put(CONFIG_TOML, 'config_path = "/etc/docker/certs.d:/etc/containerd/certs.d"\n')
    const { out } = await host.run('--only', 'containerd', '--yes')
    expect(out).toContain(`as it should be: ${host.at(CONFIG_TOML)}`)
  })
})

it('what was for hosts without a way around goes when there is one again', async () => {
  await using host = await makeHost(['sh'])
  const only = '/etc/rancher/k3s/config.yaml.d/50-entrepot.yaml'
  await host.run('--only', 'k3s', '--yes', '--no-fallback')
  expect(await host.files()).toContain(only)
  await host.run('--only', 'k3s', '--yes')
  expect(await host.files()).toEqual([REGISTRIES_YAML])
  await host.run('--only', 'k3s', '--yes', '--no-fallback')
  await host.run('--only', 'k3s', '--yes', '--remove')
  expect(await host.files()).toEqual([])
  await host.put(only, 'of: somebody\n')
  await host.run('--only', 'k3s', '--yes', '--remove')
  expect(await host.read(only)).toBe('of: somebody\n')
})

it('what is written can be read by everybody, whatever the umask of root', async () => {
  await using host = await makeHost(['sh', '-c', 'umask 077; shift 2; exec sh -s -- "$@"', 'sh'])
  await host.run('--only', 'podman', '--yes')
  expect((await stat(host.at('/etc/containers/registries.conf.d'))).mode & 0o777).toBe(0o755)
})

describe('a host', () => {
  it.each<[string, ClientName]>([
    ['/usr/bin/dockerd', 'docker'],
    ['/usr/local/bin/containerd', 'containerd'],
    ['/usr/bin/podman', 'podman'],
    ['/usr/bin/buildah', 'podman'],
    ['/usr/bin/crio', 'cri-o'],
    ['/usr/bin/skopeo', 'skopeo'],
    ['/usr/local/bin/k3s', 'k3s'],
    ['/etc/rancher/rke2/config.yaml', 'rke2'],
    ['/usr/bin/buildkitd', 'buildkit'],
    ['/usr/local/bin/nerdctl', 'nerdctl'],
  ])('with %s has %s, and no other', async (path, engine) => {
    await using host = await makeHost(['sh'])
    await host.put(path, '', 0o755)
    const { out } = await host.run('--dry-run')
    expect(out.match(/^\S+(?=:$)/gm)).toEqual([engine])
  })

  it('with none of them is told so', async () => {
    await using host = await makeHost(['sh'])
    await host.put('/usr/bin/dockerd', 'not executable')
    const { code, out } = await host.run('--yes')
    expect(code).toBe(0)
    expect(out).toMatch(/^None of these was found here: docker .*--only/)
  })

  it('keeps links and folders as they are', async () => {
    await using host = await makeHost(['sh'])
    await host.put('/elsewhere', '{}')
    await mkdir(host.at('/etc/docker'), { recursive: true })
    await symlink(host.at('/elsewhere'), host.at(DAEMON_JSON))
    await mkdir(host.at(HOSTS_TOML), { recursive: true })
    for (const more of [[], ['--remove']]) {
      const { out } = await host.run('--only', 'docker,containerd', '--yes', ...more)
      expect(out).toContain(`left alone:      ${host.at(DAEMON_JSON)}`)
      expect(out).toContain(`left alone:      ${host.at(HOSTS_TOML)}`)
    }
    expect(await host.read('/elsewhere')).toBe('{}')
  })

  it('that cannot be written is a failure', async () => {
    await using host = await makeHost(['sh'])
    await host.put('/etc/containerd', 'a file')
    const { code, error } = await host.run('--only', 'containerd,podman', '--yes')
    expect(code).toBe(1)
    expect(error).toContain(`FAILED: ${host.at(HOSTS_TOML)}`)
    // The others are done.
    expect((await host.files()).some((it) => it.startsWith('/etc/containers/'))).toBe(true)
  })
})

describe('called wrongly', () => {
  it.each([
    [['--no-such'], 'There is no option --no-such'],
    [['--only'], '--only needs names'],
    [['--only', 'dokcer'], 'There is no engine dokcer here; there are: docker containerd'],
    [['docker'], 'There is no option docker'],
  ])('by %j it changes nothing', async (options, message) => {
    await using host = await makeHost(['sh'])
    const { code, error } = await host.run('--yes', ...options)
    expect([code, error]).toEqual([2, expect.stringContaining(message)])
    expect(await host.files()).toEqual([])
  })

  it('without a terminal it wants to be told', async () => {
    await using host = await makeHost(['sh'])
    const { code, error } = await host.run('--only', 'docker')
    expect([code, error]).toEqual([2, expect.stringContaining('There is no terminal to ask at')])
    expect(await host.files()).toEqual([])
  })

  it.skipIf(process.geteuid?.() !== 0)('by somebody else than root it says so', async () => {
    await using host = await makeHost(['sh'])
    const env = { ...host.env, ENTREPOT_ROOT: '' }
    const { code, error } = await run(['sh', '-s', '--', '--yes'], SCRIPT, { env, uid: 65_534 })
    expect([code, error]).toEqual([2, expect.stringContaining('it must be run as root')])
  })

  it('--help changes nothing, and names the mirror', async () => {
    await using host = await makeHost(['sh'])
    const { code, out } = await host.run('--help')
    expect(code).toBe(0)
    expect(out).toContain(`The mirror is ${FACTS.url}; the engines are: ${ENGINES.join(' ')}.`)
  })
})

describe.skipIf(find('script') === undefined)('at a terminal', () => {
  it.each([
    ['y', true],
    ['n', false],
    ['', false],
  ])('the answer %j counts', async (answer, isWritten) => {
    await using host = await makeHost(['sh'])
    const file = join(host.at('/'), 'install.sh')
    await writeFile(file, SCRIPT)
    const command = `sh ${shellWord(file)} --only podman`
    const { out } = await run(['script', '-qec', command, '/dev/null'], `${answer}\n`, {
      env: { ...process.env, ENTREPOT_ROOT: host.at('/') },
    })
    expect(out).toContain('Change this for podman? [y/N]')
    expect(out.includes('left alone')).toBe(!isWritten)
    expect(existsSync(host.at('/etc/containers'))).toBe(isWritten)
  })
})

describe('services', () => {
  const functions = SCRIPT.slice(0, SCRIPT.lastIndexOf('\n{'))

  it.each([
    ['YES=1 RESTART=1', true, 'asked for'],
    ['YES=1 RESTART=', false, 'not asked for'],
  ])('are touched only where that was asked for: %s', async (settings, isTouched) => {
    await using host = await makeHost(['sh'])
    await host.put('/fake/systemctl', '#!/bin/sh\necho "systemctl $*"\n', 0o755)
    const env = { ...host.env, PATH: `${host.at('/fake')}${delimiter}${process.env['PATH']}` }
    const call = `${functions}\n${settings}\nengine_services docker\n`
    const { out } = await run(['sh'], call, { env })
    expect(/^systemctl (?:reload|restart) docker$/m.test(out)).toBe(isTouched)
    expect(out.includes('still to be done: systemctl')).toBe(!isTouched)
  })

  it('that do not run stay as they are, and one that fails is a failure', async () => {
    await using host = await makeHost(['sh'])
    const env = { ...host.env, PATH: `${host.at('/fake')}${delimiter}${process.env['PATH']}` }
    const call = `${functions}\nYES=1 RESTART=1\nengine_services docker\necho "failed: $FAILED"\n`
    await host.put('/fake/systemctl', '#!/bin/sh\nexit 3\n', 0o755)
    expect((await run(['sh'], call, { env })).out).toBe('failed: \n')
    await host.put('/fake/systemctl', '#!/bin/sh\n[ "$1" = is-active ]\n', 0o755)
    expect((await run(['sh'], call, { env })).out).toBe('failed: 1\n')
  })
})

describe('whatever is in it', () => {
  const HOSTILE = [
    "'",
    "'; touch pwned; '",
    '$(touch pwned)',
    '`touch pwned`',
    '"',
    '\\',
    "\\'",
    '\n',
    '!',
    '*',
    '~a',
    '%s',
    ' ',
    '',
    "''",
  ]

  it.each(HOSTILE)('%j is one word for a shell', (text) => {
    const [program = 'sh', ...options] = SHELLS.at(-1) ?? ['sh']
    const call = `for each in ${shellWord(text)}; do printf '<%s>' "$each"; done`
    expect(execFileSync(program, [...options, '-c', call]).toString()).toBe(`<${text}>`)
  })

  it('what is no host of a mirror makes no script', () => {
    for (const text of HOSTILE.filter((it) => it !== '')) {
      expect(() => installScript({ ...FACTS, url: `http://a${text}` })).toThrow('URL of the mirror')
      expect(() => installScript({ ...FACTS, upstreams: [`a${text}`] })).toThrow(
        'name of an upstream',
      )
    }
  })
})

const LINTER = find('shellcheck')

it.skipIf(LINTER === undefined)('shellcheck has nothing to say', () => {
  const options = ['-s', 'sh', '-']
  expect(() => execFileSync(LINTER ?? '', options, { input: SCRIPT })).not.toThrow()
})

/** By path, of all engines. */
function wantedFiles(fallback: boolean): Map<string, { text: string; mode: number }> {
  const facts = { ...FACTS, ca: undefined, login: undefined, fallback }
  const files = ENGINES.filter((name) => name !== 'nerdctl').flatMap(
    (name) => clientConfig(name, facts).files,
  )
  const made = files.filter(({ onlyIfThere }) => !onlyIfThere)
  return new Map(made.map(({ path, text, mode }) => [path, { text, mode }]))
}

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

interface Host extends AsyncDisposable {
  readonly env: NodeJS.ProcessEnv
  at(path: string): string
  put(path: string, text: string, mode?: number): Promise<void>
  read(path: string): Promise<string>
  files(): Promise<string[]>
  run(...options: string[]): Promise<Ran>
  runText(script: string, ...options: string[]): Promise<Ran>
}

/** What the script may count on. */
const TOOLS = [
  'sh',
  'cat',
  'head',
  'grep',
  'awk',
  'sed',
  'tr',
  'id',
  'mkdir',
  'dirname',
  'cp',
  'mv',
  'rm',
  'rmdir',
  'chmod',
  'cmp',
]

/** @param more programs that this host has besides */
async function makeHost(
  shell: readonly string[],
  more: readonly string[] = ['python3'],
): Promise<Host> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-host-'))
  const [root, bin] = [join(folder, 'root'), join(folder, 'bin')]
  // For users other than this one, too.
  await chmod(folder, 0o755)
  await mkdir(root)
  await mkdir(bin)
  for (const tool of [...TOOLS, ...more]) {
    const found = find(tool)
    if (found !== undefined) await symlink(found, join(bin, tool))
  }
  const env = { ...process.env, PATH: bin, ENTREPOT_ROOT: root }
  const [program = 'sh', ...options] = shell
  const command = [find(program) ?? program, ...options, '-s', '--']
  const runText: Host['runText'] = (script, ...given) =>
    run([...command, ...given], script, { env, cwd: root })
  const at = (path: string): string => join(root, path)
  return {
    env,
    at,
    async put(path, text, mode = 0o644) {
      await mkdir(dirname(at(path)), { recursive: true })
      await writeFile(at(path), text, { mode })
    },
    read: (path) => readFile(at(path), 'utf8'),
    async files() {
      const entries = await readdir(root, { recursive: true, withFileTypes: true })
      const names = entries.filter((it) => !it.isDirectory())
      return names.map((it) => join(it.parentPath, it.name).slice(root.length)).toSorted()
    },
    run: (...given) => runText(SCRIPT, ...given),
    runText,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/** In a session of its own, so without a terminal. */
function run(
  [program = '', ...args]: readonly string[],
  input: string,
  options: { readonly env: NodeJS.ProcessEnv; readonly cwd?: string; readonly uid?: number },
): Promise<Ran> {
  const child = spawn(program, args, { ...options, detached: true, timeout: 10_000 })
  const texts = { out: '', error: '' }
  child.stdout.on('data', (chunk: Buffer) => (texts.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (texts.error += chunk.toString()))
  // It may have ended before it has read all.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, ...texts }))
  })
}

function find(program: string): string | undefined {
  // What is first there may be a script that chooses between several.
  if (program === 'python3' && existsSync('/usr/bin/python3')) return '/usr/bin/python3'
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path))
}
