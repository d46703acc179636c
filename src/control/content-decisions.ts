/** What becomes of digests that are let through although they are young, and of tags that stand still. Pure. */
import type {
  ApprovalRecord,
  Decision,
  DecisionContext,
  FrozenTagRecord,
} from '../catalog/control-catalog.ts'
import type { Digest } from '../oci/digest.ts'
import type { Tag } from '../oci/reference.ts'
import { imageText } from '../routing/image.ts'
import type { Target } from '../routing/resolve.ts'
import { auditRecord, type Author } from './audit-record.ts'
import { ControlError } from './error.ts'

const MOST_APPROVALS = 20_000
const MOST_FROZEN_TAGS = 20_000

type Decide<T> = (context: DecisionContext) => Decision<T>

/** One digest of one repository. */
interface Content extends Target {
  readonly digest: Digest
}

/** One tag of one repository. */
interface TagName extends Target {
  readonly tag: Tag
}

export function approveDigestDecision(
  author: Author,
  { upstream, repository, digest }: Content,
  reason: string | undefined,
): Decide<ApprovalRecord> {
  const key = { upstream, repository, digest }
  return ({ state }) => {
    const known = findApproval(state.approvals, key)
    if (known) {
      throw new ControlError('conflict', `${nameOf(key)} was approved already, by ${known.owner}.`)
    }
    refuseMoreThan(MOST_APPROVALS, state.approvals.length, 'approved digests')
    const owner = author.caller.principal.name
    const approval: ApprovalRecord = { ...key, owner, reason, createdAt: author.now }
    return {
      changes: [{ kind: 'put-approval', approval }],
      audit: [auditRecord(author, 'content.approve', nameOf(key), { after: { reason } })],
      result: approval,
    }
  }
}

export function withdrawApprovalDecision(author: Author, content: Content): Decide<ApprovalRecord> {
  const { upstream, repository, digest } = content
  return ({ state }) => {
    const approval = findApproval(state.approvals, content)
    if (approval === undefined) {
      throw new ControlError('not-found', `${nameOf(content)} is not approved.`)
    }
    const { owner, reason } = approval
    return {
      changes: [{ kind: 'remove-approval', upstream, repository, digest }],
      audit: [
        auditRecord(author, 'content.withdraw', nameOf(content), { before: { owner, reason } }),
      ],
      result: approval,
    }
  }
}

/** One that is frozen to something else before is moved. */
export function freezeTagDecision(
  author: Author,
  { upstream, repository, tag, digest }: Content & TagName,
  reason: string | undefined,
): Decide<FrozenTagRecord> {
  const key = { upstream, repository, tag }
  return ({ state }) => {
    const known = findFrozen(state.frozenTags, key)
    if (known?.digest === digest) {
      throw new ControlError(
        'conflict',
        `${nameOf(key)} is frozen to this digest already, by ${known.owner}.`,
      )
    }
    if (!known) refuseMoreThan(MOST_FROZEN_TAGS, state.frozenTags.length, 'frozen tags')
    const owner = author.caller.principal.name
    const frozen: FrozenTagRecord = { ...key, digest, owner, reason, createdAt: author.now }
    return {
      changes: [{ kind: 'put-frozen-tag', frozen }],
      audit: [
        auditRecord(author, 'tag.freeze', nameOf(key), {
          before: known && { digest: known.digest, owner: known.owner, reason: known.reason },
          after: { digest, reason },
        }),
      ],
      result: frozen,
    }
  }
}

/** @param digest where the tag is to be freed only if it is frozen to this one */
export function unfreezeTagDecision(
  author: Author,
  tagName: TagName,
  digest: Digest | undefined,
): Decide<FrozenTagRecord> {
  const { upstream, repository, tag } = tagName
  return ({ state }) => {
    const frozen = findFrozen(state.frozenTags, tagName)
    if (frozen === undefined) {
      throw new ControlError('not-found', `${nameOf(tagName)} is not frozen.`)
    }
    if (digest !== undefined && digest !== frozen.digest) {
      throw new ControlError(
        'conflict',
        `${nameOf(tagName)} is frozen to ${frozen.digest}, not to ${digest}. Leave the digest out to free it all the same.`,
      )
    }
    const { owner, reason } = frozen
    return {
      changes: [{ kind: 'remove-frozen-tag', upstream, repository, tag }],
      audit: [
        auditRecord(author, 'tag.unfreeze', nameOf(tagName), {
          before: { digest: frozen.digest, owner, reason },
        }),
      ],
      result: frozen,
    }
  }
}

function findApproval(
  approvals: readonly ApprovalRecord[],
  { upstream, repository, digest }: Content,
): ApprovalRecord | undefined {
  return approvals.find(
    (one) => one.digest === digest && one.repository === repository && one.upstream === upstream,
  )
}

function findFrozen(
  frozenTags: readonly FrozenTagRecord[],
  { upstream, repository, tag }: TagName,
): FrozenTagRecord | undefined {
  return frozenTags.find(
    (one) => one.tag === tag && one.repository === repository && one.upstream === upstream,
  )
}

function nameOf({
  upstream,
  repository,
  tag,
  digest,
}: Target & { readonly tag?: Tag; readonly digest?: Digest }): string {
  return imageText({ target: { upstream, repository }, tag, digest })
}

function refuseMoreThan(most: number, present: number, what: string): void {
  if (present < most) return
  throw new ControlError('conflict', `There are ${most} ${what} already. Remove some first.`)
}
