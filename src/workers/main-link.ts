/** A worker's link to the main process, without which it does not live. */
import { Socket } from 'node:net'
import type { Mirror } from '../cache/mirror.ts'
import type { MirrorStatus } from '../cache/status.ts'
import type { Control } from '../control/control.ts'
import type { LogLevelControl } from '../log-level.ts'
import type { LogLevel } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Tracing } from '../tracing.ts'
import { createChannel, type Handlers } from './channel.ts'
import { encodeError } from './error-codec.ts'
import type { ListenerName } from './hand-over.ts'
import { createMirrorClient } from './mirror-client.ts'
import { processPort } from './port.ts'
import type { HandedConnection, MainCalls, WorkerCalls } from './protocol.ts'
import { withSharedLogins } from './shared-logins.ts'

/** What a worker does when it is told to. */
export type WorkerDuties = Omit<Handlers<WorkerCalls>, 'tagsVersion' | 'logLevel'>

export interface MainLink {
  /** What the main process gave `createWorkerServers`. */
  readonly configuration: unknown
  /** That of the main process. */
  readonly mirror: Mirror & { status(): Promise<MirrorStatus> }
  /** Without what the main process counts, and with the figures of all. */
  metricsOf(own: Metrics): Metrics
  controlOf(own: Control): Control
  /** That of all processes. */
  readonly logLevels: LogLevelControl
  /** From now on this worker is given connections. */
  serve(accept: (listener: ListenerName, socket: Socket) => void): Promise<void>
  /** It cannot serve. */
  failed(error: unknown): Promise<void>
}

interface LinkOptions {
  /** What the main process asks for earlier waits for them. */
  readonly duties: Promise<WorkerDuties>
  /** Told at the beginning, and whenever it changes. */
  readonly followLogLevel: (level: LogLevel) => void
  readonly tracing: Tracing | undefined
}

export async function linkToMain(options: LinkOptions): Promise<MainLink> {
  const { duties, followLogLevel, tracing } = options
  endWithMain()
  let tagsVersion = 0
  const port = processPort(process)
  const channel = createChannel<MainCalls, WorkerCalls>(
    port,
    {
      configure: async (...args) => (await duties).configure(...args),
      snapshot: async (...args) => (await duties).snapshot(...args),
      idle: async (...args) => (await duties).idle(...args),
      stop: async (...args) => (await duties).stop(...args),
      tagsVersion: (version) => void (tagsVersion = version),
      logLevel: (level) => followLogLevel(level),
    },
    undefined,
    tracing,
  )
  const beginning = await channel.call('begin', [])
  followLogLevel(beginning.logLevel)
  tagsVersion = beginning.tagsVersion
  const { configuration, pid } = beginning
  return {
    configuration,
    mirror: createMirrorClient({ channel, pid, tagsVersion: () => tagsVersion }),
    metricsOf: (own) => ({
      ...own,
      loginSeen: () => undefined,
      accessRequestsOpen: () => undefined,
      render: () => channel.call('metrics', []),
      snapshot: () => channel.call('totals', []),
    }),
    logLevels: {
      state: () => channel.call('logLevel', []),
      set: (level, milliseconds) => channel.call('setLogLevel', [level, milliseconds]),
      reset: () => channel.call('resetLogLevel', []),
    },
    controlOf: (own) =>
      withSharedLogins(own, (authorization, address) =>
        channel.call('identify', [authorization, address]),
      ),
    serve(accept) {
      port.receiveHandles((message, handle) => {
        const { connection, listener } = message as HandedConnection
        channel.tell('taken', [connection])
        // It may have been closed on the way.
        if (!(handle instanceof Socket)) return channel.tell('left', [connection])
        handle.once('close', () => channel.tell('left', [connection]))
        accept(listener, handle)
      })
      return channel.call('serving', [])
    },
    failed: (error) => channel.call('failed', [encodeError(error)]),
  }
}

/** Signals are for the main process, which stops its workers; some are sent to all of them at once. */
function endWithMain(): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => undefined)
  }
  process.once('disconnect', () => process.exit(0))
}
