/** The description of the API: complete, true, and a document of OpenAPI 3.1. */
import { describe, expect, it } from 'vitest'
import { createApi } from '../../../src/http/api/routes.ts'
import { API_ROUTES } from './api-routes.ts'
import { createFakeOperator } from './fake-operator.ts'
import { fakeDependencies, serveApi } from './serve-api.ts'

interface Operation {
  readonly operationId?: string
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly security?: readonly unknown[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { required?: boolean; content: Record<string, { schema: unknown }> }
  readonly responses: Record<
    string,
    { description?: string; content?: Record<string, { schema: unknown }> }
  >
}

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema: unknown
}

interface Document {
  readonly openapi: string
  readonly info: { title: string; version: string }
  readonly servers: readonly { url: string }[]
  readonly security: readonly Record<string, unknown>[]
  readonly tags: readonly { name: string }[]
  readonly components: {
    schemas: Record<string, unknown>
    securitySchemes: Record<string, unknown>
  }
  readonly paths: Record<string, Record<string, Operation>>
}

async function fetchDocument(): Promise<Document> {
  await using served = await serveApi(createFakeOperator())
  const { status, headers, body } = await served.ask('/openapi.json', { as: 'nobody' })
  expect([status, headers['content-type']]).toEqual([200, 'application/json'])
  return JSON.parse(body.toString()) as Document
}

function operationsOf({ paths }: Document): [name: string, path: string, operation: Operation][] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      path,
      operation,
    ]),
  )
}

/** Every object anywhere within, with its place. */
function* objectsIn(value: unknown, place = '#'): Generator<[string, Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield [place, value as Record<string, unknown>]
  for (const [key, inner] of Object.entries(value)) yield* objectsIn(inner, `${place}/${key}`)
}

describe('/openapi.json', () => {
  it('has what a document of OpenAPI 3.1 must have', async () => {
    const { openapi, info, servers, security, components } = await fetchDocument()
    expect(openapi).toMatch(/^3\.1\.\d$/)
    expect(info).toMatchObject({ title: 'Entrepot', version: '1' })
    expect(servers).toEqual([{ url: '/api/v1' }])
    expect(components.securitySchemes).toMatchObject({
      basic: { type: 'http', scheme: 'basic' },
      bearer: { type: 'http', scheme: 'bearer' },
    })
    const named = security.flatMap((item) => Object.keys(item))
    expect(named.toSorted()).toEqual(Object.keys(components.securitySchemes).toSorted())
  })

  it('describes every route that there is, and no other', async () => {
    const described = operationsOf(await fetchDocument()).map(([name]) => name)
    const api = createApi(fakeDependencies(createFakeOperator()))
    const served = api.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
    expect(described.toSorted()).toEqual([...new Set(served)].toSorted())
    const tested = API_ROUTES.map(({ method, path }) => `${method} ${path}`)
    expect(described.toSorted()).toEqual([...tested, 'GET /openapi.json'].toSorted())
  })

  it('gives each operation an id of its own, a summary, a known tag', async () => {
    const document = await fetchDocument()
    const operations = operationsOf(document)
    const ids = operations.map(([, , { operationId }]) => operationId)
    expect(new Set(ids).size).toBe(operations.length)
    const known = document.tags.map(({ name }) => name)
    for (const [, , { operationId, summary, tags = [] }] of operations) {
      expect(operationId).toMatch(/^[a-zA-Z]+$/)
      expect(summary).toBeTruthy()
      expect(tags.length).toBe(1)
      expect(known).toContain(tags[0])
    }
  })

  it('names each parameter of a path once, and no other', async () => {
    for (const [, path, { parameters = [] }] of operationsOf(await fetchDocument())) {
      const inPath = parameters.filter((parameter) => parameter.in === 'path')
      const expected = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      expect(inPath.map(({ name }) => name)).toEqual(expected)
      expect(inPath.every(({ required }) => required === true)).toBe(true)
      expect(parameters.every(({ schema }) => typeof schema === 'object')).toBe(true)
    }
  })

  it('describes bodies that must be there, and closed', async () => {
    const document = await fetchDocument()
    for (const [operation, , { requestBody }] of operationsOf(document)) {
      expect(requestBody !== undefined).toBe(/^(POST|PUT) /.test(operation))
      if (requestBody === undefined) continue
      expect([requestBody.required, Object.keys(requestBody.content)]).toEqual([
        true,
        ['application/json'],
      ])
      const [{ schema: sent }] = Object.values(requestBody.content) as [{ schema: unknown }]
      const name = (sent as { $ref: string }).$ref.replace('#/components/schemas/', '')
      const schema = document.components.schemas[name]
      expect(schema).toMatchObject({ type: 'object', additionalProperties: false })
    }
  })

  it('describes the answer that is given, and errors as problems', async () => {
    const statuses = new Map(API_ROUTES.map((route) => [`${route.method} ${route.path}`, route]))
    for (const [name, , { responses, security }] of operationsOf(await fetchDocument())) {
      const codes = Object.keys(responses)
      expect(codes).toContain(String(statuses.get(name)?.status ?? 200))
      const forEverybody = security !== undefined
      expect(['401', '403'].every((code) => codes.includes(code))).toBe(!forEverybody)
      for (const [code, { description, content = {} }] of Object.entries(responses)) {
        expect(description).toBeTruthy()
        const expected = code.startsWith('2') ? /json$/ : /^application\/problem\+json$/
        expect(Object.keys(content)).toEqual([expect.stringMatching(expected)])
      }
    }
  })

  it('refers to nothing that is not there', async () => {
    const document = await fetchDocument()
    const places = new Set([...objectsIn(document)].map(([place]) => place))
    const references = [...objectsIn(document)].flatMap(([, { $ref }]) => ($ref ? [$ref] : []))
    expect(references.length).toBeGreaterThan(0)
    expect(references.filter((reference) => !places.has(reference as string))).toEqual([])
  })

  it('has no words of OpenAPI 3.0 in its schemas, and only types that there are', async () => {
    const { components, paths } = await fetchDocument()
    const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null']
    for (const [place, schema] of objectsIn({ components, paths })) {
      expect([place, 'nullable' in schema]).toEqual([place, false])
      // `type` of a login is none of a schema, and a field may be called so.
      if (place.includes('securitySchemes') || typeof schema['type'] !== 'string') continue
      expect([place, TYPES.includes(schema['type'])]).toEqual([place, true])
    }
  })

  it('gives examples, and keeps passwords for writing', async () => {
    const { components } = await fetchDocument()
    expect(components.schemas['NewUser']).toMatchObject({
      properties: {
        password: { type: 'string', format: 'password', writeOnly: true },
        name: { type: 'string' },
      },
    })
    expect(components.schemas['NewRule']).toMatchObject({
      properties: {
        pattern: { example: 'docker.io/library/*' },
        expiresAt: { type: 'string', format: 'date-time', example: expect.any(String) },
        minAgeSeconds: { type: 'integer' },
      },
      required: ['effect', 'pattern'],
    })
    expect(components.schemas['User']).not.toHaveProperty('properties.password')
  })
})
