/**
 * A new user, who has a clean checkout and the README: every command of its first steps is run as it stands
 * there. Only places differ: registries are fakes, ports are free ones, nodes are folders.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CLIENT_NAMES } from '../../src/clients/client-config.ts'
import { type Block, blocksOf, proseOf, ROOT } from '../docs/pages.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { request } from '../support/client.ts'
import { pull } from '../support/pull.ts'
import { until, within } from '../support/until.ts'

const BLOCKS = blocksOf('README.md')
const IMAGE = buildImage({ seed: 'readme', layers: [100_000] })
/** What belongs to a checkout and is needed to build and to run it. */
const CHECKOUT = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json']

/** `npm ci` has been done: .ci/run does it in a clean checkout. Nothing is asked of the package registry. */
const NPM = `#!/bin/sh
PATH=$REAL_PATH
[ "$1" != ci ] || exit 0
exec npm "$@"
`

let home: string
let checkout: string
let registry: FakeRegistry
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'entrepot-readme-'))
  checkout = join(home, 'entrepot')
  await mkdir(join(home, 'bin'))
  await writeFile(join(home, 'bin', 'npm'), NPM)
  await chmod(join(home, 'bin', 'npm'), 0o755)
  await mkdir(checkout)
  const root = fileURLToPath(ROOT)
  for (const file of CHECKOUT) await copyFile(join(root, file), join(checkout, file))
  await cp(join(root, 'src'), join(checkout, 'src'), { recursive: true })
  await symlink(join(root, 'node_modules'), join(checkout, 'node_modules'))
  registry = await startRegistry()
  registry.push('coreos/etcd', 'v3.5.9', IMAGE)
  const example = await readFile(join(root, 'mirrors.example.yml'), 'utf8')
  await writeFile(join(checkout, 'mirrors.example.yml'), withFakes(example))
})
afterAll(async () => {
  await registry.close()
  await rm(home, { recursive: true, force: true })
})

describe('the README', { timeout: 90_000 }, () => {
  it('has a mirrors.yml of ten lines', () => {
    expect(only('yaml').text.trimEnd().split('\n')).toHaveLength(10)
  })

  it('names every client that it can configure', () => {
    const [, names = ''] = /^It knows (.*?)\.$/ms.exec(proseOf('README.md')) ?? []
    expect([...names.matchAll(/`([\w-]+)`/g)].map(([, name]) => name)).toEqual([...CLIENT_NAMES])
  })

  it('takes a new user from a checkout to a first pull in two commands', async () => {
    const [start = ''] = commandsOf(blockWith('npm ci && npm start'))
    expect(blocksBefore(blockWith('docker pull'))).toEqual([blockWith('npm ci && npm start')])
    await using mirror = await begin(start)
    // As `docker pull 127.0.0.1:5000/…` asks; that docker does is tried by test/interop.
    const [command = ''] = commandsOf(blockWith('docker pull'))
    const [, name = '', tag = ''] =
      /^docker pull 127\.0\.0\.1:5000\/(\S+):(\S+)$/.exec(command) ?? []
    expect(await pull(mirror.url, name, tag)).toMatchObject({ digest: IMAGE.digest })
  })

  it('then by a file and two commands to rules of their own, and by one on each node to clients', async () => {
    await writeFile(join(checkout, 'mirrors.yml'), withFakes(only('yaml').text))
    const [check = '', serve = '', ...more] = commandsOf(blockWith('npx entrepot serve'))
    expect(more).toEqual([])
    expect(await run(check)).toContain('mirrors.yml is right')
    await using mirror = await begin(withoutNpx(serve))
    await pull(mirror.url, 'quay.io/coreos/etcd', 'v3.5.9')
    const path = '/v2/quay.io/other/app/manifests/v1'
    expect((await request({ url: mirror.url, path })).status).toBe(403)

    const [install = '', ...others] = commandsOf(blockWith('install.sh'))
    expect(others).toEqual([])
    expect(await run(atMirror(install, mirror.url).replace(/\| sh$/, '| sh -n'))).toBe('')
    await pointsClients(mirror.url)
  })
})

