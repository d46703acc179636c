/** Which upstream and repository a request means. Pure. */
import { canonicalRegistry, expandRepository, looksLikeHost } from '../oci/registry-name.ts'
import { OciError } from '../oci/error.ts'
import { parseRepository, type Repository } from '../oci/reference.ts'

export interface Target {
  /** Name of a configured upstream. */
  readonly upstream: string
  /** As upstream knows it: `library/` is there where Docker Hub wants it. */
  readonly repository: Repository
}

export interface RoutingTable {
  /** Names of the configured upstreams. */
  readonly upstreams: ReadonlySet<string>
  /** Host header, lower case and without port → upstream. */
  readonly hosts: ReadonlyMap<string, string>
  readonly defaultUpstream: string | undefined
}

/** The parts of a request that tell where it wants to go. */
export interface Address {
  readonly prefix: string | undefined
  readonly name: readonly string[]
  /** Every `ns` parameter, as sent. */
  readonly namespaces: readonly string[]
  /** The Host header, as sent. */
  readonly host: string | undefined
}

/**
 * Prefix before `/v2`, then prefix in the name, then `ns`, then Host, then the default upstream.
 * @throws {OciError} NAME_UNKNOWN when no upstream is meant or it is not mirrored; NAME_INVALID
 */
export function resolve(table: RoutingTable, address: Address): Target {
  const { prefix, name } = address
  const namespace = readNamespace(address.namespaces)
  if (prefix !== undefined) return toTarget(configured(table, hostOf(prefix)), name)

  const first = hostOf(name[0] ?? '')
  if (name.length > 1 && table.upstreams.has(first)) return toTarget(first, name.slice(1))
  if (looksLikeHost(first)) return resolveUnknownHost(table, first, name, namespace)
  if (namespace !== undefined) return toTarget(configured(table, namespace), name)
  return toTarget(implied(table, address.host), name)
}

/**
 * A first component with a dot that is no upstream of ours: with `ns` it is part of a repository
 * name; without, it is a registry that is not mirrored, and never a repository of the default one.
 */
function resolveUnknownHost(
  table: RoutingTable,
  first: string,
  name: readonly string[],
  namespace: string | undefined,
): Target {
  if (namespace !== undefined && namespace !== first) {
    return toTarget(configured(table, namespace), name)
  }
  if (table.upstreams.has(first)) {
    throw new OciError('NAME_UNKNOWN', `After ${first} the name of a repository is missing.`)
  }
  throw notMirrored(first)
}

function readNamespace(values: readonly string[]): string | undefined {
  const distinct = new Set(values.map(readNamespaceValue))
  if (distinct.size > 1) {
    throw new OciError('NAME_INVALID', 'The ns parameter is given twice with different registries.')
  }
  return [...distinct][0]
}

function readNamespaceValue(value: string): string {
  if (!/^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?::\d{1,5})?$/i.test(value) || value.length > 255) {
    throw new OciError(
      'NAME_INVALID',
      'The ns parameter is not the host name of a registry, such as quay.io or registry.example:5000.',
    )
  }
  return canonicalRegistry(value)
}

function configured(table: RoutingTable, upstream: string): string {
  if (!table.upstreams.has(upstream)) throw notMirrored(upstream)
  return upstream
}

function implied(table: RoutingTable, hostHeader: string | undefined): string {
  const host = hostHeader?.toLowerCase().replace(/:\d+$/, '')
  const upstream = table.hosts.get(host ?? '') ?? table.defaultUpstream
  if (upstream === undefined) {
    throw new OciError(
      'NAME_UNKNOWN',
      'This name does not tell which registry it belongs to, and this mirror has no default: put the registry in front, as in quay.io/coreos/etcd.',
    )
  }
  return upstream
}

function toTarget(upstream: string, name: readonly string[]): Target {
  return { upstream, repository: parseRepository(expandRepository(upstream, name.join('/'))) }
}

/** Names of registries in paths are taken as they stand, but for aliases: upper case is refused. */
function hostOf(component: string): string {
  if (component !== component.toLowerCase()) {
    throw new OciError('NAME_INVALID', 'Write registry and repository in lower case.')
  }
  return canonicalRegistry(component)
}

function notMirrored(upstream: string): OciError {
  return new OciError(
    'NAME_UNKNOWN',
    `${upstream.slice(0, 255)} is not mirrored here. Ask the operator of this mirror to add it under "upstreams", or pull from it directly.`,
    { detail: { upstream: upstream.slice(0, 255) } },
  )
}
