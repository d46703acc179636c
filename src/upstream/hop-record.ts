/** What is told of each request to an upstream, by whoever wants to know: a trace, the log at level debug. */
import { loggableUrl, type Log } from '../log.ts'
import type { Span, Tracing } from '../tracing.ts'
import { UpstreamError } from './upstream.ts'

export interface HopObservers {
  readonly tracing?: Tracing | undefined
  readonly log?: Log | undefined
}

export interface HopRecord {
  answered(status: number): void
  failed(error: unknown): void
  /** The body has come, or was given up. */
  ended(): void
}

interface Hop {
  readonly method: string
  readonly url: URL
  readonly headers: { readonly range?: string }
}

/**
 * The trace of a client ends here: nobody upstream is told who asks for what together.
 * @param upstream its name
 * @returns `undefined` while nobody wants to know
 */
export function recordHop(
  upstream: string,
  hop: Hop,
  { tracing, log }: HopObservers,
): HopRecord | undefined {
  const isLogged = log?.isLevelEnabled('debug') === true
  if (tracing === undefined && !isLogged) return undefined
  const span = tracing && startSpan(tracing, upstream, hop)
  const started = performance.now()

  function tell(result: { readonly status?: number; readonly reason?: string }): void {
    if (!isLogged) return
    const { method, url, headers } = hop
    const ms = Math.round(performance.now() - started)
    const told = { upstream, method, url: loggableUrl(url), range: headers.range, ...result, ms }
    log.debug(told, 'a request to an upstream')
  }

  return {
    answered(status) {
      span?.set({
        'http.response.status_code': status,
        // The rest of its time is that of the body.
        'entrepot.first_byte_ms': Math.round(performance.now() - started),
      })
      tell({ status })
    },
    failed(error) {
      const isKnown = error instanceof UpstreamError
      span?.end(isKnown ? error.reason : 'aborted')
      tell({ reason: isKnown ? error.message : 'nobody waits for it any more' })
    },
    ended: () => span?.end(),
  }
}

function startSpan(tracing: Tracing, upstream: string, { method, url }: Hop): Span {
  const { hostname, origin, pathname, protocol, port } = url
  return tracing.start(method, {
    kind: 'client',
    attributes: {
      'http.request.method': method,
      'server.address': hostname,
      'server.port': port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port),
      // Without a query, where storage has its signatures.
      'url.full': `${origin}${pathname}`,
      'entrepot.upstream': upstream,
    },
  })
}
