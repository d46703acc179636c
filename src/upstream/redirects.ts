/** Redirects, followed by our own code so that every hop is checked (security rule R3). */
import { loggableUrl } from '../log.ts'
import { discardBody } from './body.ts'
import { header, type HopResponse } from './response.ts'
import { UpstreamError } from './upstream.ts'

/**
 * Performs one hop. `isOwn` is true while the origin (scheme, host and port) has not changed; once it
 * has, it stays false even where a redirect leads back, because another server chose that URL.
 */
export type Hop = (url: URL, isOwn: boolean) => Promise<HopResponse>

const MAX_REDIRECTS = 5
const REDIRECT_STATUSES = new Set([301, 302, 303, 307, 308])

/** @throws {UpstreamError} corrupt for a loop, a downgrade to plain HTTP, or a target that is none */
export async function followRedirects(first: URL, hop: Hop): Promise<HopResponse> {
  let url = first
  let isOwn = true
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await hop(url, isOwn)
    if (!REDIRECT_STATUSES.has(response.status)) return response
    await discardBody(response)
    url = targetOf(response)
    isOwn &&= url.origin === first.origin
  }
  throw new UpstreamError(
    'corrupt',
    `${loggableUrl(first)} was redirected more than ${MAX_REDIRECTS} times.`,
  )
}

function targetOf(response: HopResponse): URL {
  const location = header(response, 'location')
  // Location may hold a signature, so the text itself is in no message.
  if (location === undefined || !URL.canParse(location, response.url.href)) {
    throw badRedirect(response.url, 'without a usable Location')
  }
  const target = new URL(location, response.url)
  if (target.protocol !== 'https:' && target.protocol !== 'http:') {
    throw badRedirect(response.url, 'to something that is not HTTP')
  }
  if (response.url.protocol === 'https:' && target.protocol === 'http:') {
    throw badRedirect(response.url, 'from HTTPS to plain HTTP')
  }
  return target
}

function badRedirect(from: URL, what: string): UpstreamError {
  return new UpstreamError('corrupt', `${loggableUrl(from)} redirected ${what}, which is refused.`)
}
