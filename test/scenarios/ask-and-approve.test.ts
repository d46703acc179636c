/** Who is refused learns how to ask, and operators decide on what was asked for. */
import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  APP,
  basic,
  ETCD,
  filesWith,
  type Scene,
  startScene as start,
} from './operator-commands.ts'
import { type ClientResponse, request } from '../support/client.ts'
import type { MirrorSettings } from '../support/mirror-config.ts'
import { until } from '../support/until.ts'
import { metric } from './metrics-page.ts'
import { expectOciError } from './oci-error.ts'
import { type Build, buildProgram } from './program.ts'

const SECRET = 'key of the webhook, long enough'
/** What was noted is written, and told, a little later. */
const PATIENT = { deadlineMs: 30_000 }
const PASSWORD = 'correct horse battery'

// Many processes are started.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let build: Build
beforeAll(async () => {
  build = await buildProgram()
})
afterAll(() => build[Symbol.asyncDispose]())

const startScene = (settings?: Partial<MirrorSettings>): Promise<Scene> => start(build, settings)

describe('a pull that is refused', () => {
  it('can be pulled once the request that it was told is approved, and no more than that', async () => {
    await using scene = await startScene({ allow: [] })
    const id = await refusedPull(scene, APP)
    expect(await refusedPull(scene, APP)).toBe(id)
    await refusedPull(scene, ETCD)
    const asked = await until(async () => (await listed(scene, 2)).find((it) => it.id === id))
    expect(asked).toMatchObject({
      name: 'docker.io/library/app',
      tag: 'v1',
      address: '127.0.0.1',
      reason: 'rule',
      userAgent: 'kubelet/1.30',
      count: 2,
      state: 'open',
    })
    expect((await scene.run(['requests'])).output).toMatch(/docker\.io\/library\/app:v1/)

    const rule = await scene.json(['requests', 'approve', id, '--reason', 'for the build'])
    expect(rule).toMatchObject({ pattern: 'docker.io/library/app:v1', reason: 'for the build' })
    expect(await scene.status(APP)).toBe(200)
    expect(await scene.status(APP.replace('v1', 'v2'))).toBe(403)
    expect(await scene.status(ETCD)).toBe(403)
    const again = await scene.run(['requests', 'approve', id])
    expect(again).toMatchObject({ code: 1, output: '' })
    expect(again.errors).toContain('was approved before')
  })

  it('can be approved from elsewhere, for all of the repository and for some time', async () => {
    await using scene = await startScene({ allow: [] })
    const { env } = await scene.robot('operate=docker.io/**')
    const [id, other] = [await refusedPull(scene, APP), await refusedPull(scene, ETCD)]
    await listed(scene, 2)
    const server = ['--server', scene.url]
    const approve = (request: string) =>
      scene.run(['requests', 'approve', request, '--as', 'repository', '--for', '1h', ...server], {
        env,
      })
    expect(await approve(id)).toMatchObject({ code: 0, errors: '' })
    expect(await scene.status(APP.replace('v1', 'v2'))).toBe(200)
    const rules = await scene.json(['allow', 'list'])
    expect(rules).toMatchObject({
      rules: [{ pattern: 'docker.io/library/app', owner: 'robot', expiresAt: expect.anything() }],
    })
    // Of what they do not operate, operators see nothing.
    expect(await approve(other)).toMatchObject({ code: 1 })
    expect((await scene.run(['requests', ...server], { env })).output).not.toContain('quay.io')
    expect(await scene.status(ETCD)).toBe(403)
  })

  it('stays refused when the request is dismissed, and is listed no more', async () => {
    await using scene = await startScene({ allow: [] })
    const id = await refusedPull(scene, APP)
    await listed(scene, 1)
    await scene.done(['requests', 'dismiss', id, '--reason', 'use our own'])
    expect(await refusedPull(scene, APP)).toBe(id)
    await until(async () => (await all(scene)).some(({ count }) => count === 2), PATIENT)
    expect(await scene.json(['requests'])).toEqual({ requests: [] })
    expect(await all(scene)).toMatchObject([{ id, state: 'dismissed', count: 2 }])
    const late = await scene.run(['requests', 'approve', id])
    expect(late).toMatchObject({ code: 1 })
    expect(late.errors).toContain('was dismissed before')
  })

  it('is told in the same words whether a rule or a right stands in the way', async () => {
    await using scene = await startScene({ anonymous: [], allow: ['quay.io/**'] })
    const grant = ['--grant', 'pull=docker.io/**', '--password-stdin']
    await scene.done(['users', 'add', 'bob', ...grant], { input: PASSWORD })
    const headers = { authorization: basic('bob', PASSWORD) }
    const byRule = await refusedPull(scene, APP, headers)
    const byRight = await refusedPull(scene, ETCD, headers)
    const texts = await Promise.all(
      [APP, ETCD].map(async (path) => {
        const answer = await request({ url: scene.url, path, headers })
        return expectOciError(answer, 403).message.replaceAll(/\S+\/\S+|r-\w+/g, '…')
      }),
    )
    expect(new Set(texts).size).toBe(1)
    await listed(scene, 2)
    const reasons = (await all(scene)).map(({ id, user, reason }) => ({ id, user, reason }))
    expect(reasons).toEqual(
      expect.arrayContaining([
        { id: byRule, user: 'bob', reason: 'rule' },
        { id: byRight, user: 'bob', reason: 'right' },
      ]),
    )
    // Without a credential it is the first step of a login, and no request.
    expect(await scene.status(APP.replace('v1', 'v2'))).toBe(401)
    expect(await all(scene)).toHaveLength(2)
  })
})

