/** Clients that pull all the time, as whoever they find a credential of, and compare what they are told. */
import { createHash } from 'node:crypto'
import { Agent, request } from 'node:http'
import type { Chance } from './chance.ts'
import { type Credential, type Question, type Standing, verdictOf } from './live-edits-model.ts'
import type { Span, Timeline } from './live-edits-timeline.ts'

export interface Clients extends AsyncDisposable {
  /** Of settled requests, how many had each verdict; by `<kind> as <who>: <verdict>`. */
  readonly counts: ReadonlyMap<string, number>
  /** Settled requests whose verdict the last edit has changed, by who made that: `<label>: <verdict>`. */
  readonly changed: ReadonlyMap<string, number>
  /** Settled requests since the last edit. */
  readonly settled: number
  /** Whether a settled request since the last edit has shown it. */
  hasShown(credential: Credential): boolean
  /** Answers that no state gives that counted meanwhile. */
  readonly wrong: readonly string[]
  /** An edit has returned. */
  begin(label: string, before: Standing): void
  /** Clients may show it from now on, also when it has ended. */
  learn(credential: Credential): void
}

interface ClientsOptions {
  readonly url: string
  readonly count: number
  readonly questions: readonly Question[]
  readonly timeline: Timeline<Standing>
  readonly chance: Chance
}

interface Answer {
  readonly verdict: string
  readonly body: Buffer
}

/**
 * So many credentials of each kind are kept; the older ones have mostly ended. Few, as nobody is to be held
 * back for showing too many wrong passwords.
 */
const REMEMBERED = 6
/** How often a client goes to the token endpoint, instead of pulling. */
const LOGINS = 0.04
/** How often the newest credential of its kind is shown, rather than any. */
const NEWEST = 0.4
const TOLD = 20
/** More edits within one request do not tell what counted for it. */
const MOST_STATES = 2
const SILENCE = 20_000

export function startClients(options: ClientsOptions): Clients {
  const { url, count, questions, timeline, chance } = options
  const agent = new Agent({ keepAlive: true, maxSockets: count })
  const purse = new Map<Credential['kind'], Credential[]>([['none', [{ kind: 'none' }]]])
  const counts = new Map<string, number>()
  const changed = new Map<string, number>()
  const wrong: string[] = []
  const shown = new Set<Credential>()
  let settled = 0
  let since: { readonly label: string; readonly before: Standing } | undefined
  let isOver = false

  function learn(credential: Credential): void {
    const known = purse.get(credential.kind) ?? []
    purse.set(credential.kind, [credential, ...known].slice(0, REMEMBERED))
  }

  async function run(number: number): Promise<void> {
    while (!isOver && wrong.length < TOLD) {
      try {
        await pullOnce(`10.1.0.${number}`)
      } catch (error) {
        if (!isOver) wrong.push(String(error))
      }
    }
  }

  async function pullOnce(address: string): Promise<void> {
    const logins = purse.get('password') ?? []
    const isLogin = logins.length > 0 && chance.next() < LOGINS
    const known = isLogin ? logins : (purse.get(chance.oneOf([...purse.keys()])) ?? [])
    const credential = chance.oneOf(chance.next() < NEWEST ? known.slice(0, 1) : known)
    const question: Question = isLogin ? { kind: 'token' } : chance.oneOf(questions)
    const span = timeline.watch()
    const answer = await ask({ url, agent, address }, credential, question, span)
    judge(credential, question, answer)
    keepToken(credential, question, answer)
  }

  function judge(credential: Credential, question: Question, answer: Seen): void {
    const { states, isSettled } = answer.span
    if (states.length > MOST_STATES) return
    const right = states.map((standing) => verdictOf(standing, credential, question))
    if (!right.includes(answer.verdict)) {
      const told = { question, credential, isSettled, right }
      wrong.push(`${answer.verdict} instead of ${JSON.stringify(told)} after ${since?.label}`)
      return
    }
    if (isSettled) note(credential, question, answer.verdict)
  }

  function note(credential: Credential, question: Question, verdict: string): void {
    settled += 1
    shown.add(credential)
    const [short = ''] = verdict.split(' ')
    const method = 'method' in question ? `${question.method} ` : ''
    countUp(counts, `${method}${question.kind} as ${credential.kind}: ${short}`)
    if (since && verdictOf(since.before, credential, question) !== verdict) {
      countUp(changed, `${since.label}: ${short}`)
    }
  }

  /** Only one of which it is known which password it was given for. */
  function keepToken(credential: Credential, question: Question, { span, body }: Seen): void {
    if (question.kind !== 'token' || credential.kind !== 'password') return
    const { user } = credential
    const versions = new Set(span.states.map(({ users }) => users.get(user)?.version))
    const [version] = versions
    if (versions.size !== 1 || version === undefined) return
    const { token } = JSON.parse(body.toString()) as { token?: string }
    if (token !== undefined) learn({ kind: 'bearer', user, version, token })
  }

  const running = Promise.all(Array.from({ length: count }, (_, number) => run(number)))
  return {
    counts,
    changed,
    wrong,
    get settled() {
      return settled
    },
    hasShown: (credential) => shown.has(credential),
    begin(label, before) {
      settled = 0
      shown.clear()
      since = { label, before }
    },
    learn,
    async [Symbol.asyncDispose]() {
      isOver = true
      await running
      agent.destroy()
    },
  }
}

