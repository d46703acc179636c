/** entrepot serve: run the mirror until a signal comes. */
import { createApp, type App } from '../app.ts'
import { watchConfig } from '../config/watch.ts'
import { createLog, type Log } from '../log.ts'
import { exitCode, type Command, type Io } from './command.ts'
import { readOptions, type ConfigurationSource } from './configuration.ts'
import { describeConfig } from './describe.ts'

export const serve: Command = async (args, io, signal) => {
  const log = createLog()
  let app: App | undefined
  try {
    const source = readOptions(args, io.env)
    const config = source.load()
    if (source.isExample()) {
      log.info('there is no mirrors.yml here: copy the example to that name to make it your own')
    }
    app = await createApp(config, { log })
    const { url } = await app.listen()
    const stopWatching = followChanges(source, app, io, log)
    log.info({ url, ...describeConfig(source.file(), config) }, 'the mirror is ready')
    await aborted(signal)
    stopWatching()
    log.info('stopping: no new requests, running transfers may end')
    return 0
  } catch (error) {
    io.error(error instanceof Error ? error.message : String(error))
    return exitCode(error)
  } finally {
    await app?.close()
  }
}

/** Reads the configuration again when a file changes and on SIGHUP; a broken edit changes nothing. */
function followChanges(source: ConfigurationSource, app: App, io: Io, log: Log): () => void {
  const reload = (): void => {
    try {
      const config = source.load()
      app.reload(config)
      log.info(describeConfig(source.file(), config), 'the configuration was read again')
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log.error({ reason }, 'the configuration is not usable: the earlier one stays in force')
    }
  }
  io.onReload(reload)
  const watchers = source.candidates.map((file) => watchConfig(file, reload))
  return () => watchers.forEach((watcher) => watcher.close())
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
