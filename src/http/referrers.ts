/** GET /v2/<name>/referrers/<digest> */
import { parseDigest } from '../oci/digest.ts'
import { cacheStatus, nextPageLink, respond, staleWarning } from './answer.ts'
import { authorizeReference } from './authorize.ts'
import type { HttpContext, HttpDependencies, RepositoryRequest } from './context.ts'

export async function referrers(
  c: HttpContext,
  dependencies: HttpDependencies,
  { target, path }: RepositoryRequest,
): Promise<Response> {
  const digest = parseDigest(path.reference)
  await authorizeReference(dependencies, target, { kind: 'digest', digest })
  const artifactType = path.query.get('artifactType') ?? undefined
  const query = new URLSearchParams(path.query)
  query.delete('ns')
  const page = await dependencies.mirror.referrers(target, digest, artifactType, query.toString())
  c.get('trace').outcome = page.outcome
  return respond(c, page.body, {
    'Content-Type': page.mediaType,
    ...(page.filtersApplied && { 'OCI-Filters-Applied': page.filtersApplied }),
    ...cacheStatus(page.outcome),
    ...staleWarning(page.staleBecause),
    ...nextPageLink(path.path, path.query.getAll('ns'), page.nextQuery),
  })
}
