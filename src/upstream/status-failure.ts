/** What a status that is no success means for whoever asked upstream. */
import type { UpstreamFailure } from '../metrics.ts'
import { header, type HopResponse } from './response.ts'
import { UpstreamError } from './upstream.ts'

/** Seconds to wait after a 429 that does not say how long. */
const DEFAULT_RETRY_AFTER = 60
const MAX_RETRY_AFTER = 24 * 60 * 60

/**
 * @param subject what was asked for, as the message should name it
 * @param origin of the endpoint: where a redirect led elsewhere, an outage there is not the endpoint's
 */
export function statusFailure(
  response: HopResponse,
  subject: string,
  origin: string,
): UpstreamError {
  const { status, url } = response
  const reason = reasonOf(status)
  const said = retryAfterOf(response)
  const retryAfter = said ?? (reason === 'rate-limited' ? DEFAULT_RETRY_AFTER : undefined)
  return new UpstreamError(reason, `${subject}: ${explain(reason, status)}`, {
    ...(retryAfter !== undefined && { retryAfter }),
    mustWait: said !== undefined && (status === 429 || (status === 503 && url.origin === origin)),
  })
}

function reasonOf(status: number): UpstreamFailure {
  if (status === 401) return 'unauthorized'
  if (status === 403 || status === 451) return 'forbidden'
  if (status === 404 || status === 410) return 'not-found'
  if (status === 429) return 'rate-limited'
  return status === 408 || status >= 500 ? 'unavailable' : 'corrupt'
}

/** Docker Hub answers 401 for what does not exist, so the two cannot be told apart. */
const EXPLANATIONS: Readonly<Record<UpstreamFailure, string>> = {
  'not-found': 'upstream does not have it',
  unauthorized: 'it does not exist, is private, or the configured credentials may not pull it',
  forbidden: 'upstream denies it',
  'rate-limited': 'upstream limits the number of requests',
  unavailable: 'upstream is out of order',
  corrupt: 'upstream gave an answer that does not belong here',
}

function explain(reason: UpstreamFailure, status: number): string {
  return `${EXPLANATIONS[reason]} (status ${status}).`
}

/** `Retry-After` in seconds, from either of its forms (RFC 9110 section 10.2.3). */
function retryAfterOf(response: HopResponse): number | undefined {
  const text = header(response, 'retry-after')?.trim() ?? ''
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000
  if (Number.isNaN(seconds)) return undefined
  return Math.min(Math.max(Math.ceil(seconds), 0), MAX_RETRY_AFTER)
}
