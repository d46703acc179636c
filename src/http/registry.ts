/** The registry API: reads the request, finds out which upstream is meant, hands it to the resource. */
import type { IncomingMessage } from 'node:http'
import { OciError } from '../oci/error.ts'
import { canonicalRegistry } from '../oci/registry-name.ts'
import { parseRequestPath, type RequestPath, type ResourceKind } from '../routing/request-path.ts'
import { resolve, type RoutingTable, type Target } from '../routing/resolve.ts'
import type { RequestKind } from '../metrics.ts'
import { respond } from './answer.ts'
import { blobs } from './blobs.ts'
import type { HttpContext, HttpDependencies, RepositoryRequest } from './context.ts'
import { manifests } from './manifests.ts'
import { referrers } from './referrers.ts'
import { tags } from './tags.ts'

type Resource = (
  c: HttpContext,
  dependencies: HttpDependencies,
  request: RepositoryRequest,
) => Promise<Response>

const RESOURCES: Partial<Record<ResourceKind, Resource>> = {
  manifest: manifests,
  blob: blobs,
  tags,
  referrers,
}

const KINDS: Record<ResourceKind, RequestKind> = {
  ping: 'ping',
  manifest: 'manifest',
  blob: 'blob',
  tags: 'tags',
  referrers: 'referrers',
  upload: 'other',
  catalog: 'other',
}

export function createRegistry(dependencies: HttpDependencies) {
  return async function registry(c: HttpContext): Promise<Response> {
    const { incoming } = c.env
    const path = parseRequestPath(incoming.url ?? '')
    if (path === undefined) throw nothingHere()
    const trace = c.get('trace')
    trace.kind = KINDS[path.kind]
    trace.reference = path.reference || undefined
    refuseWrites(incoming)
    if (path.kind === 'ping') return ping(c, dependencies.policy().routing, path)
    const serve = RESOURCES[path.kind]
    if (serve === undefined) throw unsupported(path)

    const target = findTarget(dependencies.policy().routing, path, incoming)
    trace.target = target
    echoNamespace(c, path, target)
    return serve(c, dependencies, { target, path, isHead: incoming.method === 'HEAD' })
  }
}

function nothingHere(): OciError {
  return new OciError('NAME_UNKNOWN', 'There is nothing at this path. The registry is at /v2/.')
}

/** `/v2/`, `/quay.io/v2/` and `/v2/quay.io/`: never depends on an upstream (dockerd waits 15 s at most). */
function ping(c: HttpContext, table: RoutingTable, path: RequestPath): Response {
  const named = path.prefix ?? path.name[0]
  if (named !== undefined && !table.upstreams.has(canonicalRegistry(named))) {
    throw new OciError('NAME_UNKNOWN', `${named.slice(0, 255)} is not mirrored here.`)
  }
  return respond(c, '{}', { 'Content-Type': 'application/json' })
}

function findTarget(table: RoutingTable, path: RequestPath, incoming: IncomingMessage): Target {
  const { prefix, name, query } = path
  return resolve(table, {
    prefix,
    name,
    namespaces: query.getAll('ns'),
    host: incoming.headers.host,
  })
}

/** https://github.com/opencontainers/distribution-spec/blob/main/spec.md#registry-proxying */
function echoNamespace(c: HttpContext, { query }: RequestPath, { upstream }: Target): void {
  const namespace = query.get('ns')
  if (namespace !== null && canonicalRegistry(namespace) === upstream) {
    c.env.outgoing.setHeader('OCI-Namespace', namespace)
  }
}

function refuseWrites({ method }: IncomingMessage): void {
  if (method !== 'GET' && method !== 'HEAD') {
    throw new OciError(
      'UNSUPPORTED',
      'This is a mirror: images can be pulled from it, not pushed to it.',
    )
  }
}

function unsupported({ kind }: RequestPath): OciError {
  return kind === 'catalog'
    ? new OciError('NAME_UNKNOWN', 'This mirror does not list repositories.')
    : new OciError('UNSUPPORTED', 'This is a mirror: it has no uploads.')
}
