/** May this be pulled? Decided inside the handlers, on the parsed request (CVE-2026-29087). */
import type { RepositoryVerdict } from '../access/allowlist.ts'
import type { Mirror } from '../cache/mirror.ts'
import { isDigest, type Digest } from '../oci/digest.ts'
import { OciError } from '../oci/error.ts'
import { referenceText, type Reference } from '../oci/reference.ts'
import type { Target } from '../routing/resolve.ts'
import type { Policy } from './context.ts'

interface Deciders {
  readonly policy: () => Policy
  readonly mirror: Pick<Mirror, 'tagsLeadingTo'>
}

/** A signature of a signature is the deepest that is followed from a fallback tag to its subject. */
const MAX_SUBJECT_DEPTH = 3

/**
 * @returns which tags of the repository may be seen
 * @throws {OciError} DENIED when nothing of the repository is allowed
 */
export function authorizeRepository(
  { policy }: Deciders,
  target: Target,
): (tag: string) => boolean {
  const verdict = judge(policy(), target)
  return (tag) => verdict.admitsTag(tag)
}

/** @throws {OciError} DENIED */
export async function authorizeReference(
  { policy, mirror }: Deciders,
  target: Target,
  reference: Reference,
): Promise<void> {
  const verdict = judge(policy(), target)
  const admitted =
    reference.kind === 'tag'
      ? await admitsTag(verdict, mirror, target, reference.tag)
      : await admitsDigest(verdict, mirror, target, reference.digest)
  if (!admitted) throw deniedReference(target, reference)
}

function judge({ allowlist }: Policy, target: Target): RepositoryVerdict {
  const verdict = allowlist.judge(target.upstream, target.repository)
  if (verdict.refused) throw denied(`${target.upstream}/${target.repository}`)
  return verdict
}

async function admitsTag(
  verdict: RepositoryVerdict,
  mirror: Deciders['mirror'],
  target: Target,
  tag: string,
  depth = 0,
): Promise<boolean> {
  if (verdict.admitsTag(tag)) return true
  const subject = subjectOf(tag)
  if (subject === undefined || verdict.refusesTag(tag) || depth >= MAX_SUBJECT_DEPTH) return false
  return admitsDigest(verdict, mirror, target, subject, depth + 1)
}

/**
 * A rule on tags admits the digests that an admitted tag leads to. Where whole repositories are
 * admitted, a digest is refused only if every tag known to lead to it is.
 */
async function admitsDigest(
  verdict: RepositoryVerdict,
  mirror: Deciders['mirror'],
  target: Target,
  digest: Digest,
  depth = 0,
): Promise<boolean> {
  if (verdict.admitsAnyDigest && !verdict.refusesSomeTags) return true
  const tags = await mirror.tagsLeadingTo(target, digest)
  if (verdict.admitsAnyDigest) {
    return tags.length === 0 || tags.some((tag) => !verdict.refusesTag(tag))
  }
  for (const tag of tags) {
    if (await admitsTag(verdict, mirror, target, tag, depth)) return true
  }
  return false
}

/**
 * Signatures and referrers lists live under tags made of the digest that they are about, such as
 * `sha256-<hex>.sig`: they may come in where their subject may.
 */
function subjectOf(tag: string): Digest | undefined {
  const [, algorithm = '', hex = ''] =
    /^(sha256|sha384|sha512)-([0-9a-f]+)(?:\.[a-z]+)?$/.exec(tag) ?? []
  const digest = `${algorithm}:${hex}`
  return isDigest(digest) ? digest : undefined
}

function deniedReference(target: Target, reference: Reference): OciError {
  const name = `${target.upstream}/${target.repository}`
  if (reference.kind === 'tag') return denied(`${name}:${reference.tag}`)
  return new OciError(
    'DENIED',
    `Only some tags of ${name} are allowed through this mirror, and none of them is known to lead to ${reference.digest}. Pull an allowed tag first, or ask the operator of the mirror to allow ${name}.`,
    { detail: { name, reference: referenceText(reference) } },
  )
}

function denied(name: string): OciError {
  return new OciError(
    'DENIED',
    `${name} is not allowed through this mirror. Ask the operator of the mirror to add "${name}" to its allow list.`,
    { detail: { name } },
  )
}
