/** Accounts whose credentials a helper gives, over the wire. */
import type { RequestListener } from 'node:http'
import { describe, expect, test } from 'vitest'
import { parseRepository } from '../../src/oci/reference.ts'
import { until } from '../support/until.ts'
import { createHelperPrograms } from './helper-programs.ts'
import {
  authorizationsOf,
  createTestUpstream,
  failureOf,
  patience,
  REPOSITORY,
  serve,
  TAG,
} from './loopback.ts'
import {
  bearerRegistry,
  guard,
  SCOPE,
  sendJson,
  sendManifest,
  serveWithTokens,
} from './registry.ts'

const credentials = [{ helper: 'cloud' }]
const MINUTE = 60_000

function basicOf(password: string): string {
  return `Basic ${Buffer.from(`AWS:${password}`).toString('base64')}`
}

/** A registry that takes this password at the time. */
function basicRegistry(valid: () => string): RequestListener {
  return guard(
    () => 'Basic realm="ecr"',
    (authorization) => authorization === basicOf(valid()),
  )
}

describe('Basic', () => {
  test('is asked for when upstream wants it, once for all, and again after ten minutes', async () => {
    let time = 0
    const programs = await createHelperPrograms()
    await programs.answer('cloud', { Username: 'AWS', Secret: 's1' })
    const server = await serve(basicRegistry(() => 's1'))
    const { upstream } = createTestUpstream([server.url], { credentials }, { now: () => time })
    expect(await programs.asked()).toEqual([])
    const names = Array.from({ length: 20 }, (_, index) => parseRepository(`r${index}`))
    await Promise.all(names.map((name) => upstream.headManifest(name, TAG, patience())))
    time = 10 * MINUTE - 1
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(await programs.asked()).toEqual([`get ${server.host}`])
    await programs.answer('cloud', { Username: 'AWS', Secret: 's2' })
    time = 11 * MINUTE
    await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(authorizationsOf(server).at(-1)).toBe(basicOf('s2'))
  })

  test('one that is refused is asked for once more', async () => {
    const programs = await createHelperPrograms()
    await programs.answer('cloud', { Username: 'AWS', Secret: 's1' })
    let valid = 's1'
    const server = await serve(basicRegistry(() => valid))
    const { upstream } = createTestUpstream([server.url], { credentials })
    await upstream.headManifest(REPOSITORY, TAG, patience())

    valid = 's2'
    await programs.answer('cloud', { Username: 'AWS', Secret: 's2' })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server).slice(2)).toEqual([basicOf('s1'), undefined, basicOf('s2')])
    expect(await programs.asked()).toHaveLength(2)

    valid = 'another'
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unauthorized')
    expect(await programs.asked()).toHaveLength(3)
  })

  test('also when it was never accepted; the same again is not sent again', async () => {
    const programs = await createHelperPrograms()
    await programs.install(
      'cloud',
      `echo x >> "$FOLDER/asked"\nprintf '{"Username":"AWS","Secret":"s%s"}' $(wc -l < "$FOLDER/asked")`,
    )
    const server = await serve(basicRegistry(() => 's2'))
    const { upstream } = createTestUpstream([server.url], { credentials })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server)).toEqual([undefined, basicOf('s1'), basicOf('s2')])

    await programs.answer('cloud', { Username: 'AWS', Secret: 'wrong' })
    const other = createTestUpstream([server.url], { credentials })
    await failureOf(other.upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(authorizationsOf(server).slice(3)).toEqual([undefined, basicOf('wrong')])
  })

  test('where the helper knows nobody we are anonymous', async () => {
    const programs = await createHelperPrograms()
    await programs.answer('cloud', 'credentials not found in native keychain', 1)
    const server = await serve(basicRegistry(() => 's1'))
    const { upstream } = createTestUpstream([server.url], { credentials })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unauthorized')
    expect(authorizationsOf(server)).toEqual([undefined])
  })

  test('a helper that fails makes room for the next account, and the endpoint is well', async () => {
    const programs = await createHelperPrograms()
    await programs.answer('cloud', 'hunter2', 1)
    const server = await serve(basicRegistry(() => 's1'))
    const both = [...credentials, { username: 'AWS', password: 's1' }]
    const { upstream, seen } = createTestUpstream([server.url], { credentials: both })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(seen.failures).toEqual([])
    expect(upstream.state().endpoints[0]?.restsFor).toBe(0)

    const alone = createTestUpstream([server.url], { credentials })
    const failure = await failureOf(alone.upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
    expect(failure.message).toContain('docker-credential-cloud ended with 1')
    expect(failure.message).not.toContain('hunter2')
  })

  test('each endpoint has a credential of its own, none goes along a redirect', async () => {
    const programs = await createHelperPrograms()
    await programs.answer('cloud', { Username: 'AWS', Secret: 's1' })
    const evil = await serve(basicRegistry(() => 'never'))
    const server = await serve((_, response) =>
      response.writeHead(307, { Location: `${evil.url}/x` }).end(),
    )
    const second = await serve(basicRegistry(() => 's1'))
    const { upstream } = createTestUpstream([server.url], { credentials })
    await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(authorizationsOf(evil)).toEqual([undefined])
    expect(await programs.asked()).toEqual([])

    const other = createTestUpstream(['http://127.0.0.1:1', second.url], { credentials })
    await other.upstream.headManifest(REPOSITORY, TAG, patience())
    expect(await programs.asked()).toEqual([`get ${second.host}`])
  })
})

