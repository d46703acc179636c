/** What a body, a query and a time have to be. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exchangeRaw } from '../../support/raw-socket.ts'
import { until } from '../../support/until.ts'
import { API_ROUTES } from './api-routes.ts'
import { createFakeOperator } from './fake-operator.ts'
import { serveApi, type AskOptions, type ServedApi } from './serve-api.ts'

const KIBIBYTE = 1024
const JSON_TYPE = { 'Content-Type': 'application/json' }

/** Status, and the paths of what is wrong. */
async function verdict(served: ServedApi, path: string, options: AskOptions): Promise<string> {
  const { status, body } = await served.ask(path, { method: 'POST', ...options })
  const { errors = [] } = JSON.parse(body.toString()) as { errors?: { path: string }[] }
  return [status, ...errors.map((error) => error.path)].join(' ')
}

describe('a body', () => {
  it.each([
    ['no type', {}, 415],
    ['text', { 'Content-Type': 'text/plain' }, 415],
    ['what a form sends', { 'Content-Type': 'application/x-www-form-urlencoded' }, 415],
    ['another JSON', { 'Content-Type': 'application/problem+json' }, 415],
    ['another charset', { 'Content-Type': 'application/json; charset=utf-16' }, 415],
    ['two types', { 'Content-Type': 'application/json, text/plain' }, 415],
    ['compressed', { ...JSON_TYPE, 'Content-Encoding': 'gzip' }, 415],
    ['JSON', JSON_TYPE, 200],
    ['JSON, said loudly', { 'Content-Type': 'Application/JSON;charset="UTF-8"' }, 200],
  ])('%s: %o is %i', async (_what, headers, status) => {
    await using served = await serveApi(createFakeOperator())
    const body = '{"reason":"no"}'
    expect(await verdict(served, '/requests/r-1/dismiss', { body, headers })).toBe(String(status))
  })

  it('R23: may have 64 KiB and not a byte more', async () => {
    await using served = await serveApi(createFakeOperator())
    for (const [size, status] of [
      [64 * KIBIBYTE, 200],
      [64 * KIBIBYTE + 1, 413],
    ] as const) {
      const body = '{}'.padEnd(size)
      const answer = await verdict(served, '/requests/r-1/dismiss', { body, headers: JSON_TYPE })
      expect(answer).toBe(String(status))
    }
  })

  it('R23: is refused unread when its length is too great', async () => {
    await using served = await serveApi(createFakeOperator())
    const { text } = await exchangeRaw({
      url: served.url,
      send: head('Content-Length: 65537'),
      enough: (answer) => answer.includes('\r\n\r\n'),
    })
    expect(text).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('R23: is cut off while it comes when its length was not said', async () => {
    await using served = await serveApi(createFakeOperator())
    const chunk = `4000\r\n${' '.repeat(0x4000)}\r\n`
    const { text } = await exchangeRaw({
      url: served.url,
      // Five of 16 KiB, and no end.
      send: [head('Transfer-Encoding: chunked'), chunk.repeat(5)],
      enough: (answer) => answer.includes('\r\n\r\n'),
    })
    expect(text).toMatch(/^HTTP\/1\.1 413 /)
    expect(text).toMatch(/\r\nconnection: close\r\n/i)
  })

  it('is no fault of ours when its sender goes away', async () => {
    await using served = await serveApi(createFakeOperator())
    await exchangeRaw({
      url: served.url,
      send: `${head('Content-Length: 100')}{"reason"`,
      // It waits for the rest in vain.
      deadlineMs: 50,
    })
    await until(() => served.logs.some(({ msg }) => msg === 'request'))
    await served.ask('/whoami')
    expect(served.logs.filter(({ level }) => level === 'error')).toEqual([])
  })

  it.each([
    ['empty', '', /not JSON/],
    ['cut', '{"reason":"no"', /not JSON/],
    ['no JSON', 'reason=no', /not JSON/],
    ['two', '{}{}', /not JSON/],
    ['a list', '[]', /object/],
    ['a text', '"reason"', /object/],
    ['null', 'null', /object/],
    ['not UTF-8', Buffer.from('{"reason":"\xff"}', 'latin1'), /UTF-8/],
    ['half of a pair', '{"reason":"\\ud800"}', /cannot be kept/],
    ['NUL', '{"reason":"\\u0000"}', /cannot be kept/],
    ['__proto__', '{"__proto__":{"reason":"no"}}', /may not be called __proto__/],
    ['constructor', '{"constructor":{}}', /may not be called constructor/],
    ['prototype, further inside', '{"reason":[{"prototype":1}]}', /may not be called prototype/],
  ])('that is %s is refused', async (_what, body, detail) => {
    const operator = createFakeOperator()
    await using served = await serveApi(operator)
    const options = { method: 'POST', body, headers: JSON_TYPE }
    const answer = await served.ask('/requests/r-1/dismiss', options)
    expect([answer.status, operator.calls]).toEqual([400, []])
    expect(JSON.parse(answer.body.toString()).detail).toMatch(detail)
  })

  it.each([32, 33, 20_000])('R23: of %i lists in each other is refused', async (depth) => {
    await using served = await serveApi(createFakeOperator())
    const body = '['.repeat(depth) + ']'.repeat(depth)
    const { status, body: answer } = await served.ask('/rules', {
      method: 'POST',
      body,
      headers: JSON_TYPE,
    })
    expect(status).toBe(400)
    expect(/nested deeper/.test(answer.toString())).toBe(depth > 32)
  })

  it.each([
    [{ as: 'exact', becuase: 'x' }, '400 becuase'],
    [{ as: 'exact', a: 1, b: 2 }, '400 a b'],
    [{}, '400 as'],
    [{ as: 'all' }, '400 as'],
    [{ as: 'exact', pattern: '' }, '400 pattern'],
    [{ as: 'exact', pattern: 'a'.repeat(1025) }, '400 pattern'],
    [{ as: 'exact', reason: 'a'.repeat(501) }, '400 reason'],
    [{ as: 'exact', reason: null }, '400 reason'],
    [{ as: 'exact', expiresAt: 1 }, '400 expiresAt'],
    [{ as: 'exact', ['x'.repeat(2000)]: 1 }, `400 ${'x'.repeat(256)}`],
  ])('%o is %s', async (json, expected) => {
    await using served = await serveApi(createFakeOperator())
    expect(await verdict(served, '/requests/r-1/approve', { json })).toBe(expected)
  })

  it.each([
    [[{ role: 'root', pattern: '**' }], '400 grants[0].role'],
    [[{ role: 'pull', pattern: '**' }, { role: 'pull' }], '400 grants[1].pattern'],
    [[{ role: 'pull', pattern: '**', also: 1 }], '400 grants[0].also'],
    [{ role: 'pull' }, '400 grants'],
    [Array.from({ length: 101 }, () => ({ role: 'pull', pattern: '**' })), '400 grants'],
  ])('says where: grants %o are %s', async (grants, expected) => {
    await using served = await serveApi(createFakeOperator())
    expect(await verdict(served, '/tokens', { json: { name: 'ci', grants } })).toBe(expected)
  })

  it('never says a password back, whatever is wrong with it', async () => {
    await using served = await serveApi(createFakeOperator())
    for (const password of ['Sesame'.repeat(200), ['Sesame'], { Sesame: 'Sesame' }]) {
      const json = { name: 'bob', password, grants: [] }
      const { status, body } = await served.ask('/users', { method: 'POST', json })
      expect([status, body.toString()]).toEqual([400, expect.not.stringContaining('Sesame')])
    }
    expect(JSON.stringify(served.logs)).not.toContain('Sesame')
  })

  it('R27: has no place where nothing is taken', async () => {
    const operator = createFakeOperator()
    await using served = await serveApi(operator)
    for (const method of ['GET', 'DELETE']) {
      const path = method === 'GET' ? '/users' : '/users/alice'
      const { status, headers } = await served.ask(path, { method, json: {} })
      expect([status, headers['connection']]).toEqual([400, 'close'])
    }
    expect(operator.calls).toEqual([])
  })
})

describe('a time', () => {
  it.each([
    ['2026-01-31T12:00:00Z', Date.UTC(2026, 0, 31, 12)],
    ['2026-01-31T12:00:00.5+01:00', Date.UTC(2026, 0, 31, 11, 0, 0, 500)],
    ['2028-02-29T00:00:00Z', Date.UTC(2028, 1, 29)],
  ])('%s is %i', async (expiresAt, milliseconds) => {
    const operator = createFakeOperator()
    await using served = await serveApi(operator)
    await verdict(served, '/requests/r-1/approve', { json: { as: 'exact', expiresAt } })
    expect(operator.calls).toEqual([
      ['approveRequest', 'r-1', { as: 'exact', expiresAt: milliseconds }],
    ])
  })

  it.each([
    '2026-01-31',
    '2026-01-31T12:00:00',
    '2026-02-29T12:00:00Z',
    '2026-13-01T12:00:00Z',
    '2026-01-31T25:00:00Z',
    '2026-01-31 12:00:00Z',
    '31 Jan 2026',
    'tomorrow',
    '14d',
    '1769860800000',
    '+012026-01-31T12:00:00Z',
    '',
  ])('cannot be "%s"', async (expiresAt) => {
    await using served = await serveApi(createFakeOperator())
    const json = { as: 'exact', expiresAt }
    expect(await verdict(served, '/requests/r-1/approve', { json })).toBe('400 expiresAt')
    const since = encodeURIComponent(expiresAt)
    expect(await verdict(served, `/audit?since=${since}`, { method: 'GET' })).toBe('400 since')
  })

  it.each([-1, 0.5, '60', 1e12, null])('cannot be waited for: minAgeSeconds %o', async (age) => {
    await using served = await serveApi(createFakeOperator())
    const json = { effect: 'allow', pattern: '**', minAgeSeconds: age }
    expect(await verdict(served, '/rules', { json })).toBe('400 minAgeSeconds')
  })
})

describe('a query', () => {
  it.each([
    ['/rules?effect=maybe', '400 effect'],
    ['/rules?effects=allow', '400 effects'],
    ['/rules?effect=allow&effect=deny', '400 effect'],
    ['/rules?__proto__=1', '400 __proto__'],
    ['/rules?constructor=1&constructor=2', '400 constructor'],
    ['/requests?state=new', '400 state'],
    ['/explain', '400 image'],
    ['/explain?image=', '400 image'],
    [`/explain?image=${'a'.repeat(1025)}`, '400 image'],
    ['/audit?since=0', '400 since'],
  ])('%s is %s', async (path, expected) => {
    await using served = await serveApi(createFakeOperator())
    expect(await verdict(served, path, { method: 'GET' })).toBe(expected)
  })
})

describe('whatever comes', () => {
  const json = fc.oneof(
    fc.jsonValue(),
    fc.record(
      {
        effect: fc.constantFrom('allow', 'deny', 'x', 1),
        pattern: fc.string({ unit: 'binary' }),
        as: fc.constantFrom('exact', 'repository', 'pattern', null),
        name: fc.string({ unit: 'binary' }),
        image: fc.string({ unit: 'binary' }),
        password: fc.string(),
        grants: fc.array(fc.record({ role: fc.string(), pattern: fc.anything() })),
        expiresAt: fc.oneof(fc.string(), fc.date({ noInvalidDate: true })),
        minAgeSeconds: fc.oneof(fc.double(), fc.integer()),
      },
      { requiredKeys: [] },
    ),
  )
  const body = fc.oneof(
    json.map((value) => Buffer.from(JSON.stringify(value) ?? '')),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  )
  /** A path as it can stand on the wire. */
  const target = fc.oneof(
    fc.constantFrom(...API_ROUTES.map((route) => route.target)),
    fc
      .array(
        fc.oneof(
          fc.constantFrom(
            '/rules',
            '/users/',
            '/tokens/',
            '/audit',
            '?',
            '&',
            '=',
            '%',
            '..',
            '//',
          ),
          fc.constantFrom('image', 'effect', 'since', '__proto__', '[]', '%00', '%ff', ';', '#'),
          fc.webPath(),
        ),
      )
      .map((parts) => `/${parts.join('')}`),
  )
  const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS')

  it('is answered below 500, and never with a stack', async () => {
    await using served = await serveApi(createFakeOperator())
    const property = fc.asyncProperty(target, method, body, async (path, asked, bytes) => {
      const hasBody = asked !== 'GET' && asked !== 'HEAD' && asked !== 'DELETE'
      const answer = await served.ask(path, {
        method: asked,
        ...(hasBody && { body: bytes, headers: JSON_TYPE }),
      })
      expect(answer.status).toBeLessThan(500)
      expect(answer.body.toString()).not.toMatch(/\.[tj]s:\d|\n {4}at /)
    })
    await fc.assert(property, { numRuns: 300 })
    expect(served.logs.filter(({ level }) => level === 'error')).toEqual([])
  })
})

function head(framing: string): string {
  return [
    'POST /api/v1/requests/r-1/dismiss HTTP/1.1',
    'Host: mirror.example',
    'Authorization: Bearer admin',
    'Content-Type: application/json',
    framing,
    '\r\n',
  ].join('\r\n')
}
