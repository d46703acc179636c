/** Errors of undici, sockets, TLS and DNS, told as what they mean for an upstream. */
import { errors } from 'undici'
import { loggableUrl } from '../log.ts'
import { UpstreamError } from './upstream.ts'

const EXPLANATIONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name cannot be resolved',
  EAI_AGAIN: 'its name cannot be resolved at the moment',
  ECONNREFUSED: 'it refuses connections',
  EHOSTUNREACH: 'it cannot be reached',
  ENETUNREACH: 'its network cannot be reached',
  ETIMEDOUT: 'the connection timed out',
  ECONNRESET: 'it closed the connection',
  EPIPE: 'it closed the connection',
  UND_ERR_CONNECT_TIMEOUT: 'no connection could be made in time',
  UND_ERR_HEADERS_TIMEOUT: 'it sent no answer in time',
  UND_ERR_BODY_TIMEOUT: 'it stopped sending in the middle of the body',
  UND_ERR_SOCKET: 'it closed the connection before the answer was complete',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'it sent a body of another length than announced',
  UND_ERR_CLOSED: 'the connection is being shut down',
  UND_ERR_DESTROYED: 'the connection is being shut down',
}

const CONNECT_CODES = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
])

const UNTRUSTED_CERTIFICATE = /SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/

/** Translates what the network threw; an UpstreamError stays what it is. */
export function networkFailure(error: unknown, url: URL): UpstreamError {
  if (error instanceof UpstreamError) return error
  const code = codeOf(error)
  const place = loggableUrl(url)
  // A limit that was exceeded, not an outage.
  if (code === 'UND_ERR_HEADERS_OVERFLOW') {
    return new UpstreamError('corrupt', `${place}: its response headers are too large.`)
  }
  // An error of the HTTP parser carries the bytes that it choked on, which may be a token: it is not passed on.
  if (error instanceof errors.HTTPParserError) {
    return new UpstreamError('unavailable', `${place} does not speak HTTP properly.`)
  }
  return new UpstreamError('unavailable', `${place}: ${explain(error, code)}.`, { cause: error })
}

/** True when no connection came about, so that nothing is gained by asking again at once. */
export function isConnectFailure(error: UpstreamError): boolean {
  return CONNECT_CODES.has(codeOf(error.cause))
}

function explain(error: unknown, code: string): string {
  const known = EXPLANATIONS[code]
  if (known !== undefined) return `${known} (${code})`
  if (UNTRUSTED_CERTIFICATE.test(code)) {
    return `its certificate is not trusted (${code}); if its authority is your own, name it under "ca"`
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `its certificate is for another name (${code})`
  if (code === 'CERT_HAS_EXPIRED') return `its certificate has expired (${code})`
  return `the request failed (${code === '' ? nameOf(error) : code})`
}

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown error'
}
