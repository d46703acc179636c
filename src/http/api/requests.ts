/** /requests */
import { createRoute, z } from '@hono/zod-openapi'
import type { HttpDependencies } from '../context.ts'
import * as fields from './fields.ts'
import { listedRuleJson, requestJson } from './json.ts'
import * as parts from './parts.ts'
import { AccessRequest, ListedRule } from './resources.ts'

const { answer, answers, sends, operatorOf, PROBLEMS, NOT_FOUND, CONFLICT, BODY_PROBLEMS } = parts

export function createRequestsPart(dependencies: HttpDependencies) {
  const guard = parts.guards(dependencies)

  const list = createRoute({
    method: 'get',
    path: '/requests',
    operationId: 'listRequests',
    summary: 'What was refused, and waits for a decision',
    tags: ['requests'],
    middleware: guard.read('requests.read'),
    request: {
      query: z.strictObject({
        state: z.enum(['open', 'approved', 'dismissed', 'all']).optional().openapi({
          description: 'By default those that are open.',
        }),
      }),
    },
    responses: {
      200: answers(z.object({ requests: z.array(AccessRequest) }), 'The newest first.'),
      ...PROBLEMS,
    },
  })

  const approve = createRoute({
    method: 'post',
    path: '/requests/{id}/approve',
    operationId: 'approveRequest',
    summary: 'Let in what was asked for, by a rule',
    tags: ['requests'],
    middleware: guard.write('requests.decide'),
    request: {
      params: z.object({ id: fields.pathName }),
      body: sends(
        z
          .strictObject({
            as: z.enum(['exact', 'repository', 'pattern']).openapi({
              description:
                '`exact` the tag that was asked for, `repository` all of it, `pattern` what is given.',
            }),
            pattern: fields.pattern.optional(),
            expiresAt: fields.time.optional(),
            reason: fields.reason.optional(),
          })
          .openapi('Approval'),
      ),
    },
    responses: {
      200: answers(ListedRule, 'The rule that lets it in.'),
      ...PROBLEMS,
      ...NOT_FOUND,
      ...CONFLICT,
      ...BODY_PROBLEMS,
    },
  })

  const dismiss = createRoute({
    method: 'post',
    path: '/requests/{id}/dismiss',
    operationId: 'dismissRequest',
    summary: 'Leave it refused',
    tags: ['requests'],
    middleware: guard.write('requests.decide'),
    request: {
      params: z.object({ id: fields.pathName }),
      body: sends(z.strictObject({ reason: fields.reason.optional() }).openapi('Dismissal')),
    },
    responses: {
      200: answers(AccessRequest, 'The request, dismissed.'),
      ...PROBLEMS,
      ...NOT_FOUND,
      ...CONFLICT,
      ...BODY_PROBLEMS,
    },
  })

  return parts
    .createPart()
    .openapi(list, async (c) => {
      const requests = await operatorOf(c, dependencies).requests(c.req.valid('query'))
      return answer(c, { requests: requests.map(requestJson) }, 200)
    })
    .openapi(approve, async (c) => {
      const { id } = c.req.valid('param')
      const rule = await operatorOf(c, dependencies).approveRequest(id, c.req.valid('json'))
      return answer(c, listedRuleJson(rule), 200)
    })
    .openapi(dismiss, async (c) => {
      const { id } = c.req.valid('param')
      const { reason } = c.req.valid('json')
      const request = await operatorOf(c, dependencies).dismissRequest(id, reason)
      return answer(c, requestJson(request), 200)
    })
}
