/** /approvals and /frozen-tags */
import { createRoute, z } from '@hono/zod-openapi'
import type { HttpDependencies } from '../context.ts'
import * as fields from './fields.ts'
import { approvalJson, frozenTagJson } from './json.ts'
import * as parts from './parts.ts'
import { ContentApproval, FrozenTag } from './resources.ts'

const { answer, answers, sends, operatorOf, PROBLEMS, NOT_FOUND, CONFLICT, BODY_PROBLEMS } = parts

const query = z.strictObject({ image: fields.image })

export function createContentPart(dependencies: HttpDependencies) {
  const guard = parts.guards(dependencies)
  const read = guard.read('content.read')
  const remove = guard.remove('content.write')
  const body = sends(
    z
      .strictObject({
        image: fields.image.openapi({
          example: `docker.io/library/redis:7@sha256:${'0'.repeat(64)}`,
        }),
        reason: fields.reason.optional(),
      })
      .openapi('ImageWithDigest'),
  )

  const listApprovals = createRoute({
    method: 'get',
    path: '/approvals',
    operationId: 'listApprovals',
    summary: 'Digests that are served although they are young',
    tags: ['content'],
    middleware: read,
    responses: {
      200: answers(z.object({ approvals: z.array(ContentApproval) }), 'The approvals.'),
      ...PROBLEMS,
    },
  })

  const approve = createRoute({
    method: 'post',
    path: '/approvals',
    operationId: 'approveDigest',
    summary: 'Serve a digest although it is young',
    tags: ['content'],
    middleware: guard.write('content.write'),
    request: { body },
    responses: {
      201: answers(ContentApproval, 'The approval.'),
      ...PROBLEMS,
      ...CONFLICT,
      ...BODY_PROBLEMS,
    },
  })

  const withdraw = createRoute({
    method: 'delete',
    path: '/approvals',
    operationId: 'withdrawApproval',
    summary: 'Let a digest wait like any other',
    tags: ['content'],
    middleware: remove,
    request: { query },
    responses: {
      200: answers(ContentApproval, 'The approval that was withdrawn.'),
      ...PROBLEMS,
      ...NOT_FOUND,
      ...CONFLICT,
    },
  })

  const listFrozen = createRoute({
    method: 'get',
    path: '/frozen-tags',
    operationId: 'listFrozenTags',
    summary: 'Tags that mean one digest, whatever upstream says',
    tags: ['content'],
    middleware: read,
    responses: {
      200: answers(z.object({ frozenTags: z.array(FrozenTag) }), 'The tags.'),
      ...PROBLEMS,
    },
  })

  const freeze = createRoute({
    method: 'post',
    path: '/frozen-tags',
    operationId: 'freezeTag',
    summary: 'Let a tag mean one digest, whatever upstream says',
    tags: ['content'],
    middleware: guard.write('content.write'),
    request: { body },
    responses: {
      201: answers(FrozenTag, 'The frozen tag.'),
      ...PROBLEMS,
      ...CONFLICT,
      ...BODY_PROBLEMS,
    },
  })

  const unfreeze = createRoute({
    method: 'delete',
    path: '/frozen-tags',
    operationId: 'unfreezeTag',
    summary: 'Let a tag follow upstream again',
    tags: ['content'],
    middleware: remove,
    request: { query },
    responses: {
      200: answers(FrozenTag, 'The tag that was frozen.'),
      ...PROBLEMS,
      ...NOT_FOUND,
      ...CONFLICT,
    },
  })

  return parts
    .createPart()
    .openapi(listApprovals, async (c) => {
      const approvals = await operatorOf(c, dependencies).approvals()
      return answer(c, { approvals: approvals.map(approvalJson) }, 200)
    })
    .openapi(approve, async (c) => {
      const { image, reason } = c.req.valid('json')
      const approval = await operatorOf(c, dependencies).approveDigest(image, reason)
      return answer(c, approvalJson(approval), 201)
    })
    .openapi(withdraw, async (c) => {
      const { image } = c.req.valid('query')
      const approval = await operatorOf(c, dependencies).withdrawApproval(image)
      return answer(c, approvalJson(approval), 200)
    })
    .openapi(listFrozen, async (c) => {
      const frozenTags = await operatorOf(c, dependencies).frozenTags()
      return answer(c, { frozenTags: frozenTags.map(frozenTagJson) }, 200)
    })
    .openapi(freeze, async (c) => {
      const { image, reason } = c.req.valid('json')
      const frozen = await operatorOf(c, dependencies).freezeTag(image, reason)
      return answer(c, frozenTagJson(frozen), 201)
    })
    .openapi(unfreeze, async (c) => {
      const { image } = c.req.valid('query')
      const frozen = await operatorOf(c, dependencies).unfreezeTag(image)
      return answer(c, frozenTagJson(frozen), 200)
    })
}
