/** Everybody who may knock: with every role, on every scope, by every way of saying who one is. */
import { ALL_ROLES, type Right, type RoleName } from './reference.ts'
import type { World } from './world.ts'

export interface AskingCaller {
  readonly title: string
  /** Somebody with a name, whatever they may do. */
  readonly isNamed: boolean
  readonly credential: 'none' | 'accepted' | 'rejected'
  /** Beside what everybody may do. */
  readonly rights: readonly Right[]
  /** The header to send now: our tokens last for minutes only. */
  authorization(): Promise<string | undefined>
}

const SCOPES = { all: '**', own: 'quay.io/team/*', another: 'quay.io/other/**' } as const
type Scope = keyof typeof SCOPES

const PASSWORD = 'correct horse battery'
/** Milliseconds after which a token is fetched anew; it lasts for 300 seconds. */
const RENEW_AFTER = 120_000

/** @param first the token of the first start, which ends with this */
export async function makeCallers(world: World, first: string): Promise<AskingCaller[]> {
  const { token } = await addToken(world, `Bearer ${first}`, 'root', [
    { role: 'admin', pattern: '**' },
  ])
  const admin = `Bearer ${token}`
  const callers: AskingCaller[] = []
  callers.push({
    title: 'token of the first start',
    isNamed: false,
    credential: 'rejected',
    rights: [],
    authorization: async () => `Bearer ${first}`,
  })
  for (const role of ALL_ROLES) {
    for (const scope of Object.keys(SCOPES) as Scope[]) {
      callers.push(...(await namedCallers(world, admin, { role, scope })))
    }
  }
  return [...callers, ...(await formerCallers(world, admin))]
}

/** Who is nobody here. */
export async function strangers(world: World): Promise<AskingCaller[]> {
  const nobody = { isNamed: false, rights: [] }
  const shows = (header: string | undefined) => ({ authorization: async () => header })
  return [
    { ...nobody, title: 'nobody', credential: 'none', ...shows(undefined) },
    {
      ...nobody,
      title: 'nobody with a token',
      credential: 'accepted',
      authorization: bearerOf(world, undefined),
    },
    ...[basic('hub-user', 'of Docker Hub'), 'Bearer eyJhbGciOiJub25lIn0.e30.', 'Digest x'].map(
      (header): AskingCaller => ({
        ...nobody,
        title: `foreign ${header.split(' ')[0] ?? ''}`,
        credential: 'rejected',
        ...shows(header),
      }),
    ),
  ]
}

async function namedCallers(
  world: World,
  admin: string,
  { role, scope }: { readonly role: RoleName; readonly scope: Scope },
): Promise<AskingCaller[]> {
  const rights = [{ role, pattern: SCOPES[scope] }]
  const user = `${role}-${scope}`
  await addUser(world, admin, user, rights)
  const { token } = await addToken(world, admin, `robot-${user}`, rights)
  const ways: [string, () => Promise<string | undefined>][] = [
    [`user ${user}`, async () => basic(user, PASSWORD)],
    [`user ${user} by token`, bearerOf(world, basic(user, PASSWORD))],
    [`robot ${user}`, async () => `Bearer ${token}`],
  ]
  if (scope === 'own') {
    ways.push([`robot ${user} as password`, async () => basic('anything', token)])
    ways.push([`robot ${user} by token`, bearerOf(world, `Bearer ${token}`)])
  }
  const common = { isNamed: true, credential: 'accepted', rights } as const
  return ways.map(([title, authorization]) => ({ ...common, title, authorization }))
}

