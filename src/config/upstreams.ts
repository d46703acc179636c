/** The `upstreams` of a configuration, with presets and defaults filled in. */
import { canonicalRegistry, looksLikeHost } from '../oci/registry-name.ts'
import { type CachePolicy, DEFAULT_CACHE_POLICY, readCachePolicy } from './cache-policy.ts'
import { readCredentials } from './credentials.ts'
import { parseEndpoint, parseRealm } from './endpoint.ts'
import { readCertificates } from './files.ts'
import { missingNetworks, parseNetwork } from './network.ts'
import { presetFor } from './presets.ts'
import { InvalidValue } from './problem.ts'
import type { Timeouts, UpstreamConfig } from './schema.ts'
import { Section } from './section.ts'
import type { FileShape, UpstreamShape } from './shape.ts'
import { DEFAULT_TIMEOUTS, readTimeouts } from './timeouts.ts'
import { parseDuration } from './units.ts'

const DEFAULT_TAG_TTL = 5 * 60_000
/** Fewer than the six that browsers open to a host: RFC 9112 section 9.4 asks clients to be conservative. */
export const DEFAULT_CONNECTIONS = 4

/**
 * In the order of the file. What is wrong is reported, and left out here.
 * @param folder what relative file names are relative to
 */
export function readUpstreams(
  file: Section<FileShape>,
  folder: string,
): ReadonlyMap<string, UpstreamConfig> {
  const defaults: Defaults = {
    timeouts: readTimeouts(file, DEFAULT_TIMEOUTS),
    policy: readCachePolicy(file, DEFAULT_CACHE_POLICY),
  }
  const upstreams = new Map<string, UpstreamConfig>()
  for (const [key, shape] of Object.entries(file.shape.upstreams ?? {})) {
    const section = new Section<UpstreamShape>(shape ?? {}, ['upstreams', key], file.report)
    const name = canonicalRegistry(key)
    section.report.read(section.path, key, parseRegistryName)
    if (upstreams.has(name)) {
      section.report.add(section.path, `is another name of ${name}, which is there too; keep one`)
    }
    upstreams.set(name, readUpstream(name, section, folder, defaults))
  }
  if (upstreams.size === 0) {
    file.report.add(
      ['upstreams'],
      'names no registry to mirror; write at least "docker.io: {}" below it',
    )
  }
  return upstreams
}

/**
 * The canonical name of a registry, as image references begin.
 * @throws {InvalidValue}
 */
export function parseRegistryName(text: string): string {
  const name = canonicalRegistry(text)
  if (!/^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d{1,5})?$/.test(name)) {
    throw new InvalidValue(
      'cannot begin an image reference; write a name such as quay.io or registry.lan:5000, without scheme and path',
    )
  }
  return name
}

/** What counts where an upstream says nothing of its own. */
interface Defaults {
  readonly timeouts: Timeouts
  readonly policy: CachePolicy
}

function readUpstream(
  name: string,
  section: Section<UpstreamShape>,
  folder: string,
  defaults: Defaults,
): UpstreamConfig {
  const networks = section.readList('networks', parseNetwork)
  const realms = section.readList('realms', parseRealm)
  const endpoints = readEndpoints(name, section, networks)
  return {
    name,
    endpoints,
    credentials: readCredentials(section, { name, endpoints, folder }),
    realms: [...new Set([...(presetFor(name)?.realms ?? []), ...realms])],
    insecure: section.shape.insecure ?? false,
    ca: section.read('ca', (file) => readCertificates(folder, file)),
    networks,
    tagTtl: section.read('tagTtl', parseDuration) ?? DEFAULT_TAG_TTL,
    ...readCachePolicy(section, defaults.policy),
    connections: section.shape.connections ?? DEFAULT_CONNECTIONS,
    timeouts: readTimeouts(section, defaults.timeouts),
  }
}

function readEndpoints(
  name: string,
  section: Section<UpstreamShape>,
  networks: readonly string[],
): readonly string[] {
  const { endpoints, insecure = false } = section.shape
  const parse = (text: string): string => parseAllowedEndpoint(text, { insecure, networks })
  if (endpoints && endpoints.length > 0) return section.readList('endpoints', parse)
  if (insecure) {
    section.report.add(
      section.at('insecure'),
      `means plain HTTP, but not where to; add endpoints: ["http://${name}"], or remove it`,
    )
    return []
  }
  return presetFor(name)?.endpoints ?? endpointFromName(name, section, parse)
}

function endpointFromName(
  name: string,
  { path, report }: Section<UpstreamShape>,
  parse: (text: string) => string,
): readonly string[] {
  if (!looksLikeHost(name)) {
    report.add(
      path,
      'is neither a well-known registry nor a host name; say where it is, for example endpoints: ["https://registry.example"]',
    )
    return []
  }
  const endpoint = report.read(path, `https://${name}`, parse)
  return endpoint === undefined ? [] : [endpoint]
}

interface Allowed {
  /** Plain HTTP. */
  readonly insecure: boolean
  readonly networks: readonly string[]
}

function parseAllowedEndpoint(text: string, { insecure, networks }: Allowed): string {
  const endpoint = parseEndpoint(text)
  const { protocol, hostname } = new URL(endpoint)
  const objections: string[] = []
  if (protocol === 'http:' && !insecure) {
    objections.push(
      'is plain HTTP, which anybody on the way can read and change, credentials too; write https://, or add insecure: true if it is meant',
    )
  }
  const missing = missingNetworks(hostname, networks)
  if (missing.length > 0) {
    objections.push(
      `is a private address, to which nothing connects unless allowed; add networks: ["${missing.join('", "')}"]`,
    )
  }
  if (objections.length > 0) throw new InvalidValue(objections.join('. It also '))
  return endpoint
}
