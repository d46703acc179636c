/** A worker process, put together: all that listens and answers, over the mirror of the main process. */
import { defer } from './cache/deferred.ts'
import type { ControlCatalog } from './catalog/control-catalog.ts'
import { openControlCatalog } from './catalog/sqlite-control.ts'
import type { Config } from './config/schema.ts'
import { controlFile, controlSettings } from './control-settings.ts'
import type { Control } from './control/control.ts'
import { createControl } from './control/create-control.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { openServers, type Servers } from './servers.ts'
import { openTracing } from './tracing.ts'
import { linkToMain, type MainLink, type WorkerDuties } from './workers/main-link.ts'

const log = createLog()
const metrics = createMetrics()
const duties = defer<WorkerDuties>()
const tracing = await openTracing(process.env, { log })

const main = await linkToMain({
  duties: duties.promise,
  followLogLevel: (level) => void (log.level = level),
  tracing,
})
try {
  duties.resolve(await serve(main))
} catch (error) {
  await main.failed(error)
  process.exit(1)
}

async function serve(link: MainLink): Promise<WorkerDuties> {
  // The main process has made it of a Config.
  const config = link.configuration as Config
  const own = link.metricsOf(metrics)
  const control = link.controlOf(await openControl(config, link, own))
  const { mirror, logLevels } = link
  const servers = await openServers(config, {
    mirror,
    control,
    metrics: own,
    log,
    logLevels,
    tracing,
  })
  await link.serve((listener, socket) => servers.accept(listener, socket))
  return dutiesOf(servers, control)
}

function openControl(
  config: Config,
  { mirror }: MainLink,
  own: ReturnType<typeof createMetrics>,
): Promise<Control> {
  return createControl({
    catalog: withoutConfigChanges(openControlCatalog(controlFile(config))),
    settings: controlSettings(config),
    content: mirror,
    metrics: own,
    log,
  })
}

/** The main process has written down that the configuration was changed; once is enough. */
function withoutConfigChanges(catalog: ControlCatalog): ControlCatalog {
  return {
    ...catalog,
    async appendAudit(records) {
      const rest = records.filter(({ action }) => action !== 'config.changed')
      if (rest.length > 0) await catalog.appendAudit(rest)
    },
  }
}

function dutiesOf(servers: Servers, control: Control): WorkerDuties {
  return {
    async configure(changed) {
      const config = changed as Config
      await servers.configure(config)
      try {
        await control.configure(controlSettings(config))
      } catch (error) {
        // The next request tries again.
        log.error({ err: error }, 'the rules could not be taken over')
      }
    },
    snapshot: () => metrics.snapshot(),
    idle: () => control.idle(),
    async stop(grace) {
      await servers.close(grace)
      await control.close()
      await tracing?.close()
    },
  }
}
