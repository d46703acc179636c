/** Endpoints of different owners: an account is shown to those that it is for, and to no other. */
import type { RequestListener } from 'node:http'
import { describe, expect, test } from 'vitest'
import {
  authorizationsOf,
  createTestUpstream,
  DIGEST,
  patience,
  REPOSITORY,
  serve,
  TAG,
  type TestUpstream,
} from './loopback.ts'
import {
  BASIC,
  bearerRegistry,
  credentials,
  guard,
  sendJson,
  sendManifest,
  serveWithTokens,
} from './registry.ts'

const [ACCOUNT = { username: '', password: '' }] = credentials
const OTHER = { username: 'other', password: 'secret' }
const OTHER_BASIC = `Basic ${Buffer.from('other:secret').toString('base64')}`

/** Wants Basic, and is down for whoever has it. */
const downFor =
  (basic: string | undefined): RequestListener =>
  (request, response) => {
    if (request.headers.authorization === basic) return response.writeHead(503).end()
    return response.writeHead(401, { 'WWW-Authenticate': 'Basic' }).end()
  }

async function head({ upstream }: TestUpstream): Promise<void> {
  expect((await upstream.headManifest(REPOSITORY, TAG, patience())).digest).toBe(DIGEST)
}

function accountsOf({ upstream }: TestUpstream): string[] {
  return upstream.state().accounts.map(({ account }) => account)
}

describe('an account of one endpoint', () => {
  test('is not shown to another one that wants Basic', async () => {
    const own = await serve(downFor(BASIC))
    const foreign = await serve(guard(() => 'Basic', Boolean))
    const it = createTestUpstream([own.url, foreign.url], {
      credentials: [{ ...ACCOUNT, endpoints: [own.url] }],
    })

    await expect(head(it)).rejects.toMatchObject({ reason: 'unavailable' })

    expect(authorizationsOf(own)).toEqual([undefined, BASIC])
    expect(authorizationsOf(foreign)).toEqual([undefined])
    expect(accountsOf(it)).toEqual(['credentials[0]', 'anonymous'])
  })

  test('is not shown to the token server of another one, which gives an anonymous token', async () => {
    const own = await serve(downFor(BASIC))
    const tokens: (string | undefined)[] = []
    const foreign = await serveWithTokens((request, response) => {
      tokens.push(request.headers.authorization)
      sendJson(response, { token: 'T1' })
    })
    const it = createTestUpstream([own.url, foreign.url], {
      credentials: [{ ...ACCOUNT, endpoints: [own.url] }],
    })

    await head(it)
    await head(it)

    expect(tokens).toEqual([undefined])
    expect(authorizationsOf(foreign).filter((sent) => sent?.startsWith('Basic'))).toEqual([])
  })

  test('has tokens that another one does not get, even of the same token server', async () => {
    const auth = await serve((request, response) => {
      const isSomebody = request.headers.authorization !== undefined
      sendJson(response, { token: isSomebody ? 'OWN' : 'ANONYMOUS' })
    })
    const challenged = bearerRegistry(() => `${auth.url}/token`, 'ANONYMOUS')
    const own = await serve((request, response) => {
      if (request.headers.authorization === 'Bearer OWN') return response.writeHead(503).end()
      return challenged(request, response)
    })
    const foreign = await serve(challenged)
    const it = createTestUpstream([own.url, foreign.url], {
      credentials: [{ ...ACCOUNT, endpoints: [own.url] }],
      realms: [auth.host],
    })

    await head(it)

    expect(authorizationsOf(auth)).toEqual([BASIC, undefined])
    expect(authorizationsOf(own)).toEqual([undefined, 'Bearer OWN'])
    expect(authorizationsOf(foreign)).toEqual([undefined, 'Bearer ANONYMOUS'])
  })
})

test('each endpoint sees its own accounts, which keep their places in the configuration', async () => {
  const first = await serve(downFor(BASIC))
  const second = await serve(
    guard(
      () => 'Basic',
      (authorization) => authorization === OTHER_BASIC,
    ),
  )
  const third = await serve((_, response) => sendManifest(response))
  const it = createTestUpstream([first.url, second.url, third.url], {
    credentials: [
      { ...OTHER, endpoints: [second.url] },
      { ...ACCOUNT, endpoints: [first.url] },
    ],
  })

  await head(it)

  expect(authorizationsOf(first)).toEqual([undefined, BASIC])
  expect(authorizationsOf(second)).toEqual([undefined, OTHER_BASIC])
  expect(accountsOf(it)).toEqual(['credentials[1]', 'credentials[0]', 'anonymous'])
})

test('an account that names no endpoint is for all', async () => {
  const first = await serve(downFor(BASIC))
  const second = await serve(
    guard(
      () => 'Basic',
      (authorization) => authorization === BASIC,
    ),
  )
  const it = createTestUpstream([first.url, second.url], { credentials: [ACCOUNT] })

  await head(it)

  expect(accountsOf(it)).toEqual(['credentials[0]'])
})
