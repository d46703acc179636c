/** In place of listeners in this process: workers that listen, and what they need of it. */
import type { ChildProcess } from 'node:child_process'
import { defer } from '../cache/deferred.ts'
import type { Mirror } from '../cache/mirror.ts'
import type { MirrorStatus } from '../cache/status.ts'
import type { Control } from '../control/control.ts'
import type { ListenAddress } from '../listening.ts'
import type { LogLevels } from '../log-level.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Tracing } from '../tracing.ts'
import { createChannel, type Channel } from './channel.ts'
import { decodeError } from './error-codec.ts'
import { createFrontDoor } from './front-door.ts'
import { createHandOver } from './hand-over.ts'
import { createMetricsSum } from './metrics-sum.ts'
import { createMirrorServer } from './mirror-server.ts'
import { createWorkerPool, type Attached } from './pool.ts'
import { processPort } from './port.ts'
import type { HandedConnection, MainCalls, WorkerCalls } from './protocol.ts'

export interface WorkerServers {
  /** @returns the base URLs that were bound */
  listen(): Promise<{ url: string; apiUrl: string | undefined }>
  /** Resolves when all workers serve by it, or did not say so in time. */
  configure(configuration: unknown): Promise<void>
  /** Resolves when everything that was noted is written. */
  idle(): Promise<void>
  close(grace: number): Promise<void>
}

interface Dependencies {
  /** Path of the program of a worker. */
  readonly program: string
  readonly count: number
  /** What the workers speak. */
  readonly scheme: 'http' | 'https'
  readonly address: ListenAddress
  /** Where it is another one. */
  readonly apiAddress: ListenAddress | undefined
  /** Data that workers get as it is. */
  readonly configuration: unknown
  readonly mirror: Mirror & { status(): Promise<MirrorStatus> }
  readonly control: Pick<Control, 'refresh' | 'identify'>
  readonly metrics: Pick<Metrics, 'snapshot'>
  readonly log: Log
  readonly logLevels: LogLevels
  readonly tracing?: Tracing | undefined
}

interface Member {
  readonly worker: ChildProcess
  readonly channel: Channel<WorkerCalls>
}

/** Milliseconds in which a worker must have taken over a configuration. */
const CONFIGURED_WITHIN = 10_000
/** Milliseconds between two looks at what workers have counted: so much is lost of one that is killed. */
const COUNTED_EVERY = 5000

export function createWorkerServers(dependencies: Dependencies): WorkerServers {
  const { program, count, mirror, control, metrics, log, logLevels, tracing, scheme } = dependencies
  let { configuration } = dependencies
  const members = new Set<Member>()
  const sum = createMetricsSum(() => metrics.snapshot())
  let toldVersion = mirror.tagsVersion()
  let counting: NodeJS.Timeout | undefined
  let lastId = 0
  const handOver = createHandOver()
  const door = createFrontDoor(scheme, (socket) => handOver.give(socket, 'main'))
  const apiDoor = createFrontDoor(scheme, (socket) => handOver.give(socket, 'api'))

  /** To all, before anybody is answered: what they remember may not outlive what it was made of. */
  function tellTags(): void {
    const version = mirror.tagsVersion()
    if (version === toldVersion) return
    toldVersion = version
    for (const { channel } of members) channel.tell('tagsVersion', [version])
  }

  function attach(worker: ChildProcess): Attached {
    lastId += 1
    const id = lastId
    const port = processPort(worker)
    const serving = defer<void>()
    serving.promise.catch(() => undefined)
    const session = createMirrorServer({ mirror, refresh: () => control.refresh() })
    const channel = createChannel<WorkerCalls, MainCalls>(
      port,
      {
        ...session.handlers,
        begin: () => ({
          configuration,
          tagsVersion: toldVersion,
          logLevel: logLevels.current(),
          pid: process.pid,
        }),
        serving() {
          handOver.add(id, (connection, listener, socket) => {
            const message: HandedConnection = { connection, listener }
            port.sendHandle(message, socket)
          })
          serving.resolve()
        },
        taken: (connection) => handOver.taken(id, connection),
        left: (connection) => handOver.left(id, connection),
        failed: (error) => serving.reject(decodeError(error)),
        async identify(authorization, address) {
          await control.refresh()
          const { credential, retryAfter } = await control.identify(authorization, address)
          return { credential, retryAfter }
        },
        metrics: () => sum.page(),
        totals: () => sum.totals(),
        logLevel: () => logLevels.state(),
        setLogLevel: (level, milliseconds) => logLevels.set(level, milliseconds),
        resetLogLevel: () => logLevels.reset(),
      },
      tellTags,
      tracing,
    )
    const member: Member = { worker, channel }
    members.add(member)
    sum.add(id, (signal) => channel.call('snapshot', [], signal))
    return {
      serving: serving.promise,
      stop: (grace) => channel.call('stop', [grace]),
      gone() {
        const reason = new Error('The worker is gone.')
        members.delete(member)
        channel.close(reason)
        sum.remove(id)
        handOver.remove(id)
        serving.reject(new Error('A worker ended before it could serve.'))
        session
          .close()
          .catch((error: unknown) => log.warn({ err: error }, 'what a worker read is still open'))
      },
    }
  }

  /** Nobody may go on by what does not count any more: the next worker begins with what does. */
  async function configureOne(
    { worker, channel }: Member,
    changed: unknown,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await channel.call('configure', [changed], signal)
    } catch (error) {
      if (!worker.connected) return
      log.error({ err: error }, 'a worker did not take over the configuration: it is ended')
      worker.kill('SIGKILL')
    }
  }

  logLevels.onChange((level) => {
    for (const { channel } of members) channel.tell('logLevel', [level])
  })
  const pool = createWorkerPool({ program, count, attach, log })

  return {
    async listen() {
      const { address, apiAddress } = dependencies
      const url = await door.listen(address)
      const apiUrl = apiAddress && (await apiDoor.listen(apiAddress))
      await pool.start()
      counting = setInterval(() => void sum.refresh(), COUNTED_EVERY)
      counting.unref()
      return { url, apiUrl }
    },
    async configure(changed) {
      configuration = changed
      const signal = AbortSignal.timeout(CONFIGURED_WITHIN)
      await Promise.all([...members].map((member) => configureOne(member, changed, signal)))
    },
    async idle() {
      await Promise.allSettled([...members].map(({ channel }) => channel.call('idle', [])))
    },
    async close(grace) {
      clearInterval(counting)
      door.close()
      apiDoor.close()
      handOver.close()
      await pool.close(grace)
    },
  }
}
