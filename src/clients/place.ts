/** Where the mirror is, in the words that clients have for it; nothing in it can break out of a file or command. */
import { FormatError } from '../formats/format-error.ts'
import { canonicalRegistry, DOCKER_HUB } from '../oci/registry-name.ts'
import type { MirrorFacts } from './client-config.ts'

export interface MirrorPlace extends MirrorFacts {
  /** With the port, as in image names. */
  readonly host: string
  readonly isPlainHttp: boolean
  /** For examples. */
  readonly firstUpstream: string
  /** Also of addresses that docker takes for its own host. */
  readonly isLoopback: boolean
}

const URL_FORM =
  /^(https?):\/\/((?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)$/
const REGISTRY = /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?::\d{1,5})?$/
const CONTROL = /[\p{Cc}\u2028\u2029]/u
const CERTIFICATES =
  /^(?:-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----\s*)+$/

/** @throws {FormatError} for what could not stand in a file as it is */
export function placeOf(facts: MirrorFacts): MirrorPlace {
  const [, scheme, host] = URL_FORM.exec(facts.url) ?? []
  if (scheme === undefined || host === undefined) {
    throw new FormatError(
      'The URL of the mirror is a scheme and a host, such as https://mirror.example.',
    )
  }
  const upstreams = [...new Set(facts.upstreams.map(upstreamName))]
  const [firstUpstream] = upstreams
  if (firstUpstream === undefined) {
    throw new FormatError(
      'The mirror has no upstream to configure clients for; name one, such as quay.io.',
    )
  }
  if (facts.login !== undefined) checkLogin(facts.login)
  return {
    ...facts,
    upstreams,
    firstUpstream,
    ca: facts.ca === undefined ? undefined : certificates(facts.ca),
    host,
    isPlainHttp: scheme === 'http',
    isLoopback: /^(?:127\.|localhost(?::|$)|\[::1\])/.test(host),
  }
}

function upstreamName(name: string): string {
  const canonical = canonicalRegistry(name)
  if (REGISTRY.test(canonical)) return canonical
  throw new FormatError('The name of an upstream is the host name of a registry, such as quay.io.')
}

function checkLogin({ username, password }: { username: string; password: string }): void {
  if (username === '' || username.includes(':') || CONTROL.test(username)) {
    throw new FormatError('The user name is empty, or has a colon or a control character in it.')
  }
  if (password === '' || CONTROL.test(password)) {
    throw new FormatError('The password is empty, or has a control character in it.')
  }
}

function certificates(pem: string): string {
  const parts = pem
    .split(/(?=-----BEGIN CERTIFICATE-----)/)
    .filter((part) => part.startsWith('-----BEGIN'))
  const text = parts
    .map((part) => part.replace(/(-----END CERTIFICATE-----)[^]*$/, '$1\n'))
    .join('')
  if (CERTIFICATES.test(text)) return text.replaceAll('\r\n', '\n')
  throw new FormatError('The certificate authority is not a certificate in PEM form.')
}

/** How images of an upstream are named at the mirror. */
export function prefixed({ host }: MirrorPlace, upstream: string): string {
  return `${host}/${upstream}`
}

/** An image for examples, by the name that it has without a mirror. */
export function exampleImage({ firstUpstream }: MirrorPlace): string {
  return firstUpstream === DOCKER_HUB
    ? 'docker.io/library/busybox:latest'
    : `${firstUpstream}/NAME:TAG`
}

/** The root of an upstream's API at the mirror, its `v2` included. */
export function apiRoot({ url }: MirrorPlace, upstream: string): string {
  return `${url}/v2/${upstream}`
}

/** Of the registry itself. */
export function registryUrl(upstream: string): string {
  return `https://${upstream === DOCKER_HUB ? 'registry-1.docker.io' : upstream}`
}

/** The value of an `Authorization` header. */
export function basicHeader(login: { username: string; password: string }): string {
  return `Basic ${base64Login(login)}`
}

export function base64Login({
  username,
  password,
}: {
  username: string
  password: string
}): string {
  return Buffer.from(`${username}:${password}`).toString('base64')
}

/** As a word of a shell command. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
