/** The routes on a socket of their own, in front of a mirror of which a test says what it does. */
import { createAllowlist } from '../../src/access/allowlist.ts'
import { createBuffers } from '../../src/http/buffers.ts'
import type { HttpDependencies } from '../../src/http/context.ts'
import { createRoutes } from '../../src/http/routes.ts'
import { createServer } from '../../src/http/server.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'

type FakeMirror = HttpDependencies['mirror']

export interface Served extends AsyncDisposable {
  readonly url: string
  readonly logs: readonly Readonly<Record<string, unknown>>[]
}

/** What the test does not define must not be called. */
export async function serveMirror(mirror: Partial<FakeMirror>): Promise<Served> {
  const logs: Record<string, unknown>[] = []
  const write = (line: string): void => void logs.push(JSON.parse(line) as Record<string, unknown>)
  const routes = createRoutes({
    mirror: mirror as FakeMirror,
    policy: () => ({
      routing: {
        upstreams: new Set(['docker.io']),
        hosts: new Map(),
        defaultUpstream: 'docker.io',
      },
      allowlist: createAllowlist(['**'], []),
    }),
    buffers: createBuffers(),
    metrics: createMetrics(),
    log: createLog({ write }),
  })
  const server = createServer(routes, [])
  const url = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { url, logs, [Symbol.asyncDispose]: () => server.close(0) }
}
