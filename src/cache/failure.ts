/** What trouble means to the client: that of an upstream is translated, that of our disk is got over. */
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { OciError, type ErrorCode } from '../oci/error.ts'
import { StorageError } from '../storage-error.ts'
import { UpstreamError } from '../upstream/upstream.ts'

/** Seconds after which a client may try again where upstream did not say. */
const RETRY_AFTER = 5

/**
 * Translates at the border; other errors pass unchanged.
 * @param unknown the code for what upstream does not have
 * @param rateLimitStatus 503 lets mirror-aware clients go elsewhere at once, 429 makes direct ones wait
 */
export function toClientError(
  error: unknown,
  unknown: Extract<ErrorCode, `${string}_UNKNOWN`>,
  rateLimitStatus: 429 | 503,
): unknown {
  return error instanceof UpstreamError ? translate(error, unknown, rateLimitStatus) : error
}

/** For what a request can do without. Other errors than those of the storage pass. */
export interface StorageTrouble {
  /** `undefined` when the storage failed: that is logged and counted, and the request goes on. */
  survive<T>(work: Promise<T>): Promise<T | undefined>
  /** Whether it was written. */
  survivedWrite(work: Promise<void>): Promise<boolean>
}

export function createStorageTrouble({
  metrics,
  log,
}: {
  metrics: Metrics
  log: Log
}): StorageTrouble {
  async function survive<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      metrics.storageFailed(error.code)
      log.warn({ failure: error.code, err: error }, 'the data folder is in trouble')
      return undefined
    }
  }

  return {
    survive,
    survivedWrite: async (work) => (await survive(work.then(() => true))) === true,
  }
}

function translate(error: UpstreamError, unknown: ErrorCode, rateLimitStatus: 429 | 503): OciError {
  const retryAfter = error.retryAfter ?? RETRY_AFTER
  switch (error.reason) {
    case 'not-found':
      return new OciError(unknown, 'Upstream does not have this.', { cause: error })
    case 'unauthorized':
    case 'forbidden':
      // Docker Hub and quay answer 401 for what does not exist; 404 makes every client move on.
      return new OciError(
        unknown,
        'Upstream does not have this, or does not show it to this mirror: the operator can add credentials for it.',
        { cause: error },
      )
    case 'rate-limited':
      return rateLimitStatus === 429
        ? new OciError('TOOMANYREQUESTS', 'Upstream limits this mirror. Try again later.', {
            cause: error,
            retryAfter,
          })
        : unavailable('Upstream limits this mirror, and this is not cached yet.', error, retryAfter)
    case 'unavailable':
      return unavailable('Upstream cannot be reached, and this is not cached.', error, retryAfter)
    case 'corrupt':
      return new OciError(
        'UPSTREAM_INVALID',
        'Upstream sent something that is not what was asked for; it was not stored.',
        { cause: error },
      )
  }
}

function unavailable(message: string, cause: UpstreamError, retryAfter: number): OciError {
  return new OciError('UNAVAILABLE', message, { cause, retryAfter })
}
