/** /openapi.json: what this API is, made of the schemas that its routes go by. */
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { HttpEnvironment } from '../context.ts'
import { API_PATH } from '../on-error.ts'

type Registry = OpenAPIHono<HttpEnvironment>['openAPIRegistry']

const ABOUT =
  'For those who run this mirror: which images may come in, who may do what, what was refused, and who ' +
  'changed what. Errors are problem details (RFC 9457) whose type is `urn:entrepot:<code>`.'

const TAGS = [
  { name: 'about', description: 'Who asks, and what would become of a pull' },
  { name: 'rules', description: 'The allowlist' },
  { name: 'requests', description: 'Refused pulls that wait for a decision' },
  { name: 'content', description: 'Digests on probation, and tags that stand still' },
  { name: 'users', description: 'People with a password' },
  { name: 'tokens', description: 'Robots with an API token' },
  { name: 'audit', description: 'Who changed what, and when' },
  { name: 'log', description: 'What is written to the log' },
]

export function registerLogins(registry: Registry): void {
  registry.registerComponent('securitySchemes', 'basic', {
    type: 'http',
    scheme: 'basic',
    description: 'Name and password of a user; or any name, and an API token as the password.',
  })
  registry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    description: 'An API token.',
  })
}

export function describeApi(api: OpenAPIHono<HttpEnvironment>): object {
  return api.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Entrepot', version: '1', description: ABOUT },
    servers: [{ url: API_PATH }],
    security: [{ basic: [] }, { bearer: [] }],
    tags: TAGS,
  })
}