/** Each way in the block does what is said of it, on a node that is a folder. */
async function pointsClients(url: string): Promise<void> {
  const node = join(home, 'node')
  const podman = join(node, 'etc/containers/registries.conf.d/50-entrepot.conf')
  const docker = join(node, 'etc/docker/daemon.json')
  const [read = '', ...lines] = commandsOf(blockWith('client-config'))
  expect(await run(atMirror(read, url))).toContain('/etc/containerd/certs.d/quay.io/hosts.toml')
  const [writeDocker = '', writePodman = '', removePodman = '', ...more] = lines.map(
    (line) => `${withoutNpx(atMirror(line, url))} --root ${node}`,
  )
  expect(more).toEqual([])
  await mkdir(node)
  await run(writeDocker)
  expect(await readFile(docker, 'utf8')).toContain(url)
  await run(writePodman)
  expect(await readFile(podman, 'utf8')).toContain(new URL(url).host)
  await run(removePodman)
  await expect(readFile(podman)).rejects.toThrow('ENOENT')
  expect(await readFile(docker, 'utf8')).toContain(url)
}

function only(language: string): Block {
  const [found, ...more] = BLOCKS.filter((block) => block.language === language)
  if (found === undefined || more.length > 0)
    throw new Error(`The README has one block of ${language}.`)
  return found
}

function blockWith(text: string): Block {
  const found = BLOCKS.find((block) => block.language === 'sh' && block.text.includes(text))
  if (found === undefined) throw new Error(`The README says "${text}".`)
  return found
}

/** Commands that stand before this one. */
function blocksBefore({ line }: Block): Block[] {
  return BLOCKS.filter((block) => block.language === 'sh' && block.line < line)
}

function commandsOf({ text }: Block): string[] {
  return text.split('\n').flatMap((line) => line.replace(/ +#.*/, '') || [])
}

/** The same file, for registries that answer, and a port that is free. */
function withFakes(yaml: string): string {
  const fake = `{ endpoints: ['${registry.url}'], insecure: true, networks: [127.0.0.0/8] }`
  const edited = yaml
    .replace(/^listen: .*/m, 'listen: 127.0.0.1:0')
    .replace(/^( {2}(?:docker\.io|quay\.io|registry\.k8s\.io):) ?(?:\{\})?$/gm, `$1 ${fake}`)
  expect(edited).toContain(`quay.io: ${fake}`)
  return edited
}

/** That npx finds the program has been seen once; it takes its time. */
function withoutNpx(command: string): string {
  return command.replace(/^npx entrepot /, 'node dist/main.js ')
}

function atMirror(command: string, url: string): string {
  expect(command).toContain('mirror.example:5000')
  return command.replaceAll('http://mirror.example:5000', url)
}

function environment(): NodeJS.ProcessEnv {
  const { PATH = '' } = process.env
  return {
    HOME: home,
    REAL_PATH: PATH,
    PATH: [join(home, 'bin'), PATH].join(delimiter),
    npm_config_offline: 'true',
    npm_config_update_notifier: 'false',
    NO_COLOR: '1',
  }
}

/** @returns what it says; throws unless it ends with 0 */
async function run(command: string): Promise<string> {
  const args = ['--norc', '-euo', 'pipefail', '-c', command]
  const options = { cwd: checkout, env: environment(), timeout: 30_000 }
  const { stdout } = await promisify(execFile)('bash', args, options)
  return stdout
}

/** Something that runs until it is told to end; resolves when it says that it is ready. */
async function begin(command: string): Promise<AsyncDisposable & { readonly url: string }> {
  const child = spawn('bash', ['--norc', '-c', command], {
    cwd: checkout,
    env: environment(),
    // A group of its own, as a terminal would make it, so that all of it can be told to end.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  let over = false
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      over = true
      resolve()
    })
  })
  const end = async (): Promise<void> => {
    signalGroup(child, 'SIGINT')
    await within(ended, { deadlineMs: 15_000, what: `the end of ${command}` })
  }
  try {
    const url = await until(
      () => {
        if (over) throw new Error(`${command} has ended: ${said}`)
        return /"url":"(http:[^"]+)"/.exec(said)?.[1]
      },
      { deadlineMs: 60_000, what: `${command} is ready` },
    )
    return { url, [Symbol.asyncDispose]: end }
  } catch (error) {
    signalGroup(child, 'SIGKILL')
    throw error
  }
}

function signalGroup({ pid, exitCode }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid !== undefined && exitCode === null) process.kill(-pid, signal)
}
