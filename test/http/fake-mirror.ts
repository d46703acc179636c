/** The routes on a socket of their own, in front of a mirror of which a test says what it does. */
import type { Control } from '../../src/control/control.ts'
import { createBuffers } from '../../src/http/buffers.ts'
import type { HttpDependencies } from '../../src/http/context.ts'
import { createRoutes, type Parts } from '../../src/http/routes.ts'
import { createServer } from '../../src/http/server.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { fakeControl } from './fake-control.ts'

export type FakeMirror = HttpDependencies['mirror']

export interface Served extends AsyncDisposable {
  readonly url: string
  readonly logs: readonly Readonly<Record<string, unknown>>[]
}

export interface ServedOptions {
  readonly control?: Control
  readonly publicUrl?: string
  /** Whether this machine is a proxy that is believed. */
  readonly behindProxy?: boolean
  /** Default: all of them. */
  readonly parts?: Parts
}

export interface Dependencies extends HttpDependencies {
  readonly logs: readonly Readonly<Record<string, unknown>>[]
}

/** What the test does not define must not be called. */
export function fakeDependencies(
  mirror: Partial<FakeMirror>,
  { control = fakeControl(), publicUrl, behindProxy = false }: ServedOptions = {},
): Dependencies {
  const logs: Record<string, unknown>[] = []
  const write = (line: string): void => void logs.push(JSON.parse(line) as Record<string, unknown>)
  return {
    mirror: mirror as FakeMirror,
    control,
    publicUrl: () => publicUrl,
    isTrustedProxy: (address) => behindProxy && address === '127.0.0.1',
    buffers: createBuffers(),
    metrics: createMetrics(),
    log: createLog({ write }),
    logs,
  }
}

export async function serveMirror(
  mirror: Partial<FakeMirror>,
  options: ServedOptions = {},
): Promise<Served> {
  const dependencies = fakeDependencies(mirror, options)
  const routes = createRoutes(dependencies, options.parts ?? { registry: true, api: true })
  const server = createServer(routes, [])
  const url = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { url, logs: dependencies.logs, [Symbol.asyncDispose]: () => server.close(0) }
}
