/**
 * Where a request ends. What a proxy in front takes for the rest of a request must not be taken for
 * the next one here, nor the other way round (RFC 9112 section 11.2).
 */
import type { IncomingMessage } from 'node:http'
import type { Next } from 'hono'
import { OciError } from '../oci/error.ts'
import type { HttpContext } from './context.ts'

/** Node leaves out the lines beyond: one of them may say that there is a body. */
export const MAX_HEADER_LINES = 100

/**
 * The connection of such a request is not used again. Nothing but the API takes a body, and what is left
 * of one that was not read would be the next request (CVE-2025-4366). Nothing is upgraded either, yet
 * the parser drops what follows an upgrade in the same segment (CVE-2026-2833).
 */
export function endsConnection(incoming: IncomingMessage): boolean {
  return hasBody(incoming) || 'upgrade' in incoming.headers || ambiguityOf(incoming) !== undefined
}

export async function refuseBadFraming(c: HttpContext, next: Next): Promise<void> {
  const { incoming } = c.env
  const ambiguity = ambiguityOf(incoming)
  if (ambiguity !== undefined) throw ambiguity
  const { method } = incoming
  if ((method === 'GET' || method === 'HEAD') && hasBody(incoming)) {
    throw new OciError('SIZE_INVALID', `A ${method} request has no body here.`)
  }
  await next()
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return Number(headers['content-length'] ?? 0) !== 0 || 'transfer-encoding' in headers
}

function ambiguityOf({ rawHeaders, httpVersionMajor }: IncomingMessage): OciError | undefined {
  if (rawHeaders.length > 2 * MAX_HEADER_LINES) {
    return new OciError('SIZE_INVALID', `A request may have ${MAX_HEADER_LINES} header lines.`)
  }
  // RFC 9112 section 3.2: with two, the proxy and we may mean different upstreams.
  if (countHosts(rawHeaders) > 1) {
    return new OciError('NAME_INVALID', 'The request has more than one Host header.')
  }
  if (httpVersionMajor !== 1) {
    return new OciError('UNSUPPORTED', 'The request is neither of HTTP/1.0 nor of HTTP/1.1.')
  }
  return undefined
}

/** @param rawHeaders names and values by turns */
function countHosts(rawHeaders: readonly string[]): number {
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1
  }
  return hosts
}
