/**
 * Whatever is sent in place of a credential, a scope, a pattern or a body: the mirror refuses it in its own
 * words, goes on, and takes nobody for somebody else.
 */
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { matchingSteps } from '../../src/access/pattern.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { API_ROUTES } from '../http/api/api-routes.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { type Chance, LONG, openChance } from './chance.ts'

/** Inputs of each kind. */
const RUNS = LONG ? 200_000 : 1000
/** Each takes a connection that the server closes. */
const RAW_RUNS = LONG ? 20_000 : 300

const IMAGE = buildImage({ seed: 'open' })
const OPEN = '/v2/quay.io/open/app'
const SCOPE = 'repository:quay.io/open/app:pull'
const PLACES = [
  '/v2/',
  `${OPEN}/manifests/v1`,
  '/v2/quay.io/closed/app/manifests/v1',
  `/token?service=x&scope=${SCOPE}`,
  '/token?service=x&account=alice',
  '/api/v1/whoami',
  '/api/v1/rules',
  '/api/v1/audit',
  '/metrics',
]

/** Traces of a program that tells what it is made of. */
const INNARDS = /\n\s+at |node:internal|node_modules|\.[cm]?[jt]s:\d+|TypeError|RangeError|SQLITE/
const TRICKS = [
  '\0',
  '\r\n',
  '\u2028',
  '\ud800',
  '\u202e',
  '💥',
  'ÿ',
  '%00',
  '%',
  '%ff',
  '..',
  '/',
  '//',
  ':',
  '@',
  '*',
  '**',
  '***',
  '"',
  '\\',
  "'",
  '{',
  '[',
  '__proto__',
  'constructor',
  'toString',
  '-1',
  '1e309',
  '9007199254740993',
  'null',
  'a'.repeat(300),
  '*a'.repeat(100),
  '**/'.repeat(100),
  'a/'.repeat(200),
]

const FOREIGN_CREDENTIALS = [
  `Basic ${Buffer.from('alice:secret').toString('base64')}`,
  'Basic ',
  'Bearer ',
  'Negotiate YIIB',
  'Digest username="alice", realm="x"',
  'AWS4-HMAC-SHA256 Credential=x/y',
]
const SCOPES = [
  `service=x&scope=${SCOPE}`,
  'scope=repository:library/redis:pull,push&scope=registry:catalog:*',
  `scope=${SCOPE}%20${SCOPE}&account=alice&client_id=docker&offline_token=true`,
  'scope=repository(plugin):quay.io/open/app:pull',
  Array.from({ length: 100 }, (_, at) => `scope=repository:quay.io/open/a${at}:pull`).join('&'),
]
const PATTERNS = ['quay.io/open/*', 'quay.io/**', '**', 'docker.io/redis:7.*', '*/team/*-app:v*']

