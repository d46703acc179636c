/**
 * Nothing here takes a body. A connection whose request body was not read is never used again: what
 * is left on it would be taken for the next request (CVE-2025-4366).
 */
import type { Next } from 'hono'
import { OciError } from '../oci/error.ts'
import type { HttpContext } from './context.ts'

export async function refuseBody(c: HttpContext, next: Next): Promise<void> {
  const { headers, method } = c.env.incoming
  const hasBody = Number(headers['content-length'] ?? 0) !== 0 || 'transfer-encoding' in headers
  if (hasBody) {
    c.env.outgoing.setHeader('Connection', 'close')
    c.env.outgoing.shouldKeepAlive = false
    if (method === 'GET' || method === 'HEAD') {
      throw new OciError('SIZE_INVALID', `A ${method} request has no body here.`)
    }
  }
  await next()
}
