/** Whether a line of the allowlist can mean anything. What it matches is decided in `access/`. */
import { canonicalRegistry, expandRepository, looksLikeHost } from '../oci/registry-name.ts'
import { isRepository, isTag } from '../oci/reference.ts'
import { nearest } from './nearest.ts'
import { InvalidValue } from './problem.ts'

const MAX_STARS = 8

const FORM = '<upstream>/<repository>[:<tag>]'

/**
 * @param upstreams the configured names; `undefined` when the file does not tell them
 * @returns the rule as written
 * @throws {InvalidValue} when no image could ever match it
 */
export function parseRule(text: string, upstreams: ReadonlySet<string> | undefined): string {
  const { name, tag } = split(text)
  refuseForeignForms(text, name)
  refuseWithoutRepository(name, upstreams)

  const slash = name.indexOf('/')
  const registry = slash === -1 ? name : name.slice(0, slash)
  refuseIllegalRegistry(registry)
  if (slash !== -1) refuseIllegalRepository(name.slice(slash + 1))
  if (tag !== undefined && !isTag(filled(tag))) {
    throw new InvalidValue(
      'has no legal tag after the last colon; a tag has letters, digits, dots, dashes and underscores, here also *',
    )
  }
  if (!registry.includes('*')) refuseUnknownUpstream(text, registry, upstreams)
  return text
}

/**
 * A pattern that a right is about.
 * @returns it in the form in which names are compared with it
 * @throws {InvalidValue} as for a rule, and when it has a tag
 */
export function parseRepositoryPattern(
  text: string,
  upstreams: ReadonlySet<string> | undefined,
): string {
  const { name, tag } = split(parseRule(text, upstreams))
  if (tag !== undefined) {
    throw new InvalidValue(`has a tag, but rights are about whole repositories; write ${name}`)
  }
  return canonicalPattern(name)
}

/** As in `access/`: one name for each registry, and `docker.io/redis` is `docker.io/library/redis`. */
function canonicalPattern(name: string): string {
  const slash = name.indexOf('/')
  if (slash === -1) return name
  const registry = canonicalRegistry(name.slice(0, slash))
  const repository = name.slice(slash + 1)
  return `${registry}/${repository.includes('**') ? repository : expandRepository(registry, repository)}`
}

/**
 * The canonical name of a configured upstream.
 * @throws {InvalidValue}
 */
export function parseUpstreamName(
  text: string,
  upstreams: ReadonlySet<string> | undefined,
): string {
  const name = canonicalRegistry(text)
  if (upstreams === undefined || upstreams.has(name)) return name
  throw new InvalidValue(`is not under "upstreams"; ${suggestion(name, upstreams)}`)
}

/** As in `access/`: a colon that a slash follows is that of a port. */
function split(text: string): { name: string; tag: string | undefined } {
  const colon = text.lastIndexOf(':')
  if (colon <= text.lastIndexOf('/')) return { name: text, tag: undefined }
  return { name: text.slice(0, colon), tag: text.slice(colon + 1) }
}

function refuseForeignForms(text: string, name: string): void {
  if (text.includes('://')) throw new InvalidValue(`has a scheme; write ${FORM} without it`)
  if (text.includes('@')) {
    throw new InvalidValue(
      'names a digest; rules are about repositories and tags, and admit the digests that belong to them',
    )
  }
  // Each may stand for anything, so the cost of a name grows with them, for everybody who pulls.
  if ((text.match(/\*+/g) ?? []).length > MAX_STARS) {
    throw new InvalidValue(`has more than ${MAX_STARS} stars; write ** for all that varies`)
  }
  if (text.includes('***')) throw new InvalidValue('has three stars in a row; write * or **')
  if (/(?:^|\/)(?:\/|$)/.test(name)) {
    throw new InvalidValue(
      'has an empty part; write for example docker.io/library/redis, and quay.io/coreos/** for all below',
    )
  }
}

function refuseWithoutRepository(name: string, upstreams: ReadonlySet<string> | undefined): void {
  if (name.includes('/') || name.includes('**')) return
  if (upstreams?.has(canonicalRegistry(name)) === true) {
    throw new InvalidValue(`names an upstream only; write ${name}/** for everything of it`)
  }
  throw new InvalidValue(
    `is not ${FORM}; write for example docker.io/library/redis, or "**" for everything`,
  )
}

function refuseIllegalRegistry(registry: string): void {
  if (!/^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?::[a-z0-9]+)?$/i.test(filled(registry))) {
    throw new InvalidValue('does not begin with the name of an upstream, such as docker.io')
  }
}

function refuseIllegalRepository(repository: string): void {
  if (isRepository(filled(repository))) return
  if (isRepository(filled(repository.toLowerCase()))) {
    throw new InvalidValue('has upper case in the repository, where only lower case is legal')
  }
  throw new InvalidValue(
    'has no legal repository; it is made of lower-case letters, digits, single separators (. _ __ -) and slashes, here also * and **',
  )
}

function refuseUnknownUpstream(
  text: string,
  registry: string,
  upstreams: ReadonlySet<string> | undefined,
): void {
  if (upstreams === undefined || upstreams.has(canonicalRegistry(registry))) return
  if (!looksLikeHost(registry) && nearest(registry, upstreams) === undefined) {
    const [first = 'docker.io'] = upstreams
    throw new InvalidValue(`does not begin with an upstream; write for example ${first}/${text}`)
  }
  throw new InvalidValue(
    `begins with what is not under "upstreams"; ${suggestion(registry, upstreams)}`,
  )
}

function suggestion(name: string, upstreams: ReadonlySet<string>): string {
  const meant = nearest(name, upstreams)
  return meant === undefined ? 'add it there' : `did you mean ${meant}?`
}

/** A letter is legal wherever anything is: when this is illegal, so is all that the stars can stand for. */
function filled(pattern: string): string {
  return pattern.replace(/\*+/g, 'a')
}
