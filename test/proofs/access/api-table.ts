/** Who is to get what from the API, route by route. */
import type { Repository, Tag } from '../../../src/oci/reference.ts'
import type { AskingCaller } from './callers.ts'
import { may, type RoleName } from './reference.ts'
import { always, type Need, refusal, type Row, type Rows } from './row.ts'
import { digestNumber, partsOf, type Place, PLACES, type World } from './world.ts'

const API = '/api/v1'

/** Something at each place, by which lists are told apart. */
export async function putLandmarks(world: World): Promise<void> {
  for (const [number, place] of PLACES.entries()) {
    const mark = landmark(place)
    const digest = digestNumber(number)
    await world.put(
      putRule(mark, `${place.name}:landmark`),
      putUser(mark, place),
      putToken(mark, place),
      putApproval(place, digest, mark),
      putFrozen(place, 'landmark', mark),
    )
    await world.note({ id: mark, user: mark, name: place.name, tag: undefined })
  }
}

export const API_TABLE: Readonly<Record<string, Rows>> = withMethodsRefused({
  'GET /openapi.json': (_, method) => [always(200, method, `${API}/openapi.json`)],
  'GET /whoami': (_, method) => [
    {
      ...always(0, method, `${API}/whoami`),
      // It says no more than what the caller finds out by asking for it.
      expected: ({ credential }) => (credential === 'rejected' ? 401 : 200),
    },
  ],
  'GET /explain': (_, method, place) => [
    route({ role: 'operate', reach: 'place' }, place, {
      refused: { unknown: [400, 'before'] },
      ask: () => ({ method, path: `${API}/explain?image=${place.name}:1` }),
    }),
  ],

  'GET /rules': listing('operate', '/rules'),
  'POST /rules': (_, method, place) => [
    route({ role: 'operate', reach: 'place' }, place, {
      ok: 201,
      refused: { unknown: [400, 'before'], denied: [409, 'behind'] },
      ask: (_made, number) => {
        const json = { effect: 'allow', pattern: `${place.name}:t${number}` }
        return { method, path: `${API}/rules`, json }
      },
    }),
  ],
  'DELETE /rules/:id': (world, method, place) => [
    route({ role: 'operate', reach: 'hidden' }, place, {
      make: async (number) => {
        await world.put(putRule(`a-${number}`, `${place.name}:t${number}`))
        return `a-${number}`
      },
      ask: (id) => ({ method, path: `${API}/rules/${id}` }),
    }),
  ],

  'GET /requests': listing('operate', '/requests'),
  'POST /requests/:id/approve': (world, method, place) => [
    route({ role: 'operate', reach: 'hidden' }, place, {
      refused: { unknown: [400, 'behind'], denied: [409, 'behind'] },
      make: (number) => noteRequest(world, place, number),
      ask: (id) => ({ method, path: `${API}/requests/${id}/approve`, json: { as: 'exact' } }),
    }),
  ],
  'POST /requests/:id/dismiss': (world, method, place) => [
    route({ role: 'operate', reach: 'hidden' }, place, {
      make: (number) => noteRequest(world, place, number),
      ask: (id) => ({ method, path: `${API}/requests/${id}/dismiss`, json: {} }),
    }),
  ],

  'GET /approvals': listing('operate', '/approvals'),
  'POST /approvals': (_, method, place) => [
    route({ role: 'operate', reach: 'place' }, place, {
      ok: 201,
      refused: { unknown: [400, 'before'] },
      ask: (_made, number) => {
        const json = { image: `${place.name}@${digestNumber(1000 + number)}` }
        return { method, path: `${API}/approvals`, json }
      },
    }),
  ],
  'DELETE /approvals': (world, method, place) => [
    route({ role: 'operate', reach: 'place' }, place, {
      refused: { unknown: [400, 'before'] },
      make: async (number) => {
        const digest = digestNumber(1000 + number)
        await world.put(putApproval(place, digest, undefined))
        return digest
      },
      ask: (digest) => ({ method, path: `${API}/approvals?image=${place.name}@${digest}` }),
    }),
  ],

  'GET /frozen-tags': listing('operate', '/frozen-tags'),
  'POST /frozen-tags': (_, method, place) => [
    route({ role: 'operate', reach: 'place' }, place, {
      ok: 201,
      refused: { unknown: [400, 'before'] },
      ask: (_made, number) => {
        const json = { image: `${place.name}:f${number}@${digestNumber(number)}` }
        return { method, path: `${API}/frozen-tags`, json }
      },
    }),
  ],
  'DELETE /frozen-tags': (world, method, place) => [
    route({ role: 'operate', reach: 'place' }, place, {
      refused: { unknown: [400, 'before'] },
      make: async (number) => {
        await world.put(putFrozen(place, `f${number}`, undefined))
        return `f${number}`
      },
      ask: (tag) => ({ method, path: `${API}/frozen-tags?image=${place.name}:${tag}` }),
    }),
  ],

  'GET /users': listing('admin', '/users'),
  'POST /users': (_, method, place) => [
    route({ role: 'admin', reach: 'place' }, place, {
      ok: 201,
      refused: { unknown: [400, 'before'] },
      ask: (_made, number) => {
        const json = { name: `u${number}`, password: 'long enough', grants: pulling(place) }
        return { method, path: `${API}/users`, json }
      },
    }),
  ],
  'PUT /users/:name/password': (world, method, place) => [
    route({ role: 'admin', reach: 'hidden' }, place, {
      make: (number) => makeUser(world, place, number),
      ask: (name) => ({
        method,
        path: `${API}/users/${name}/password`,
        json: { password: 'long enough' },
      }),
    }),
  ],
  'PUT /users/:name/grants': (world, method, place) => [
    // What is given is looked at first, then what is taken away.
    route({ role: 'admin', reach: 'place' }, place, {
      refused: { unknown: [400, 'before'] },
      make: (number) => makeUser(world, place, number),
      ask: (name) => ({
        method,
        path: `${API}/users/${name}/grants`,
        json: { grants: pulling(place) },
      }),
    }),
    {
      ...route({ role: 'admin', reach: 'hidden' }, place, {
        make: (number) => makeUser(world, place, number),
        ask: (name) => ({
          method,
          path: `${API}/users/${name}/grants`,
          json: { grants: pulling(OWN) },
        }),
      }),
      expected: (caller) =>
        refusal(caller, { role: 'admin', reach: 'place' }, OWN.name) ??
        refusal(caller, { role: 'admin', reach: 'hidden' }, place.name) ??
        200,
    },
  ],
  'DELETE /users/:name': (world, method, place) => [
    route({ role: 'admin', reach: 'hidden' }, place, {
      make: (number) => makeUser(world, place, number),
      ask: (name) => ({ method, path: `${API}/users/${name}` }),
    }),
  ],

  'GET /tokens': listing('admin', '/tokens'),
  'POST /tokens': (_, method, place) => [
    route({ role: 'admin', reach: 'place' }, place, {
      ok: 201,
      refused: { unknown: [400, 'before'] },
      ask: () => ({
        method,
        path: `${API}/tokens`,
        json: { name: 'ci', grants: pulling(place) },
      }),
    }),
  ],
  'DELETE /tokens/:id': (world, method, place) => [
    route({ role: 'admin', reach: 'hidden' }, place, {
      make: async (number) => {
        await world.put(putToken(`t${number}`, place))
        return `t${number}`
      },
      ask: (id) => ({ method, path: `${API}/tokens/${id}` }),
    }),
  ],

  'GET /audit': (_, method) => [
    {
      ...always(0, method, `${API}/audit`),
      expected: (caller) => refusal(caller, { role: 'admin', reach: 'everywhere' }, '') ?? 200,
    },
  ],

  // On which images is said of each of them.
  'POST /warm': (_, method, place) => [
    {
      title: 'only looking',
      ask: () => ({
        method,
        path: `${API}/warm`,
        json: { images: [`${place.name}:1`], dryRun: true },
      }),
      expected: (caller) => refusal(caller, { role: 'operate', reach: 'somewhere' }, '') ?? 200,
    },
  ],

  'GET /log-level': logLevel(),
  'PUT /log-level': logLevel({ level: 'info' }),
  'DELETE /log-level': logLevel(),
})

