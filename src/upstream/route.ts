/** How an upstream is reached, and as whom. */

export interface Credential {
  readonly username: string
  readonly password: string
}

export interface Route {
  /** Base URL without `/v2`. The same object for all routes to one endpoint. */
  readonly endpoint: URL
  /** `undefined`: anonymously. */
  readonly credential: Credential | undefined
}

/** Every endpoint in order, each as every user in order. */
export function createRoutes(
  endpoints: readonly string[],
  credentials: readonly Credential[],
): Route[] {
  const users = credentials.length === 0 ? [undefined] : credentials
  return endpoints.flatMap((base) => {
    const endpoint = new URL(base)
    return users.map((credential) => ({ endpoint, credential }))
  })
}

/** A URL below `/v2/` of the endpoint. */
export function apiUrl({ endpoint }: Pick<Route, 'endpoint'>, path: string, query = ''): URL {
  const url = new URL(endpoint)
  url.pathname = `${endpoint.pathname.replace(/\/$/, '')}/v2/${path}`
  url.search = query
  return url
}

/** The value of `Authorization`, RFC 7617. */
export function basicAuthorization({ username, password }: Credential): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`
}
