/** Users and robots of a running mirror, made by its API, and what they send to show who they are. */
import { type ClientResponse, request } from './client.ts'
import type { Mirror } from './mirror.ts'

export type Headers = Readonly<Record<string, string>>

/** `<role> <pattern>`, e.g. `pull quay.io/team/**`. */
export type GrantText = `${'pull' | 'push' | 'operate' | 'admin'} ${string}`

export interface People {
  /** An admin of everything, by API token. */
  readonly admin: Headers
  /** @returns the headers of a login by password */
  user(name: string, password: string, ...grants: GrantText[]): Promise<Headers>
  robot(name: string, ...grants: GrantText[]): Promise<Robot>
  /** @throws unless the answer is a success */
  api(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>
}

interface Robot {
  readonly id: string
  readonly token: string
  readonly headers: Headers
}

/** As the first admin would begin. */
export async function openPeople(mirror: Mirror): Promise<People> {
  const first = await mirror.app.makeFirstAdminToken()
  if (first === undefined) throw new Error('This mirror has an admin already.')
  const made = await callApi(mirror, bearer(first), 'POST', '/tokens', {
    name: 'chief',
    grants: grantsOf(['admin **']),
  })
  const admin = bearer(String(made['token']))
  const api: People['api'] = (method, path, body) => callApi(mirror, admin, method, path, body)
  return {
    admin,
    api,
    async user(name, password, ...grants) {
      await api('POST', '/users', { name, password, grants: grantsOf(grants) })
      return basic(name, password)
    },
    async robot(name, ...grants) {
      const { id, token } = await api('POST', '/tokens', { name, grants: grantsOf(grants) })
      return { id: String(id), token: String(token), headers: bearer(String(token)) }
    },
  }
}

export function grantsOf(texts: readonly GrantText[]): { role: string; pattern: string }[] {
  return texts.map((text) => {
    const [role = '', pattern = ''] = text.split(' ')
    return { role, pattern }
  })
}

export function basic(user: string, password: string): Headers {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
}

export function bearer(token: string): Headers {
  return { authorization: `Bearer ${token}` }
}

/** What the token endpoint says to whoever asks like this. */
export function askForToken(
  mirror: Mirror,
  headers: Headers = {},
  query = '',
): Promise<ClientResponse> {
  return mirror.get(`/token?service=mirror${query}`, { headers })
}

/** @returns the headers to pull with */
export async function tokenFor(
  mirror: Mirror,
  headers: Headers = {},
  query = '',
): Promise<Headers> {
  const answer = await askForToken(mirror, headers, query)
  if (answer.status !== 200) throw new Error(`The token endpoint answered ${answer.status}.`)
  const { token } = JSON.parse(answer.body.toString()) as { token: string }
  return bearer(token)
}

async function callApi(
  mirror: Mirror,
  headers: Headers,
  method: string,
  path: string,
  body: unknown,
): Promise<Record<string, unknown>> {
  const answer = await request({
    url: mirror.url,
    path: `/api/v1${path}`,
    method,
    headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  if (answer.status >= 300) {
    throw new Error(`${method} ${path} was answered ${answer.status}: ${answer.body.toString()}`)
  }
  return JSON.parse(answer.body.toString()) as Record<string, unknown>
}
