/** GET /v2/_catalog: of what is known here, the repositories that the caller may pull from. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { authorize, SOMEWHERE } from '../access/authorize.ts'
import type { Mirror } from '../cache/mirror.ts'
import type { Caller, Policy } from '../control/control.ts'
import { OciError } from '../oci/error.ts'
import { canonicalRegistry } from '../oci/registry-name.ts'
import { parseRepository } from '../oci/reference.ts'
import type { RequestPath } from '../routing/request-path.ts'
import type { Target } from '../routing/resolve.ts'
import { nextPageLink, pageSize, respond } from './answer.ts'
import { callerOf } from './caller.ts'
import { challenge } from './challenge.ts'
import type { HttpContext, HttpDependencies } from './context.ts'

/** Most names in a page, and how many are looked at in one go. More is clamped (CVE-2023-2253). */
const MAX_PAGE = 1000

/** Names are as they have to be asked for: below `/v2/` with their upstream, below `/quay.io/v2/` without. */
export async function catalog(
  c: HttpContext,
  dependencies: HttpDependencies,
  path: RequestPath,
): Promise<Response> {
  if (path.name.length > 0) {
    throw new OciError('NAME_UNKNOWN', 'The list of repositories is at /v2/_catalog.')
  }
  const policy = dependencies.control.policy()
  const { caller, identity } = await callerOf(c, dependencies)
  if (asksWhoItIs(caller, policy)) {
    throw new OciError('UNAUTHORIZED', 'The list of repositories needs a login at this mirror.', {
      challenge: challenge(c, dependencies, identity, { scope: 'registry:catalog:*' }),
    })
  }
  const upstream = upstreamOf(path, policy)
  const limit = pageSize(path.query.get('n'), MAX_PAGE) ?? MAX_PAGE
  const keys = listed(dependencies.mirror, start(path.query.get('last'), upstream), upstream)
  const { names, last } = await page(keys, limit, (key) =>
    mayPull(caller, policy, key) ? nameOf(key, upstream) : undefined,
  )
  return respond(c, JSON.stringify({ repositories: names }), {
    'Content-Type': 'application/json',
    // Each caller has a list of their own.
    'Cache-Control': 'no-store',
    ...nextPageLink(path.path, path.query.getAll('ns'), last && nextQuery(limit, last)),
  })
}

function asksWhoItIs({ principal }: Caller, { asksForLogin }: Policy): boolean {
  return asksForLogin && principal.kind === 'anonymous' && !authorize(principal, 'pull', SOMEWHERE)
}

/** @returns `undefined`: all of them are meant */
function upstreamOf({ prefix, query }: RequestPath, { routing }: Policy): string | undefined {
  const named = prefix ?? query.get('ns') ?? undefined
  if (named === undefined) return undefined
  const upstream = canonicalRegistry(named)
  if (!routing.upstreams.has(upstream)) {
    throw new OciError('NAME_UNKNOWN', `${named.slice(0, 255)} is not mirrored here.`)
  }
  return upstream
}

/** @param last a name of the page before */
function start(last: string | null, upstream: string | undefined): Target | undefined {
  if (last === null || last === '') return undefined
  if (upstream !== undefined) return { upstream, repository: parseRepository(last) }
  const slash = last.indexOf('/')
  if (slash < 1) {
    throw new OciError('NAME_INVALID', 'The last parameter is not a name of this list.')
  }
  return { upstream: last.slice(0, slash), repository: parseRepository(last.slice(slash + 1)) }
}

/** One page at a time, and others have their turn between them: a caller may see none of very many. */
async function* listed(
  mirror: Pick<Mirror, 'repositories'>,
  from: Target | undefined,
  upstream: string | undefined,
): AsyncGenerator<Target> {
  let after = from
  for (;;) {
    const keys = await mirror.repositories(after, MAX_PAGE)
    yield* keys.filter((key) => upstream === undefined || key.upstream === upstream)
    after = keys.at(-1)
    if (keys.length < MAX_PAGE) return
    await nextTurn()
  }
}

/** Links lead on behind a name that was told, never behind one that was not. */
async function page(
  keys: AsyncIterable<Target>,
  limit: number,
  nameFor: (key: Target) => string | undefined,
): Promise<{ names: string[]; last: string | undefined }> {
  const names: string[] = []
  for await (const key of keys) {
    const name = nameFor(key)
    if (name === undefined) continue
    if (names.length === limit) return { names, last: names.at(-1) }
    names.push(name)
  }
  return { names, last: undefined }
}

function mayPull({ principal }: Caller, policy: Policy, { upstream, repository }: Target): boolean {
  const resource = { kind: 'repository', name: `${upstream}/${repository}` } as const
  return (
    policy.routing.upstreams.has(upstream) &&
    [policy.anonymous, principal].some((who) => authorize(who, 'pull', resource)) &&
    !policy.allowlist.judge(upstream, repository).refused
  )
}

function nameOf({ upstream, repository }: Target, within: string | undefined): string {
  return within === undefined ? `${upstream}/${repository}` : repository
}

function nextQuery(limit: number, last: string): string {
  return new URLSearchParams({ n: String(limit), last }).toString()
}
