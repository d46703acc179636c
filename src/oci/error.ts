/**
 * The errors of the OCI distribution specification: stable codes inside, one JSON shape outside.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
 */

/** Specification codes, and the few outside it that clients parse or show (RANGE_INVALID, UNAVAILABLE …). */
export type ErrorCode =
  | 'BLOB_UNKNOWN'
  | 'DENIED'
  | 'DIGEST_INVALID'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'PAGINATION_NUMBER_INVALID'
  | 'RANGE_INVALID'
  | 'SIZE_INVALID'
  | 'TAG_INVALID'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  | 'UNAVAILABLE'
  | 'UNKNOWN'
  | 'UNSUPPORTED'
  | 'UPSTREAM_INVALID'

interface OciErrorOptions {
  /** Facts a program can use; sent to the client, so never a secret. */
  detail?: Record<string, unknown>
  /** Seconds until the client should try again; becomes `Retry-After`. */
  retryAfter?: number
  /** How to log in, of UNAUTHORIZED; becomes `WWW-Authenticate`. */
  challenge?: string
  cause?: unknown
}

/**
 * What went wrong, in the words of the protocol. Thrown anywhere; only `http/on-error.ts` turns it
 * into a status and a body. The message is written for the person who pulls.
 */
export class OciError extends Error {
  override readonly name = 'OciError'
  readonly code: ErrorCode
  readonly detail: Record<string, unknown> | undefined
  readonly retryAfter: number | undefined
  readonly challenge: string | undefined

  constructor(code: ErrorCode, message: string, options: OciErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.detail = options.detail
    this.retryAfter = options.retryAfter
    this.challenge = options.challenge
  }
}

/** The body that every client parses: `{"errors":[{"code","message","detail"}]}`. */
export function errorBody({
  code,
  message,
  detail,
}: Pick<OciError, 'code' | 'message' | 'detail'>): string {
  return JSON.stringify({ errors: [{ code, message, ...(detail && { detail }) }] })
}