describe('the webhook', () => {
  it('is told of each new request once, signed, and its key is nowhere', async () => {
    await using hook = await startHook()
    await using scene = await startScene({ allow: [], webhook: { url: hook.url, secret: SECRET } })
    const id = await refusedPull(scene, APP)
    await until(() => hook.messages.length === 1, PATIENT)
    const [first] = hook.messages
    expect(first && signatureOf(first.body)).toBe(first?.headers['x-entrepot-signature-256'])
    expect(first?.headers['content-type']).toBe('application/json')
    expect(JSON.parse(String(first?.body))).toMatchObject({
      event: 'access-requested',
      requests: [{ id, name: 'docker.io/library/app', tag: 'v1', reason: 'rule' }],
    })

    await refusedPull(scene, APP)
    const other = await refusedPull(scene, ETCD)
    await until(() => hook.messages.length === 2, PATIENT)
    const later = JSON.parse(String(hook.messages[1]?.body)) as { requests: { id: string }[] }
    expect(later.requests.map((it) => it.id)).toEqual([other])

    await scene.stop()
    const { output, errors } = scene.program
    const told = [output, errors, ...hook.messages.map(({ body }) => body.toString())].join('')
    expect(told).toContain(id)
    expect(told).not.toContain(SECRET)
    expect(told).not.toContain(PATH_KEY)
    expect(await filesWith(scene.data, SECRET)).toEqual([])
  })
})

describe('the metrics', () => {
  it('count logins, messages, and requests, also those that are open', async () => {
    await using hook = await startHook()
    await using scene = await startScene({ allow: [], webhook: { url: hook.url, secret: SECRET } })
    const grant = ['--grant', 'pull=**', '--password-stdin']
    await scene.done(['users', 'add', 'bob', ...grant], { input: PASSWORD })
    const count = (name: string, labels = {}) => metric(scene, name, labels)

    const id = await refusedPull(scene, APP)
    await refusedPull(scene, APP)
    await refusedPull(scene, ETCD)
    await until(async () => (await count('entrepot_access_requests_total')) === 2, PATIENT)
    await until(async () => (await count('entrepot_notifications_total')) > 0, PATIENT)
    expect(await count('entrepot_notifications_total')).toBe(
      await count('entrepot_notifications_total', { result: 'delivered' }),
    )
    await until(async () => (await count('entrepot_access_requests_open')) === 2, PATIENT)
    await scene.done(['requests', 'dismiss', id])
    expect(await scene.status(ETCD)).toBe(403)
    await until(async () => (await count('entrepot_access_requests_open')) === 1, PATIENT)
    expect(await scene.as('bob', PASSWORD, '/token')).toBe(200)
    expect(await scene.as('bob', 'a wrong password', '/token')).toBe(401)
    expect(await count('entrepot_logins_total', { result: 'accepted' })).toBe(1)
    expect(await count('entrepot_logins_total', { result: 'rejected' })).toBe(1)
  })
})

