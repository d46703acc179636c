/** URLs and hosts. */
import { InvalidValue } from './problem.ts'

/**
 * The base URL of a registry, without trailing slash.
 * @throws {InvalidValue}
 */
export function parseEndpoint(text: string): string {
  const url = parseHttpUrl(text, 'https://registry.example')
  const base = withoutTrailingSlash(url)
  if (/\/v[12]$/.test(base)) {
    throw new InvalidValue(`ends in the path of the API, which is added by itself; leave it out`)
  }
  return base
}

/**
 * What clients call this mirror: scheme, host and port.
 * @throws {InvalidValue}
 */
export function parsePublicUrl(text: string): string {
  const url = parseHttpUrl(text, 'https://mirror.example')
  if (url.pathname !== '/') {
    throw new InvalidValue(`has a path, but clients look for /v2/ at the root; write ${url.origin}`)
  }
  // It goes into headers, configuration files and scripts; URLs may have hosts with quotes in them.
  if (!/^[a-z0-9._[\]:-]+$/i.test(url.host)) {
    throw new InvalidValue(
      'has a host that is no name and no address; write for example https://mirror.example',
    )
  }
  return url.origin
}

/**
 * Where messages are sent, with path and query.
 * @throws {InvalidValue}
 */
export function parseWebhookUrl(text: string): string {
  const url = parseUrlAsWritten(text, 'https://hooks.example/entrepot')
  if (/^[^/]*\/\/[^/?]*@/.test(text)) {
    throw new InvalidValue(
      'holds user information; leave it out: messages are signed with the secret',
    )
  }
  if (text.includes('#'))
    throw new InvalidValue('has a fragment, which is never sent; leave it out')
  return url.href
}

/**
 * `host` or `host:port` of a token server, in lower case.
 * @throws {InvalidValue}
 */
export function parseRealm(text: string): string {
  const url = /[\s/\\?#@]/.test(text) ? null : parseUrl(`https://${text}`)
  if (url === null) {
    throw new InvalidValue(
      'is not a host; write host or host:port, without scheme and path, for example auth.example',
    )
  }
  // The default port is kept: without it, that of another scheme would be meant too.
  const port = /:\d+$/.exec(text)?.[0] ?? ''
  return `${url.hostname}${port}`
}

/**
 * A host name as requests have it: lower case, no port.
 * @throws {InvalidValue}
 */
export function parseHostName(text: string): string {
  const host = text.toLowerCase()
  if (/^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$|^\[[0-9a-f:.]+\]$/.test(host)) return host
  const right = 'write the name alone, for example quay.mirror.lan'
  if (host.includes('://')) throw new InvalidValue(`has a scheme; ${right}`)
  if (/:\d+$/.test(host)) throw new InvalidValue(`has a port, which is not looked at; ${right}`)
  throw new InvalidValue(`is not a host name; ${right}`)
}

function parseHttpUrl(text: string, example: string): URL {
  const url = parseUrlAsWritten(text, example)
  if (url.username !== '' || url.password !== '' || text.includes('@')) {
    throw new InvalidValue('holds user information; move it to "credentials"')
  }
  if (/[?#]/.test(text)) throw new InvalidValue('has a query or fragment; leave it out')
  return url
}

/** What the URL parser would mend in silence is refused: the reader of the file must see what we see. */
function parseUrlAsWritten(text: string, example: string): URL {
  const url = /[\s\\]/.test(text) ? null : parseUrl(text)
  if (url === null || !/^https?:\/\/[^/]/i.test(text)) {
    throw new InvalidValue(`is not a URL; write for example ${example}`)
  }
  return url
}

function parseUrl(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null
}

function withoutTrailingSlash(url: URL): string {
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}
