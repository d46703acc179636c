/** The API on a socket of its own, in front of an operator of whom a test says what he does. */
import type { Grant, Principal, PrincipalKind } from '../../../src/access/principal.ts'
import type { Control, Identity, Policy } from '../../../src/control/control.ts'
import type { Operator } from '../../../src/control/operator.ts'
import { createRequestObserver } from '../../../src/http/access-log.ts'
import { createBuffers } from '../../../src/http/buffers.ts'
import type { HttpDependencies } from '../../../src/http/context.ts'
import { createRoutes } from '../../../src/http/routes.ts'
import { createServer } from '../../../src/http/server.ts'
import { createLogLevels } from '../../../src/log-level.ts'
import { createLog } from '../../../src/log.ts'
import { createMetrics } from '../../../src/metrics.ts'
import { request, type ClientResponse } from '../../support/client.ts'

export interface ServedApi extends AsyncDisposable {
  readonly url: string
  readonly logs: readonly Readonly<Record<string, unknown>>[]
  /** @param path behind `/api/v1` */
  ask(path: string, options?: AskOptions): Promise<ClientResponse>
}

export interface AskOptions {
  readonly method?: string
  /** A credential that is known here, by default that of an admin; `undefined` for none. */
  readonly as?: keyof typeof CALLERS | 'nobody' | 'stranger'
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as it is. */
  readonly body?: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

const CALLERS = {
  admin: caller('user', 'admin', [{ role: 'admin', pattern: '**' }]),
  operator: caller('robot', 'operator', [{ role: 'operate', pattern: 'quay.io/**' }]),
  puller: caller('user', 'puller', [{ role: 'pull', pattern: '**' }]),
} as const

const ANONYMOUS: Principal = { kind: 'anonymous', name: 'anonymous', grants: [] }

export async function serveApi(
  operator: Operator,
  overrides: Partial<HttpDependencies> = {},
): Promise<ServedApi> {
  const logs: Record<string, unknown>[] = []
  const write = (line: string): void => void logs.push(JSON.parse(line) as Record<string, unknown>)
  const dependencies = { ...fakeDependencies(operator), log: createLog({ write }), ...overrides }
  const observe = createRequestObserver(dependencies)
  const routes = createRoutes({ ...dependencies, observe }, { registry: false, api: true })
  const server = createServer(routes, [])
  const url = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return {
    url,
    logs,
    ask: (path, options) => ask(url, path, options),
    [Symbol.asyncDispose]: () => server.close(0),
  }
}

/** What the API does not use must not be called. */
export function fakeDependencies(operator: Operator): HttpDependencies {
  const control: Partial<Control> = {
    refresh: () => undefined,
    policy: () => ({ anonymous: ANONYMOUS, anonymousStatus: false }) as unknown as Policy,
    identify: async (authorization) => identify(authorization),
    operator: () => operator,
    recordChange: async () => undefined,
  }
  const log = createLog({ write: () => undefined })
  return {
    mirror: {} as HttpDependencies['mirror'],
    control: control as Control,
    publicUrl: () => undefined,
    isTrustedProxy: () => false,
    buffers: createBuffers(),
    shortPath: undefined,
    observe: { ended: () => undefined, prepare: () => () => undefined },
    metrics: createMetrics(),
    log,
    logLevels: createLogLevels({ log, configured: 'info' }),
  }
}

async function ask(url: string, path: string, options: AskOptions = {}): Promise<ClientResponse> {
  const { method = 'GET', as = 'admin', json, body, headers } = options
  const sent = json === undefined ? body : JSON.stringify(json)
  return request({
    url,
    path: `/api/v1${path}`,
    method,
    headers: {
      ...(as !== 'nobody' && { Authorization: `Bearer ${as}` }),
      ...(json !== undefined && { 'Content-Type': 'application/json' }),
      ...(sent !== undefined && { 'Content-Length': String(Buffer.byteLength(sent)) }),
      ...headers,
    },
    ...(sent !== undefined && { body: sent }),
  })
}

function identify(authorization: string | undefined): Identity {
  if (authorization === undefined) {
    return { principal: ANONYMOUS, credential: 'none', retryAfter: undefined, validUntil: Infinity }
  }
  const name = authorization.replace('Bearer ', '')
  const principal = Object.values(CALLERS).find((known) => known.name === name)
  return principal
    ? { principal, credential: 'accepted', retryAfter: undefined, validUntil: Infinity }
    : {
        principal: ANONYMOUS,
        credential: 'rejected',
        retryAfter: name === 'held-back' ? 12 : undefined,
        validUntil: 0,
      }
}

function caller(kind: PrincipalKind, name: string, grants: readonly Grant[]): Principal {
  return { kind, name, grants }
}
