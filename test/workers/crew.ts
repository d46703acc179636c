/** The program with several workers, in front of a registry, and what the kernel says of its processes. */
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildImage } from '../fakes/images.ts'
import type { FakeRegistry } from '../fakes/registry.ts'
import { run } from '../scenarios/operator-commands.ts'
import type { Build, Program } from '../scenarios/program.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { type MirrorSettings, mirrorYaml } from '../support/mirror-config.ts'
import { until, within } from '../support/until.ts'

export interface Crew extends AsyncDisposable {
  readonly program: Program
  readonly url: string
  readonly folder: string
  readonly data: string
  /** Of the main process. */
  readonly pid: number
  /** Process ids of those that live. */
  workers(): Promise<readonly number[]>
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<ClientResponse>
  /** Of so many requests, one after the other, which the workers get by turns. */
  statuses(path: string, count?: number): Promise<ReadonlySet<number>>
  /** Writes the file anew; the program reads it when it is told or sees that. */
  edit(changes: Partial<MirrorSettings>): Promise<void>
  /** A command on the host, which has to succeed. */
  command(...args: readonly string[]): Promise<string>
}

/** What commands are told that ask for a password. */
const INPUT = 'correct horse battery\n'

/** @param settings with `workers: 2` unless they say otherwise */
export async function startCrew(
  build: Build,
  registry: FakeRegistry,
  settings: Partial<MirrorSettings> = {},
  { ca, workers = 2 }: { ca?: string; workers?: number } = {},
): Promise<Crew> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-crew-'))
  const [config, data] = [join(folder, 'mirrors.yml'), join(folder, 'data')]
  const text = (changes: Partial<MirrorSettings>): string => {
    const { yaml = {}, ...rest } = { ...settings, ...changes }
    if (typeof yaml === 'string') throw new Error('Settings of workers are given as an object.')
    const upstreams = { 'docker.io': registry }
    return mirrorYaml({ upstreams, ...rest, yaml: { workers, ...yaml } }, data)
  }
  await writeFile(config, text({}))
  const program = build.start({ args: ['serve', '--config', config] })
  const close = async (): Promise<void> => {
    await program[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const { url } = await program.ready()
    const pid = await processWith(config)
    const get: Crew['get'] = (path, headers = {}) =>
      request({ url, path, headers, ...(ca !== undefined && { ca }) })
    return {
      program,
      url,
      folder,
      data,
      pid,
      workers: () => childrenOf(pid),
      get,
      async statuses(path, count = 4) {
        const seen = new Set<number>()
        for (let index = 0; index < count; index += 1) seen.add((await get(path)).status)
        return seen
      },
      edit: (changes) => writeFile(config, text(changes)),
      async command(...args) {
        const { code, output, errors } = await run(build, [...args, '--config', config], {
          input: INPUT,
        })
        if (code !== 0) throw new Error(`entrepot ${args.join(' ')}: ${errors}`)
        return output
      },
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

export interface LayerAt {
  readonly digest: string
  readonly bytes: Uint8Array
  readonly path: string
}

/** An image of one layer, of which the mirror has only the manifest. */
export async function coldLayerOf(
  registry: FakeRegistry,
  crew: Pick<Crew, 'get'>,
  { size, seed }: { size: number; seed: string },
): Promise<LayerAt> {
  const image = buildImage({ seed, layers: [size] })
  registry.push(`library/${seed}`, 'v1', image)
  const { status } = await crew.get(`/v2/docker.io/library/${seed}/manifests/v1`)
  const layer = image.blobs.at(-1)
  if (status !== 200 || layer === undefined) throw new Error(`The manifest of ${seed}: ${status}`)
  return { ...layer, path: `/v2/docker.io/library/${seed}/blobs/${layer.digest}` }
}

/** Resolves with their ids when so many workers live. */
export async function workersAre(crew: Crew, count: number): Promise<readonly number[]> {
  return until(
    async () => {
      const found = await crew.workers()
      return found.length === count && found
    },
    { deadlineMs: 15_000, what: `there are ${count} workers` },
  )
}

export async function isGone(pid: number): Promise<void> {
  await until(async () => (await parentOf(pid)) === undefined, { what: `${pid} has ended` })
}

/** What a process has open that is a file below the folder, or a connection. */
export async function openIn(
  pid: number,
  folder: string,
): Promise<{ files: number; sockets: number }> {
  const names = await readdir(`/proc/${pid}/fd`)
  const targets = await Promise.all(
    names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')),
  )
  return {
    files: targets.filter((target) => target.startsWith(folder)).length,
    sockets: targets.filter((target) => target.startsWith('socket:')).length,
  }
}

/** Ends well, and soon. */
export async function endOf(program: Program): Promise<unknown> {
  return within(program.exited, { deadlineMs: 20_000, what: 'the program has ended' })
}

async function processWith(argument: string): Promise<number> {
  for (const pid of await processes()) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.split('\0').includes(argument)) return pid
  }
  throw new Error(`No process has ${argument}.`)
}

async function childrenOf(parent: number): Promise<number[]> {
  const all = await processes()
  const parents = await Promise.all(all.map(parentOf))
  return all.filter((_, index) => parents[index] === parent)
}

/** `undefined`: it is gone, or dead and not yet buried. */
async function parentOf(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name, in parentheses, may hold anything.
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return state === undefined || state === '' || state === 'Z' ? undefined : Number(parent)
}

async function processes(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
}
