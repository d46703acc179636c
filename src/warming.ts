/** Images into the store by a command, without a running mirror. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createApp } from './app.ts'
import { ownEndpoints } from './config/credentials.ts'
import type { Config, UpstreamConfig } from './config/schema.ts'
import type { Log } from './log.ts'
import type { WarmRunner } from './scheduled-warming.ts'
import { ImageListError, type RegistryAccess } from './warm/image-list.ts'

/** For commands, which know neither the rooms nor their folders. */
export { isFolderLocked } from './catalog/lock.ts'
export { ImageListError, parseImageList, type ImageList } from './warm/image-list.ts'
export { parsePlatforms, PlatformError } from './warm/platforms.ts'
export { DEFAULT_CONCURRENCY, MAX_CONCURRENCY, type ImageSource } from './warm/sources.ts'
export { WARM_FAILURES, type WarmEvent, type WarmSummary } from './warm/events.ts'
export type { WarmJob } from './warm/job.ts'

export interface Warming {
  readonly run: WarmRunner
  /** Ends what is being fetched. */
  close(): Promise<void>
}

export interface WarmingOptions {
  readonly log: Log
  /** How a list says that registries are to be asked, in place of what the configuration says. */
  readonly access: readonly RegistryAccess[]
  /** Told what of that cannot be followed. */
  readonly warn: (message: string) => void
}

export type OpenWarming = typeof openWarming

/**
 * Opens the data folder as the mirror does, and listens nowhere.
 * @throws {StorageError} when another process uses the data folder
 */
export async function openWarming(
  config: Config,
  { log, access, warn }: WarmingOptions,
): Promise<Warming> {
  refuseForeignFolder(config.data)
  const upstreams = new Map(config.upstreams)
  for (const said of access) {
    const upstream = upstreams.get(said.registry)
    if (upstream) upstreams.set(said.registry, askedAs(upstream, said, warn))
  }
  // What goes wrong with an image is told of the image.
  const own = { workers: 1, scrubRate: 0, logLevel: 'error' } as const
  const app = await createApp({ ...config, upstreams, ...own }, { log })
  return { run: app.warm, close: () => app.close(0) }
}

/** What root writes, the mirror could not read. */
function refuseForeignFolder(folder: string): void {
  if (process.getuid?.() !== 0 || !existsSync(folder)) return
  const { uid } = statSync(folder)
  if (uid === 0) return
  throw new Error(
    `${folder} belongs to the user ${uid}, who could not read what root writes: run this as that user (sudo -u '#${uid}'), or start the mirror first.`,
  )
}

function askedAs(
  upstream: UpstreamConfig,
  { registry, credentials, tlsVerify, certDir }: RegistryAccess,
  warn: (message: string) => void,
): UpstreamConfig {
  if (tlsVerify === false && upstream.endpoints.some((it) => it.startsWith('https:'))) {
    warn(
      `${registry}: certificates are verified all the same: name the folder of the authority with cert-dir, or its file with "ca" in the configuration.`,
    )
  }
  return {
    ...upstream,
    ...(credentials && {
      credentials: [{ ...credentials, endpoints: ownEndpoints(upstream) }],
    }),
    ...(certDir !== undefined && { ca: readAuthorities(certDir) }),
    insecure: upstream.insecure || tlsVerify === false,
  }
}

/** As docker and skopeo have it: `*.crt` are of authorities. */
function readAuthorities(folder: string): string {
  const files = listFolder(folder).filter((name) => name.endsWith('.crt'))
  if (files.length === 0) {
    throw new ImageListError(`cert-dir ${folder} has no certificate of an authority (*.crt).`)
  }
  return files.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n')
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted()
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    throw new ImageListError(`cert-dir ${folder} cannot be read: ${code}.`, { cause: error })
  }
}
