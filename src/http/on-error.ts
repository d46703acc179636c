/** The only place where an error becomes a response. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Log } from '../log.ts'
import { errorBody, OciError, type ErrorCode } from '../oci/error.ts'
import type { HttpContext } from './context.ts'

const STATUS: Record<ErrorCode, number> = {
  BLOB_UNKNOWN: 404,
  DENIED: 403,
  DIGEST_INVALID: 400,
  MANIFEST_INVALID: 502, // what is invalid here always came from upstream
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  PAGINATION_NUMBER_INVALID: 400,
  RANGE_INVALID: 416,
  SIZE_INVALID: 400,
  TAG_INVALID: 400,
  TOOMANYREQUESTS: 429,
  UNAUTHORIZED: 401,
  UNAVAILABLE: 503,
  UNKNOWN: 500,
  UNSUPPORTED: 405,
  UPSTREAM_INVALID: 502,
}

export function createOnError(log: Log) {
  return function onError(error: unknown, c: HttpContext): Response {
    const trace = c.get('trace')
    trace.failure = error
    trace.outcome = error instanceof OciError && error.code === 'DENIED' ? 'denied' : undefined
    const known = error instanceof OciError ? error : unexpected(log, error, trace.id)
    // Too late to say anything: the client must see a broken answer, not a complete one.
    if (c.env.outgoing.headersSent) {
      c.env.outgoing.destroy()
      return RESPONSE_ALREADY_SENT
    }
    if (c.req.method !== 'HEAD') trace.bytes = Buffer.byteLength(errorBody(known))
    return errorResponse(known)
  }
}

/** Also for requests that are refused before there is a context. */
export function errorResponse(error: OciError): Response {
  const body = errorBody(error)
  // Said here, as the answer to a HEAD has the length but not the body.
  const headers = { ...headersOf(error), 'Content-Length': String(Buffer.byteLength(body)) }
  return new Response(body, { status: STATUS[error.code], headers })
}

function headersOf({ code, detail, retryAfter }: OciError): Record<string, string> {
  const headers: Record<string, string> = { 'Content-Type': 'application/json' }
  if (retryAfter !== undefined) headers['Retry-After'] = String(Math.ceil(retryAfter))
  if (code === 'UNSUPPORTED') headers['Allow'] = 'GET, HEAD'
  if (code === 'RANGE_INVALID' && detail)
    headers['Content-Range'] = `bytes */${Number(detail['size'])}`
  return headers
}

/** A fault of ours: logged whole, told without details. */
function unexpected(log: Log, error: unknown, id: string): OciError {
  log.error({ err: error, id }, 'unexpected error')
  return new OciError(
    'UNKNOWN',
    `Something unexpected happened. The operator of this mirror finds it in the log under request ${id}.`,
    { cause: error },
  )
}
