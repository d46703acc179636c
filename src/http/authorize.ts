/**
 * May this be pulled? Decided inside the handlers, on the parsed request (CVE-2026-29087): first what the
 * caller has a right to, then what the rules admit, then how long it has been known.
 */
import type { RepositoryVerdict } from '../access/allowlist.ts'
import { authorize, type Action } from '../access/authorize.ts'
import type { Mirror } from '../cache/mirror.ts'
import { subjectOfTag } from '../oci/digest-tag.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference } from '../oci/reference.ts'
import type { Target } from '../routing/resolve.ts'
import { callerOf } from './caller.ts'
import type {
  HttpContext,
  HttpDependencies,
  ReferenceRequest,
  RepositoryRequest,
} from './context.ts'
import { loginNeeded, onProbation, refused } from './refusal.ts'

type Deciders = Pick<HttpDependencies, 'control' | 'mirror' | 'publicUrl' | 'isTrustedProxy'>

/** A signature of a signature is the deepest that is followed from a fallback tag to its subject. */
const MAX_SUBJECT_DEPTH = 3

/**
 * What everybody may is not lost by a login. Nobody learns what the rules say of a repository that they
 * have no right to.
 * @throws {OciError} UNAUTHORIZED for callers without a name, DENIED for the others
 */
export async function requireRight(
  c: HttpContext,
  dependencies: Deciders,
  request: RepositoryRequest,
  action: Action,
): Promise<void> {
  const { target, policy } = request
  const { caller, identity } = await callerOf(c, dependencies)
  const resource = { kind: 'repository', name: `${target.upstream}/${target.repository}` } as const
  if (authorize(policy.anonymous, action, resource)) return
  // A cache in front that ignores Authorization, as nginx does, must not hand it to those without.
  c.env.outgoing.setHeader('Cache-Control', 'private')
  if (authorize(caller.principal, action, resource)) return
  throw caller.principal.kind === 'anonymous'
    ? loginNeeded(c, dependencies, request, identity)
    : refused(c, dependencies, request, 'right')
}

/**
 * @returns which tags of the repository may be seen
 * @throws {OciError} DENIED when nothing of the repository is allowed
 */
export function authorizeRepository(
  c: HttpContext,
  dependencies: Deciders,
  request: RepositoryRequest,
): (tag: string) => boolean {
  const verdict = judge(request)
  if (verdict.refused) throw refused(c, dependencies, request, 'rule')
  c.get('timing')?.admitted()
  return (tag) => verdict.admitsTag(tag)
}

/**
 * What a tag means here is for the cache to find out, and so is whether that is old enough.
 * @returns whether the policy of the moment alone has decided: as long as that stays, the same will be
 *   admitted again
 * @throws {OciError} DENIED
 */
export async function authorizeReference(
  c: HttpContext,
  dependencies: Deciders,
  request: ReferenceRequest,
): Promise<boolean> {
  const { mirror } = dependencies
  const { target, reference } = request
  const verdict = judge(request)
  const admitted =
    !verdict.refused &&
    (reference.kind === 'tag'
      ? await admitsTag(verdict, mirror, target, reference.tag)
      : await admitsDigest(verdict, mirror, target, reference.digest))
  if (!admitted) throw refused(c, dependencies, request, 'rule')
  if (reference.kind === 'digest' && verdict.hasProbation) {
    await requireAge(verdict, mirror, request, reference.digest)
  }
  c.get('timing')?.admitted()
  return isDecidedByPolicy(verdict, reference)
}

function isDecidedByPolicy(verdict: RepositoryVerdict, reference: Reference): boolean {
  return reference.kind === 'tag'
    ? verdict.admitsTag(reference.tag) && verdict.minAge(reference.tag) === 0
    : admitsEveryDigest(verdict) && !verdict.hasProbation
}

function admitsEveryDigest({ admitsAnyDigest, refusesSomeTags }: RepositoryVerdict): boolean {
  return admitsAnyDigest && !refusesSomeTags
}

function judge({ policy, target }: RepositoryRequest): RepositoryVerdict {
  return policy.allowlist.judge(target.upstream, target.repository)
}

async function admitsTag(
  verdict: RepositoryVerdict,
  mirror: Pick<Mirror, 'tagsLeadingTo'>,
  target: Target,
  tag: string,
  depth = 0,
): Promise<boolean> {
  if (verdict.admitsTag(tag)) return true
  // Signatures and lists of referrers may come in where their subject may.
  const subject = subjectOfTag(tag)
  if (subject === undefined || verdict.refusesTag(tag) || depth >= MAX_SUBJECT_DEPTH) return false
  return admitsDigest(verdict, mirror, target, subject, depth + 1)
}

/**
 * A rule on tags admits the digests that an admitted tag leads to. Where whole repositories are
 * admitted, a digest is refused only if every tag known to lead to it is.
 */
async function admitsDigest(
  verdict: RepositoryVerdict,
  mirror: Pick<Mirror, 'tagsLeadingTo'>,
  target: Target,
  digest: Digest,
  depth = 0,
): Promise<boolean> {
  if (admitsEveryDigest(verdict)) return true
  const tags = await mirror.tagsLeadingTo(target, digest)
  if (verdict.admitsAnyDigest) {
    return tags.length === 0 || tags.some((tag) => !verdict.refusesTag(tag))
  }
  for (const tag of tags) {
    if (await admitsTag(verdict, mirror, target, tag, depth)) return true
  }
  return false
}

/** @throws {OciError} DENIED while the digest is too young, and no operator lets it through */
async function requireAge(
  verdict: RepositoryVerdict,
  mirror: Pick<Mirror, 'tagsLeadingTo' | 'isOfAge' | 'describe'>,
  request: RepositoryRequest,
  digest: Digest,
): Promise<void> {
  const { target } = request
  const minAge = await neededAge(verdict, mirror, request, digest)
  if (minAge === 0 || (await mirror.isOfAge(target, digest, minAge, kindOf(request)))) return
  const { firstSeenAt } = await mirror.describe(target, { kind: 'digest', digest })
  throw onProbation(request, digest, { firstSeenAt, minAge })
}

/**
 * Who may pull it by one tag may pull it: the tag with the least of all decides. Tags of signatures lead to
 * what is young and no image: to blobs at once, but not to manifests, or any image under such a tag could
 * be pulled by its digest.
 */
async function neededAge(
  verdict: RepositoryVerdict,
  mirror: Pick<Mirror, 'tagsLeadingTo'>,
  request: RepositoryRequest,
  digest: Digest,
): Promise<number> {
  const ages: number[] = []
  for (const tag of await mirror.tagsLeadingTo(request.target, digest)) {
    if (kindOf(request) === 'manifest' && subjectOfTag(tag) !== undefined) continue
    if (await admitsTag(verdict, mirror, request.target, tag)) ages.push(verdict.minAge(tag))
  }
  return ages.length === 0 ? verdict.minAge() : Math.min(...ages)
}

function kindOf({ path }: RepositoryRequest): 'manifest' | 'blob' {
  return path.kind === 'blob' ? 'blob' : 'manifest'
}
