/** The registry API: reads the request, finds out which upstream is meant, hands it to the resource. */
import type { IncomingMessage } from 'node:http'
import type { Action } from '../access/authorize.ts'
import type { RequestKind } from '../metrics.ts'
import { parseDigest } from '../oci/digest.ts'
import { OciError } from '../oci/error.ts'
import { canonicalRegistry } from '../oci/registry-name.ts'
import { parseReference } from '../oci/reference.ts'
import { parseRequestPath, type RequestPath, type ResourceKind } from '../routing/request-path.ts'
import { resolve, type RoutingTable, type Target } from '../routing/resolve.ts'
import { requireRight } from './authorize.ts'
import { blobs } from './blobs.ts'
import { callerOf } from './caller.ts'
import { catalog } from './catalog.ts'
import type { HttpContext, HttpDependencies, RepositoryRequest } from './context.ts'
import { manifests } from './manifests.ts'
import { ping } from './ping.ts'
import { referrers } from './referrers.ts'
import { declareAction } from './require-action.ts'
import { tags } from './tags.ts'

interface Resource {
  readonly action: Action
  readonly kind: RequestKind
  /** What this action needs has been seen to where it is `pull`; otherwise `serve` sees to it. */
  readonly serve: (
    c: HttpContext,
    dependencies: HttpDependencies,
    path: RequestPath,
  ) => Promise<Response>
}

const RESOURCES: Readonly<Record<ResourceKind, Resource>> = {
  ping: { action: 'public', kind: 'ping', serve: ping },
  // Nobody is told here what anybody else may pull.
  catalog: { action: 'public', kind: 'catalog', serve: catalog },
  upload: { action: 'push', kind: 'other', serve: refuseUploads },
  manifest: pulled('manifest', (text) => parseReference(text), manifests),
  blob: pulled('blob', digestReference, blobs),
  referrers: pulled('referrers', digestReference, referrers),
  tags: pulled('tags', () => undefined, tags),
}

/** `/v2/…` and `/<upstream>/v2/…`; whatever is neither is not found. */
export function createRegistry(dependencies: HttpDependencies) {
  return declareAction(actions(), async function registry(c: HttpContext): Promise<Response> {
    const { incoming } = c.env
    const path = parseRequestPath(incoming.url ?? '')
    if (path === undefined) throw nothingAt('The registry is at /v2/.')
    const { kind, serve } = RESOURCES[path.kind]
    const trace = c.get('trace')
    trace.kind = kind
    trace.reference = path.reference || undefined
    refuseWrites(incoming)
    await dependencies.control.refresh()
    return serve(c, dependencies, path)
  })
}

/** @param hint where there is something */
export function nothingAt(hint: string): OciError {
  return new OciError('NAME_UNKNOWN', `There is nothing at this path. ${hint}`)
}

function actions(): Readonly<Record<ResourceKind, Action>> {
  const entries = Object.entries(RESOURCES).map(([kind, { action }]) => [kind, action] as const)
  return Object.fromEntries(entries) as Record<ResourceKind, Action>
}

/**
 * What is pulled from a repository.
 * @param read the reference, before anybody is judged: what is malformed is told to everybody
 * @param serve judges by the rules
 */
function pulled<Reference extends RepositoryRequest['reference']>(
  kind: 'manifest' | 'blob' | 'referrers' | 'tags',
  read: (text: string) => Reference,
  serve: (
    c: HttpContext,
    dependencies: HttpDependencies,
    request: RepositoryRequest & { readonly reference: Reference },
  ) => Promise<Response>,
): Resource {
  const action = 'pull'
  return {
    action,
    kind,
    async serve(c, dependencies, path) {
      const before = dependencies.control.policy()
      // First, as it may take a while: rights and rules are to be those of one moment.
      await callerOf(c, dependencies)
      const policy = dependencies.control.policy()
      const target = findTarget(policy.routing, path, c.env.incoming)
      c.get('trace').target = target
      echoNamespace(c, path, target)
      const isHead = c.env.incoming.method === 'HEAD'
      const reference = read(path.reference)
      const isOfOneMoment = policy === before
      const request = { target, path, reference, policy, isOfOneMoment, isHead }
      await requireRight(c, dependencies, request, action)
      return serve(c, dependencies, request)
    },
  }
}

function digestReference(text: string) {
  return { kind: 'digest', digest: parseDigest(text) } as const
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

async function refuseUploads(): Promise<never> {
  throw new OciError('UNSUPPORTED', 'This is a mirror: it has no uploads.')
}
