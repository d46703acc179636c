/** The only place where an error becomes a response. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { errorBody, OciError, type ErrorCode } from '../oci/error.ts'
import { StorageError } from '../storage-error.ts'
import type { HttpContext, HttpDependencies } from './context.ts'

type Observers = Pick<HttpDependencies, 'log' | 'metrics'>

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

/** Seconds after which a client may try again: a full disk is emptied by then, or not for hours. */
const STORAGE_RETRY_AFTER = 5

export function createOnError(observers: Observers) {
  return function onError(error: unknown, c: HttpContext): Response {
    const trace = c.get('trace')
    trace.failure = error
    trace.outcome = error instanceof OciError && error.code === 'DENIED' ? 'denied' : undefined
    const known = toOciError(error, observers, trace.id)
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

function toOciError(error: unknown, observers: Observers, id: string): OciError {
  if (error instanceof OciError) return error
  if (error instanceof StorageError) return storageTrouble(error, observers, id)
  return unexpected(error, observers, id)
}

/** 503 makes clients that know another place go there at once; what kind of trouble it is they need not know. */
function storageTrouble(error: StorageError, { log, metrics }: Observers, id: string): OciError {
  metrics.storageFailed(error.code)
  log.error(
    { failure: error.code, reason: error.message, id },
    'a request failed because of the data folder',
  )
  return new OciError(
    'UNAVAILABLE',
    `The disk of this mirror is in trouble, and this cannot be served without it. The operator finds the reason in the log under request ${id}.`,
    { cause: error, retryAfter: STORAGE_RETRY_AFTER },
  )
}

/** A fault of ours: logged whole, told without details. */
function unexpected(error: unknown, { log }: Observers, id: string): OciError {
  log.error({ err: error, id }, 'unexpected error')
  return new OciError(
    'UNKNOWN',
    `Something unexpected happened. The operator of this mirror finds it in the log under request ${id}.`,
    { cause: error },
  )
}