/** What each of them declares to do, so that strangers get no further than to that. */
export const API_ACTIONS: Readonly<Record<string, string>> = Object.fromEntries(
  [
    ['GET /openapi.json', 'public'],
    ['GET /whoami', 'public'],
    ['GET /explain', 'explain'],
    ['GET /rules', 'rules.read'],
    ['POST /rules', 'rules.write'],
    ['DELETE /rules/:id', 'rules.write'],
    ['GET /requests', 'requests.read'],
    ['POST /requests/:id/approve', 'requests.decide'],
    ['POST /requests/:id/dismiss', 'requests.decide'],
    ['GET /approvals', 'content.read'],
    ['POST /approvals', 'content.write'],
    ['DELETE /approvals', 'content.write'],
    ['GET /frozen-tags', 'content.read'],
    ['POST /frozen-tags', 'content.write'],
    ['DELETE /frozen-tags', 'content.write'],
    ['GET /users', 'users.read'],
    ['POST /users', 'users.write'],
    ['PUT /users/:name/password', 'password.write'],
    ['PUT /users/:name/grants', 'users.write'],
    ['DELETE /users/:name', 'users.write'],
    ['GET /tokens', 'tokens.read'],
    ['POST /tokens', 'tokens.write'],
    ['DELETE /tokens/:id', 'tokens.write'],
    ['GET /audit', 'audit.read'],
    ['POST /warm', 'warm'],
    ['GET /log-level', 'log.level'],
    ['PUT /log-level', 'log.level'],
    ['DELETE /log-level', 'log.level'],
  ].map(([route = '', action = '']) => [route.replace(' ', ` ${API}`), action]),
)