describe('a proxy in front', () => {
  const FORWARDED = {
    'x-forwarded-for': '198.51.100.9, 203.0.113.7',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'mirror.example',
  }

  it('is believed about its clients and its own name where it is trusted', async () => {
    await using scene = await startScene({ allow: [], trustedProxies: ['127.0.0.1/32'] })
    const one = await refusedPull(scene, APP, FORWARDED)
    const other = await refusedPull(scene, APP, { 'x-forwarded-for': '203.0.113.8' })
    expect(other).not.toBe(one)
    const asked = (await listed(scene, 2)).map(({ id, address }) => ({ id, address }))
    expect(asked).toEqual(
      expect.arrayContaining([
        { id: one, address: '203.0.113.7' },
        { id: other, address: '203.0.113.8' },
      ]),
    )
    expect(await realmOf(scene)).toContain('realm="https://mirror.example/token"')
  })

  it('is a client like any other where it is not', async () => {
    await using scene = await startScene({ allow: [], trustedProxies: ['192.0.2.0/24'] })
    const one = await refusedPull(scene, APP, FORWARDED)
    expect(await refusedPull(scene, APP)).toBe(one)
    expect(await listed(scene, 1)).toMatchObject([{ id: one, address: '127.0.0.1' }])
    expect(await realmOf(scene)).toContain(`realm="${scene.url}/token"`)
  })

  /** Of the challenge that everybody gets once somebody can log in. */
  async function realmOf(scene: Scene): Promise<string | undefined> {
    await scene.robot('pull=**')
    const { headers } = await request({ url: scene.url, path: '/v2/', headers: FORWARDED })
    return headers['www-authenticate']
  }
})

interface Listed {
  readonly id: string
  readonly user?: string
  readonly address: string
  readonly reason: string
  readonly count: number
  readonly state: string
}

/** @returns the id that the message tells */
async function refusedPull(
  { url }: Scene,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const sent = { 'user-agent': 'kubelet/1.30', ...headers }
  const answer: ClientResponse = await request({ url, path, headers: sent })
  const { code, message } = expectOciError(answer, 403)
  expect(code).toBe('DENIED')
  const [, id = ''] = /Ask the operator of the mirror for it: request (r-\w+)/.exec(message) ?? []
  expect(id).toMatch(/^r-.{10}$/)
  return id
}

/** They are written a little after the refusal. @returns those that are open, once there are so many */
function listed(scene: Scene, count: number): Promise<Listed[]> {
  return until(
    async () => {
      const { requests } = (await scene.json(['requests'])) as { requests: Listed[] }
      return requests.length === count && requests
    },
    { ...PATIENT, what: `there are ${count} requests` },
  )
}

async function all(scene: Scene): Promise<Listed[]> {
  return ((await scene.json(['requests', '--all'])) as { requests: Listed[] }).requests
}

interface Hook extends AsyncDisposable {
  readonly url: string
  readonly messages: readonly { readonly headers: IncomingHttpHeaders; readonly body: Buffer }[]
}

/** Such URLs often hold a key of their own. */
const PATH_KEY = 'services-key-of-the-path'

async function startHook(): Promise<Hook> {
  const messages: { headers: IncomingHttpHeaders; body: Buffer }[] = []
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.once('end', () => {
      messages.push({ headers: incoming.headers, body: Buffer.concat(chunks) })
      outgoing.writeHead(204).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/${PATH_KEY}`,
    messages,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function signatureOf(body: Buffer): string {
  return `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`
}
