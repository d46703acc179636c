/** Says what would become of a pull, and why, without asking any upstream. */
import { authorize } from '../access/authorize.ts'
import type { RepositoryVerdict } from '../access/allowlist.ts'
import type { Rule } from '../access/rule.ts'
import type { ContentState } from '../cache/describe.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/error.ts'
import { parseTag, type Reference, type Repository } from '../oci/reference.ts'
import { imageText, parseImage, type Image } from '../routing/image.ts'
import { ControlError } from './error.ts'
import type { Explanation } from './explain.ts'
import type { Policy } from './control.ts'

interface ContentKey {
  readonly upstream: string
  readonly repository: Repository
}

/** What is known of content, by whoever has the catalog. */
export interface KnownContent {
  describe(key: ContentKey, reference: Reference): Promise<ContentState>
  tagsLeadingTo(key: ContentKey, digest: Digest): Promise<readonly string[]>
}

interface Dependencies {
  readonly policy: () => Policy
  readonly content: KnownContent
  readonly now: () => number
}

/** What is asked when no tag is said: the clients' default. */
const LATEST = parseTag('latest')

export function createExplainer({ policy, content, now }: Dependencies) {
  /** @throws {ControlError} invalid when the text is no image of a mirrored registry */
  return async function explain(text: string): Promise<Explanation> {
    const { routing, allowlist, anonymous, ...said } = policy()
    const image = readImage(() => parseImage(routing, text))
    const { target, tag, digest } = image
    const name = `${target.upstream}/${target.repository}`
    const verdict = allowlist.judge(target.upstream, target.repository)
    const leading = digest && !tag ? await content.tagsLeadingTo(target, digest) : []
    const frozenTo = tag && !digest ? said.frozenTo(target, tag) : undefined
    const state = await content.describe(target, referenceOf(image, frozenTo))
    const allowed = isAllowed(verdict, image, leading)
    const rule = decidingRule(verdict, image, leading)
    const current = digest ?? frozenTo ?? state.digest
    const isExempt = current !== undefined && said.isApproved(target, current)
    const minAge = frozenTo || isExempt ? 0 : verdict.minAge(tag)
    const probationEndsAt = probationEnd(state, minAge, now())
    return {
      image: imageText(image),
      upstream: target.upstream,
      repository: target.repository,
      tag,
      digest,
      allowed,
      verdict: sentence(allowed, rule, probationEndsAt),
      rule,
      anonymous: allowed && authorize(anonymous, 'pull', { kind: 'repository', name }),
      frozenTo,
      probationEndsAt,
      content: state,
      cost: allowed ? costOf(state, digest ?? frozenTo) : NOTHING,
    }
  }
}

function readImage(parse: () => Image): Image {
  try {
    const image = parse()
    return image.tag || image.digest ? image : { ...image, tag: LATEST }
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    throw new ControlError('invalid', error.message, [{ path: 'image', message: error.message }])
  }
}

function referenceOf({ tag, digest }: Image, frozenTo: Digest | undefined): Reference {
  const fixed = digest ?? frozenTo
  return fixed ? { kind: 'digest', digest: fixed } : { kind: 'tag', tag: tag ?? LATEST }
}

function isAllowed(
  verdict: RepositoryVerdict,
  { tag }: Image,
  leading: readonly string[],
): boolean {
  if (tag) return verdict.admitsTag(tag)
  if (!verdict.admitsAnyDigest) return leading.some((it) => verdict.admitsTag(it))
  return leading.length === 0 || leading.some((it) => !verdict.refusesTag(it))
}

function decidingRule(
  verdict: RepositoryVerdict,
  { tag }: Image,
  leading: readonly string[],
): Rule | undefined {
  const admitted = leading.find((it) => verdict.admitsTag(it))
  return verdict.decidingRule(tag ?? admitted ?? leading[0])
}

/**
 * What has never been seen is seen for the first time when it is pulled. What is here without a time was
 * seen before times were noted.
 */
function probationEnd(
  { firstSeenAt, digest, isStored }: ContentState,
  minAge: number,
  now: number,
): number | undefined {
  if (minAge === 0) return undefined
  const seenAt = digest === undefined ? now : (firstSeenAt ?? (isStored ? 0 : now))
  const end = seenAt + minAge
  return end > now ? end : undefined
}

function sentence(
  allowed: boolean,
  rule: Rule | undefined,
  probationEndsAt: number | undefined,
): string {
  const by =
    rule && `${rule.origin === 'file' ? 'the file' : 'an operator'}'s rule "${rule.pattern}"`
  if (!allowed) {
    return by === undefined || rule?.effect === 'allow'
      ? 'Refused: no rule allows it.'
      : `Refused: ${by} denies it.`
  }
  const until = probationEndsAt && new Date(probationEndsAt).toISOString()
  const probation = until ? ` New content waits until ${until}.` : ''
  return `Allowed by ${by ?? 'a rule'}.${probation}`
}

type Cost = Explanation['cost']

const NOTHING: Cost = { heads: 0, pulls: 0, bytes: 0 }

function costOf(state: ContentState, fixed: Digest | undefined): Cost {
  if (state.upstream?.offline === true) return NOTHING
  const bytes = state.isStored ? state.blobs.missingBytes : undefined
  const asksForTag = fixed === undefined && state.digest !== undefined
  const heads = asksForTag && state.freshness !== 'fresh' ? 1 : 0
  return { heads, pulls: state.isStored ? 0 : 1, bytes }
}
