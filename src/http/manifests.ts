/** GET and HEAD /v2/<name>/manifests/<reference> */
import {
  cacheStatus,
  contentHeaders,
  noteOutcome,
  notModified,
  respond,
  staleWarning,
} from './answer.ts'
import { authorizeReference } from './authorize.ts'
import type { HttpContext, HttpDependencies, ReferenceRequest } from './context.ts'
import { rememberer } from './remember.ts'

export async function manifests(
  c: HttpContext,
  dependencies: HttpDependencies,
  request: ReferenceRequest,
): Promise<Response> {
  const { target, reference, isHead } = request
  const remember = rememberer(c, dependencies, request)
  const isDecided = await authorizeReference(c, dependencies, request)
  const found = await dependencies.mirror.manifest(target, reference, !isHead)
  noteOutcome(c, found.outcome)
  // What is stale is sent again: nobody knows whether it was modified.
  const unchanged = found.staleBecause === undefined ? notModified(c, found.digest) : undefined
  if (unchanged) return unchanged
  const headers = {
    ...contentHeaders(found),
    ...cacheStatus(found.outcome),
    ...staleWarning(found.staleBecause),
  }
  if (isDecided && found.outcome === 'hit') {
    const { digest, bytes: body, freshUntil } = found
    await remember({ headers, digest, body, freshUntil })
  }
  // A Range on a manifest is ignored: containerd 2.1 sends `bytes=0-` and accepts a 200.
  return respond(c, found.bytes ?? '', headers)
}
