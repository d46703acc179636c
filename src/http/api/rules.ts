/** /rules */
import { createRoute, z } from '@hono/zod-openapi'
import type { HttpDependencies } from '../context.ts'
import * as fields from './fields.ts'
import { listedRuleJson } from './json.ts'
import * as parts from './parts.ts'
import { ListedRule } from './resources.ts'

const { answer, answers, sends, operatorOf, PROBLEMS, NOT_FOUND, CONFLICT, BODY_PROBLEMS } = parts

export function createRulesPart(dependencies: HttpDependencies) {
  const guard = parts.guards(dependencies)

  const list = createRoute({
    method: 'get',
    path: '/rules',
    operationId: 'listRules',
    summary: 'Rules of the allowlist, of the file and of operators',
    tags: ['rules'],
    middleware: guard.read('rules.read'),
    request: {
      query: z.strictObject({
        effect: fields.effect.optional(),
        image: fields.image.optional().openapi({
          description: 'Only the rules that are about this image, and which of them decides.',
        }),
      }),
    },
    responses: {
      200: answers(z.object({ rules: z.array(ListedRule) }), 'The rules.'),
      ...PROBLEMS,
    },
  })

  const add = createRoute({
    method: 'post',
    path: '/rules',
    operationId: 'addRule',
    summary: 'Add a rule',
    tags: ['rules'],
    middleware: guard.write('rules.write'),
    request: {
      body: sends(
        z
          .strictObject({
            effect: fields.effect,
            pattern: fields.pattern,
            reason: fields.reason.optional(),
            owner: fields.text.optional().openapi({
              description: 'Whom to ask about it; by default the caller.',
              example: 'alice',
            }),
            expiresAt: fields.time.optional(),
            minAgeSeconds: fields.minAgeSeconds.optional(),
          })
          .openapi('NewRule'),
      ),
    },
    responses: {
      201: answers(ListedRule, 'The rule, as it is kept.'),
      ...PROBLEMS,
      ...CONFLICT,
      ...BODY_PROBLEMS,
    },
  })

  const remove = createRoute({
    method: 'delete',
    path: '/rules/{id}',
    operationId: 'removeRule',
    summary: 'Remove a rule that an operator has added',
    tags: ['rules'],
    middleware: guard.remove('rules.write'),
    request: {
      params: z.object({ id: fields.ruleId }),
      query: z.strictObject({
        effect: fields.effect.optional().openapi({
          description: 'Remove it only if it has this effect.',
        }),
      }),
    },
    responses: {
      200: answers(ListedRule, 'The rule that was removed.'),
      ...PROBLEMS,
      ...NOT_FOUND,
      ...CONFLICT,
    },
  })

  return parts
    .createPart()
    .openapi(list, async (c) => {
      const rules = await operatorOf(c, dependencies).rules(c.req.valid('query'))
      return answer(c, { rules: rules.map(listedRuleJson) }, 200)
    })
    .openapi(add, async (c) => {
      const { minAgeSeconds, ...rule } = c.req.valid('json')
      const minAge = minAgeSeconds === undefined ? undefined : minAgeSeconds * 1000
      const added = await operatorOf(c, dependencies).addRule({ ...rule, minAge })
      return answer(c, listedRuleJson(added), 201)
    })
    .openapi(remove, async (c) => {
      const { id } = c.req.valid('param')
      const { effect } = c.req.valid('query')
      const removed = await operatorOf(c, dependencies).removeRule(id, effect)
      return answer(c, listedRuleJson(removed), 200)
    })
}
