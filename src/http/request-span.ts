/** A request as OpenTelemetry's conventions for HTTP servers have it. Without paths that may hold names of people. */
import type { IncomingMessage } from 'node:http'
import { loggable } from '../log.ts'
import type { RequestKind } from '../metrics.ts'
import { pathOf } from '../routing/request-path.ts'
import type { Span, Tracing } from '../tracing.ts'
import type { AnswerTrace, EndedRequest } from './request-trace.ts'

/** What is asked for, without what was asked for. */
const ROUTES: Readonly<Record<RequestKind, string | undefined>> = {
  ping: '/v2/',
  manifest: '/v2/{repository}/manifests/{reference}',
  blob: '/v2/{repository}/blobs/{digest}',
  tags: '/v2/{repository}/tags/list',
  referrers: '/v2/{repository}/referrers/{digest}',
  catalog: '/v2/_catalog',
  token: '/token',
  api: '/api/v1',
  other: undefined,
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Its name is not known before it has been read. */
export function startRequestSpan(
  tracing: Tracing,
  { headers, method, url = '/' }: IncomingMessage,
): Span {
  const span = tracing.startRequest(METHODS.has(method ?? '') ? (method ?? '') : 'HTTP', headers)
  const path = pathOf(url)
  // Only of the registry: paths of the API name users.
  if (/^(?:\/[^/]+)?\/v2\//.test(path)) span.set({ 'url.path': loggable(path) })
  return span
}

export function endRequestSpan(span: Span, request: EndedRequest, answer: AnswerTrace): void {
  const { method = '', kind, target, reference, status, outcome, bytes } = answer
  const route = ROUTES[kind]
  const isKnown = METHODS.has(method)
  if (route !== undefined) span.rename(`${isKnown ? method : 'HTTP'} ${route}`)
  span.set({
    'http.request.method': isKnown ? method : '_OTHER',
    'http.route': route,
    'http.response.status_code': status,
    'http.response.body.size': bytes,
    'client.address': request.client,
    'user_agent.original': loggable(request.userAgent),
    'entrepot.request_id': request.id,
    'entrepot.upstream': target?.upstream,
    'entrepot.repository': target?.repository,
    'entrepot.reference': loggable(reference),
    'entrepot.outcome': outcome,
  })
  // Of a server, only 5xx are errors: the others are the client's.
  span.end(request.isCut ? 'cut' : status >= 500 ? String(status) : undefined)
}
