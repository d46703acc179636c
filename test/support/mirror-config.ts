/** Writes the configuration of a mirror whose upstreams are fakes, as an operator would write it. */
import type { FakeRegistry } from '../fakes/registry.ts'

/** A fake, or several as endpoints of one upstream, with further keys as in the configuration. */
interface UpstreamSettings {
  readonly registry: FakeRegistry | readonly FakeRegistry[]
  /** PEM file of the authority that signed the registry's certificate. */
  readonly ca?: string
  readonly [key: string]: unknown
}

export interface MirrorSettings {
  /** By the name that image references use, e.g. `docker.io`. */
  readonly upstreams: Readonly<Record<string, FakeRegistry | UpstreamSettings>>
  /** Further or other top-level keys: an object, or YAML text whose keys win over what is made here. */
  readonly yaml?: string | Readonly<Record<string, unknown>>
  /** Everything, unless said otherwise. */
  readonly allow?: readonly (string | AllowLine)[]
  readonly deny?: readonly string[]
  /** Patterns; without it everybody may pull what is allowed. */
  readonly anonymous?: readonly string[]
  /** Path of a file of users. */
  readonly htpasswd?: string
  /** Patterns by role by user of that file. */
  readonly grants?: Readonly<Record<string, Partial<Record<RoleName, readonly string[]>>>>
  readonly trustedProxies?: readonly string[]
  readonly api?: string
  readonly anonymousStatus?: boolean
  readonly webhook?: { readonly url: string; readonly secret: string }
}

interface AllowLine {
  readonly image: string
  readonly minAge?: string
}

type RoleName = 'pull' | 'push' | 'operate' | 'admin'

/** Long enough for a busy machine, short enough that a test which has to wait one out still ends. */
const TIMEOUTS = { connect: '2s', firstByte: '10s', idle: '10s' }

/** @returns YAML: one top-level key a line, each value as JSON, which YAML contains */
export function mirrorYaml(settings: MirrorSettings, dataDir: string): string {
  const { upstreams, yaml = {}, allow = ['**'], deny = [] } = settings
  const made: Record<string, unknown> = {
    listen: '127.0.0.1:0',
    data: dataDir,
    timeouts: TIMEOUTS,
    // Requests to upstreams are counted: what comes by itself is switched on where it is looked at.
    complete: 'off',
    scrub: 'off',
    upstreams: Object.fromEntries(
      Object.entries(upstreams).map(([name, upstream]) => [name, upstreamEntry(upstream)]),
    ),
    allow,
    deny,
    ...accessKeys(settings),
    ...(typeof yaml === 'string' ? {} : yaml),
  }
  const text = typeof yaml === 'string' ? yaml : ''
  const given = new Set(text.match(/^[a-zA-Z]+(?=:)/gm))
  const lines = Object.entries(made)
    .filter(([key]) => !given.has(key))
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
  return [...lines, text].join('\n')
}

/** Those that were given; the others keep the program's defaults. */
function accessKeys(settings: MirrorSettings): Record<string, unknown> {
  const { anonymous, htpasswd, grants, trustedProxies, api, anonymousStatus, webhook } = settings
  const keys = { anonymous, htpasswd, grants, trustedProxies, api, anonymousStatus, webhook }
  return Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined))
}

/** The fakes behind the upstreams. */
export function registriesOf({ upstreams }: MirrorSettings): FakeRegistry[] {
  return Object.values(upstreams).flatMap((upstream) => settingsOf(upstream).registry)
}

/** Loopback is allowed, plain HTTP is meant where the fake speaks it, its token server is pinned. */
function upstreamEntry(upstream: FakeRegistry | UpstreamSettings): Record<string, unknown> {
  const { registry, ...settings } = settingsOf(upstream)
  const registries = [registry].flat()
  const realms = registries.flatMap(({ tokenServer }) => tokenServer?.host ?? [])
  return {
    endpoints: registries.map(({ url }) => url),
    networks: ['127.0.0.0/8'],
    insecure: registries.some(({ url }) => url.startsWith('http:')),
    ...(realms.length > 0 && { realms }),
    ...settings,
  }
}

function settingsOf(upstream: FakeRegistry | UpstreamSettings): UpstreamSettings {
  return isRegistry(upstream) ? { registry: upstream } : upstream
}

function isRegistry(upstream: FakeRegistry | UpstreamSettings): upstream is FakeRegistry {
  return 'bodyBytes' in upstream
}
