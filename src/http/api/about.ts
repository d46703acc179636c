/** /whoami and /explain */
import { createRoute, z } from '@hono/zod-openapi'
import { ControlError } from '../../control/error.ts'
import type { HttpContext, HttpDependencies } from '../context.ts'
import { heldBack } from '../require-action.ts'
import * as fields from './fields.ts'
import { explanationJson, grantJson } from './json.ts'
import * as parts from './parts.ts'
import { Caller, Explanation } from './resources.ts'

const { answer, answers, operatorOf, PROBLEMS } = parts

export function createAboutPart(dependencies: HttpDependencies) {
  const guard = parts.guards(dependencies)

  const whoami = createRoute({
    method: 'get',
    path: '/whoami',
    operationId: 'whoami',
    summary: 'Who this credential belongs to, and what was granted',
    tags: ['about'],
    // For everybody, also those who were granted nothing.
    middleware: guard.read('public'),
    responses: { 200: answers(Caller, 'The caller.'), ...PROBLEMS },
  })

  const explain = createRoute({
    method: 'get',
    path: '/explain',
    operationId: 'explain',
    summary: 'What would become of a pull, and why',
    tags: ['about'],
    middleware: guard.read('explain'),
    request: { query: z.strictObject({ image: fields.image }) },
    responses: { 200: answers(Explanation, 'What would happen now.'), ...PROBLEMS },
  })

  return parts
    .createPart()
    .openapi(whoami, async (c) => {
      refuseRejected(c)
      const { kind, name, grants } = await operatorOf(c, dependencies).whoami()
      return answer(c, { kind, name, grants: grants.map(grantJson) }, 200)
    })
    .openapi(explain, async (c) => {
      const { image } = c.req.valid('query')
      return answer(c, explanationJson(await operatorOf(c, dependencies).explain(image)), 200)
    })
}

/** On other public routes a wrong credential is none; here it is what the question is about. */
function refuseRejected(c: HttpContext): void {
  const identity = c.get('identity')
  if (identity?.retryAfter !== undefined) throw heldBack(identity.retryAfter)
  if (identity?.credential === 'rejected') {
    throw new ControlError('unauthenticated', 'This password or token is not accepted here.')
  }
}
