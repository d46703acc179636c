/** /users */
import { createRoute, z } from '@hono/zod-openapi'
import type { HttpDependencies } from '../context.ts'
import * as fields from './fields.ts'
import { userJson } from './json.ts'
import * as parts from './parts.ts'
import { User } from './resources.ts'

const { answer, answers, sends, operatorOf, PROBLEMS, NOT_FOUND, CONFLICT, BODY_PROBLEMS } = parts

export function createUsersPart(dependencies: HttpDependencies) {
  const guard = parts.guards(dependencies)
  const params = z.object({ name: fields.pathName })

  const list = createRoute({
    method: 'get',
    path: '/users',
    operationId: 'listUsers',
    summary: 'Users and what they may do',
    tags: ['users'],
    middleware: guard.read('users.read'),
    responses: { 200: answers(z.object({ users: z.array(User) }), 'The users.'), ...PROBLEMS },
  })

  const add = createRoute({
    method: 'post',
    path: '/users',
    operationId: 'addUser',
    summary: 'Add a user',
    tags: ['users'],
    middleware: guard.write('users.write'),
    request: {
      body: sends(
        z
          .strictObject({
            name: fields.pathName,
            password: fields.password,
            grants: fields.grants,
          })
          .openapi('NewUser'),
      ),
    },
    responses: { 201: answers(User, 'The user.'), ...PROBLEMS, ...CONFLICT, ...BODY_PROBLEMS },
  })

  const setPassword = createRoute({
    method: 'put',
    path: '/users/{name}/password',
    operationId: 'setPassword',
    summary: 'Set a password, of users or your own; logins of that user end',
    tags: ['users'],
    middleware: guard.write('password.write'),
    request: {
      params,
      body: sends(z.strictObject({ password: fields.password }).openapi('NewPassword')),
    },
    responses: {
      200: answers(User, 'The user.'),
      ...PROBLEMS,
      ...NOT_FOUND,
      ...CONFLICT,
      ...BODY_PROBLEMS,
    },
  })

  const setGrants = createRoute({
    method: 'put',
    path: '/users/{name}/grants',
    operationId: 'setGrants',
    summary: 'Replace what a user may do',
    tags: ['users'],
    middleware: guard.write('users.write'),
    request: {
      params,
      body: sends(z.strictObject({ grants: fields.grants }).openapi('NewGrants')),
    },
    responses: {
      200: answers(User, 'The user.'),
      ...PROBLEMS,
      ...NOT_FOUND,
      ...CONFLICT,
      ...BODY_PROBLEMS,
    },
  })

  const remove = createRoute({
    method: 'delete',
    path: '/users/{name}',
    operationId: 'removeUser',
    summary: 'Remove a user',
    tags: ['users'],
    middleware: guard.remove('users.write'),
    request: { params },
    responses: {
      200: answers(User, 'The user that was removed.'),
      ...PROBLEMS,
      ...NOT_FOUND,
      ...CONFLICT,
    },
  })

  return parts
    .createPart()
    .openapi(list, async (c) => {
      const users = await operatorOf(c, dependencies).users()
      return answer(c, { users: users.map(userJson) }, 200)
    })
    .openapi(add, async (c) => {
      const user = await operatorOf(c, dependencies).addUser(c.req.valid('json'))
      return answer(c, userJson(user), 201)
    })
    .openapi(setPassword, async (c) => {
      const { name } = c.req.valid('param')
      const { password } = c.req.valid('json')
      return answer(c, userJson(await operatorOf(c, dependencies).setPassword(name, password)), 200)
    })
    .openapi(setGrants, async (c) => {
      const { name } = c.req.valid('param')
      const { grants } = c.req.valid('json')
      return answer(c, userJson(await operatorOf(c, dependencies).setGrants(name, grants)), 200)
    })
    .openapi(remove, async (c) => {
      const { name } = c.req.valid('param')
      return answer(c, userJson(await operatorOf(c, dependencies).removeUser(name)), 200)
    })
}
