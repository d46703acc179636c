/** The composition root: everything is put together here, and taken apart in reverse order. */
import { createNetworkCheck } from './addresses.ts'
import type { RepositoryVerdict } from './access/allowlist.ts'
import { createPins } from './access/pins.ts'
import { createMirror, type Mirror } from './cache/mirror.ts'
import type { ScrubReport } from './cache/scrub.ts'
import type { CacheSettings, MirroredUpstream } from './cache/upstreams.ts'
import type { RepositoryKey } from './catalog/catalog.ts'
import { openControlCatalog } from './catalog/sqlite-control.ts'
import type { Config, UpstreamConfig } from './config/schema.ts'
import { controlFile, controlSettings } from './control-settings.ts'
import type { Control, Policy } from './control/control.ts'
import { createControl } from './control/create-control.ts'
import { openDataFolder } from './data-folder.ts'
import { createBuffers } from './http/buffers.ts'
import { createServers } from './servers.ts'
import type { Log } from './log.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { createUpstream } from './upstream/client.ts'

export interface App {
  /**
   * Begins to accept; resolves with the base URLs that were bound. That of the API is another one only
   * where it has a listener of its own.
   */
  listen(): Promise<{ url: string; apiUrl: string | undefined }>
  /** Applies a new configuration to the requests to come; what is running goes on. */
  reload(config: Config): void
  /**
   * Makes a token with which the first admin can be made, and ends those made before.
   * @returns `undefined` when there is an admin, or no API to use it with
   */
  makeFirstAdminToken(): Promise<string | undefined>
  /** Reads everything that is stored, and fetches again what is damaged. */
  scrub(): Promise<ScrubReport>
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
export async function createApp(config: Config, { log }: { log: Log }): Promise<App> {
  const metrics = createMetrics()
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
  let current = settle(config, undefined, { metrics, policy })
  const settings = (): CacheSettings => current.settings
  const { scrubRate } = config
  const mirror: Mirror = await orClose([control, data], () =>
    createMirror({ ...data, disk: config, scrubRate, settings, metrics, log }),
  )
  const servers = createServers(config, {
    mirror,
    control,
    publicUrl: () => current.publicUrl,
    isTrustedProxy: (address) => current.isTrustedProxy(address),
    buffers: createBuffers(),
    metrics,
    log,
  })
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
    await servers.close(grace)
    await mirror.close()
    await closeUpstreams(current.settings.upstreams.values())
    await Promise.all(retired)
    await control.close()
    await data.close()
  }

  return {
    listen: () => servers.listen(),
    reload(changed) {
      servers.useCertificates(changed.tls)
      const waiting = needsRestart(config, changed)
      if (waiting.length > 0) log.warn({ keys: waiting }, 'these changes count after a restart')
      const previous = current
      current = settle(changed, previous, { metrics, policy })
      control
        .configure(controlSettings(changed))
        .catch((error: unknown) => log.error({ err: error }, 'the rules could not be taken over'))
      const kept = new Set(current.settings.upstreams.values())
      retire([...previous.settings.upstreams.values()].filter((it) => !kept.has(it)))
    },
    makeFirstAdminToken: async () =>
      config.api === 'off' ? undefined : control.makeFirstAdminToken(),
    scrub: () => mirror.scrub(),
    async idle() {
      await mirror.idle()
      await control.idle()
    },
    close: (grace = DEFAULT_GRACE) => (closing ??= shutDown(grace)),
  }
}

const AT_THE_START = [
  'listen',
  'api',
  'data',
  'budget',
  'lowWatermark',
  'maxUnused',
  'minFree',
  'scrubRate',
  'memory',
  'workers',
  'sendfile',
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
  readonly settings: CacheSettings
  readonly publicUrl: string | undefined
  readonly isTrustedProxy: (address: string | undefined) => boolean
  /** To keep connections and tokens of upstreams that a reload does not touch. */
  readonly fingerprints: ReadonlyMap<MirroredUpstream, string>
}

interface Surroundings {
  readonly metrics: Metrics
  readonly policy: () => Policy
}

function settle(
  config: Config,
  previous: Current | undefined,
  { metrics, policy }: Surroundings,
): Current {
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
  const judge = ({ upstream, repository }: RepositoryKey): RepositoryVerdict =>
    policy().allowlist.judge(upstream, repository)
  return {
    publicUrl: config.publicUrl,
    isTrustedProxy: trustOf(config.trustedProxies),
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

/** Whoever comes by a socket file has no address. */
function trustOf(trusted: readonly string[]): (address: string | undefined) => boolean {
  const isNamed = createNetworkCheck(trusted.filter((it) => it !== 'unix'))
  return (address) => (address === undefined ? trusted.includes('unix') : isNamed(address))
}

function mirrored(options: UpstreamConfig, offline: boolean, metrics: Metrics): MirroredUpstream {
  return { ...options, client: createUpstream(options, { metrics, offline }) }
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