const [OWN] = PLACES as readonly [Place]

interface RouteOptions extends Pick<Row, 'ask' | 'make'> {
  /** Status of what is granted; 200. */
  readonly ok?: number
  /** What other reasons refuse at a place: before the right to that very place is looked at, or behind. */
  readonly refused?: Partial<Record<Place['kind'], readonly [number, 'before' | 'behind']>>
}

function route(need: Need, place: Place, { ok = 200, refused = {}, ...row }: RouteOptions): Row {
  const [status = ok, when = 'behind'] = refused[place.kind] ?? []
  const anywhere: Need = { ...need, reach: 'somewhere' }
  return {
    title: place.name,
    isWrite: true,
    ...row,
    expected: (caller) =>
      refusal(caller, when === 'before' ? anywhere : need, place.name) ?? status,
  }
}

function logLevel(json?: object): Rows {
  return (_, method) => [
    {
      title: 'of the whole mirror',
      ask: () => ({ method, path: `${API}/log-level`, ...(json && { json }) }),
      expected: (caller) => refusal(caller, { role: 'admin', reach: 'everywhere' }, '') ?? 200,
    },
  ]
}

/** A list is for everybody who has the role somewhere, and holds what is within that. */
function listing(role: RoleName, path: string): Rows {
  return (_, method, place) => [
    {
      title: place.name,
      ask: () => ({ method, path: API + path }),
      expected: (caller) => refusal(caller, { role, reach: 'somewhere' }, '') ?? 200,
      shows: {
        text: `"${landmark(place)}"`,
        to: (caller: AskingCaller) => may(caller.rights, role, place.name),
      },
    },
  ]
}

/** Whatever else is tried at these paths is refused to everybody, and other paths are not there. */
function withMethodsRefused(table: Readonly<Record<string, Rows>>): Record<string, Rows> {
  const paths = new Set(Object.keys(table).map((key) => key.replace(/^\S+ /, '')))
  const refusing = [...paths].map((path): [string, Rows] => [
    `ALL ${API}${path}`,
    (_, method) => [always(405, method, API + path.replace(/:\w+/, 'some'))],
  ])
  return {
    ...Object.fromEntries(
      Object.entries(table).map(([key, rows]) => [key.replace(' ', ` ${API}`), rows]),
    ),
    ...Object.fromEntries(refusing),
    [`ALL ${API}/*`]: (_, method) =>
      [
        API,
        `${API}/`,
        `${API}/nothing`,
        `${API}/rules/`,
        `${API}/users/a/b/c`,
        `${API}/%72ules`,
      ].map((path) => always(404, method, path)),
  }
}

function landmark({ kind }: Place): string {
  return `landmark-${kind}`
}

function pulling({ name }: Place) {
  return [{ role: 'pull', pattern: name }] as const
}

async function makeUser(world: World, place: Place, number: number): Promise<string> {
  await world.put(putUser(`made-${number}`, place))
  return `made-${number}`
}

async function noteRequest(world: World, { name }: Place, number: number): Promise<string> {
  const id = `r-${number}`
  await world.note({ id, user: `refused-${number % 500}`, name, tag: `r${number}` })
  return id
}

const MADE = { owner: 'the proof', createdAt: 1 }

function putRule(id: string, pattern: string) {
  const nothing = { reason: undefined, expiresAt: undefined, minAge: 0 }
  const rule = { ...MADE, ...nothing, id, pattern, effect: 'allow', origin: 'operator' } as const
  return { kind: 'put-rule', rule } as const
}

function putUser(name: string, place: Place) {
  const user = {
    name,
    passwordHash: 'none',
    grants: pulling(place),
    createdAt: 1,
    passwordSetAt: 1,
  }
  return { kind: 'put-user', user } as const
}

function putToken(id: string, place: Place) {
  const grants = pulling(place)
  const rest = { secretHash: 'none', expiresAt: undefined, isFirst: false }
  return { kind: 'put-token', token: { ...MADE, ...rest, id, name: id, grants } } as const
}

function putApproval(place: Place, digest: ReturnType<typeof digestNumber>, reason?: string) {
  return { kind: 'put-approval', approval: { ...MADE, ...keyOf(place), digest, reason } } as const
}

function putFrozen(place: Place, tag: string, reason?: string) {
  const digest = digestNumber(1)
  const frozen = { ...MADE, ...keyOf(place), tag: tag as Tag, digest, reason }
  return { kind: 'put-frozen-tag', frozen } as const
}

function keyOf({ name }: Place) {
  const { upstream, repository } = partsOf(name)
  return { upstream, repository: repository as Repository }
}
