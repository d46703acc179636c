/** Operators' use-cases over the network: what goes over the wire, and what comes of answers. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createApiClient } from '../../src/cli/api-client.ts'
import { createAudit } from '../../src/cli/audit.ts'
import { addressOf, isConfidential } from '../../src/cli/mirror-address.ts'
import { createOperatorClient } from '../../src/cli/operator-client.ts'
import { createAllow } from '../../src/cli/rules.ts'
import { createTokens } from '../../src/cli/tokens.ts'
import { createUsers } from '../../src/cli/users.ts'
import * as api from '../../src/http/api/json.ts'
import { ControlError, type Operator } from '../../src/operator.ts'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { createFakeOperator, type FakeOperator } from '../http/api/fake-operator.ts'
import { serveApi } from '../http/api/serve-api.ts'
import { answering, listen, type Answer } from './answering-server.ts'
import { configFile } from './config-file.ts'
import { fakeOperator } from './fake-operator.ts'
import * as samples from './operator-samples.ts'
import { runCommand } from './run-command.ts'

const { DIGEST, RULE, FILE_RULE, USER, auditChain } = samples
const TOKEN = 'entp_t1_secretsecret'
const IMAGE = `docker.io/library/redis:7@${DIGEST}`

function clientOf(
  url: string,
  options: { deadline?: number; signal?: AbortSignal } = {},
): Operator {
  const { signal = new AbortController().signal, ...rest } = options
  return createOperatorClient(createApiClient(addressOf(url), { token: TOKEN, signal, ...rest }))
}

const CALLS: readonly (readonly [name: string, call: (operator: Operator) => Promise<unknown>])[] =
  [
    ['whoami', (it) => it.whoami()],
    ['rules', (it) => it.rules({})],
    ['rules about an image', (it) => it.rules({ effect: 'deny', image: 'a/b:c&d=e #%' })],
    ['addRule', (it) => it.addRule({ effect: 'deny', pattern: 'quay.io/**' })],
    [
      'addRule with everything',
      (it) =>
        it.addRule({
          effect: 'allow',
          pattern: 'quay.io/**',
          reason: 'für "alle"',
          owner: 'alice',
          expiresAt: samples.NOW + 123,
          minAge: 5000,
        }),
    ],
    ['removeRule', (it) => it.removeRule('file:allow:0')],
    ['removeRule of an effect', (it) => it.removeRule('a-1', 'allow')],
    ['requests', (it) => it.requests({})],
    ['requests, all', (it) => it.requests({ state: 'all' })],
    ['approveRequest', (it) => it.approveRequest('r-1', { as: 'exact' })],
    [
      'approveRequest with everything',
      (it) =>
        it.approveRequest('r-1', {
          as: 'pattern',
          pattern: 'quay.io/**',
          expiresAt: samples.NOW,
          reason: 'yes',
        }),
    ],
    ['dismissRequest', (it) => it.dismissRequest('r-1')],
    ['dismissRequest with a reason', (it) => it.dismissRequest('r-1', 'no')],
    ['explain', (it) => it.explain(IMAGE)],
    ['users', (it) => it.users()],
    [
      'addUser',
      (it) =>
        it.addUser({
          name: 'alice@example.org',
          password: 'correct "horse"',
          grants: [{ role: 'admin', pattern: '**' }],
        }),
    ],
    ['setPassword', (it) => it.setPassword('alice@example.org', 'correct horse')],
    ['setGrants', (it) => it.setGrants('alice', [])],
    ['removeUser', (it) => it.removeUser('alice')],
    ['tokens', (it) => it.tokens()],
    ['addToken', (it) => it.addToken({ name: 'ci', grants: [], expiresAt: samples.NOW })],
    ['removeToken', (it) => it.removeToken('t1')],
    ['approvals', (it) => it.approvals()],
    ['approveDigest', (it) => it.approveDigest(IMAGE, 'tested')],
    ['withdrawApproval', (it) => it.withdrawApproval(IMAGE)],
    ['frozenTags', (it) => it.frozenTags()],
    ['freezeTag', (it) => it.freezeTag(IMAGE)],
    ['unfreezeTag', (it) => it.unfreezeTag('docker.io/library/redis:7')],
    ['audit', (it) => collect(it.audit({}))],
    ['audit since', (it) => collect(it.audit({ since: samples.NOW + 5 }))],
  ]

describe('over the API of a mirror', () => {
  const client = (url: string) =>
    createOperatorClient(
      createApiClient(addressOf(url), { token: 'admin', signal: new AbortController().signal }),
    )

  it.each(CALLS)('%s means what it means without it', async (_name, call) => {
    const [here, there] = [operatorWithPlainRule(), operatorWithPlainRule()]
    await using served = await serveApi(there)
    const expected = await call(here)
    expect(said(await call(client(served.url)))).toEqual(said(expected))
    expect(there.calls.map(withoutUnsaid)).toEqual(here.calls.map(withoutUnsaid))
  })

  it('a rule is removed by its pattern, the own before that of the file', async () => {
    const removed: unknown[] = []
    const operator = createFakeOperator({
      rules: async () => [
        { ...FILE_RULE, pattern: 'docker.io/redis' },
        { ...RULE, pattern: 'docker.io/redis:7' },
        { ...RULE, pattern: 'docker.io/redis', id: 'a-2' },
      ],
      removeRule: async (...given) => {
        removed.push(given)
        return RULE
      },
    })
    await using served = await serveApi(operator)
    await client(served.url).removeRule('docker.io/library/redis', 'allow')
    expect(removed).toEqual([['a-2', 'allow']])
    const unknown = client(served.url).removeRule('docker.io/library/*', 'allow')
    await expect(unknown).rejects.toMatchObject({ code: 'not-found' })
    expect(removed).toHaveLength(1)
  })

  it.each([
    'invalid',
    'not-found',
    'conflict',
    'last-admin',
    'forbidden',
    'unauthenticated',
  ] as const)('a refusal stays what it is: %s', async (code) => {
    const refusal = new ControlError(code, 'This cannot be.', [{ path: 'a[0]', message: 'no' }])
    const operator = createFakeOperator({
      users: () => Promise.reject(refusal),
      audit: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(refusal) }) }),
    })
    await using served = await serveApi(operator)
    const expected = { name: 'ControlError', code, message: 'This cannot be.' }
    await expect(client(served.url).users()).rejects.toMatchObject({
      ...expected,
      fields: refusal.fields,
    })
    await expect(collect(client(served.url).audit({}))).rejects.toMatchObject(expected)
  })

  it('a token that is not accepted is said to be that', async () => {
    await using served = await serveApi(createFakeOperator())
    const { file, folder } = configFile()
    const token = join(folder, 'token')
    writeFileSync(token, `${TOKEN}\n`)
    const { open, calls } = fakeOperator({})
    const args = ['list', '--server', served.url, '--token-file', token, '--config', file]
    const { code, out, error } = await runCommand(createUsers(open), args)
    expect([code, out, calls]).toEqual([1, '', []])
    expect(error).toMatch(/^This password or token is not one of this mirror[^\n]*$/)
    expect(error).not.toContain('secret')
  })
})

describe('on the wire', () => {
  it('is JSON with a token, and nothing else that says who asks', async () => {
    const server = await answering({ status: 201, body: JSON.stringify(api.listedRuleJson(RULE)) })
    await clientOf(server.url).addRule({
      effect: 'allow',
      pattern: 'quay.io/**',
      expiresAt: samples.NOW,
      minAge: 3 * samples.DAY,
    })
    const body =
      '{"effect":"allow","pattern":"quay.io/**","expiresAt":"2030-01-31T12:00:00.000Z","minAgeSeconds":259200}'
    expect(server.sent).toEqual([
      {
        method: 'POST',
        path: '/api/v1/rules',
        body,
        headers: {
          host: `127.0.0.1:${server.port}`,
          accept: 'application/json',
          authorization: `Bearer ${TOKEN}`,
          'content-type': 'application/json',
          'content-length': String(body.length),
          connection: 'close',
        },
      },
    ])
  })

  it('is a query that is escaped', async () => {
    const server = await answering({ body: '{"rules":[]}' })
    await clientOf(server.url).rules({ effect: 'deny', image: 'a/b:c&d=e' })
    expect(server.sent[0]?.path).toBe('/api/v1/rules?effect=deny&image=a%2Fb%3Ac%26d%3De')
  })

  it('is no name that would be another path', async () => {
    const server = await answering({})
    for (const name of ['../users', 'a/b', 'a?b', 'a b', 'a%2f']) {
      await expect(clientOf(server.url).removeUser(name)).rejects.toMatchObject({ code: 'invalid' })
    }
    expect(server.sent).toEqual([])
  })

  it('comes out of a file or the environment, and goes to a socket file, too', async () => {
    const { folder } = configFile()
    const socket = join(folder, 'socket')
    const server = await answering({ body: '{"users":[]}' }, { socket })
    const { open } = fakeOperator({})
    const args = ['list', '--server', `unix:${socket}`]
    const file = join(folder, 'token')
    writeFileSync(file, `${TOKEN}\r\n`)
    const env = { ENTREPOT_TOKEN: 'entp_other_secret' }
    expect(await runCommand(createUsers(open), args, env)).toMatchObject({ code: 0, error: '' })
    await runCommand(createUsers(open), [...args, '--token-file', file], env)
    expect(server.sent.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer entp_other_secret',
      `Bearer ${TOKEN}`,
    ])
  })

  it('reaches only whom the certificate names', async () => {
    await using authority = await createCertificateAuthority()
    const { certificate, key } = await authority.issue(['DNS:mirror.example'])
    const server = await answering({}, { tls: { cert: certificate, key } })
    await expect(clientOf(server.url).users()).rejects.toThrow(/could not be asked: .*certificate/)
    expect(server.sent).toEqual([])
  })

  it('follows no redirect', async () => {
    const other = await answering({ body: '{"users":[]}' })
    const server = await answering({
      status: 307,
      headers: { Location: `${other.url}/api/v1/users` },
    })
    await expect(clientOf(server.url).users()).rejects.toThrow(/it answered 307/)
    expect(other.sent).toEqual([])
  })
})

describe('a token', () => {
  const { open, calls } = fakeOperator({})
  const list = (args: readonly string[], env = {}) =>
    runCommand(createUsers(open), ['list', ...args], env)
  const env = { ENTREPOT_TOKEN: TOKEN }

  it.each([
    'http://mirror.example:5000',
    'http://10.0.0.1',
    'http://127.0.0.1.example.org',
    'http://[2001:db8::1]',
    'http://[::ffff:10.0.0.1]',
  ])('is not sent for all to read: %s', async (server) => {
    const { code, out, error } = await list(['--server', server], env)
    expect([code, out]).toEqual([2, ''])
    expect(error).toMatch(/^The token is not sent to http:[^\n]*use https[^\n]*$/)
    expect(error).not.toContain('secret')
  })

  it.each([
    ['https://mirror.example', true],
    ['http://localhost:5000', true],
    ['http://127.1.2.3:5000', true],
    ['http://[::1]:5000', true],
    ['unix:/run/entrepot', true],
    ['http://localhost.example', false],
  ])('may go to %s: %s', (server, expected) => {
    expect(isConfidential(addressOf(server))).toBe(expected)
  })

  it.each([
    ['none', [], {}, /say --token-file, or set ENTREPOT_TOKEN/],
    ['an empty one', [], { ENTREPOT_TOKEN: ' ' }, /say --token-file/],
    ['two words', [], { ENTREPOT_TOKEN: 'hush hush' }, /^(?!.*hush).*is no token/],
    ['a line break', [], { ENTREPOT_TOKEN: 'hush\r\nX: y' }, /^(?!.*hush).*is no token/],
    ['no file', ['--token-file', '/nowhere/hush'], {}, /"\/nowhere\/hush" cannot be read/],
    ['itself', ['--token-file', TOKEN], {}, /^(?!.*secret).*takes the name of a file/],
    ['itself as an option', ['--token', TOKEN], {}, /^(?!.*secret).*'--token'/],
    ['itself as an operand', [TOKEN], env, /^(?!.*secret).*entrepot users list/],
  ])('that is %s is a mistake', async (_what, args, env, sentence) => {
    const { code, out, error } = await list(['--server', 'https://mirror.example', ...args], env)
    expect([code, out, calls]).toEqual([2, '', []])
    expect(error).toMatch(sentence)
    expect(error).not.toContain('\n')
  })

  it.each(['mirror', 'ftp://mirror', 'https://user:hush@mirror', ''])(
    'is not sent to "%s"',
    async (server) => {
      const { code, error } = await list(['--server', server], env)
      expect(code).toBe(2)
      expect(error).toMatch(/^--server takes (?!.*hush)[^\n]*$/)
    },
  )
})

describe('an answer', () => {
  const problem = (members: object, status = 400): Answer => ({
    status,
    headers: { 'Content-Type': 'application/problem+json' },
    body: JSON.stringify({ title: 'Bad', status, ...members }),
  })

  it.each<[string, Answer, RegExp]>([
    ['a web page', { body: '<html>' }, /^What answered there is no mirror.*\(JSON\)/],
    ['null', { body: 'null' }, /no mirror/],
    ['a list', { body: '[]' }, /no mirror/],
    ['without users', { body: '{}' }, /no mirror.*\(users\)/],
    ['with null', { body: '{"users":[null]}' }, /no mirror/],
    ['with __proto__', { body: '{"__proto__":{"users":[]}}' }, /no mirror/],
    [
      'with a role that there is not',
      { body: JSON.stringify({ users: [{ ...USER, grants: [{ role: 'root', pattern: '' }] }] }) },
      /no mirror.*\((createdAt|role)\)/,
    ],
    [
      'with no time',
      { body: JSON.stringify({ users: [{ ...USER, createdAt: 'soon' }] }) },
      /no mirror.*\(createdAt\)/,
    ],
    ['without end', { body: ' '.repeat(8 * 2 ** 20 + 1) }, /could not be asked: its answer has no/],
    ['that is no API', { status: 404, body: 'Not found' }, /there is no API for operators there/],
    ['of a proxy', { status: 502, body: '<html>' }, /could not be asked: it answered 502\.$/],
    ['that knows nobody', { status: 401 }, /^The mirror does not accept the token/],
    [
      'with another problem',
      problem({ type: 'about:blank', detail: 'Try\nagain.\u001b[2J' }, 429),
      /it answered 429 \(Try\?again\.\?\[2J\)/,
    ],
    [
      'of a code of its own',
      problem({ type: 'urn:entrepot:constructor' }),
      /it answered 400 \(Bad\)/,
    ],
    ['with strange errors', problem({ type: 'urn:entrepot:invalid', errors: 5 }), /answered 400/],
  ])('%s is told in a sentence', async (_what, answer, sentence) => {
    const server = await answering(answer)
    const failed = clientOf(server.url).users()
    await expect(failed).rejects.toThrow(sentence)
    await expect(failed).rejects.toThrow(/^[^\n]*$/)
  })

  it('cannot move the cursor', async () => {
    const answer = problem({
      type: 'urn:entrepot:invalid',
      detail: 'a\u001b[2J\nb',
      errors: [{ path: '\u009b', message: '\u202ec' }],
    })
    const server = await answering(answer)
    const { open } = fakeOperator({})
    const args = ['add', 'x', '--server', server.url]
    const ran = await runCommand(createAllow(open), args, { ENTREPOT_TOKEN: TOKEN })
    expect(ran).toEqual({ code: 2, out: '', error: 'a?[2J?b (?: ?c)' })
  })

  it('that ends too early is none', async () => {
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'Content-Length': '100' }).write('{"users":[]}')
      response.destroy()
    })
    const url = `http://127.0.0.1:${await listen(server)}`
    await expect(clientOf(url).users()).rejects.toThrow(/could not be asked/)
  })

  it('that does not come is not waited for', async () => {
    const server = createServer(() => undefined)
    const url = `http://127.0.0.1:${await listen(server)}`
    const late = clientOf(url, { deadline: 50 })
    await expect(late.users()).rejects.toThrow(/no answer within 0.05 s/)
    await expect(collect(late.audit({}))).rejects.toThrow(/no answer within/)
    const stop = new AbortController()
    const stopped = clientOf(url, { signal: stop.signal }).users()
    server.once('request', () => stop.abort())
    await Promise.all([once(server, 'request'), expect(stopped).rejects.toThrow(/aborted/)])
    await expect(clientOf('http://127.0.0.1:1').users()).rejects.toThrow(/nothing listens there/)
  })
})

describe('the audit', () => {
  const line = (entry: object): string => `${JSON.stringify(entry)}\n`
  const CHAIN = auditChain(200).map((it) => api.auditJson(it))

  it('comes line by line, however it is cut, and its chain can be checked', async () => {
    const bytes = Buffer.from(CHAIN.map(line).join(''))
    const server = createServer((_request, response) => {
      response.writeHead(200)
      for (let at = 0; at < bytes.length; at += 777) response.write(bytes.subarray(at, at + 777))
      response.end()
    })
    const url = `http://127.0.0.1:${await listen(server)}`
    const { open } = fakeOperator({})
    const env = { ENTREPOT_TOKEN: TOKEN }
    const run = (...args: string[]) =>
      runCommand(createAudit(open), [...args, '--server', url], env)
    const { code, out } = await run()
    expect(code).toBe(0)
    expect(out.split('\n').map((it) => JSON.parse(it) as unknown)).toEqual(
      CHAIN.map((it) => JSON.parse(JSON.stringify(it)) as unknown),
    )
    expect(await run('--verify')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^200 entr/),
    })
  })

  it('that is broken off is said to be', async () => {
    const server = createServer((_request, response) => {
      response.writeHead(200)
      response.write(line(CHAIN[0] ?? {}), () => response.destroy())
    })
    const url = `http://127.0.0.1:${await listen(server)}`
    await expect(collect(clientOf(url).audit({}))).rejects.toThrow(/could not be asked/)
  })

  it('of a line without end is not read', async () => {
    const server = createServer((_request, response) => {
      response.on('error', () => undefined)
      response.writeHead(200).end(' '.repeat(2 ** 20 + 1))
    })
    const url = `http://127.0.0.1:${await listen(server)}`
    await expect(collect(clientOf(url).audit({}))).rejects.toThrow(
      /a line of its answer has no end/,
    )
  })

  it('leaves nothing open when no more of it is wanted', async () => {
    const server = createServer((_request, response) => {
      response.on('error', () => undefined)
      response.writeHead(200)
      response.write(line(CHAIN[0] ?? {}))
    })
    const url = `http://127.0.0.1:${await listen(server)}`
    const gone = once(server, 'connection').then(([socket]) => once(socket, 'close'))
    for await (const entry of clientOf(url).audit({})) {
      expect(entry.sequence).toBe(1)
      break
    }
    await gone
  })
})

it('a new token is told by the mirror, on standard output alone', async () => {
  const server = await answering({
    status: 201,
    body: JSON.stringify(api.createdTokenJson(samples.CREATED)),
  })
  const { open } = fakeOperator({})
  const args = ['add', 'ci', '--server', server.url]
  const { code, out, error } = await runCommand(createTokens(open), args, { ENTREPOT_TOKEN: TOKEN })
  expect([code, out]).toEqual([0, samples.CREATED.token])
  expect(error).not.toContain('secret')
})

/** Explanations do not say of a rule what only lists say. */
function operatorWithPlainRule(): FakeOperator {
  return createFakeOperator({ explain: async () => samples.EXPLANATION })
}

/** Without what was left out at the end. */
function withoutUnsaid(call: readonly unknown[]): unknown {
  return said(call.filter((it) => it !== undefined))
}

/** As JSON says it: what is `undefined` is not there. */
function said(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null))
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
