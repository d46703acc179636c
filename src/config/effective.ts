/** A configuration in the words of the file, with all that the file leaves open; no secrets. */
import { X509Certificate } from 'node:crypto'
import type { AllowRule, Config, Credential, Listen, UpstreamConfig } from './schema.ts'
import { writeDuration, writeSize } from './units.ts'

/** In place of a secret. */
const MASK = '***'

/**
 * The same that `mirrors.yml` would have to say: what has no value is left out, and of certificates only
 * what they are for is said.
 */
export function effectiveConfig(config: Config): Readonly<Record<string, unknown>> {
  const { listen, api, scrubRate, upstreams, tls, allow, grants, webhook, ...others } = config
  return plainMapping({
    listen: listenText(listen),
    ...others,
    api: typeof api === 'string' ? api : listenText(api),
    scrub: scrubRate === 0 ? 'off' : writeSize(scrubRate),
    upstreams: new Map([...upstreams].map(([name, upstream]) => [name, upstreamOf(upstream)])),
    tls: tls.map(({ certificate }) => ({ certificate: certificateText(certificate), key: MASK })),
    allow: allow.map(allowLine),
    grants: new Map([...grants].map(([user, list]) => [user, byRole(list)])),
    // The path of such a URL often is a secret itself.
    webhook: webhook && { url: `${new URL(webhook.url).origin}/${MASK}`, secret: MASK },
  })
}

function upstreamOf({ name: _name, ca, credentials, ...others }: UpstreamConfig): object {
  return {
    ...others,
    ca: ca === undefined ? undefined : certificateText(ca),
    credentials: credentials.map((credential) => credentialOf(credential, others.endpoints)),
  }
}

function credentialOf(credential: Credential, all: readonly string[]): object {
  const [endpoint] = credential.endpoints
  return {
    ...('helper' in credential
      ? { helper: credential.helper }
      : { username: credential.username, password: MASK }),
    ...(credential.endpoints.length === 1 && all.length > 1 && { endpoint }),
  }
}

function allowLine({ pattern, minAge }: AllowRule): unknown {
  return minAge === 0 ? pattern : { image: pattern, minAge }
}

function byRole(grants: readonly { role: string; pattern: string }[]): object {
  const roles = new Map<string, string[]>()
  for (const { role, pattern } of grants) roles.set(role, [...(roles.get(role) ?? []), pattern])
  return roles
}

/** As `listen` in the file. */
export function listenText(address: Listen): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  if (address.kind === 'systemd') {
    return address.name === undefined ? 'systemd' : `systemd:${address.name}`
  }
  const { host, port } = address
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** For whom the first of them is, and how long. */
function certificateText(pem: string): string {
  const { subject, subjectAltName, validTo } = new X509Certificate(pem)
  return `(${subjectAltName ?? subject.replaceAll('\n', ', ')}, valid until ${validTo})`
}

const DURATIONS: ReadonlySet<string> = new Set([
  'jitter',
  'maxUnused',
  'minAge',
  'tagTtl',
  'staleWhileRevalidate',
  'staleIfError',
  'connect',
  'firstByte',
  'idle',
  'hedge',
])
const SIZES: ReadonlySet<string> = new Set(['budget', 'lowWatermark', 'minFree', 'memory'])
/** Whatever has such a name is not shown, wherever it stands. */
const SECRET = /password$|secret$|token$/i

function plain(value: unknown, key: string): unknown {
  if (SECRET.test(key) && value !== undefined) return MASK
  if (typeof value === 'number') return numberText(value, key)
  if (Array.isArray(value)) return value.map((item) => plain(item, key))
  if (value instanceof Map) return plainMapping(Object.fromEntries(value))
  return typeof value === 'object' && value !== null ? plainMapping(value) : value
}

function plainMapping(mapping: object): Record<string, unknown> {
  const said = Object.entries(mapping).filter(([, value]) => value !== undefined)
  return Object.fromEntries(said.map(([key, value]) => [key, plain(value, key)]))
}

function numberText(value: number, key: string): unknown {
  if (DURATIONS.has(key)) return writeDuration(value)
  return SIZES.has(key) ? writeSize(value) : value
}
