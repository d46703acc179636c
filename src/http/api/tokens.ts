/** /tokens */
import { createRoute, z } from '@hono/zod-openapi'
import type { HttpDependencies } from '../context.ts'
import * as fields from './fields.ts'
import { createdTokenJson, tokenJson } from './json.ts'
import * as parts from './parts.ts'
import { CreatedToken, Token } from './resources.ts'

const { answer, answers, sends, operatorOf, PROBLEMS, NOT_FOUND, CONFLICT, BODY_PROBLEMS } = parts

export function createTokensPart(dependencies: HttpDependencies) {
  const guard = parts.guards(dependencies)

  const list = createRoute({
    method: 'get',
    path: '/tokens',
    operationId: 'listTokens',
    summary: 'API tokens of robots, without their secrets',
    tags: ['tokens'],
    middleware: guard.read('tokens.read'),
    responses: { 200: answers(z.object({ tokens: z.array(Token) }), 'The tokens.'), ...PROBLEMS },
  })

  const add = createRoute({
    method: 'post',
    path: '/tokens',
    operationId: 'addToken',
    summary: 'Make an API token',
    tags: ['tokens'],
    middleware: guard.write('tokens.write'),
    request: {
      body: sends(
        z
          .strictObject({
            name: fields.pathName,
            grants: fields.grants,
            expiresAt: fields.time.optional(),
          })
          .openapi('NewToken'),
      ),
    },
    responses: {
      201: answers(CreatedToken, 'The token, with its secret.'),
      ...PROBLEMS,
      ...CONFLICT,
      ...BODY_PROBLEMS,
    },
  })

  const remove = createRoute({
    method: 'delete',
    path: '/tokens/{id}',
    operationId: 'removeToken',
    summary: 'Remove an API token',
    tags: ['tokens'],
    middleware: guard.remove('tokens.write'),
    request: { params: z.object({ id: fields.pathName }) },
    responses: {
      200: answers(Token, 'The token that was removed.'),
      ...PROBLEMS,
      ...NOT_FOUND,
      ...CONFLICT,
    },
  })

  return parts
    .createPart()
    .openapi(list, async (c) => {
      const tokens = await operatorOf(c, dependencies).tokens()
      return answer(c, { tokens: tokens.map(tokenJson) }, 200)
    })
    .openapi(add, async (c) => {
      const token = await operatorOf(c, dependencies).addToken(c.req.valid('json'))
      return answer(c, createdTokenJson(token), 201)
    })
    .openapi(remove, async (c) => {
      const { id } = c.req.valid('param')
      return answer(c, tokenJson(await operatorOf(c, dependencies).removeToken(id)), 200)
    })
}
