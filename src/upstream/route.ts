/** How an upstream is reached, and as whom. */
import type { Credential, IdentitySource } from './credential.ts'

export interface Route {
  /** Base URL without `/v2`. The same object for all routes to one endpoint. */
  readonly endpoint: URL
  /** `anonymous`, or the place in the configuration, such as `credentials[0]`. */
  readonly account: string
  /** `undefined`: anonymously. */
  readonly identities: IdentitySource | undefined
}

export const ANONYMOUS = 'anonymous'

/** Every endpoint in order, each as every user that it may see in order, or else anonymously. */
export function createRoutes(
  endpoints: readonly string[],
  credentials: readonly Credential[],
  createIdentities: (credential: Credential, endpoint: URL) => IdentitySource,
): Route[] {
  return endpoints.flatMap((base): Route[] => {
    const endpoint = new URL(base)
    const routes = credentials.flatMap((credential, index): Route[] => {
      if (credential.endpoints?.includes(base) === false) return []
      const identities = createIdentities(credential, endpoint)
      return [{ endpoint, account: `credentials[${index}]`, identities }]
    })
    return routes.length > 0 ? routes : [{ endpoint, account: ANONYMOUS, identities: undefined }]
  })
}

/** A URL below `/v2/` of the endpoint. */
export function apiUrl({ endpoint }: Pick<Route, 'endpoint'>, path: string, query = ''): URL {
  const url = new URL(endpoint)
  url.pathname = `${endpoint.pathname.replace(/\/$/, '')}/v2/${path}`
  url.search = query
  return url
}