describe('tokens', () => {
  test('are asked for as the user that the helper names, again when that is refused', async () => {
    const programs = await createHelperPrograms()
    await programs.install(
      'cloud',
      `echo x >> "$FOLDER/asked"\nprintf '{"Username":"AWS","Secret":"s%s"}' $(wc -l < "$FOLDER/asked")`,
    )
    const server = await serveWithTokens((request, response) =>
      request.headers.authorization === basicOf('s2')
        ? sendJson(response, { token: 'T1' })
        : sendJson(response, {}, 401),
    )
    const { upstream, seen } = createTestUpstream([server.url], { credentials })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server)).toEqual([undefined, basicOf('s1'), basicOf('s2'), 'Bearer T1'])
    expect(seen.tokens).toBe(2)
  })

  test('a refusal that stays is told after the second time', async () => {
    const programs = await createHelperPrograms()
    await programs.answer('cloud', { Username: 'AWS', Secret: 'hunter2' })
    const server = await serveWithTokens((_, response) => sendJson(response, {}, 401))
    const { upstream } = createTestUpstream([server.url], { credentials })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unauthorized')
    expect(failure.message).not.toContain('hunter2')
    expect(await programs.asked()).toHaveLength(2)
    expect(server.requests).toHaveLength(2)
  })

  test('an identity token is posted to the realm, and is in no URL and no header', async () => {
    const programs = await createHelperPrograms()
    await programs.answer('cloud', { Username: '<token>', Secret: 're/fr=esh&' })
    const forms: string[] = []
    const server = await serveWithTokens((request, response) => {
      void readAll(request).then((form) => {
        forms.push(form)
        sendJson(response, { access_token: 'T1', refresh_token: 'other' })
      })
    })
    const { upstream } = createTestUpstream([server.url], { credentials })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(server.requests.map(({ method, url }) => `${method} ${url}`)[1]).toBe('POST /token')
    expect(server.requests[1]?.headers['content-type']).toBe('application/x-www-form-urlencoded')
    expect(Object.fromEntries(new URLSearchParams(forms[0]))).toEqual({
      grant_type: 'refresh_token',
      service: 'test service',
      client_id: 'entrepot',
      scope: SCOPE,
      refresh_token: 're/fr=esh&',
    })
    expect(authorizationsOf(server)).toEqual([undefined, undefined, 'Bearer T1'])
    expect(JSON.stringify(server.requests)).not.toContain('esh')
  })

  test('it goes to no realm that is not allowed, and not along a redirect to another host', async () => {
    const programs = await createHelperPrograms()
    await programs.answer('cloud', { Username: '<token>', Secret: 'refresh' })
    const bodies: string[] = []
    const evil = await serve((request, response) => {
      void readAll(request).then((body) => {
        bodies.push(`${request.method} ${body}`)
        sendJson(response, { token: 'T1' })
      })
    })
    const naming = await serve(bearerRegistry(() => `${evil.url}/token`))
    const refused = createTestUpstream([naming.url], { credentials })
    await failureOf(refused.upstream.headManifest(REPOSITORY, TAG, patience()))
    expect([evil.connections(), await programs.asked()]).toEqual([0, []])

    const server = await serveWithTokens((_, response) =>
      response.writeHead(307, { Location: `${evil.url}/token` }).end(),
    )
    const pinned = createTestUpstream([server.url], { credentials, realms: [evil.host] })
    await pinned.upstream.headManifest(REPOSITORY, TAG, patience())
    expect(bodies).toEqual(['GET '])
    expect(authorizationsOf(evil)).toEqual([undefined])
  })

  test('it is no password', async () => {
    const programs = await createHelperPrograms()
    await programs.answer('cloud', { Username: '<token>', Secret: 'refresh' })
    const server = await serve(basicRegistry(() => 'refresh'))
    const { upstream } = createTestUpstream([server.url], { credentials })
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unauthorized')
    expect(authorizationsOf(server)).toEqual([undefined])
  })

  test('of two accounts with the same user each has its own', async () => {
    const both = [
      { username: 'AWS', password: 's1' },
      { username: 'AWS', password: 's2' },
    ]
    const server = await serveWithTokens(
      (request, response) =>
        sendJson(response, { token: request.headers.authorization?.slice(6, 20) }),
      (request, response) => {
        const { authorization } = request.headers
        if (authorization === undefined) {
          response.setHeader('WWW-Authenticate', `Bearer realm="${server.url}/token"`)
          return response.writeHead(401).end()
        }
        if (authorization.includes(basicOf('s1').slice(6, 20))) return response.writeHead(429).end()
        return sendManifest(response)
      },
    )
    const { upstream, seen } = createTestUpstream([server.url], { credentials: both })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(seen.tokens).toBe(2)
  })
})

test('closing ends a helper that runs', async () => {
  const programs = await createHelperPrograms()
  await programs.install('cloud', 'echo x > "$FOLDER/started"\nsleep 600')
  const server = await serve(basicRegistry(() => 's1'))
  const { upstream } = createTestUpstream([server.url], { credentials })
  const failure = failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
  await until(() => programs.read('started'))
  await upstream.close()
  expect((await failure).message).toContain('no longer asked')
})

test('a name that could lead elsewhere is refused', () => {
  expect(() => createTestUpstream(['http://x'], { credentials: [{ helper: '../x' }] })).toThrow(
    TypeError,
  )
})

async function readAll(request: AsyncIterable<Buffer>): Promise<string> {
  let text = ''
  for await (const chunk of request) text += chunk.toString()
  return text
}
