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

/** Every endpoint in order, each as every user in order. */
export function createRoutes(
  endpoints: readonly string[],
  credentials: readonly Credential[],
  createIdentities: (credential: Credential, endpoint: URL) => IdentitySource,
): Route[] {
  return endpoints.flatMap((base): Route[] => {
    const endpoint = new URL(base)
    if (credentials.length === 0) return [{ endpoint, account: ANONYMOUS, identities: undefined }]
    return credentials.map((credential, index) => ({
      endpoint,
      account: `credentials[${index}]`,
      identities: createIdentities(credential, endpoint),
    }))
  })
}

/** A URL below `/v2/` of the endpoint. */
export function apiUrl({ endpoint }: Pick<Route, 'endpoint'>, path: string, query = ''): URL {
  const url = new URL(endpoint)
  url.pathname = `${endpoint.pathname.replace(/\/$/, '')}/v2/${path}`
  url.search = query
  return url
}