describe('a mirror under nonsense', () => {
  const chance = openChance('access-fuzz')
  let registry: FakeRegistry
  let mirror: Mirror
  let admin: string
  const statuses = new Map<number, number>()
  const faults: string[] = []

  beforeAll(async () => {
    registry = await startRegistry()
    registry.push('open/app', 'v1', IMAGE)
    mirror = await startMirror({
      upstreams: { 'quay.io': registry },
      anonymous: ['quay.io/open/**'],
      anonymousStatus: false,
    })
    const first = await mirror.app.makeFirstAdminToken()
    admin = await addRobot(mirror, first ?? '', 'fuzz-admin', [{ role: 'admin', pattern: '**' }])
  })

  afterAll(async () => {
    process.stdout.write(`access-fuzz: ${JSON.stringify(Object.fromEntries(statuses))}\n`)
    await mirror[Symbol.asyncDispose]()
    await registry[Symbol.asyncDispose]()
  })

  /** Notes what should not have been. */
  function check(isRight: boolean, what: string): void {
    if (!isRight) faults.push(what.slice(0, 1000))
  }

  /** Sends it, and checks what holds for every answer. */
  async function send(path: string, options: Parameters<Mirror['get']>[1], method = 'GET') {
    const answer = await request({ ...options, url: mirror.url, path, method })
    const { status, body, complete } = answer
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    const text = body.toString('latin1')
    const isFine = status < 400 || (status < 500 && (text === '' || isRefusal(answer)))
    check(
      isFine && complete && !INNARDS.test(text),
      `${method} ${path.slice(0, 300)} ${JSON.stringify(options).slice(0, 500)}: ${status} ${text}`,
    )
    return answer
  }

  /** What went wrong, now that the mirror was asked whether it still lives. */
  async function faultsSoFar(): Promise<string[]> {
    check((await mirror.get('/healthz')).status === 200, 'it is not healthy')
    check((await mirror.get(`${OPEN}/manifests/v1`)).status === 200, 'it serves nothing')
    check((await nameOf(mirror, `Bearer ${admin}`)) === 'fuzz-admin', 'its admin is nobody')
    const broken = mirror.logs.filter(({ level }) => level === 'error' || level === 'fatal')
    return [...faults.splice(0), ...broken.map((line) => JSON.stringify(line).slice(0, 1000))]
  }

  it('reads any header Authorization, and believes none', async () => {
    const genuine = await genuineCredentials(mirror, admin)
    const seeds = [...genuine, ...FOREIGN_CREDENTIALS]
    for (let run = 0; run < RUNS; run++) {
      const authorization = asHeader(mutate(chance.oneOf(seeds), chance))
      await send(chance.oneOf(PLACES), { headers: { authorization } })
      // A scheme in another case, or more spaces behind it, are the same credential.
      if (genuine.some((it) => normalised(it) === normalised(authorization))) continue
      const name = await nameOf(mirror, authorization)
      check(name === undefined || name === 'anonymous', `${authorization} is ${name}`)
    }
    expect(await faultsSoFar()).toEqual([])
  })

  it('reads any bytes in the header Authorization', async () => {
    for (let run = 0; run < RAW_RUNS; run++) {
      const bytes = Array.from({ length: chance.between(0, 200) }, () => chance.between(0, 256))
      const text = await rawAnswer(mirror, [
        Buffer.from(`GET ${chance.oneOf(PLACES)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`),
        Buffer.from(`Authorization: ${chance.oneOf(['', 'Basic ', 'Bearer '])}`),
        Buffer.from(bytes),
        Buffer.from('\r\n\r\n'),
      ])
      const isFine = /^HTTP\/1\.1 [234]\d\d /.test(text) && !INNARDS.test(text)
      check(isFine, `${bytes.join(' ')}: ${text}`)
    }
    expect(await faultsSoFar()).toEqual([])
  })

  it('takes no token for one of its own that it did not sign', async () => {
    const own = await bearerToken(mirror, `Bearer ${admin}`)
    expect(await nameOf(mirror, `Bearer ${own}`)).toBe('fuzz-admin')
    for (let run = 0; run < RUNS; run++) {
      const forged = forge(own, chance)
      if (forged === own) continue
      const options = { headers: { authorization: `Bearer ${forged}` } }
      const asked = await send('/api/v1/whoami', options)
      const pulled = await send('/v2/quay.io/closed/app/manifests/v1', options)
      check(asked.status !== 200 && pulled.status === 401, `${forged} is believed`)
    }
    expect(await faultsSoFar()).toEqual([])
  })

  it('gives tokens of nobody, or none, for any scope', async () => {
    for (let run = 0; run < RUNS; run++) {
      const query = asTarget(mutate(chance.oneOf(SCOPES), chance))
      const headers = chance.next() < 0.5 ? {} : { authorization: 'Basic Zm9yZWlnbjpzZWNyZXQ=' }
      const answer = await send(`/token?${query}`, { headers })
      if (answer.status !== 200) continue
      const { token } = JSON.parse(answer.body.toString()) as { token: string }
      const name = await nameOf(mirror, `Bearer ${token}`)
      check(name === 'anonymous', `${query}: ${name}`)
    }
    expect(await faultsSoFar()).toEqual([])
  })

  it('takes or refuses any pattern, and matches what it took in linear time', async () => {
    // Longer than any pattern: shorter than that, what is reachable still grows.
    const name = `quay.io/${'a/'.repeat(2000)}a`
    const twiceAsLong = `quay.io/${'a/'.repeat(4000)}a`
    let taken = 0
    for (let run = 0; run < RUNS; run++) {
      const pattern = mutate(chance.oneOf(PATTERNS), chance)
      const body = JSON.stringify({ effect: 'allow', pattern, reason: chance.oneOf(TRICKS) })
      const { status } = await send('/api/v1/rules', json(admin, body), 'POST')
      check([201, 400, 409].includes(status), `${pattern}: ${status}`)
      await send(`/api/v1/explain?image=${asTarget(pattern)}`, credentials(admin))
      if (status !== 201) continue
      taken += 1
      const once = matchingSteps(pattern, name)
      check(once <= (pattern.length + 1) * (name.length + 1), `${pattern}: ${once} steps`)
      const twice = matchingSteps(pattern, twiceAsLong)
      check(twice <= 2.2 * once + pattern.length, `${pattern}: ${once}, then ${twice} steps`)
    }
    expect(taken).toBeGreaterThan(10)
    expect(await faultsSoFar()).toEqual([])
  })

  it('takes or refuses any body', async () => {
    const writes = API_ROUTES.filter(({ json: body }) => body !== undefined)
    for (let run = 0; run < RUNS; run++) {
      const { method, target, json: body } = chance.oneOf(writes)
      const changed = chance.next() < 0.5 ? distort(body, chance) : body
      const whole = JSON.stringify(changed) ?? ''
      const text = chance.next() < 0.5 ? mutate(whole, chance) : whole
      await send(`/api/v1${target}`, json(admin, text), method)
    }
    expect(await faultsSoFar()).toEqual([])
  })

  it('takes or refuses any path and query of the API', async () => {
    for (let run = 0; run < RUNS; run++) {
      const { method, target, json: body } = chance.oneOf(API_ROUTES)
      const path = `/${asTarget(mutate(`/api/v1${target}`, chance)).replace(/^\/+/, '')}`
      const options = body === undefined ? credentials(admin) : json(admin, JSON.stringify(body))
      await send(path, options, method)
    }
    expect(await faultsSoFar()).toEqual([])
  })
})

