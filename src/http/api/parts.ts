/** What the routes of the API have in common. */
import { OpenAPIHono, type z } from '@hono/zod-openapi'
import type { MiddlewareHandler, TypedResponse } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { JSONParsed } from 'hono/utils/types'
import type { Action } from '../../access/authorize.ts'
import { ControlError, type InvalidField } from '../../control/error.ts'
import type { Operator } from '../../control/operator.ts'
import { loggable } from '../../log.ts'
import type { HttpContext, HttpDependencies, HttpEnvironment } from '../context.ts'
import { requireAction } from '../require-action.ts'
import { refuseBody, requireJsonBody } from './body.ts'
import { Problem } from './resources.ts'

/** A part of the API. What does not fit a schema of its routes is thrown as `invalid`. */
export function createPart(): OpenAPIHono<HttpEnvironment> {
  return new OpenAPIHono<HttpEnvironment>({
    defaultHook: (result: { success: true } | { success: false; error: z.ZodError }) => {
      if (!result.success) throw invalid(result.error)
    },
  })
}

type Middleware = MiddlewareHandler<HttpEnvironment>[]

/** Rights come before schemas, so that strangers learn nothing from what is wrong with their request. */
export function guards(dependencies: HttpDependencies): {
  read(action: Action): Middleware
  /** With a body. */
  write(action: Action): Middleware
  remove(action: Action): Middleware
} {
  return {
    read: (action) => [requireAction(action, dependencies)],
    write: (action) => [requireAction(action, dependencies), requireJsonBody],
    remove: (action) => [requireAction(action, dependencies), refuseBody],
  }
}

export function operatorOf(c: HttpContext, { control }: HttpDependencies): Operator {
  return control.operator(c.get('caller'))
}

/** HEAD gets the headers alone. */
export function answer<T extends object, Status extends ContentfulStatusCode>(
  c: HttpContext,
  value: T,
  status: Status,
): Response & TypedResponse<JSONParsed<T>, Status, 'json'> {
  const body = JSON.stringify(value)
  const isHead = c.req.method === 'HEAD'
  if (!isHead) c.get('trace').bytes = Buffer.byteLength(body)
  const headers = {
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
  }
  return new Response(isHead ? null : body, { status, headers }) as Response &
    TypedResponse<JSONParsed<T>, Status, 'json'>
}

export function answers<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { description, content: { 'application/json': { schema } } }
}

/** A body that has to be there. */
export function sends<Schema extends z.ZodType>(schema: Schema) {
  return { required: true, content: { 'application/json': { schema } } }
}

/** Of every route. */
export const PROBLEMS = {
  400: problem('Something of the request is not valid; `errors` says what.'),
  401: problem('Nobody is logged in, or the credential is not accepted.'),
  403: problem('The caller may not do this.'),
} as const

/** Of routes about one thing. */
export const NOT_FOUND = { 404: problem('There is no such thing.') } as const

/** Of routes that change something. */
export const CONFLICT = {
  409: problem('It is there already, or contradicts what is, or would leave nobody in charge.'),
} as const

/** Of routes with a body. */
export const BODY_PROBLEMS = {
  413: problem('The body is larger than 64 KiB.'),
  415: problem('The body is not declared as `application/json`.'),
} as const

function problem(description: string) {
  return { description, content: { 'application/problem+json': { schema: Problem } } }
}

/** Told of one request, which may have thousands. */
const MAX_FIELDS = 20

function invalid({ issues }: z.ZodError): ControlError {
  const fields = issues.flatMap(invalidFields).slice(0, MAX_FIELDS)
  const [first] = fields
  const said = first ? `: ${first.path === '' ? '' : `${first.path}: `}${first.message}` : '.'
  return new ControlError('invalid', `The request is not valid${said}`, fields)
}

/** Names of fields are chosen by the caller, and go back bounded. */
function invalidFields(issue: z.core.$ZodIssue): InvalidField[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: pathText([...issue.path, key]),
      message: 'There is no such field.',
    }))
  }
  return [{ path: pathText(issue.path), message: issue.message }]
}

/** `grants[0].role` */
function pathText(path: readonly PropertyKey[]): string {
  const parts = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
  return loggable(parts.join('').replace(/^\./, '')) ?? ''
}
