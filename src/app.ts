/** The composition root: everything is put together here, and taken apart in reverse order. */
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RepositoryVerdict } from './access/allowlist.ts'
import { createPins } from './access/pins.ts'
import { createMirror, type Mirror } from './cache/mirror.ts'
import type { ScrubReport } from './cache/scrub.ts'
import type { CacheSettings, MirroredUpstream } from './cache/upstreams.ts'
import type { RepositoryKey } from './catalog/catalog.ts'
import { openControlCatalog } from './catalog/sqlite-control.ts'
import type { Config, UpstreamConfig } from './config/schema.ts'
import { configurationOfWorkers, needsRestart } from './configuration-changes.ts'
import { controlFile, controlSettings } from './control-settings.ts'
import type { Control, Policy } from './control/control.ts'
import { createControl } from './control/create-control.ts'
import { openDataFolder } from './data-folder.ts'
import { createCertificateChooser } from './http/certificates.ts'
import { createLogLevels, type LogLevels } from './log-level.ts'
import type { Log } from './log.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { createScheduledWarming, createWarmRunner, type WarmRunner } from './scheduled-warming.ts'
import { openServers, type Listeners } from './servers.ts'
import type { Tracing } from './tracing.ts'
import { createUpstream } from './upstream/client.ts'
import { createWorkerServers } from './workers/worker-servers.ts'

export interface App {
  /**
   * Begins to accept; resolves with the base URLs that were bound. That of the API is another one only
   * where it has a listener of its own.
   */
  listen(): Promise<{ url: string; apiUrl: string | undefined }>
  /**
   * Applies a new configuration to the requests to come; what is running goes on.
   * @returns resolves when other processes go by it as well; `undefined`: there are none
   */
  reload(config: Config): Promise<void> | undefined
  /**
   * Makes a token with which the first admin can be made, and ends those made before.
   * @returns `undefined` when there is an admin, or no API to use it with
   */
  makeFirstAdminToken(): Promise<string | undefined>
  /** Reads everything that is stored, and fetches again what is damaged. */
  scrub(): Promise<ScrubReport>
  /** Fetches images before anybody pulls them. */
  readonly warm: WarmRunner
  /** Resolves when nothing is being fetched from any upstream, and everything that was noted is written. */
  idle(): Promise<void>
  /**
   * Stops accepting, lets running transfers end, closes everything. A second call does nothing.
   * @param grace milliseconds for running transfers
   */
  close(grace?: number): Promise<void>
}

const DEFAULT_GRACE = 30_000

/** Opens the data folder and prepares everything; connects to nobody. */
export async function createApp(
  config: Config,
  { log, tracing }: { log: Log; tracing?: Tracing | undefined },
): Promise<App> {
  const metrics = createMetrics()
  const logLevels = createLogLevels({ log, configured: config.logLevel })
  const data = await openDataFolder(config.data, { metrics, log })
  const control: Control = await orClose([data], () =>
    createControl({
      catalog: openControlCatalog(controlFile(config)),
      settings: controlSettings(config),
      content: {
        describe: (key, reference) => mirror.describe(key, reference),
        tagsLeadingTo: (key, digest) => mirror.tagsLeadingTo(key, digest),
      },
      metrics,
      log,
    }),
  )
  const policy = (): Policy => control.policy()
  const surroundings: Surroundings = { metrics, log, tracing, policy }
  let current = settle(config, undefined, surroundings)
  const settings = (): CacheSettings => current.settings
  const { scrubRate } = config
  const mirror: Mirror = await orClose([control, data], () =>
    createMirror({ ...data, disk: config, scrubRate, settings, metrics, log, tracing }),
  )
  metrics.sampled(() => mirror.status())
  const servers = await orClose([mirror, control, data], () =>
    openListeners(config, { mirror, control, metrics, log, logLevels, tracing }),
  )
  const warm = createWarmRunner({ mirror, control, metrics })
  const schedules = createScheduledWarming({ run: warm, metrics, log })
  const retired = new Set<Promise<void>>()
  let closing: Promise<void> | undefined

  /** In the background: downloads that run through an old client may take their time. */
  function retire(upstreams: readonly MirroredUpstream[]): void {
    const closed = closeUpstreams(upstreams)
      .catch((error: unknown) => log.warn({ err: error }, 'an upstream could not be closed'))
      .finally(() => retired.delete(closed))
    retired.add(closed)
  }

  async function shutDown(grace: number): Promise<void> {
    await schedules.close()
    await servers.close(grace)
    await mirror.close()
    await closeUpstreams(current.settings.upstreams.values())
    await Promise.all(retired)
    await control.close()
    await data.close()
    logLevels.close()
  }

  return {
    async listen() {
      const bound = await servers.listen()
      schedules.configure(config.warm)
      return bound
    },
    reload(changed) {
      logLevels.configure(changed.logLevel)
      const configured = servers.configure(changed)
      const waiting = needsRestart(config, changed)
      if (waiting.length > 0) log.warn({ keys: waiting }, 'these changes count after a restart')
      schedules.configure(changed.warm)
      const previous = current
      current = settle(changed, previous, surroundings)
      control
        .configure(controlSettings(changed))
        .catch((error: unknown) => log.error({ err: error }, 'the rules could not be taken over'))
      const kept = new Set(current.settings.upstreams.values())
      retire([...previous.settings.upstreams.values()].filter((it) => !kept.has(it)))
      return configured
    },
    makeFirstAdminToken: async () =>
      config.api === 'off' ? undefined : control.makeFirstAdminToken(),
    scrub: () => mirror.scrub(),
    warm,
    async idle() {
      await schedules.idle()
      await mirror.idle()
      await control.idle()
      await servers.idle()
    },
    close: (grace = DEFAULT_GRACE) => (closing ??= shutDown(grace)),
  }
}