async function addRobot(
  mirror: Mirror,
  token: string,
  name: string,
  grants: readonly unknown[],
): Promise<string> {
  const { headers, body } = json(token, JSON.stringify({ name, grants }))
  const path = '/api/v1/tokens'
  const answer = await request({ url: mirror.url, path, method: 'POST', headers, body })
  return (JSON.parse(answer.body.toString()) as { token: string }).token
}

async function bearerToken(mirror: Mirror, authorization: string): Promise<string> {
  const answer = await mirror.get('/token?service=x', { headers: { authorization } })
  return (JSON.parse(answer.body.toString()) as { token: string }).token
}

async function genuineCredentials(mirror: Mirror, admin: string): Promise<string[]> {
  return [
    `Bearer ${admin}`,
    `Basic ${Buffer.from(`robot:${admin}`).toString('base64')}`,
    `Bearer ${await bearerToken(mirror, `Bearer ${admin}`)}`,
  ]
}

/** Whom the credential makes the caller; `undefined` where it is refused. */
async function nameOf(mirror: Mirror, authorization: string): Promise<string | undefined> {
  const answer = await mirror.get('/api/v1/whoami', { headers: { authorization } })
  if (answer.status !== 200) return undefined
  return (JSON.parse(answer.body.toString()) as { name: string }).name
}

/** An error of the registry, or one of the API. */
function isRefusal({ headers, body }: ClientResponse): boolean {
  const type = headers['content-type'] ?? ''
  if (type.startsWith('text/plain')) return true
  const parsed = JSON.parse(body.toString()) as { errors?: unknown; title?: unknown }
  return type.includes('problem') ? 'title' in parsed : Array.isArray(parsed.errors)
}

async function rawAnswer(mirror: Mirror, send: readonly Buffer[]): Promise<string> {
  const { text } = await exchangeRaw({ url: mirror.url, send, deadlineMs: 5000 })
  return text
}

function credentials(token: string) {
  return { headers: { authorization: `Bearer ${token}` } }
}

function json(token: string, body: string) {
  const type = { 'content-type': 'application/json' }
  return { headers: { ...credentials(token).headers, ...type }, body }
}

