/** Starts the whole program on a free port, with fakes for upstreams and a data folder of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type App, createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import { createLog } from '../../src/log.ts'
import type { Tracing } from '../../src/tracing.ts'
import type { FakeRegistry } from '../fakes/registry.ts'
import { type ClientRequest, type ClientResponse, request } from './client.ts'
import { openFilesBelow, spoolFiles } from './leaks.ts'
import { type MirrorSettings, mirrorYaml, registriesOf } from './mirror-config.ts'
import { type PulledImage, type PullOptions, pull } from './pull.ts'
import { until } from './until.ts'

export interface MirrorOptions extends MirrorSettings {
  /** What `${NAME}` in the configuration stands for. */
  readonly env?: NodeJS.ProcessEnv
  /** A test that stops in the middle of a download may leave its spool to the next start. */
  readonly mayLeaveSpool?: boolean
  /** Milliseconds that connections to the fakes may take to end after the close; 5000. */
  readonly disconnectMs?: number
  /** Closed by whoever opened it. */
  readonly tracing?: Tracing | undefined
}

/** A line of the log, parsed. */
type LogLine = Readonly<Record<string, unknown>>

type GetOptions = Omit<ClientRequest, 'url' | 'path' | 'method'>

export interface Mirror extends AsyncDisposable {
  /** Changes with `restart`. */
  readonly url: string
  readonly dataDir: string
  /** Over all restarts, from level debug. */
  readonly logs: readonly LogLine[]
  readonly app: App
  get(path: string, options?: GetOptions): Promise<ClientResponse>
  head(path: string, options?: GetOptions): Promise<ClientResponse>
  pull(name: string, reference: string, options?: PullOptions): Promise<PulledImage>
  /** Takes over changed settings while it runs; what is not given stays. */
  reload(changes: Partial<MirrorSettings>): void
  /** Closes the program and starts it again on the same data. */
  restart(changes?: Partial<MirrorSettings>): Promise<void>
  /** Closes the program; the data stays until the disposal. */
  stop(): Promise<void>
}

/** Use with `await using`, after the fakes: the disposal fails if anything was left behind. */
export async function startMirror(options: MirrorOptions): Promise<Mirror> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-test-'))
  const dataDir = join(folder, 'data')
  const logs: LogLine[] = []
  const log = createLog({ write: (line) => void logs.push(JSON.parse(line) as LogLine) }, 'debug')
  const fakes = new Set<FakeRegistry>()
  const configOf = (settings: MirrorSettings): Config => {
    for (const fake of registriesOf(settings)) fakes.add(fake)
    const file = join(folder, 'mirrors.yml')
    return parseConfig(mirrorYaml(settings, dataDir), { file, env: options.env ?? {} })
  }
  let settings: MirrorSettings = options
  let running: Running | undefined

  const start = async (): Promise<Running> => {
    const app = await createApp(configOf(settings), { log, tracing: options.tracing })
    try {
      return { app, url: (await app.listen()).url }
    } catch (error) {
      await app.close(0)
      throw error
    }
  }
  const stop = async (): Promise<void> => {
    const { app } = running ?? {}
    running = undefined
    await app?.close(0)
  }
  const now = (): Running => {
    if (!running) throw new Error('The mirror has been stopped.')
    return running
  }
  const fetch = (method: string, path: string, more: GetOptions = {}): Promise<ClientResponse> =>
    request({ ...more, url: now().url, path, method })

  try {
    running = await start()
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
  return {
    get url() {
      return now().url
    },
    get app() {
      return now().app
    },
    dataDir,
    logs,
    get: (path, more) => fetch('GET', path, more),
    head: (path, more) => fetch('HEAD', path, more),
    pull: (name, reference, more) => pull(now().url, name, reference, more),
    reload(changes) {
      settings = { ...settings, ...changes }
      void now().app.reload(configOf(settings))
    },
    async restart(changes = {}) {
      settings = { ...settings, ...changes }
      await stop()
      running = await start()
    },
    stop,
    async [Symbol.asyncDispose]() {
      const url = running?.url
      try {
        await stop()
        await assertNothingLeft([...fakes], dataDir, url, options)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  }
}

interface Running {
  readonly app: App
  readonly url: string
}

async function assertNothingLeft(
  fakes: readonly FakeRegistry[],
  dataDir: string,
  url: string | undefined,
  { mayLeaveSpool = false, disconnectMs = 5000 }: MirrorOptions,
): Promise<void> {
  await until(
    () => fakes.every((fake) => fake.connections() + (fake.tokenServer?.connections() ?? 0) === 0),
    { deadlineMs: disconnectMs, what: 'a closed mirror has no connection to its upstreams' },
  )
  if (url !== undefined) await assertRefused(url)
  const open = await openFilesBelow(dataDir)
  if (open.length > 0) throw new Error(`Open after the close: ${open.join(', ')}`)
  const spool = await spoolFiles(dataDir)
  if (spool.length > 0 && !mayLeaveSpool) {
    throw new Error(`Left in the spool: ${spool.join(', ')}`)
  }
}

async function assertRefused(url: string): Promise<void> {
  const answer = await request({ url, path: '/v2/' }).catch(() => undefined)
  if (answer) throw new Error(`${url} still answers after the close, with ${answer.status}`)
}
