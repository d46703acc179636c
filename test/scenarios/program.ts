/** The program as it is shipped: built from the sources, run as a process of its own. */
import { execFile, spawn } from 'node:child_process'
import { copyFile, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { until } from '../support/until.ts'

interface Exit {
  /** `null` when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Program extends AsyncDisposable {
  readonly output: string
  readonly errors: string
  /** The log so far, parsed. */
  readonly log: readonly Readonly<Record<string, unknown>>[]
  readonly exited: Promise<Exit>
  /** Resolves with the URL once it accepts; rejects when it ends before. */
  ready(): Promise<{ url: string }>
  kill(signal: NodeJS.Signals): void
}

interface StartOptions {
  readonly args: readonly string[]
  /** The folder that it is started in; the one of the build, unless said otherwise. */
  readonly folder?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface Build extends AsyncDisposable {
  readonly folder: string
  start(options: StartOptions): Program
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const START_DEADLINE = 15_000

/** What a start without any admin says on standard error. */
export const FIRST_ADMIN = /^There is no admin yet\. [^\n]*\n[^\n]*\n/

/** Compiles into a folder of its own, with the dependencies that are installed here. */
export async function buildProgram(): Promise<Build> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-build-'))
  try {
    await compileInto(folder)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
  return {
    folder,
    start: (options) => startProgram(join(folder, 'dist', 'main.js'), { folder, ...options }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

async function compileInto(folder: string): Promise<void> {
  const compiler = join(ROOT, 'node_modules', '.bin', 'tsc')
  const args = ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')]
  await promisify(execFile)(compiler, args, { cwd: ROOT })
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  for (const file of ['package.json', 'mirrors.example.yml']) {
    await copyFile(join(ROOT, file), join(folder, file))
  }
}

function startProgram(main: string, { args, folder, env }: StartOptions): Program {
  const child = spawn(process.execPath, [main, ...args], {
    ...(folder !== undefined && { cwd: folder }),
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let errors = ''
  let ended = false
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      ended = true
      resolve({ code, signal })
    })
  })
  const log = (): Record<string, unknown>[] =>
    output
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)

  return {
    get output() {
      return output
    },
    get errors() {
      return errors
    },
    get log() {
      return log()
    },
    exited,
    ready: () =>
      until(
        () => {
          const line = log().find(({ msg }) => msg === 'the mirror is ready')
          if (line === undefined && ended) throw new Error(`It has ended: ${errors}${output}`)
          return line && { url: String(line['url']) }
        },
        { deadlineMs: START_DEADLINE, what: 'the program is ready' },
      ),
    kill: (signal) => void child.kill(signal),
    async [Symbol.asyncDispose]() {
      if (!ended) child.kill('SIGKILL')
      await exited
    },
  }
}