function normalised(authorization: string): string {
  const [scheme = '', ...rest] = authorization.trim().split(/ +/)
  return [scheme.toLowerCase(), ...rest].join(' ')
}

/** One to four changes of the kinds that confuse parsers. */
function mutate(text: string, chance: Chance): string {
  let changed = text
  for (let changes = chance.between(1, 5); changes > 0; changes--) {
    const at = chance.between(0, changed.length + 1)
    const end = Math.min(changed.length, at + chance.between(0, 8))
    const insert = chance.oneOf([
      '',
      chance.oneOf(TRICKS),
      String.fromCodePoint(chance.between(0x20, 0x17f)),
      changed.slice(end, end + chance.between(0, 40)),
    ])
    changed = changed.slice(0, at) + insert + changed.slice(chance.next() < 0.5 ? at : end)
  }
  return changed
}

/** What a client of HTTP can send in a header. */
function asHeader(text: string): string {
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[^\t\x20-\x7e\x80-\xff]/g, '')
}

/** What it can send in a target. */
function asTarget(text: string): string {
  return asHeader(text).replace(/[^\x21-\x7e]/g, (it) => `%${it.charCodeAt(0).toString(16)}`)
}

const NODES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  0.1,
  '',
  [],
  {},
  [[[[]]]],
  { length: 1e9 },
  Array.from({ length: 200 }, () => ({ role: 'pull', pattern: '**' })),
  nested(40),
  'x'.repeat(2000),
  '2026-99-99T99:99:99Z',
  '+275760-09-13T00:00:00.001Z',
  ...TRICKS,
]

/** The same with one part replaced, or one more that nobody asked for. */
function distort(value: unknown, chance: Chance): unknown {
  if (typeof value !== 'object' || value === null || chance.next() < 0.2) return chance.oneOf(NODES)
  if (Array.isArray(value))
    return value.map((it) => (chance.next() < 0.5 ? it : distort(it, chance)))
  const entries = Object.entries(value)
  const [key, inner] = chance.oneOf([...entries, [chance.oneOf(TRICKS), chance.oneOf(NODES)]])
  return { ...value, [key]: distort(inner, chance) }
}

function nested(depth: number): unknown {
  return depth === 0 ? [] : [nested(depth - 1)]
}

/** A token that looks like ours, made without our key. */
function forge(own: string, chance: Chance): string {
  const [head = '', payload = '', signature = ''] = own.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
  const later = Math.floor(Date.now() / 1000) + 3600
  const header = chance.oneOf<object>([
    { alg: 'HS256', typ: 'JWT' },
    { alg: 'none', typ: 'JWT' },
    { alg: 'nOnE' },
    { alg: 'RS256', typ: 'JWT' },
    { alg: 'HS256', typ: 'JWT', kid: '../../dev/null' },
    { alg: 'HS256', typ: 'JWT', jwk: { kty: 'oct', k: 'AAAA' } },
    { alg: 'HS256', typ: 'JWT', jku: 'https://evil.test/keys', crit: ['exp'], b64: false },
  ])
  const claimed = { ...claims, ...chance.oneOf<object>([{}, { exp: later }, { sub: 'alice' }]) }
  const unsigned = `${encoded(header)}.${encoded(claimed)}`
  const key = chance.oneOf(['', 'entrepot', 'AAAA', '\0'.repeat(32), head])
  const resigned = createHmac('sha256', key).update(unsigned).digest('base64url')
  return chance.oneOf([
    `${unsigned}.`,
    `${unsigned}.${signature}`,
    `${unsigned}.${resigned}`,
    `${head}.${encoded({ ...claimed, exp: later })}.${signature}`,
    `${head}.${payload}.${signature.slice(0, -1)}`,
    `${head}.${payload}.${signature}${chance.oneOf(['=', 'A', '.', '.e30'])}`,
    `${head}.${payload}.${flipped(signature, chance)}`,
    `${head}.${payload}`,
    '.'.repeat(chance.between(1, 3000)),
    `${own}${'a.'.repeat(chance.between(1, 1000))}`,
  ])
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function flipped(signature: string, chance: Chance): string {
  const bytes = Buffer.from(signature, 'base64url')
  const at = chance.between(0, bytes.length)
  bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.between(0, 8))
  return bytes.toString('base64url')
}
