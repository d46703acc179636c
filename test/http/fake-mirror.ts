/** The routes on a socket of their own, in front of a mirror of which a test says what it does. */
import type { Control } from '../../src/control/control.ts'
import { createRequestObserver } from '../../src/http/access-log.ts'
import { createBuffers } from '../../src/http/buffers.ts'
import type { HttpDependencies } from '../../src/http/context.ts'
import { createRoutes, type Parts } from '../../src/http/routes.ts'
import { createServer } from '../../src/http/server.ts'
import { createShortPath } from '../../src/http/short-path.ts'
import { createLogLevels } from '../../src/log-level.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics, type Metrics } from '../../src/metrics.ts'
import { fakeControl } from './fake-control.ts'

export type FakeMirror = HttpDependencies['mirror']

export interface Served extends AsyncDisposable {
  readonly url: string
  readonly logs: readonly Readonly<Record<string, unknown>>[]
  readonly metrics: Metrics
}

export interface ServedOptions {
  readonly control?: Control
  readonly publicUrl?: string
  /** Whether this machine is a proxy that is believed. */
  readonly behindProxy?: boolean
  /** Default: all of them. */
  readonly parts?: Parts
  /** Bytes of answers that are given again in front of everything, and by which clock; default: none. */
  readonly remembers?: { readonly memory: number; readonly now?: () => number }
}

export interface Dependencies extends HttpDependencies {
  readonly logs: readonly Readonly<Record<string, unknown>>[]
}

/** What the test does not define must not be called. */
export function fakeDependencies(
  mirror: Partial<FakeMirror>,
  { control = fakeControl(), publicUrl, behindProxy = false, remembers }: ServedOptions = {},
): Dependencies {
  const logs: Record<string, unknown>[] = []
  const write = (line: string): void => void logs.push(JSON.parse(line) as Record<string, unknown>)
  const metrics = createMetrics()
  const log = createLog({ write })
  const common = {
    mirror: mirror as FakeMirror,
    control,
    isTrustedProxy: (address: string | undefined) => behindProxy && address === '127.0.0.1',
    observe: createRequestObserver({ metrics, log }),
  }
  return {
    ...common,
    publicUrl: () => publicUrl,
    buffers: createBuffers(),
    shortPath: remembers && createShortPath({ ...common, ...remembers }),
    metrics,
    log,
    logLevels: createLogLevels({ log, configured: 'info' }),
    logs,
  }
}

export async function serveMirror(
  mirror: Partial<FakeMirror>,
  options: ServedOptions = {},
): Promise<Served> {
  const dependencies = fakeDependencies(mirror, options)
  const routes = createRoutes(dependencies, options.parts ?? { registry: true, api: true })
  const { logs, metrics, shortPath } = dependencies
  const server = createServer(routes, [], shortPath)
  const url = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { url, logs, metrics, [Symbol.asyncDispose]: () => server.close(0) }
}
