/** What a status that is no success means for whoever asked upstream. */
import type { UpstreamFailure } from '../metrics.ts'
import { header, type HopResponse } from './response.ts'
import { UpstreamError } from './upstream.ts'

/** Seconds to wait after a 429 that does not say how long. */
const DEFAULT_RETRY_AFTER = 60
const MAX_RETRY_AFTER = 24 * 60 * 60

/** @param subject what was asked for, as the message should name it */
export function statusFailure(response: HopResponse, subject: string): UpstreamError {
  const reason = reasonOf(response.status)
  const retryAfter = retryAfterOf(response, reason)
  return new UpstreamError(reason, `${subject}: ${explain(reason, response.status)}`, {
    ...(retryAfter !== undefined && { retryAfter }),
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
function retryAfterOf(response: HopResponse, reason: UpstreamFailure): number | undefined {
  const text = header(response, 'retry-after')?.trim() ?? ''
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000
  if (Number.isNaN(seconds)) return reason === 'rate-limited' ? DEFAULT_RETRY_AFTER : undefined
  return Math.min(Math.max(Math.ceil(seconds), 0), MAX_RETRY_AFTER)
}
