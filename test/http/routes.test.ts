/** No route without a word on who may use it, and what is on which listener. */
import type { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { actionOf } from '../../src/http/require-action.ts'
import type { HttpEnvironment } from '../../src/http/context.ts'
import { createRoutes, type Parts } from '../../src/http/routes.ts'
import { verdict } from '../protocol/answers.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { fakeControl, principal } from './fake-control.ts'
import { fakeDependencies, serveMirror, type Served } from './fake-mirror.ts'
import { BUSY } from './statuses.ts'

/** They come before all routes, and serve nothing. */
const BEFORE_ALL = new Set(['accessLog', 'serverTiming', 'refuseBadFraming'])
const BOTH: Parts = { registry: true, api: true }

describe('every route', () => {
  it.each<Parts>([BOTH, { registry: true, api: false }, { registry: false, api: true }])(
    'declares its action before anything of it runs, with %j',
    (parts) => {
      const undeclared = undeclaredRoutes(createRoutes(fakeDependencies({}), parts))
      expect(undeclared).toEqual([])
    },
  )

  it('is found where it does not', () => {
    const routes = createRoutes(fakeDependencies({}), BOTH)
    routes.get('/forgotten', (c) => c.text('everything'))
    routes.all('*', (c) => c.text('everything'))
    expect(undeclaredRoutes(routes)).toEqual(['GET /forgotten', 'ALL /*'])
  })

  it('is there: the walk sees them', () => {
    const paths = createRoutes(fakeDependencies({}), BOTH).routes.map(({ path }) => path)
    for (const path of ['/healthz', '/metrics', '/token', '/api/v1/rules', '/*']) {
      expect(paths).toContain(path)
    }
  })

  it('of the registry has an action for each of its resources', () => {
    const routes = createRoutes(fakeDependencies({}), BOTH)
    const registry = routes.routes.find(({ handler }) => typeof actionOf(handler) === 'object')
    expect(registry && actionOf(registry.handler)).toEqual({
      ping: 'public',
      catalog: 'public',
      upload: 'push',
      manifest: 'pull',
      blob: 'pull',
      referrers: 'pull',
      tags: 'pull',
    })
  })
})

describe('a listener', () => {
  const EVERYWHERE = ['/', '/healthz', '/readyz']
  const REGISTRY = ['/v2/', '/token', '/v2/app/tags/list']
  const API = ['/metrics', '/status', '/api/v1/openapi.json']

  it.each<[string, Parts, readonly string[], readonly string[]]>([
    ['all', BOTH, [...EVERYWHERE, ...REGISTRY, ...API], []],
    ['the registry', { registry: true, api: false }, [...EVERYWHERE, ...REGISTRY], API],
    ['the API', { registry: false, api: true }, [...EVERYWHERE, ...API], REGISTRY],
  ])('for %s has that and no more', async (_, parts, there, missing) => {
    await using served = await serve({ parts })
    for (const path of there) expect([path, (await get(served, path)).status]).toEqual([path, 200])
    for (const path of missing)
      expect([path, (await get(served, path)).status]).toEqual([path, 404])
  })
})

describe.each(['/metrics', '/status'])('%s', (path) => {
  const identities = {
    'Basic olga': { principal: principal('user', 'olga', 'operate=**') },
    'Basic otto': { principal: principal('user', 'otto', 'operate=quay.io/**') },
    'Basic alice': { principal: principal('user', 'alice', 'pull=**') },
  }

  it('needs nobody, and no state of the moment, where anonymous callers may see it', async () => {
    const refresh = (): Promise<void> => Promise.reject(new Error('The state cannot be read.'))
    await using served = await serve({ control: fakeControl({ refresh }) })
    for (const authorization of [undefined, 'Basic foreign']) {
      expect((await get(served, path, authorization)).status).toBe(200)
    }
  })

  it('is for operators where they may not', async () => {
    const control = fakeControl({ anonymousStatus: false, identities })
    await using served = await serve({ control })
    expect((await get(served, path, 'Basic olga')).status).toBe(200)
    // The figures are of the whole mirror.
    expect(verdict(await get(served, path, 'Basic otto'))).toBe('403 DENIED')
    expect(verdict(await get(served, path, 'Basic alice'))).toBe('403 DENIED')
    for (const authorization of [undefined, 'Basic foreign']) {
      const answer = await get(served, path, authorization)
      expect(verdict(answer)).toBe('401 UNAUTHORIZED')
      expect(answer.headers['www-authenticate']).toBe('Basic realm="entrepot"')
    }
  })
})

it('probes do not depend on who may what', async () => {
  const refresh = (): Promise<void> => Promise.reject(new Error('The state cannot be read.'))
  const control = fakeControl({ refresh, anonymous: [], asksForLogin: true })
  await using served = await serve({ control })
  for (const path of ['/healthz', '/readyz', '/']) {
    expect((await get(served, path, 'Basic foreign')).status).toBe(200)
  }
  expect(control.identified).toEqual([])
})

/** Those of which the first handler declares nothing, and whatever serves all paths without. */
function undeclaredRoutes({ routes }: Hono<HttpEnvironment>): string[] {
  // Looks at the path and at where the request comes from, and hands it on.
  const entryOfApi = routes.find(({ path }) => path === '/api/v1/*')?.handler
  const guarded = new Set<string>()
  const undeclared = new Set<string>()
  for (const { method, path, handler } of routes) {
    const route = `${method} ${path}`
    if (actionOf(handler) !== undefined) guarded.add(route)
    else if (handler === entryOfApi || isBeforeAll(path, handler)) continue
    else if (!guarded.has(route) || path === '/*') undeclared.add(route)
  }
  return [...undeclared]
}

function isBeforeAll(path: string, { name }: { name: string }): boolean {
  return path === '/*' && BEFORE_ALL.has(name)
}

function serve(options: Parameters<typeof serveMirror>[1]): Promise<Served> {
  const mirror = {
    ready: async () => undefined,
    status: async () => BUSY,
    tags: async () =>
      ({ tags: [], nextQuery: undefined, outcome: 'hit', staleBecause: undefined }) as const,
  }
  return serveMirror(mirror, options)
}

function get({ url }: Served, path: string, authorization?: string): Promise<ClientResponse> {
  const headers = authorization === undefined ? {} : { Authorization: authorization }
  return request({ url, path, headers })
}
