/** GET /v2/<name>/tags/list */
import type { TagPage } from '../cache/lists.ts'
import {
  cacheStatus,
  nextPageLink,
  noteOutcome,
  pageSize,
  respond,
  staleWarning,
} from './answer.ts'
import { authorizeRepository } from './authorize.ts'
import type { HttpContext, HttpDependencies, RepositoryRequest } from './context.ts'

/** Most tags in a page. More is clamped, not refused: Renovate asks for 10000 (CVE-2023-2253). */
const MAX_PAGE = 1000

export async function tags(
  c: HttpContext,
  dependencies: HttpDependencies,
  request: RepositoryRequest,
): Promise<Response> {
  const { target, path } = request
  const admitsTag = authorizeRepository(c, dependencies, request)
  const page = await listTags(dependencies, target, path.query)
  noteOutcome(c, page.outcome)
  const body = { name: path.name.join('/'), tags: page.tags.filter(admitsTag) }
  return respond(c, JSON.stringify(body), {
    'Content-Type': 'application/json',
    ...cacheStatus(page.outcome),
    ...staleWarning(page.staleBecause),
    ...nextPageLink(path.path, path.query.getAll('ns'), page.nextQuery),
  })
}

async function listTags(
  { mirror }: HttpDependencies,
  target: RepositoryRequest['target'],
  asked: URLSearchParams,
): Promise<TagPage> {
  const count = pageSize(asked.get('n'), MAX_PAGE)
  // The specification wants an empty list without a link for n=0; nobody needs to be asked for it.
  if (count === 0) {
    return { tags: [], nextQuery: undefined, outcome: 'hit', staleBecause: undefined }
  }
  const query = new URLSearchParams(asked)
  query.delete('ns')
  if (count !== undefined) query.set('n', String(count))
  return mirror.tags(target, query.toString())
}
