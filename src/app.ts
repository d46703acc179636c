/** The composition root: everything is put together here, and taken apart in reverse order. */
import { createAllowlist } from './access/allowlist.ts'
import { createPins } from './access/pins.ts'
import { createMirror, type Mirror } from './cache/mirror.ts'
import type { ScrubReport } from './cache/scrub.ts'
import type { CacheSettings, MirroredUpstream } from './cache/upstreams.ts'
import type { Config, UpstreamConfig } from './config/schema.ts'
import { openDataFolder, type DataFolder } from './data-folder.ts'
import { createBuffers } from './http/buffers.ts'
import type { Policy } from './http/context.ts'
import { createRoutes } from './http/routes.ts'
import { createServer } from './http/server.ts'
import type { Log } from './log.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { createUpstream } from './upstream/client.ts'

export interface App {
  /** Begins to accept; resolves with the base URL that was bound. */
  listen(): Promise<{ url: string }>
  /** Applies a new configuration to the requests to come; what is running goes on. */
  reload(config: Config): void
  /** Reads everything that is stored, and fetches again what is damaged. */
  scrub(): Promise<ScrubReport>
  /** Resolves when nothing is being fetched from any upstream. */
  idle(): Promise<void>
  /**
   * Stops accepting, lets running transfers end, closes everything. A second call does nothing.
   * @param grace milliseconds for running transfers
   */
  close(grace?: number): Promise<void>
}

const DEFAULT_GRACE = 30_000

/** Opens the data folder and prepares everything; connects to nobody. */
export async function createApp(config: Config, { log }: { log: Log }): Promise<App> {
  const metrics = createMetrics()
  const data = await openDataFolder(config.data, { metrics, log })
  let current = settle(config, undefined, metrics)
  const settings = (): CacheSettings => current.settings
  const { scrubRate } = config
  const mirror = await orClose(data, () =>
    createMirror({ ...data, disk: config, scrubRate, settings, metrics, log }),
  )
  const routes = createRoutes({
    mirror,
    policy: () => current.policy,
    buffers: createBuffers(),
    metrics,
    log,
  })
  const server = createServer(routes, config.tls)
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
    await server.close(grace)
    await mirror.close()
    await closeUpstreams(current.settings.upstreams.values())
    await Promise.all(retired)
    await data.close()
  }

  return {
    listen: async () => ({ url: await server.listen(config.listen) }),
    reload(changed) {
      server.useCertificates(changed.tls)
      const waiting = needsRestart(config, changed)
      if (waiting.length > 0) log.warn({ keys: waiting }, 'these changes count after a restart')
      const previous = current
      current = settle(changed, previous, metrics)
      const kept = new Set(current.settings.upstreams.values())
      retire([...previous.settings.upstreams.values()].filter((it) => !kept.has(it)))
    },
    scrub: () => mirror.scrub(),
    idle: () => mirror.idle(),
    close: (grace = DEFAULT_GRACE) => (closing ??= shutDown(grace)),
  }
}

const AT_THE_START = [
  'listen',
  'data',
  'budget',
  'lowWatermark',
  'maxUnused',
  'minFree',
  'scrubRate',
] as const

/** As the file calls it. */
const nameOf = (key: keyof Config): string => (key === 'scrubRate' ? 'scrub' : key)

/** Keys that were changed although they only count at the start. */
function needsRestart(started: Config, changed: Config): string[] {
  const differs = (key: keyof Config): boolean =>
    JSON.stringify(started[key]) !== JSON.stringify(changed[key])
  const keys = AT_THE_START.filter(differs)
  const tlsSwitched = (started.tls.length === 0) !== (changed.tls.length === 0)
  return [...keys.map(nameOf), ...(tlsSwitched ? ['tls'] : [])]
}

/** What of the configuration may change while requests are served. */
interface Current {
  readonly policy: Policy
  readonly settings: CacheSettings
  /** To keep connections and tokens of upstreams that a reload does not touch. */
  readonly fingerprints: ReadonlyMap<MirroredUpstream, string>
}

function settle(config: Config, previous: Current | undefined, metrics: Metrics): Current {
  const fingerprints = new Map<MirroredUpstream, string>()
  const upstreams = new Map<string, MirroredUpstream>()
  for (const [name, options] of config.upstreams) {
    const fingerprint = JSON.stringify([options, config.offline])
    const before = previous?.settings.upstreams.get(name)
    const unchanged = before && previous?.fingerprints.get(before) === fingerprint
    const upstream = unchanged ? before : mirrored(options, config.offline, metrics)
    fingerprints.set(upstream, fingerprint)
    upstreams.set(name, upstream)
  }
  const allowlist = createAllowlist(config.allow, config.deny)
  return {
    policy: {
      routing: {
        upstreams: new Set(upstreams.keys()),
        hosts: config.hosts,
        defaultUpstream: config.defaultUpstream,
      },
      allowlist,
    },
    settings: {
      upstreams,
      rateLimitStatus: config.rateLimitStatus,
      admits: ({ upstream, repository }) => !allowlist.judge(upstream, repository).refused,
      isPinned: createPins(config.pin),
    },
    fingerprints,
  }
}

function mirrored(options: UpstreamConfig, offline: boolean, metrics: Metrics): MirroredUpstream {
  return { ...options, client: createUpstream(options, { metrics, offline }) }
}

async function closeUpstreams(upstreams: Iterable<MirroredUpstream>): Promise<void> {
  await Promise.all([...upstreams].map(({ client }) => client.close()))
}

async function orClose(data: DataFolder, open: () => Promise<Mirror>): Promise<Mirror> {
  try {
    return await open()
  } catch (error) {
    await data.close()
    throw error
  }
}
