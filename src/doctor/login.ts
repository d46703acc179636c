/** Logs in at the mirror as clients do: the challenge of /v2/, a token from its realm, /v2/ with the token. */
import { parseChallenges, type Challenge } from '../upstream/challenge.ts'
import { failed, ok, skipped, warning, type Verdict } from './finding.ts'
import type { MirrorAnswer, MirrorClient } from './mirror-client.ts'
import { reasonOf } from './network-words.ts'

export interface Login {
  readonly username: string
  readonly password: string
}

/** What a login came to; what is to be sent with requests where it succeeded. */
export type LoginResult =
  | { readonly kind: 'accepted'; readonly authorization: string | undefined }
  | { readonly kind: 'refused'; readonly verdict: Verdict }

/** @param ping the answer to `/v2/` without a login */
export async function askForLogin(
  client: MirrorClient,
  ping: MirrorAnswer,
  login: Login | undefined,
  signal: AbortSignal,
): Promise<Verdict> {
  if (ping.status !== 401) {
    return login === undefined
      ? ok('the mirror asks nobody for a login')
      : skipped('the mirror asks nobody for a login here; a pull with --image tries it')
  }
  const result = await logIn(client, ping, { login, scope: undefined }, signal)
  if (result.kind === 'refused') return result.verdict
  const answer = await client.ask({ path: '/v2/', headers: headersOf(result) }, signal)
  if (answer.status === 200) {
    return ok(login === undefined ? 'nobody gets a token, too' : `${login.username} may log in`)
  }
  return failed(
    `the mirror does not accept the token that it gave: status ${answer.status}`,
    'If several mirrors answer to this name, send each client to one of them; else set their clocks.',
  )
}

/** The header that shows who asks. */
export function headersOf(result: LoginResult): Record<string, string> {
  return result.kind === 'accepted' && result.authorization !== undefined
    ? { Authorization: result.authorization }
    : {}
}

interface Wish {
  readonly login: Login | undefined
  /** What the token is for, where the challenge does not say; `undefined`: for nothing yet. */
  readonly scope: string | undefined
}

/** @param refusal an answer with status 401 */
export async function logIn(
  client: MirrorClient,
  refusal: MirrorAnswer,
  wish: Wish,
  signal: AbortSignal,
): Promise<LoginResult> {
  const challenges = parseChallenges(refusal.headers['www-authenticate'])
  const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
  if (bearer !== undefined) return askRealm(client, bearer, wish, signal)
  if (!challenges.some(({ scheme }) => scheme === 'basic')) {
    return refused(
      failed(
        '/v2/ is answered with 401, and does not say where to log in',
        'What is in front of the mirror takes its WWW-Authenticate away: let it pass on.',
      ),
    )
  }
  return wish.login === undefined
    ? refused(noLogin())
    : { kind: 'accepted', authorization: basic(wish.login) }
}

async function askRealm(
  client: MirrorClient,
  { parameters }: Challenge,
  { login, scope }: Wish,
  signal: AbortSignal,
): Promise<LoginResult> {
  const realm = parameters.get('realm') ?? ''
  const { place } = client
  if (!URL.canParse(realm) || !isOwn(realm, client)) {
    return refused(
      failed(
        `the mirror sends logins to ${URL.canParse(realm) ? new URL(realm).origin : 'no address'}, and was asked as ${place.name}`,
        'Set "publicUrl" to what clients call the mirror, or let the proxy in front send X-Forwarded-Proto and Host, and name it under "trustedProxies". Nothing was sent there.',
      ),
    )
  }
  const question = { path: tokenPath(new URL(realm), parameters, scope), headers: proof(login) }
  let answer: MirrorAnswer
  try {
    answer = await client.ask(question, signal)
  } catch (error) {
    signal.throwIfAborted()
    return refused(
      failed(
        `the token endpoint ${new URL(realm).pathname} cannot be asked: ${reasonOf(error)}`,
        'Let what is in front of the mirror pass it on, as it does /v2/.',
      ),
    )
  }
  const token = tokenOf(answer)
  if (token !== undefined) return { kind: 'accepted', authorization: `Bearer ${token}` }
  return refused(refusalOf(answer.status, login, realm))
}

function refusalOf(status: number, login: Login | undefined, realm: string): Verdict {
  if (status === 401 || status === 403) {
    return login === undefined
      ? noLogin()
      : failed(
          `the mirror does not accept the login of ${login.username}`,
          'Look for a typing error, or set the password anew: entrepot users passwd NAME. For a robot, make a new token: entrepot tokens add NAME.',
        )
  }
  if (status === 429) {
    return failed(
      'the mirror takes no logins from here for a while, after too many that failed',
      'Wait a minute, and find out which program here tries a wrong password.',
    )
  }
  return failed(
    `the token endpoint ${new URL(realm).pathname} answers with status ${status}`,
    'Let what is in front of the mirror pass it on, as it does /v2/.',
  )
}

function noLogin(): Verdict {
  return warning(
    'the mirror wants to know who asks, and no login was given',
    'Say --username and --password-file, and give the clients a login: entrepot client-config NAME.',
  )
}

function refused(verdict: Verdict): LoginResult {
  return { kind: 'refused', verdict }
}

/** A password goes nowhere else: the realm has to be at the place that was asked. */
function isOwn(realm: string, { place }: MirrorClient): boolean {
  // A socket file has no name that a realm could be compared with, and is asked itself.
  return place.host === undefined || new URL(realm).origin === new URL(place.name).origin
}

function tokenPath(
  realm: URL,
  parameters: Challenge['parameters'],
  wished: string | undefined,
): string {
  const url = new URL(realm)
  const service = parameters.get('service')
  const scope = parameters.get('scope') ?? wished
  if (service !== undefined) url.searchParams.set('service', service)
  if (scope !== undefined) url.searchParams.set('scope', scope)
  return `${url.pathname}${url.search}`
}

function tokenOf({ status, body }: MirrorAnswer): string | undefined {
  if (status !== 200) return undefined
  try {
    const json = JSON.parse(body.toString()) as Record<string, unknown> | null
    const token = json?.['token'] ?? json?.['access_token']
    return typeof token === 'string' && /^[\x21-\x7e]+$/.test(token) ? token : undefined
  } catch {
    return undefined
  }
}

function proof(login: Login | undefined): Record<string, string> {
  return login === undefined ? {} : { Authorization: basic(login) }
}

function basic({ username, password }: Login): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
