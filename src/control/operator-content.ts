/** Young digests that are let through, and tags that stand still. */
import { authorize, SOMEWHERE, type Action, type Resource } from '../access/authorize.ts'
import type { Digest } from '../oci/digest.ts'
import type { Tag } from '../oci/reference.ts'
import type { Image } from '../routing/image.ts'
import type { Target } from '../routing/resolve.ts'
import {
  approveDigestDecision,
  freezeTagDecision,
  unfreezeTagDecision,
  withdrawApprovalDecision,
} from './content-decisions.ts'
import type { Operator } from './operator.ts'
import { authorNow, type OperatorContext } from './operator-context.ts'
import { createInputCheck, invalidImage, readImage } from './operator-input.ts'
import { requireRight } from './operator-rights.ts'

export function createContentUseCases(
  context: OperatorContext,
): Pick<
  Operator,
  | 'approvals'
  | 'approveDigest'
  | 'withdrawApproval'
  | 'frozenTags'
  | 'freezeTag'
  | 'unfreezeTag'
  | 'explain'
> {
  const { catalog, settings, explain, caller, now } = context
  const { principal } = caller

  /** What the image names, when the caller may do this to it. */
  function permitted(action: Action, text: string): Image {
    requireRight(principal, action, SOMEWHERE)
    const image = readImage(settings().routing, text)
    requireRight(principal, action, repositoryOf(image.target))
    return image
  }

  function visible<T extends Target>(records: readonly T[]): T[] {
    return records.filter((one) => authorize(principal, 'content.read', repositoryOf(one)))
  }

  function checkedNote(text: string | undefined): string | undefined {
    const check = createInputCheck(settings(), now())
    const note = check.note('reason', text)
    check.finish()
    return note
  }

  return {
    async approvals() {
      requireRight(principal, 'content.read', SOMEWHERE)
      return visible((await catalog.state()).approvals)
    },

    async approveDigest(text, reason) {
      const image = permitted('content.write', text)
      const content = { ...image.target, digest: digestOf(image) }
      const note = checkedNote(reason)
      return catalog.change(approveDigestDecision(authorNow(context), content, note))
    },

    async withdrawApproval(text) {
      const image = permitted('content.write', text)
      const content = { ...image.target, digest: digestOf(image) }
      return catalog.change(withdrawApprovalDecision(authorNow(context), content))
    },

    async frozenTags() {
      requireRight(principal, 'content.read', SOMEWHERE)
      return visible((await catalog.state()).frozenTags)
    },

    async freezeTag(text, reason) {
      const image = permitted('content.write', text)
      const frozen = { ...image.target, tag: tagOf(image), digest: digestOf(image) }
      const note = checkedNote(reason)
      return catalog.change(freezeTagDecision(authorNow(context), frozen, note))
    },

    async unfreezeTag(text) {
      const image = permitted('content.write', text)
      const name = { ...image.target, tag: tagOf(image) }
      return catalog.change(unfreezeTagDecision(authorNow(context), name, image.digest))
    },

    async explain(text) {
      permitted('explain', text)
      return explain(text)
    },
  }
}

function repositoryOf({ upstream, repository }: Target): Resource {
  return { kind: 'repository', name: `${upstream}/${repository}` }
}

function digestOf({ digest }: Image): Digest {
  if (digest) return digest
  throw invalidImage('The digest is missing: write it behind the name, as in quay.io/app@sha256:….')
}

function tagOf({ tag }: Image): Tag {
  if (tag) return tag
  throw invalidImage('The tag is missing: write it behind the name, as in quay.io/app:7@sha256:….')
}
