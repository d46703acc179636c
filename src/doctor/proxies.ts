/** Proxies that the environment names for clients, and that would catch what is meant for the mirror. Pure. */
import { isIP } from 'node:net'
import { createNetworkCheck } from '../addresses.ts'
import { ok, warning, type Verdict } from './finding.ts'
import type { MirrorPlace } from './mirror-client.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** As Go's clients read the environment (golang.org/x/net/http/httpproxy), which most clients are. */
export function judgeProxies({ host, port, secure }: MirrorPlace, env: Environment): Verdict {
  const names = secure ? ['HTTPS_PROXY', 'https_proxy'] : ['HTTP_PROXY', 'http_proxy']
  const name = [...names, 'ALL_PROXY', 'all_proxy'].find((it) => (env[it] ?? '') !== '')
  if (name === undefined) return ok('the environment names no proxy for it')
  if (host === undefined || isLocal(host)) return ok(`${name} does not count for the own host`)
  const exceptions = env['NO_PROXY'] ?? env['no_proxy'] ?? ''
  if (isExcepted(host, port, exceptions)) return ok(`${name} is set, and NO_PROXY excepts ${host}`)
  return warning(
    `${name} sends clients that obey it to ${withoutLogin(env[name] ?? '')}, not to the mirror`,
    `Add ${host} to NO_PROXY where the clients are started, such as in the units of docker and containerd.`,
  )
}

function isLocal(host: string): boolean {
  return host === 'localhost' || createNetworkCheck(['127.0.0.0/8', '::1'])(host)
}

function isExcepted(host: string, port: number, exceptions: string): boolean {
  return exceptions
    .split(',')
    .map((text) => text.trim().toLowerCase())
    .filter((text) => text !== '')
    .some((text) => text === '*' || matches(host.toLowerCase(), port, text))
}

function matches(host: string, port: number, text: string): boolean {
  const [, name = text, ofPort] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(text) ?? []
  if (ofPort !== undefined && Number(ofPort) !== port) return false
  const bare = name.replace(/^\[(.*)\]$/, '$1')
  if (isIP(host) !== 0) return isAddressIn(host, bare)
  if (bare.startsWith('*.')) return host.endsWith(bare.slice(1))
  // With a dot only what lies below, without one the name itself as well.
  return bare.startsWith('.') ? host.endsWith(bare) : host === bare || host.endsWith(`.${bare}`)
}

function isAddressIn(host: string, block: string): boolean {
  try {
    return createNetworkCheck([block])(host)
  } catch {
    return false
  }
}

/** Proxies are often named with a password. */
function withoutLogin(text: string): string {
  const url = text.includes('://') ? text : `http://${text}`
  return URL.canParse(url) ? new URL(url).host : 'a proxy'
}
