/** Every route of a running mirror, for everybody, about everything: the real answer against the promise. */
import type { Hono } from 'hono'
import { describe, expect, it, vi } from 'vitest'
import { actionOf } from '../../../src/http/require-action.ts'
import type * as httpRoutes from '../../../src/http/routes.ts'
import type { HttpEnvironment } from '../../../src/http/context.ts'
import { API_ACTIONS, API_TABLE, putLandmarks } from './api-table.ts'
import { type AskingCaller, makeCallers, strangers } from './callers.ts'
import { NOTHING, PAGES_TABLE, REGISTRY_TABLE, STATUS_TABLE } from './registry-table.ts'
import { faultOf, type Row, type Rows } from './row.ts'
import { openWorld, PLACES, type Terms, type World } from './world.ts'

type Routes = Hono<HttpEnvironment>

/** Of the mirrors that were started, the newest last. */
const routers = vi.hoisted((): unknown[] => [])

vi.mock('../../../src/http/routes.ts', async (original) => {
  const actual = await original<Pick<typeof httpRoutes, 'createRoutes'>>()
  return {
    ...actual,
    createRoutes: (...given: Parameters<typeof actual.createRoutes>) => {
      const routes = actual.createRoutes(...given)
      routers.push(routes)
      return routes
    },
  }
})

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
/** Requests under way at once, where they change nothing. */
const AT_ONCE = 8

const CLOSED: Terms = {
  anonymous: ['docker.io/library/public'],
  anonymousStatus: false,
  api: 'same',
  accounts: true,
}

describe('the table', () => {
  it('knows every route of the running mirror, and each says what is done by it', async () => {
    await using world = await openWorld(CLOSED)
    expect(world.mirror.url).toMatch(/^http:/)
    expect(unguarded(newestRouter())).toEqual([])
    expect(routesOf(newestRouter())).toEqual(Object.keys(tableFor(CLOSED)).toSorted())
    expect(actionsOf(newestRouter())).toEqual(API_ACTIONS)
    expect(kindsOf(newestRouter())).toEqual(Object.keys(REGISTRY_TABLE).toSorted())
  })

  it('does not know a route that was forgotten', async () => {
    await using _world = await openWorld(CLOSED)
    const router = newestRouter()
    router.get('/api/v1/forgotten', (c) => c.text('everything'))
    expect(unguarded(router)).toEqual(['GET /api/v1/forgotten'])
    expect(routesOf(router)).not.toEqual(Object.keys(tableFor(CLOSED)).toSorted())
  })
})

describe.each<[string, Terms, 'all' | 'some' | 'strangers']>([
  ['for whom little is open', CLOSED, 'all'],
  ['for whom all may be pulled', { ...CLOSED, anonymous: ['**'], anonymousStatus: true }, 'some'],
  ['for whom nothing is open', { ...CLOSED, anonymous: [] }, 'strangers'],
  [
    'where nobody has a name',
    { ...CLOSED, anonymous: ['**'], anonymousStatus: true, accounts: false },
    'strangers',
  ],
  ['without an API', { ...CLOSED, api: 'off' }, 'strangers'],
])('everybody, %s', (_, terms, who) => {
  it('gets what is theirs, and nothing else', async () => {
    await using world = await openWorld(terms)
    const callers = await prepare(world, who)
    let asked = 0
    const faults: string[] = []
    for (const [route, row] of rowsOf(world, newestRouter())) {
      asked += callers.length
      faults.push(...(await faultsOf(world, route, row, callers)))
      expect(faults.slice(0, 40)).toEqual([])
    }
    process.stdout.write(`matrix: ${asked} answers for ${callers.length} callers\n`)
    expect(asked).toBeGreaterThan(1000)
  })
})

async function prepare(world: World, who: 'all' | 'some' | 'strangers'): Promise<AskingCaller[]> {
  const first = await world.mirror.app.makeFirstAdminToken()
  const named = who === 'strangers' ? [] : await makeCallers(world, first ?? '')
  // The ways of saying who one is make no difference to what is open to whom.
  const some = named.filter(({ title }) => who === 'all' || !/ (?:by|as) /.test(title))
  const callers = [...(await strangers(world)), ...some]
  if (world.terms.accounts) await putLandmarks(world)
  for (const { name, kind } of PLACES) {
    // Known here, so that lists can tell of them.
    if (kind !== 'unknown' && kind !== 'denied') await world.fill(name)
  }
  return callers
}

async function faultsOf(
  world: World,
  route: string,
  row: Row,
  callers: readonly AskingCaller[],
): Promise<string[]> {
  const faults: string[] = []
  const queue = [...callers]
  let made: string | undefined
  const work = async (): Promise<void> => {
    for (let caller = queue.shift(); caller; caller = queue.shift()) {
      const number = nextNumber()
      // Where nobody has a name, nothing is made: accounts would make the mirror ask for logins.
      made ??= world.terms.accounts ? await row.make?.(number) : 'some'
      const asked = row.ask(made ?? '', number)
      const answer = await world.send({ ...asked, authorization: await caller.authorization() })
      if (answer.status < 300) made = undefined
      const fault = faultOf(row, caller, asked.method, answer)
      if (fault) faults.push(`${route}: ${asked.method} ${asked.path} by ${caller.title}: ${fault}`)
    }
  }
  await Promise.all(Array.from({ length: row.isWrite === true ? 1 : AT_ONCE }, work))
  return faults
}

