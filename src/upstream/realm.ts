/** Which token servers may be asked. PURE. */

export interface RealmRule {
  /** The endpoint whose challenge named the realm; `undefined` where a redirect led to another host. */
  readonly endpoint: URL | undefined
  /** `host` or `host:port` of further token servers, from the configuration of this upstream. */
  readonly realms: readonly string[]
  /** Plain HTTP is meant. */
  readonly insecure: boolean
}

/**
 * A realm must be the endpoint's own host and port, or pinned. "The same registrable domain" is not
 * enough: it trusts every tenant of a shared one (CVE-2026-33540, CVE-2026-12566).
 */
export function isRealmAllowed(realm: URL, { endpoint, realms, insecure }: RealmRule): boolean {
  if (realm.username !== '' || realm.password !== '') return false
  if (realm.protocol !== 'https:' && !(insecure && realm.protocol === 'http:')) return false
  if (endpoint !== undefined && isSameServer(realm, endpoint)) return true
  return realms.some((pinned) => isPinned(realm, pinned))
}

function isSameServer(one: URL, other: URL): boolean {
  return one.hostname === other.hostname && portOf(one) === portOf(other)
}

/** Without a port, the default port of the realm's own scheme is meant, and no other. */
function isPinned(realm: URL, pinned: string): boolean {
  if (!URL.canParse(`https://${pinned}`)) return false
  const { hostname } = new URL(`https://${pinned}`)
  const port = /:(\d+)$/.exec(pinned)?.[1]
  return hostname === realm.hostname && Number(port ?? defaultPort(realm)) === portOf(realm)
}

function portOf(url: URL): number {
  return url.port === '' ? defaultPort(url) : Number(url.port)
}

function defaultPort(url: URL): number {
  return url.protocol === 'https:' ? 443 : 80
}
