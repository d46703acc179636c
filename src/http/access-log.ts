/** Request id, timer, one log line and one set of metrics for each request, when its answer has ended. */
import { randomUUID } from 'node:crypto'
import type { Next } from 'hono'
import { ControlError } from '../control/error.ts'
import { loggable } from '../log.ts'
import { OciError } from '../oci/error.ts'
import { forwardingOf } from './caller.ts'
import type { HttpContext, HttpDependencies, RequestTrace } from './context.ts'

type Observers = Pick<HttpDependencies, 'log' | 'metrics'>

/** Probes and scrapes would drown what operators look for. */
const UNLOGGED = new Set(['/healthz', '/readyz', '/metrics', '/status'])

export function createAccessLog({
  log,
  metrics,
  isTrustedProxy,
}: Observers & Pick<HttpDependencies, 'isTrustedProxy'>) {
  // The fields are a closed set without secrets; looking for some in each line is half of its cost.
  const observers = { metrics, log: log.child({}, { redact: [] }) }
  return async function accessLog(c: HttpContext, next: Next): Promise<void> {
    const started = performance.now()
    const { outgoing } = c.env
    const trace: RequestTrace = {
      id: randomUUID(),
      client: forwardingOf(c, { isTrustedProxy }).address,
      user: undefined,
      kind: 'other',
      target: undefined,
      reference: undefined,
      outcome: undefined,
      bytes: 0,
      failure: undefined,
    }
    c.set('trace', trace)
    outgoing.setHeader('X-Request-Id', trace.id)
    outgoing.setHeader('Docker-Distribution-Api-Version', 'registry/2.0')
    outgoing.setHeader('X-Content-Type-Options', 'nosniff')
    if (!UNLOGGED.has(c.req.path)) {
      outgoing.once('close', () => observe(observers, c, performance.now() - started))
    }
    await next()
  }
}

function observe({ log, metrics }: Observers, c: HttpContext, milliseconds: number): void {
  const { incoming, outgoing } = c.env
  const { id, client, user, kind, target, reference, outcome, bytes, failure } = c.get('trace')
  const status = outgoing.statusCode
  metrics.requestEnded({ kind, upstream: target?.upstream, outcome, status, bytes, milliseconds })
  log.info(
    {
      id,
      client,
      user: loggable(user),
      method: incoming.method,
      kind,
      upstream: target?.upstream,
      repository: target?.repository,
      reference: loggable(reference),
      status,
      outcome,
      bytes,
      ms: Math.round(milliseconds),
      userAgent: loggable(incoming.headers['user-agent']),
      ...(!outgoing.writableFinished && { cut: true }),
      ...(failure !== undefined && { reason: reasonOf(failure) }),
    },
    'request',
  )
}

/** What an operator needs to know, without a stack for each refused pull. */
function reasonOf(failure: unknown): string {
  if (!(failure instanceof Error)) return 'unknown'
  const isCoded = failure instanceof OciError || failure instanceof ControlError
  const code = isCoded ? `${failure.code} ` : ''
  const { cause } = failure
  return `${code}${failure.message}${cause instanceof Error ? ` (${cause.message})` : ''}`
}
