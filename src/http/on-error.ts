/** The only place where an error becomes a response. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { ControlError, type ControlErrorCode } from '../control/error.ts'
import { errorBody, OciError, type ErrorCode } from '../oci/error.ts'
import { StorageError } from '../storage-error.ts'
import type { HttpContext, HttpDependencies } from './context.ts'
import { problemAnswer, type ErrorAnswer } from './problem.ts'

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

const CONTROL_STATUS: Record<ControlErrorCode, number> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'last-admin': 409,
}

/** Where the API for operators is. */
export const API_PATH = '/api/v1'

/** Seconds after which a client may try again: a full disk is emptied by then, or not for hours. */
const STORAGE_RETRY_AFTER = 5

export function createOnError(observers: Observers) {
  return function onError(error: unknown, c: HttpContext): Response {
    const trace = c.get('trace')
    trace.failure = error
    trace.outcome = error instanceof OciError && error.code === 'DENIED' ? 'denied' : undefined
    const told = { isApi: isApiPath(c.req.path), error: toKnownError(error, observers, trace.id) }
    // Too late to say anything: the client must see a broken answer, not a complete one.
    if (c.env.outgoing.headersSent) {
      c.env.outgoing.destroy()
      return RESPONSE_ALREADY_SENT
    }
    const { body, ...rest } = answer(told)
    if (c.req.method !== 'HEAD') trace.bytes = Buffer.byteLength(body)
    return new Response(body, rest)
  }
}

/**
 * Also for requests that are refused before there is a context.
 * @param special headers, instead of those that such an error has elsewhere
 */
export function errorResponse(error: OciError, special: Record<string, string> = {}): Response {
  const { body, status, headers } = ociAnswer(error)
  return new Response(body, { status, headers: { ...headers, ...special } })
}

function ociAnswer(error: OciError): ErrorAnswer {
  const body = errorBody(error)
  // Said here, as the answer to a HEAD has the length but not the body.
  const headers = { ...headersOf(error), 'Content-Length': String(Buffer.byteLength(body)) }
  return { status: STATUS[error.code], headers, body }
}

/** Operators' programs read RFC 9457, clients of the registry what the specification of OCI says. */
function answer({ isApi, error }: { isApi: boolean; error: OciError | ControlError }): ErrorAnswer {
  if (!isApi) return ociAnswer(error instanceof OciError ? error : inWordsOfOci(error))
  return error instanceof OciError ? problemOf(error) : refusalOf(error)
}

function isApiPath(path: string): boolean {
  return path === API_PATH || path.startsWith(`${API_PATH}/`)
}

function problemOf(error: OciError): ErrorAnswer {
  const { 'Content-Type': _, ...headers } = headersOf(error)
  return problemAnswer({ status: STATUS[error.code], detail: error.message, headers })
}

function refusalOf({ code, message, fields }: ControlError): ErrorAnswer {
  return problemAnswer({ status: CONTROL_STATUS[code], code, detail: message, errors: fields })
}

/** For pages such as the status, which people open in browsers. */
function inWordsOfOci(error: ControlError): OciError {
  if (error.code === 'unauthenticated') {
    const challenge = 'Basic realm="entrepot"'
    return new OciError('UNAUTHORIZED', error.message, { cause: error, challenge })
  }
  return new OciError('DENIED', error.message, { cause: error })
}

function headersOf({ code, detail, retryAfter, challenge }: OciError): Record<string, string> {
  const headers: Record<string, string> = { 'Content-Type': 'application/json' }
  if (retryAfter !== undefined) headers['Retry-After'] = String(Math.ceil(retryAfter))
  if (challenge !== undefined) headers['WWW-Authenticate'] = challenge
  if (code === 'UNSUPPORTED') headers['Allow'] = 'GET, HEAD'
  if (code === 'RANGE_INVALID' && detail)
    headers['Content-Range'] = `bytes */${Number(detail['size'])}`
  return headers
}

function toKnownError(error: unknown, observers: Observers, id: string): OciError | ControlError {
  if (error instanceof OciError || error instanceof ControlError) return error
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
