/** What went wrong with an image, in the words of a job. */
import { OciError } from '../oci/error.ts'
import { StorageError } from '../storage-error.ts'
import { WarmFailure } from './events.ts'
import { TagFilterError } from './tag-filter.ts'

/** @throws what is no trouble with one image: the end of the whole job, or a fault of the program */
export function failureOf(error: unknown, signal: AbortSignal): WarmFailure {
  if (signal.aborted) throw signal.reason
  if (error instanceof WarmFailure) return error
  if (error instanceof StorageError) return new WarmFailure('storage', error.message, wrap(error))
  if (error instanceof TagFilterError) {
    return new WarmFailure('invalid', `The expression ${error.message}.`, wrap(error))
  }
  if (error instanceof OciError) return fromProtocol(error)
  if (isRefusal(error)) {
    return new WarmFailure(error.code === 'invalid' ? 'invalid' : 'denied', error.message, {
      cause: error,
    })
  }
  throw error
}

/** By whoever explains: a `ControlError`. */
function isRefusal(error: unknown): error is Error & { readonly code: 'invalid' | 'forbidden' } {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'invalid' || error.code === 'forbidden')
  )
}

const REFUSALS: ReadonlySet<string> = new Set(['DENIED', 'UNAUTHORIZED'])

function fromProtocol(error: OciError): WarmFailure {
  if (REFUSALS.has(error.code)) return new WarmFailure('denied', error.message, wrap(error))
  return new WarmFailure('upstream', error.message, wrap(error))
}

function wrap(cause: unknown): ErrorOptions {
  return { cause }
}
