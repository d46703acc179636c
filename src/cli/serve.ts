/** entrepot serve: run the mirror until a signal comes. */
import { createApp, type App } from '../app.ts'
import type { Config } from '../config/schema.ts'
import { watchConfig, watchFiles } from '../config/watch.ts'
import { createLog, type Log } from '../log.ts'
import { createServiceManager } from '../service-manager.ts'
import { openTracing, type Tracing } from '../tracing.ts'
import { failWith, type Command, type Io } from './command.ts'
import { readOptions, type ConfigurationSource } from './configuration.ts'
import { describeConfig } from './describe.ts'
import { readLogLevel, withLogLevel } from './log-level.ts'
import { reachableUrl } from './mirror-address.ts'
import { isSwitchedOffline, watchSwitch } from './offline-switch.ts'

export const serve: Command = async (args, io, signal) => {
  const log = createLog()
  const manager = createServiceManager(io.env, log)
  let app: App | undefined
  let tracing: Tracing | undefined
  try {
    const level = readLogLevel(io.env)
    if (level !== undefined) log.level = level
    const source = withLogLevel(readOptions(args, io.env), level)
    const config = source.load()
    if (source.isExample()) {
      log.info('there is no mirrors.yml here: copy the example to that name to make it your own')
    }
    const switched = isSwitchedOffline(config.data)
    tracing = await openTracing(io.env, { log })
    app = await createApp(effective(config, switched), { log, tracing })
    const { url, apiUrl } = await app.listen()
    await welcomeFirstAdmin(app, apiUrl ?? url, io, log)
    const stopWatching = followChanges(source, { config, switched }, app, io, log)
    log.info(
      { url, apiUrl, ...describeConfig(source.file(), effective(config, switched)) },
      'the mirror is ready',
    )
    manager.tell('READY=1', `STATUS=Serving at ${url}`)
    await aborted(signal)
    manager.tell('STOPPING=1')
    stopWatching()
    log.info('stopping: no new requests, running transfers may end')
    return 0
  } catch (error) {
    return failWith(io, error)
  } finally {
    await app?.close()
    await tracing?.close()
    await manager.idle()
  }
}

/** Not by the log, which is collected and kept: whoever reads the line may do everything. */
async function welcomeFirstAdmin(app: App, url: string, io: Io, log: Log): Promise<void> {
  try {
    const token = await app.makeFirstAdminToken()
    if (token === undefined) return
    io.error(`There is no admin yet. This token makes one, is shown once, and ends within 24 hours:
  ENTREPOT_TOKEN=${token} entrepot users add NAME --grant 'admin=**' --server ${reachableUrl(url)}`)
  } catch (error) {
    log.warn({ err: error }, 'no token could be made for the first admin')
  }
}

/** What the operator said: in the configuration, and by `entrepot offline`. */
interface Said {
  readonly config: Config
  readonly switched: boolean
}

function effective(config: Config, switched: boolean): Config {
  return { ...config, offline: config.offline || switched }
}

/**
 * Reads the configuration again when it or a certificate changes and on SIGHUP; a broken edit changes nothing. Goes
 * offline and back with the switch, which counts whatever has become of the file.
 */
function followChanges(
  source: ConfigurationSource,
  started: Said,
  app: App,
  io: Io,
  log: Log,
): () => void {
  // The data folder counts at the start alone, and so does where the switch is.
  const { data } = started.config
  let { config, switched } = started
  const apply = (changed: Config, tell: () => void): void => {
    const applied = app.reload(effective(changed, switched))
    config = changed
    certificates.follow(certificateFiles(changed))
    if (applied === undefined) tell()
    else void applied.then(tell)
  }
  const reload = (): void => {
    try {
      const changed = source.load()
      apply(changed, () =>
        log.info(
          describeConfig(source.file(), effective(changed, switched)),
          'the configuration was read again',
        ),
      )
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log.error({ reason }, 'the configuration is not usable: the earlier one stays in force')
    }
  }
  const follow = (offline: boolean): void => {
    switched = offline
    apply(config, () =>
      log.info(offline ? 'switched offline: no upstream is asked' : 'no longer switched offline'),
    )
  }
  io.onReload(reload)
  const certificates = watchFiles(reload)
  certificates.follow(certificateFiles(config))
  const watchers = [
    certificates,
    ...source.candidates.map((file) => watchConfig(file, reload)),
    watchSwitch(data, switched, follow),
  ]
  return () => watchers.forEach((watcher) => watcher.close())
}

/** They are renewed without a word in the configuration. */
function certificateFiles({ tls }: Config): string[] {
  return tls.flatMap(({ files }) => files)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
