/** GET /v2/<name>/referrers/<digest> */
import { cacheStatus, nextPageLink, noteOutcome, respond, staleWarning } from './answer.ts'
import { authorizeReference } from './authorize.ts'
import type { HttpContext, HttpDependencies, DigestRequest } from './context.ts'

export async function referrers(
  c: HttpContext,
  dependencies: HttpDependencies,
  request: DigestRequest,
): Promise<Response> {
  const { target, path } = request
  const { digest } = request.reference
  await authorizeReference(c, dependencies, request)
  const artifactType = path.query.get('artifactType') ?? undefined
  const query = new URLSearchParams(path.query)
  query.delete('ns')
  const page = await dependencies.mirror.referrers(target, digest, artifactType, query.toString())
  noteOutcome(c, page.outcome)
  return respond(c, page.body, {
    'Content-Type': page.mediaType,
    ...(page.filtersApplied && { 'OCI-Filters-Applied': page.filtersApplied }),
    ...cacheStatus(page.outcome),
    ...staleWarning(page.staleBecause),
    ...nextPageLink(path.path, path.query.getAll('ns'), page.nextQuery),
  })
}