type Served = Parameters<typeof openServers>[1] & { readonly logLevels: LogLevels }

/** In this process, or in as many as are configured. */
async function openListeners(config: Config, served: Served): Promise<Listeners> {
  const { workers, listen, api, tls } = config
  if (workers === 1) return openServers(config, served)
  const servers = createWorkerServers({
    ...served,
    program: WORKER,
    count: workers,
    scheme: tls.length > 0 ? 'https' : 'http',
    address: listen,
    apiAddress: typeof api === 'string' ? undefined : api,
    configuration: configurationOfWorkers(config, config),
  })
  return {
    ...servers,
    configure(changed) {
      const told = configurationOfWorkers(config, changed)
      // A worker that cannot use them has to end, and so would all that come after it.
      createCertificateChooser(told.tls)
      return servers.configure(told)
    },
  }
}

/** Beside this file, built as this file is. */
const WORKER = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url))

/** What of the configuration may change while requests are served. */
interface Current {
  readonly settings: CacheSettings
  /** To keep connections and tokens of upstreams that a reload does not touch. */
  readonly fingerprints: ReadonlyMap<MirroredUpstream, string>
}

interface Surroundings {
  readonly metrics: Metrics
  readonly log: Log
  readonly tracing: Tracing | undefined
  readonly policy: () => Policy
}

function settle(
  config: Config,
  previous: Current | undefined,
  { policy, ...observers }: Surroundings,
): Current {
  const fingerprints = new Map<MirroredUpstream, string>()
  const upstreams = new Map<string, MirroredUpstream>()
  for (const [name, options] of config.upstreams) {
    const fingerprint = JSON.stringify([options, config.offline])
    const before = previous?.settings.upstreams.get(name)
    const unchanged = before && previous?.fingerprints.get(before) === fingerprint
    const upstream = unchanged ? before : mirrored(options, config.offline, observers)
    fingerprints.set(upstream, fingerprint)
    upstreams.set(name, upstream)
  }
  const judge = ({ upstream, repository }: RepositoryKey): RepositoryVerdict =>
    policy().allowlist.judge(upstream, repository)
  return {
    settings: {
      upstreams,
      rateLimitStatus: config.rateLimitStatus,
      admits: (key) => !judge(key).refused,
      minAge: (key, tag) => judge(key).minAge(tag),
      isApproved: (key, digest) => policy().isApproved(key, digest),
      frozenTo: (key, tag) => policy().frozenTo(key, tag),
      frozenDigests: () => policy().frozenDigests,
      isPinned: createPins(config.pin),
    },
    fingerprints,
  }
}

function mirrored(
  options: UpstreamConfig,
  offline: boolean,
  observers: Omit<Surroundings, 'policy'>,
): MirroredUpstream {
  return { ...options, client: createUpstream(options, { ...observers, offline }) }
}

async function closeUpstreams(upstreams: Iterable<MirroredUpstream>): Promise<void> {
  await Promise.all([...upstreams].map(({ client }) => client.close()))
}

async function orClose<T>(
  opened: readonly { close(): Promise<void> }[],
  open: () => Promise<T>,
): Promise<T> {
  try {
    return await open()
  } catch (error) {
    for (const it of opened) await it.close()
    throw error
  }
}