let numbers = 0
function nextNumber(): number {
  numbers += 1
  return numbers
}

/** Every path of the router with every method, about every place. */
function* rowsOf(world: World, router: Routes): Generator<[string, Row]> {
  const table = tableFor(world.terms)
  const routes = new Set(routesOf(router))
  const paths = new Set([...routes].map((route) => route.replace(/^\S+ /, '')))
  const known = new Set<string>()
  for (const path of paths) {
    for (const method of METHODS) {
      for (const place of PLACES) {
        const route = routeFor(routes, method, path)
        for (const row of rowsFor(table, route)(world, method, place)) {
          const isPlain = row.isWrite !== true && row.shows === undefined
          // Those that are about no place are made for each of them.
          if (isPlain && known.has(row.title)) continue
          known.add(row.title)
          yield [route, row]
        }
      }
    }
  }
}

/** As routers do: its own method, else that of all, else what serves all paths. */
function routeFor(routes: ReadonlySet<string>, method: string, path: string): string {
  const own = `${method === 'HEAD' ? 'GET' : method} ${path}`
  return [own, `ALL ${path}`].find((route) => routes.has(route)) ?? `ALL /* ${method} ${path}`
}

function rowsFor(table: Readonly<Record<string, Rows>>, route: string): Rows {
  const [, method, path] = /^ALL \/\* (\S+) (.+)$/.exec(route) ?? []
  if (method !== undefined && path !== undefined) {
    return () => [
      { title: `${method} ${path}`, ask: () => ({ method, path }), expected: () => 404 },
    ]
  }
  const rows = table[route]
  if (rows === undefined) throw new Error(`The table does not know ${route}.`)
  return rows
}

function tableFor({ api }: Terms): Readonly<Record<string, Rows>> {
  const operators = { ...STATUS_TABLE, ...API_TABLE }
  // What is elsewhere is not here.
  const absent: Rows = (world, method, place) =>
    Object.entries(operators).flatMap(([route, rows]) =>
      rows(world, method, place)
        .filter(() => !route.startsWith('ALL'))
        .map(({ title, ask }) => {
          const { path } = ask('some', 0)
          return {
            title: `${method} ${path} ${title}`,
            ask: () => ({ method, path }),
            expected: () => 404,
          }
        }),
    )
  const rest: Rows = (...given) => [
    ...NOTHING(...given),
    ...(api === 'off' ? absent(...given) : []),
    ...Object.values(REGISTRY_TABLE).flatMap((rows) => rows(...given)),
  ]
  return { ...PAGES_TABLE, ...(api === 'off' ? {} : operators), 'ALL /*': rest }
}

/** They come before all routes, and serve nothing. */
const BEFORE_ALL = new Set(['accessLog', 'serverTiming', 'refuseBadFraming'])

/** Routes, each once. */
function routesOf(router: Routes): string[] {
  const served = router.routes.filter(({ handler }) => !isBefore(handler))
  return [...new Set(served.map(({ method, path }) => `${method} ${path}`))].toSorted()
}

/** Those whose first handler declares nothing. */
function unguarded(router: Routes): string[] {
  const guarded = new Set<string>()
  const found = new Set<string>()
  const entry = router.routes.find(({ path }) => path === '/api/v1/*')?.handler
  for (const { method, path, handler } of router.routes) {
    const route = `${method} ${path}`
    if (isBefore(handler) || handler === entry) continue
    if (actionOf(handler) !== undefined) guarded.add(route)
    else if (!guarded.has(route)) found.add(route)
  }
  return [...found]
}

/** What is declared first by each route of the API. */
function actionsOf(router: Routes): Record<string, unknown> {
  const actions = new Map<string, unknown>()
  for (const { method, path, handler } of router.routes) {
    const [route, action] = [`${method} ${path}`, actionOf(handler)]
    const isOfApi = path.startsWith('/api/') && method !== 'ALL'
    if (isOfApi && action !== undefined && !actions.has(route)) actions.set(route, action)
  }
  return Object.fromEntries(actions)
}

function isBefore({ name }: { name: string }): boolean {
  return BEFORE_ALL.has(name)
}

/** The resources of the registry, which are told apart behind the router. */
function kindsOf(router: Routes): string[] {
  const actions = router.routes.map(({ handler }) => actionOf(handler))
  return Object.keys(actions.find((action) => typeof action === 'object') ?? {}).toSorted()
}

function newestRouter(): Routes {
  return routers.at(-1) as Routes
}
