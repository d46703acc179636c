/** The `upstreams` of a configuration, with presets and defaults filled in. */
import { canonicalRegistry, looksLikeHost } from '../oci/registry-name.ts'
import { parseEndpoint, parseRealm } from './endpoint.ts'
import { readCertificates, readSecret } from './files.ts'
import { missingNetworks, parseNetwork } from './network.ts'
import { presetFor } from './presets.ts'
import { InvalidValue } from './problem.ts'
import type { Credential, Timeouts, UpstreamConfig } from './schema.ts'
import { Section } from './section.ts'
import type { CredentialShape, FileShape, TimeoutsShape, UpstreamShape } from './shape.ts'
import { parseDuration, parseTimeout } from './units.ts'

const DEFAULT_TAG_TTL = 5 * 60_000
const DEFAULT_TIMEOUTS: Timeouts = { connect: 5_000, firstByte: 20_000, idle: 30_000 }

/**
 * In the order of the file. What is wrong is reported, and left out here.
 * @param folder what relative file names are relative to
 */
export function readUpstreams(
  file: Section<FileShape>,
  folder: string,
): ReadonlyMap<string, UpstreamConfig> {
  const timeouts = readTimeouts(file, DEFAULT_TIMEOUTS)
  const upstreams = new Map<string, UpstreamConfig>()
  for (const [key, shape] of Object.entries(file.shape.upstreams ?? {})) {
    const section = new Section<UpstreamShape>(shape ?? {}, ['upstreams', key], file.report)
    const name = canonicalRegistry(key)
    section.report.read(section.path, key, refuseIllegalName)
    if (upstreams.has(name)) {
      section.report.add(section.path, `is another name of ${name}, which is there too; keep one`)
    }
    upstreams.set(name, readUpstream(name, section, folder, timeouts))
  }
  if (upstreams.size === 0) {
    file.report.add(
      ['upstreams'],
      'names no registry to mirror; write at least "docker.io: {}" below it',
    )
  }
  return upstreams
}

function refuseIllegalName(key: string): void {
  if (!/^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d{1,5})?$/.test(canonicalRegistry(key))) {
    throw new InvalidValue(
      'cannot begin an image reference; write a name such as quay.io or registry.lan:5000, without scheme and path',
    )
  }
}

/** What the section says, and for the rest what its surroundings say. */
function readTimeouts(
  parent: Section<FileShape> | Section<UpstreamShape>,
  defaults: Timeouts,
): Timeouts {
  const { timeouts } = parent.shape
  const section = new Section<TimeoutsShape>(timeouts ?? {}, parent.at('timeouts'), parent.report)
  return {
    connect: section.read('connect', parseTimeout) ?? defaults.connect,
    firstByte: section.read('firstByte', parseTimeout) ?? defaults.firstByte,
    idle: section.read('idle', parseTimeout) ?? defaults.idle,
  }
}

function readUpstream(
  name: string,
  section: Section<UpstreamShape>,
  folder: string,
  timeouts: Timeouts,
): UpstreamConfig {
  const networks = section.readList('networks', parseNetwork)
  const realms = section.readList('realms', parseRealm)
  return {
    name,
    endpoints: readEndpoints(name, section, networks),
    credentials: section
      .items('credentials')
      .map((credential) => readCredential(credential, folder))
      .filter((credential) => credential !== undefined),
    realms: [...new Set([...(presetFor(name)?.realms ?? []), ...realms])],
    insecure: section.shape.insecure ?? false,
    ca: section.read('ca', (file) => readCertificates(folder, file)),
    networks,
    tagTtl: section.read('tagTtl', parseDuration) ?? DEFAULT_TAG_TTL,
    timeouts: readTimeouts(section, timeouts),
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

function readCredential(section: Section<CredentialShape>, folder: string): Credential | undefined {
  const username = section.require('username', 'the user name of the account', parseUserName)
  const password = readPassword(section, folder)
  if (username === undefined || password === undefined) return undefined
  return { username, password }
}

function readPassword(section: Section<CredentialShape>, folder: string): string | undefined {
  const { password, passwordFile } = section.shape
  if (passwordFile === undefined) {
    return section.require('password', 'it, or passwordFile with the name of a file', parsePassword)
  }
  if (password !== undefined) {
    section.report.add(section.at('password'), 'is there beside passwordFile; keep one of the two')
  }
  return section.read('passwordFile', (file) => readSecret(folder, file))
}

/** A colon ends the user name in Basic authentication, and control characters are illegal (RFC 7617 §2). */
function parseUserName(text: string): string {
  if (text === '') throw new InvalidValue('is empty; write the user name of the account')
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[:\u0000-\u001f\u007f]/.test(text)) {
    throw new InvalidValue('holds a colon or a control character, which no user name may')
  }
  return text
}

function parsePassword(text: string): string {
  if (text === '') throw new InvalidValue('is empty; write the password of the account')
  return text
}
