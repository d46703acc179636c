/** Request id, timer, one log line and one set of metrics for each request, when its answer has ended. */
import type { Next } from 'hono'
import { ControlError } from '../control/error.ts'
import { loggable } from '../log.ts'
import { OciError } from '../oci/error.ts'
import { forwardingOf } from './caller.ts'
import type { HttpContext, HttpDependencies } from './context.ts'
import { endRequestSpan, startRequestSpan } from './request-span.ts'
import {
  newRequestId,
  onceEnded,
  type AnswerTrace,
  type EndedRequest,
  type RequestObserver,
  type RequestTrace,
} from './request-trace.ts'

type Observers = Pick<HttpDependencies, 'log' | 'metrics'>

/** Probes and scrapes would drown what operators look for. */
const UNLOGGED = new Set(['/healthz', '/readyz', '/metrics', '/status'])

export function createRequestObserver({ log, metrics }: Observers): RequestObserver {
  // The fields are a closed set without secrets; looking for some in each line is half of its cost.
  // Whether they are written at all is asked of the log itself, as children do not follow its level.
  const unredacted = log.child({}, { redact: [], level: 'info' })

  function count({ kind, target, outcome, status, bytes }: AnswerTrace, milliseconds: number) {
    metrics.requestEnded({ kind, upstream: target?.upstream, outcome, status, bytes, milliseconds })
  }

  return {
    ended(request, answer) {
      const milliseconds = performance.now() - request.started
      count(answer, milliseconds)
      if (request.span) endRequestSpan(request.span, request, answer)
      if (!log.isLevelEnabled('info')) return
      unredacted.info({ ...fieldsOf(request, milliseconds), ...fieldsOfAnswer(answer) }, 'request')
    },
    prepare(answer) {
      const prepared = unredacted.child(fieldsOfAnswer(answer), { redact: [], level: 'info' })
      return (request) => {
        const milliseconds = performance.now() - request.started
        count(answer, milliseconds)
        if (request.span) endRequestSpan(request.span, request, answer)
        if (!log.isLevelEnabled('info')) return
        prepared.info(fieldsOf(request, milliseconds), 'request')
      }
    },
  }
}

function fieldsOf({ id, client, userAgent, isCut }: EndedRequest, milliseconds: number) {
  return {
    id,
    client,
    ms: Math.round(milliseconds),
    userAgent: loggable(userAgent),
    cut: isCut || undefined,
  }
}

function fieldsOfAnswer(answer: AnswerTrace) {
  const { user, method, kind, target, reference, status, outcome, bytes, failure } = answer
  return {
    user: loggable(user),
    method,
    kind,
    upstream: target?.upstream,
    repository: target?.repository,
    reference: loggable(reference),
    status,
    outcome,
    bytes,
    reason: failure === undefined ? undefined : reasonOf(failure),
  }
}

export function createAccessLog(
  observer: RequestObserver,
  { isTrustedProxy, tracing }: Pick<HttpDependencies, 'isTrustedProxy' | 'tracing'>,
) {
  return async function accessLog(c: HttpContext, next: Next): Promise<void> {
    const started = performance.now()
    const { incoming, outgoing } = c.env
    const trace: RequestTrace = {
      id: newRequestId(),
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
    if (UNLOGGED.has(c.req.path)) return next()
    const span = tracing && startRequestSpan(tracing, incoming)
    onceEnded(incoming, outgoing, (isCut) => {
      const userAgent = incoming.headers['user-agent']
      const { id, client, ...answer } = trace
      observer.ended(
        { id, client, userAgent, started, isCut, span },
        { ...answer, method: incoming.method, status: outgoing.statusCode },
      )
    })
    await (span === undefined ? next() : span.run(next))
  }
}

/** What an operator needs to know, without a stack for each refused pull. */
function reasonOf(failure: unknown): string {
  if (!(failure instanceof Error)) return 'unknown'
  const isCoded = failure instanceof OciError || failure instanceof ControlError
  const code = isCoded ? `${failure.code} ` : ''
  const { cause } = failure
  return `${code}${failure.message}${cause instanceof Error ? ` (${cause.message})` : ''}`
}
