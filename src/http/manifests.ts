/** GET and HEAD /v2/<name>/manifests/<reference> */
import { cacheStatus, contentHeaders, notModified, respond, staleWarning } from './answer.ts'
import { authorizeReference } from './authorize.ts'
import type { HttpContext, HttpDependencies, ReferenceRequest } from './context.ts'

export async function manifests(
  c: HttpContext,
  dependencies: HttpDependencies,
  request: ReferenceRequest,
): Promise<Response> {
  const { target, reference, isHead } = request
  await authorizeReference(c, dependencies, request)
  const found = await dependencies.mirror.manifest(target, reference, !isHead)
  c.get('trace').outcome = found.outcome
  // What is stale is sent again: nobody knows whether it was modified.
  const unchanged = found.staleBecause === undefined ? notModified(c, found.digest) : undefined
  // A Range on a manifest is ignored: containerd 2.1 sends `bytes=0-` and accepts a 200.
  return (
    unchanged ??
    respond(c, found.bytes ?? '', {
      ...contentHeaders(found),
      ...cacheStatus(found.outcome),
      ...staleWarning(found.staleBecause),
    })
  )
}
