/** Why a pull is refused, in words that tell what to do next, and nothing that the caller may not know. */
import type { Identity, RefusedPull } from '../control/control.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/error.ts'
import { referenceText } from '../oci/reference.ts'
import { challenge, loginHost } from './challenge.ts'
import type { HttpContext, HttpDependencies, RepositoryRequest } from './context.ts'

type Dependencies = Pick<HttpDependencies, 'control' | 'publicUrl' | 'isTrustedProxy'>

/**
 * The same words whether a rule or a missing right stands in the way: who has no right does not learn
 * what the rules say. Remembered, so that operators find it under its id.
 */
export function refused(
  c: HttpContext,
  dependencies: Dependencies,
  request: RepositoryRequest,
  reason: RefusedPull['reason'],
): OciError {
  const id = noteRefusal(c, dependencies, request, reason)
  const hint =
    request.reference?.kind === 'digest'
      ? ' Pull an allowed tag first where only some tags are: a digest may come in once one of them is known to lead to it.'
      : ''
  return new OciError(
    'DENIED',
    `${imageOf(request)} is not allowed through this mirror. Ask the operator of the mirror for it: request ${id}.${hint}`,
    { detail: { ...namesOf(request), request: id } },
  )
}

/** Also where no rule admits it, which is not looked at. */
export function loginNeeded(
  c: HttpContext,
  dependencies: Dependencies,
  request: RepositoryRequest,
  identity: Identity,
): OciError {
  // Without a credential it is but the first step of a login, and nobody was refused yet.
  const id =
    identity.credential === 'accepted' ? noteRefusal(c, dependencies, request, 'right') : undefined
  const ask = `ask the operator of the mirror for it${id === undefined ? '' : `: request ${id}`}`
  const description = `${imageOf(request)} needs a login at this mirror: docker login ${loginHost(c, dependencies)}, or ${ask}.`
  const scope = scopeOf(request)
  return new OciError('UNAUTHORIZED', description, {
    challenge: challenge(c, dependencies, identity, { scope, description }),
    detail: { ...namesOf(request), ...(id !== undefined && { request: id }) },
  })
}

/** @param age `firstSeenAt` in milliseconds since the epoch, `minAge` in milliseconds */
export function onProbation(
  request: RepositoryRequest,
  digest: Digest,
  age: { readonly firstSeenAt: number | undefined; readonly minAge: number },
): OciError {
  const image = `${nameOf(request)}@${digest}`
  const since = age.firstSeenAt === undefined ? undefined : new Date(age.firstSeenAt)
  const until = since && new Date(since.getTime() + age.minAge)
  const times =
    since && until
      ? `was first seen upstream at ${since.toISOString()}, and may be pulled from ${until.toISOString()}`
      : 'has not been seen upstream before'
  return new OciError(
    'DENIED',
    `${image} is too new for this mirror: it ${times}. An operator may approve it before: entrepot content approve ${image}`,
    { detail: { ...namesOf(request), ...(until && { until: until.toISOString() }) } },
  )
}

function noteRefusal(
  c: HttpContext,
  { control }: Dependencies,
  request: RepositoryRequest,
  reason: RefusedPull['reason'],
): string {
  const { reference } = request
  return control.noteRefusal(c.get('caller'), {
    name: nameOf(request),
    tag: reference?.kind === 'tag' ? reference.tag : undefined,
    reason,
    userAgent: c.env.incoming.headers['user-agent'],
  })
}

/**
 * The name as the client sent it, as it will ask for it at the token endpoint; with the registry where that
 * stood elsewhere in the request, as containerd adds this scope to its own.
 */
function scopeOf(request: RepositoryRequest): string {
  const { prefix, query, name } = request.path
  const isApart = prefix !== undefined || query.has('ns')
  return `repository:${isApart ? nameOf(request) : name.join('/')}:pull`
}

function nameOf({ target }: RepositoryRequest): string {
  return `${target.upstream}/${target.repository}`
}

function imageOf(request: RepositoryRequest): string {
  const { reference } = request
  if (reference === undefined) return nameOf(request)
  return `${nameOf(request)}${reference.kind === 'tag' ? ':' : '@'}${referenceText(reference)}`
}

function namesOf(request: RepositoryRequest): Record<string, string> {
  const { reference } = request
  return {
    name: nameOf(request),
    ...(reference !== undefined && { reference: referenceText(reference) }),
  }
}
