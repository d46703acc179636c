/** The program with two registries behind it, and commands beside it as processes of their own. */
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { buildImage } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import type { Build, Program } from './program.ts'
import { request } from '../support/client.ts'
import { type MirrorSettings, mirrorYaml } from '../support/mirror-config.ts'
import { within } from '../support/until.ts'

export const IMAGE = buildImage({ seed: 'operators in control', layers: [2000] })
/** Paths of what there is; each has a tag `v2` of the same image, too. */
export const APP = '/v2/docker.io/library/app/manifests/v1'
export const ETCD = '/v2/quay.io/coreos/etcd/manifests/v1'

interface Given {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
}

interface Ended {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

/** A command as a process of its own, with something piped into it. */
export async function run(
  build: Build,
  args: readonly string[],
  { input = '', env = {} }: Given = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [join(build.folder, 'dist', 'main.js'), ...args], {
    cwd: build.folder,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const told = { output: '', errors: '' }
  child.stdout.on('data', (chunk: Buffer) => (told.output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (told.errors += chunk.toString()))
  // Not every command reads it.
  child.stdin.on('error', () => undefined).end(input)
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  try {
    const code = await within(closed, { deadlineMs: 60_000, what: `entrepot ${args.join(' ')}` })
    return { code, ...told }
  } finally {
    child.kill('SIGKILL')
  }
}

interface Folder extends AsyncDisposable {
  readonly config: string
  readonly data: string
}

export async function makeFolder(settings: Partial<MirrorSettings>): Promise<Folder> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-operators-'))
  const registry = await startRegistry()
  for (const tag of ['v1', 'v2']) {
    registry.push('library/app', tag, IMAGE)
    registry.push('coreos/etcd', tag, IMAGE)
  }
  const upstreams = { 'docker.io': registry, 'quay.io': registry }
  const [config, data] = [join(folder, 'mirrors.yml'), join(folder, 'data')]
  await writeFile(config, mirrorYaml({ upstreams, ...settings }, data))
  return {
    config,
    data,
    async [Symbol.asyncDispose]() {
      await registry.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export interface Robot {
  readonly id: string
  readonly bearer: string
  /** For commands. */
  readonly env: { readonly ENTREPOT_TOKEN: string }
  /** Of the API; each has to succeed. */
  readonly get: (path: string) => Promise<string>
  readonly post: (path: string, json: object) => Promise<void>
}

export interface Scene extends AsyncDisposable {
  readonly program: Program
  readonly url: string
  readonly data: string
  /** A command, on the host unless it says otherwise. */
  run(args: readonly string[], given?: Given): Promise<Ended>
  /** One that has to succeed. */
  done(args: readonly string[], given?: Given): Promise<void>
  /** What one prints for programs. */
  json(args: readonly string[]): Promise<unknown>
  status(path: string, headers?: Record<string, string>): Promise<number>
  as(user: string, password: string, path: string): Promise<number>
  /** A new one, and what it shows. */
  robot(grant: string): Promise<Robot>
  stop(): Promise<void>
  restart(): Promise<void>
}

export async function startScene(
  build: Build,
  settings: Partial<MirrorSettings> = {},
): Promise<Scene> {
  const folder = await makeFolder(settings)
  const { config, data } = folder
  const args = ['serve', '--config', config]
  let program = build.start({ args })
  let { url } = await program.ready()

  const command: Scene['run'] = (given, more) =>
    run(build, given.includes('--server') ? given : [...given, '--config', config], more)
  const status: Scene['status'] = async (path, headers = {}) =>
    (await request({ url, path, headers })).status
  async function json(given: readonly string[]): Promise<unknown> {
    const { code, output, errors } = await command([...given, '--json'])
    expect({ code, errors }).toEqual({ code: 0, errors: '' })
    return JSON.parse(output)
  }
  async function stop(): Promise<void> {
    program.kill('SIGTERM')
    expect(await within(program.exited, { deadlineMs: 60_000 })).toMatchObject({ code: 0 })
  }
  return {
    get program() {
      return program
    },
    get url() {
      return url
    },
    data,
    run: command,
    async done(given, more) {
      const { code, errors } = await command(given, more)
      expect({ given, code, errors }).toEqual({ given, code: 0, errors: '' })
    },
    json,
    status,
    as: (user, password, path) => status(path, { authorization: basic(user, password) }),
    async robot(grant) {
      const made = (await json(['tokens', 'add', 'robot', '--grant', grant])) as Record<
        string,
        string
      >
      const { id = '', token = '' } = made
      return robotWith(() => url, { id, token })
    },
    stop,
    async restart() {
      await program[Symbol.asyncDispose]()
      program = build.start({ args })
      ;({ url } = await program.ready())
    },
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

function robotWith(url: () => string, { id, token }: { id: string; token: string }): Robot {
  const bearer = `Bearer ${token}`
  const ask = async (method: string, path: string, json?: object): Promise<string> => {
    const headers = { authorization: bearer, ...(json && { 'content-type': 'application/json' }) }
    const to = { url: url(), path: `/api/v1${path}`, method, headers }
    const text = json && JSON.stringify(json)
    const { status, body } = await request({ ...to, ...(text !== undefined && { body: text }) })
    expect({ path, ok: status < 300, told: status < 300 || body.toString() }).toMatchObject({
      ok: true,
    })
    return body.toString()
  }
  return {
    id,
    bearer,
    env: { ENTREPOT_TOKEN: token },
    get: (path) => ask('GET', path),
    post: async (path, json) => void (await ask('POST', path, json)),
  }
}

/** Names of the files that hold the text. */
export async function filesWith(folder: string, text: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((it) => it.isFile()).map((it) => join(it.parentPath, it.name))
  const contents = await Promise.all(
    files.map(async (file) => [file, await readFile(file)] as const),
  )
  return contents.filter(([, bytes]) => bytes.includes(text)).map(([file]) => file)
}