type Seen = Answer & { readonly span: Span<Standing> }

interface Way {
  readonly url: string
  readonly agent: Agent
  /** As a proxy in front tells it. */
  readonly address: string
}

async function ask(
  { url, agent, address }: Way,
  credential: Credential,
  question: Question,
  span: () => Span<Standing>,
): Promise<Seen> {
  const authorization = authorizationOf(credential)
  const headers = {
    'X-Forwarded-For': address,
    ...(authorization !== undefined && { Authorization: authorization }),
  }
  const method = 'method' in question ? question.method : 'GET'
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(pathOf(question), url), { agent, method, headers })
    outgoing.setTimeout(SILENCE, () => outgoing.destroy(new Error('The mirror is silent.')))
    outgoing.once('error', reject)
    outgoing.once('response', (incoming) => {
      // Whatever counts later has no part in it.
      const met = span()
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.once('error', reject)
      incoming.once('end', () => {
        const body = Buffer.concat(chunks)
        const verdict = verdictIn(question, incoming.statusCode ?? 0, body)
        resolve({ verdict, body, span: met })
      })
    })
    outgoing.end()
  })
}

function pathOf(question: Question): string {
  if (question.kind === 'token') return '/token?service=mirror'
  if (question.kind === 'ping') return '/v2/'
  if (question.kind === 'tags') return `/v2/${question.name}/tags/list`
  const resource = question.kind === 'blob' ? 'blobs' : 'manifests'
  return `/v2/${question.name}/${resource}/${question.reference}`
}

function authorizationOf(credential: Credential): string | undefined {
  switch (credential.kind) {
    case 'none':
      return undefined
    case 'password':
      return `Basic ${Buffer.from(`${credential.user}:${credential.password}`).toString('base64')}`
    case 'bearer':
    case 'robot':
      return `Bearer ${credential.token}`
  }
}

/** In the words of `verdictOf`; what it has no word for as it is. */
function verdictIn(question: Question, status: number, body: Buffer): string {
  // Of too many wrong passwords the last are not looked at; where that meets a right one, it is seen.
  if (status === 401 || (status === 429 && question.kind === 'token')) return 'login'
  if (status === 403) return 'refused'
  if (status !== 200) return `${status} ${body.toString()}`
  if (question.kind === 'tags') {
    const { tags } = JSON.parse(body.toString()) as { tags: string[] }
    return `served ${tags.toSorted().join()}`
  }
  const isWhole = !('digest' in question) || question.method === 'HEAD'
  return isWhole || digestOf(body) === question.digest ? 'served' : 'other bytes'
}

function digestOf(body: Buffer): string {
  return `sha256:${createHash('sha256').update(body).digest('hex')}`
}

function countUp(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