/** Those of whom something was true a moment ago, and those who never were who they say. */
async function formerCallers(world: World, admin: string): Promise<AskingCaller[]> {
  const everything: Right[] = [{ role: 'admin', pattern: '**' }]
  for (const name of ['removed', 'renewed', 'narrowed']) {
    await addUser(world, admin, name, everything)
  }
  const narrowed = bearerOf(world, basic('narrowed', PASSWORD))
  const removed = await bearerOf(world, basic('removed', PASSWORD))()
  const renewed = await bearerOf(world, basic('renewed', PASSWORD))()
  for (const header of [removed, renewed, await narrowed()]) {
    await demand(world, header ?? '', 'GET', '/whoami')
  }
  await demand(world, admin, 'DELETE', '/users/removed')
  await demand(world, admin, 'PUT', '/users/renewed/password', { password: 'another one' })
  const left: Right[] = [{ role: 'pull', pattern: SCOPES.own }]
  await demand(world, admin, 'PUT', '/users/narrowed/grants', { grants: left })

  const expired = await addToken(world, admin, 'expired', everything)
  const gone = await addToken(world, admin, 'gone', everything)
  const goneBearer = await bearerOf(world, `Bearer ${gone.token}`)()
  await demand(world, goneBearer ?? '', 'GET', '/whoami')
  await demand(world, admin, 'DELETE', `/tokens/${gone.id}`)
  await expire(world, expired.id)

  const rejected = { isNamed: false, credential: 'rejected', rights: [] } as const
  const shows = (title: string, header: string | undefined) => ({
    title,
    authorization: async () => header,
  })
  return [
    { ...rejected, ...shows('wrong password', basic('admin-all', 'wrong password')) },
    { ...rejected, ...shows('removed user', basic('removed', PASSWORD)) },
    { ...rejected, ...shows('removed user by token', removed) },
    { ...rejected, ...shows('user with a new password by token', renewed) },
    { ...rejected, ...shows('expired robot', `Bearer ${expired.token}`) },
    { ...rejected, ...shows('removed robot', basic('robot', gone.token)) },
    { ...rejected, ...shows('removed robot by token', goneBearer) },
    {
      isNamed: true,
      credential: 'accepted',
      rights: left,
      title: 'narrowed user by token',
      authorization: narrowed,
    },
  ]
}

/** The API takes no time that has passed. */
async function expire(world: World, id: string): Promise<void> {
  const { tokens } = await world.catalog.state()
  const token = tokens.find((one) => one.id === id)
  if (token === undefined) throw new Error(`There is no token ${id}.`)
  await world.put({ kind: 'put-token', token: { ...token, expiresAt: Date.now() - 1 } })
}

async function addUser(
  world: World,
  admin: string,
  name: string,
  grants: readonly Right[],
): Promise<void> {
  await demand(world, admin, 'POST', '/users', { name, password: PASSWORD, grants })
}

async function addToken(world: World, admin: string, name: string, grants: readonly Right[]) {
  const { id, token } = await demand(world, admin, 'POST', '/tokens', { name, grants })
  if (typeof id !== 'string' || typeof token !== 'string') throw new Error('No token was told.')
  return { id, token }
}

/** @throws unless it is granted */
export async function demand(
  world: World,
  authorization: string,
  method: string,
  path: string,
  json?: unknown,
): Promise<Record<string, unknown>> {
  const { status, body } = await world.send({
    method,
    path: `/api/v1${path}`,
    authorization,
    json,
  })
  if (status >= 300) throw new Error(`${method} ${path} was answered ${status}: ${body.toString()}`)
  return JSON.parse(body.toString()) as Record<string, unknown>
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

/** One of our tokens for whoever this header names, a young one. */
function bearerOf(
  world: World,
  authorization: string | undefined,
): () => Promise<string | undefined> {
  let known: { readonly header: string; readonly at: number } | undefined
  return async () => {
    if (known !== undefined && performance.now() - known.at < RENEW_AFTER) return known.header
    const { status, body } = await world.send({ method: 'GET', path: '/token', authorization })
    if (status !== 200) throw new Error(`/token was answered ${status}: ${body.toString()}`)
    const { token } = JSON.parse(body.toString()) as { token: string }
    known = { header: `Bearer ${token}`, at: performance.now() }
    return known.header
  }
}
