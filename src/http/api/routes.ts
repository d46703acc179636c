/** The API for operators: the use-cases of `Operator`, for programs that are elsewhere. */
import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Handler } from 'hono'
import type { HttpDependencies, HttpEnvironment } from '../context.ts'
import { problemResponse } from '../problem.ts'
import { requireAction } from '../require-action.ts'
import { createAboutPart } from './about.ts'
import { createAuditPart } from './audit.ts'
import { createContentPart } from './content.ts'
import { describeApi, registerLogins } from './document.ts'
import { createEntry, nothingHere } from './entry.ts'
import { createLogLevelPart } from './log-level.ts'
import { answer, answers, createPart, guards } from './parts.ts'
import { createRequestsPart } from './requests.ts'
import { createRulesPart } from './rules.ts'
import { createTokensPart } from './tokens.ts'
import { createUsersPart } from './users.ts'
import { createWarmPart } from './warm.ts'

/** @returns routes to be mounted at `/api/v1`; errors are left to whoever mounts them */
export function createApi(dependencies: HttpDependencies): OpenAPIHono<HttpEnvironment> {
  const api = createPart()
  api.use(createEntry(dependencies))

  api.route('/', createAboutPart(dependencies))
  api.route('/', createRulesPart(dependencies))
  api.route('/', createRequestsPart(dependencies))
  api.route('/', createContentPart(dependencies))
  api.route('/', createUsersPart(dependencies))
  api.route('/', createTokensPart(dependencies))
  api.route('/', createAuditPart(dependencies))
  api.route('/', createLogLevelPart(dependencies))
  api.route('/', createWarmPart(dependencies))
  addDocument(api, dependencies)

  const open = requireAction('public', dependencies)
  for (const [path, methods] of methodsByPath(api)) api.all(path, open, refuseMethod(methods))
  api.all('*', open, nothingHere)
  return api
}

function addDocument(api: OpenAPIHono<HttpEnvironment>, dependencies: HttpDependencies): void {
  registerLogins(api.openAPIRegistry)
  let document: object | undefined
  const route = createRoute({
    method: 'get',
    path: '/openapi.json',
    operationId: 'describeApi',
    summary: 'This description',
    tags: ['about'],
    security: [],
    // There is no secret in it.
    middleware: guards(dependencies).read('public'),
    responses: { 200: answers(z.looseObject({}), 'An OpenAPI document.') },
  })
  api.openapi(route, (c) =>
    answer(c, (document ??= describeApi(api)) as Record<string, unknown>, 200),
  )
}

function methodsByPath(api: OpenAPIHono<HttpEnvironment>): Map<string, string[]> {
  const methods = new Map<string, string[]>()
  for (const definition of api.openAPIRegistry.definitions) {
    if (definition.type !== 'route') continue
    const { path, method } = definition.route
    const routed = path.replace(/\{(\w+)\}/g, ':$1')
    const known = methods.get(routed) ?? []
    methods.set(routed, [...known, method.toUpperCase(), ...(method === 'get' ? ['HEAD'] : [])])
  }
  return methods
}

function refuseMethod(methods: readonly string[]): Handler<HttpEnvironment> {
  const allowed = methods.join(', ')
  return () =>
    problemResponse({
      status: 405,
      detail: `Here, only ${allowed} can be done.`,
      headers: { Allow: allowed },
    })
}
