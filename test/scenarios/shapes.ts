/** The forms in which clients write the same request, as their own configuration makes them. */

interface ShapedRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

export interface Shape {
  readonly name: string
  /**
   * @param upstream as in image references, e.g. `quay.io`
   * @param rest below the repository, e.g. `manifests/v1`
   */
  readonly request: (upstream: string, repository: string, rest: string) => ShapedRequest
}

/** The `hosts` that a mirror needs for the shape that tells the upstream by the host name. */
export function mirrorHosts(...upstreams: readonly string[]): Record<string, string> {
  return Object.fromEntries(upstreams.map((upstream) => [hostOf(upstream), upstream]))
}

/** Every shape that names its upstream. */
export const SHAPES: readonly Shape[] = [
  { name: 'prefix', request: (u, r, rest) => at(`/v2/${u}/${r}/${rest}`) },
  { name: 'namespace', request: (u, r, rest) => at(`/v2/${r}/${rest}?ns=${u}`) },
  { name: 'prefix and namespace', request: (u, r, rest) => at(`/v2/${u}/${r}/${rest}?ns=${u}`) },
  { name: 'path before v2', request: (u, r, rest) => at(`/${u}/v2/${r}/${rest}`) },
  {
    name: 'path before v2 and namespace',
    request: (u, r, rest) => at(`/${u}/v2/${r}/${rest}?ns=${u}`),
  },
  { name: 'host', request: (u, r, rest) => at(`/v2/${r}/${rest}`, { host: hostOf(u) }) },
]

/** What regctl writes for Docker Hub: the name of its API host is one of its aliases. */
export const HUB_ALIAS: Shape = {
  name: 'prefix and the namespace of the API host',
  request: (u, r, rest) => at(`/v2/${u}/${r}/${rest}?ns=registry-1.docker.io`),
}

/** Without any upstream: what is meant is the default one. */
export const BARE: Shape = { name: 'bare', request: (_u, r, rest) => at(`/v2/${r}/${rest}`) }

function at(path: string, headers: Record<string, string> = {}): ShapedRequest {
  return { path, headers }
}

function hostOf(upstream: string): string {
  return `${upstream}.mirror.lan`
}
