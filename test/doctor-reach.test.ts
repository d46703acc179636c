/** What the doctor finds between a node and a mirror: each trouble is planted. */
import { createServer as createPlainServer, type Server, type Socket } from 'node:net'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { judgeProxies } from '../src/doctor/proxies.ts'
import { answering, type Answer, type AnsweringServer } from './cli/answering-server.ts'
import { configFile } from './cli/config-file.ts'
import { examined, placeOf } from './doctor-findings.ts'
import { createCertificateAuthority, type CertificateAuthority } from './fakes/certificates.ts'

const REGISTRY: Answer = { headers: { 'Docker-Distribution-Api-Version': 'registry/2.0' } }
const DAY = 24 * 3600 * 1000
const NOT_THERE = 'mirror.example'

/** Looks names up in a table. */
function names(table: Readonly<Record<string, readonly string[]>>) {
  return {
    resolve: async (hostname: string) =>
      (table[hostname] ?? []).map((address) => ({
        address,
        family: address.includes(':') ? 6 : 4,
      })),
  }
}

function healthy(): Promise<AnsweringServer> {
  return answering(({ path }) => ({
    ...REGISTRY,
    ...(path === '/readyz' && { body: 'ready\n' }),
    ...(path === '/status' && { body: '{"upstreams":[]}' }),
  }))
}

describe('the name of the mirror', () => {
  it('is looked up, and all its addresses are tried', async () => {
    const { port } = await healthy()
    const place = placeOf(`http://${NOT_THERE}:${port}`)
    const found = await examined({ place }, names({ [NOT_THERE]: ['127.0.0.1'] }))
    expect(found.of('connection')).toEqual([`ok: http://${NOT_THERE}:${port} can be reached`])
    expect(found.of('registry')).toEqual([
      `ok: a registry answers at http://${NOT_THERE}:${port}/v2/`,
    ])
  })

  it('that leads to the own host is a surprise, but not for localhost', async () => {
    const { port } = await healthy()
    const lookup = names({ [NOT_THERE]: ['127.0.0.1'], localhost: ['127.0.0.1'] })
    const other = await examined({ place: placeOf(`http://${NOT_THERE}:${port}`) }, lookup)
    expect(other.finding('name')).toMatchObject({
      state: 'warning',
      found: `${NOT_THERE} is 127.0.0.1, and 127.0.0.1 is the host that asks`,
      advice: expect.stringContaining('/etc/hosts'),
    })
    const own = await examined({ place: placeOf(`http://localhost:${port}`) }, lookup)
    expect(own.of('name')).toEqual(['ok: localhost is 127.0.0.1'])
  })

  it.each([
    ['has no address', async () => [], 'it has no address'],
    [
      'does not exist',
      () => Promise.reject(Object.assign(new Error('x'), { code: 'ENOTFOUND' })),
      'there is no such name',
    ],
  ])('that %s is a failure, and nothing else is tried', async (_what, resolve, reason) => {
    const found = await examined({ place: placeOf(`http://${NOT_THERE}`) }, { resolve })
    expect(found.of('name')).toEqual([`failed: ${NOT_THERE} cannot be looked up: ${reason}`])
    expect(found.finding('name').advice).toContain('/etc/hosts')
    const others = ['connection', 'registry', 'ready', 'clock', 'login', 'status']
    expect(others.map((check) => found.finding(check).state)).toEqual(others.map(() => 'skipped'))
  })
})

describe('the connection', () => {
  it('fails where nothing listens', async () => {
    const found = await examined({ place: placeOf('http://127.0.0.1:1') })
    expect(found.of('connection')).toEqual([
      'failed: http://127.0.0.1:1 cannot be reached: 127.0.0.1: nothing listens there',
    ])
    expect(found.of('registry')).toEqual(['skipped: not looked at: "connection" comes first'])
  })

  it('of which one address is dead is spoken of', async () => {
    const { port } = await healthy()
    const lookup = names({ [NOT_THERE]: ['127.0.0.1', '127.0.0.77'] })
    const found = await examined({ place: placeOf(`http://${NOT_THERE}:${port}`) }, lookup)
    expect(found.finding('connection')).toMatchObject({
      state: 'warning',
      found: expect.stringContaining('127.0.0.77: nothing listens there'),
    })
  })

  it('goes to a socket file, too', async () => {
    const socketPath = join(configFile().folder, 'socket')
    await answering(REGISTRY, { socket: socketPath })
    const place = {
      ...placeOf('http://x'),
      name: `unix:${socketPath}`,
      host: undefined,
      socketPath,
    }
    const found = await examined({ place })
    expect(found.of('connection')).toEqual([`ok: unix:${socketPath} can be reached`])
    expect(found.finding('registry').state).toBe('ok')
    const gone = await examined({ place: { ...place, socketPath: `${socketPath}-gone` } })
    expect(gone.finding('connection').found).toContain('there is no such socket file')
  })
})

describe('the certificate', () => {
  let authority: CertificateAuthority
  beforeAll(async () => {
    authority = await createCertificateAuthority()
  })
  afterAll(() => authority.close())

  async function serving(subjects: readonly string[] | undefined, days: number) {
    const issued = await authority.issue(subjects, days)
    const tls = { cert: issued.certificate, key: issued.key }
    return { issued, ...(await answering(REGISTRY, { tls })) }
  }

  it('that is trusted is well', async () => {
    const { url } = await serving(undefined, 90)
    const found = await examined({ place: placeOf(url, { ca: authority.ca }) })
    expect(found.finding('certificate')).toMatchObject({
      state: 'ok',
      found: expect.stringMatching(/^the certificate is trusted with this CA, and holds until 20/),
    })
    expect(found.finding('registry').state).toBe('ok')
  })

  it('whose authority is not known says where clients look for it', async () => {
    const { url, port, sent } = await serving(undefined, 90)
    const found = await examined({ place: placeOf(url) })
    expect(found.finding('certificate')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('signed by fake authority, which is not trusted here'),
      advice: expect.stringContaining(`/etc/docker/certs.d/127.0.0.1:${port}/ca.crt`),
    })
    // Nothing was said to a stranger.
    expect(found.finding('registry').state).toBe('skipped')
    expect(sent).toEqual([])
  })

  it('of another authority than the one that was given is refused', async () => {
    await using other = await createCertificateAuthority()
    const { url } = await serving(undefined, 90)
    const found = await examined({ place: placeOf(url, { ca: other.ca }) })
    expect(found.finding('certificate').advice).toContain('--ca does not hold that authority')
  })

  it('for another name is refused, with the names that it has', async () => {
    const { url } = await serving(['DNS:other.example'], 90)
    const found = await examined({ place: placeOf(url, { ca: authority.ca }) })
    expect(found.of('certificate')).toEqual([
      'failed: the certificate is not for the address 127.0.0.1, but for DNS:other.example',
    ])
  })

  it.each([
    ['has ended', 90, 400 * DAY, 'failed', /has ended on/],
    ['ends soon', 90, 80 * DAY, 'warning', /^the certificate of fake server ends on/],
    ['holds only later', 90, -400 * DAY, 'failed', /holds only from/],
  ])('that %s is spoken of', async (_what, days, later, state, sentence) => {
    const { url } = await serving(undefined, days)
    const now = (): number => Date.now() + later
    const found = await examined({ place: placeOf(url, { ca: authority.ca }) }, { now })
    expect(found.finding('certificate')).toMatchObject({
      state,
      found: expect.stringMatching(sentence),
      advice: expect.any(String),
    })
  })

  it('that has really ended is refused', async () => {
    const { url } = await serving(undefined, -1)
    const found = await examined({ place: placeOf(url, { ca: authority.ca }) })
    expect(found.finding('certificate')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('the certificate of fake server has ended on'),
    })
  })

  it('of the own mirror is known by itself, and no other is', async () => {
    const { url, issued } = await serving(['DNS:mirror.example'], 90)
    const own = new X509Certificate(issued.certificate).fingerprint256
    const known = await examined({ place: placeOf(url, { fingerprints: [own] }) })
    expect(known.finding('certificate').found).toMatch(
      /^the certificate is one of those in the configuration, and holds until 20/,
    )
    expect(known.finding('registry').state).toBe('ok')
    const other = await examined({ place: placeOf(url, { fingerprints: ['AA:BB'] }) })
    expect(other.of('certificate')).toEqual([
      'failed: the certificate is not one of those in the configuration',
    ])
  })

  it('is missing where plain HTTP is spoken', async () => {
    const { port } = await healthy()
    const found = await examined({ place: placeOf(`https://127.0.0.1:${port}`) })
    expect(found.finding('certificate')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('no TLS came about'),
      advice: expect.stringContaining('speaks plain HTTP'),
    })
  })

  it('is missing where the connection ends at once', async () => {
    const port = await slamming()
    const found = await examined({ place: placeOf(`https://127.0.0.1:${port}`) })
    expect(found.finding('certificate')).toMatchObject({
      state: 'failed',
      advice: expect.stringContaining('has a certificate'),
    })
  })

  it('is asked for where HTTPS is spoken and was not expected', async () => {
    const { port } = await serving(undefined, 90)
    const found = await examined({ place: placeOf(`http://127.0.0.1:${port}`) })
    expect(found.finding('registry')).toMatchObject({
      state: 'failed',
      advice: expect.stringContaining('speaks HTTPS'),
    })
  })
})

describe('what answers', () => {
  it.each([
    [
      'a web page',
      { headers: { 'Content-Type': 'text/html; charset=utf-8', Server: 'Apache' }, body: '<html>' },
      /status 200 \(Apache\) and text\/html, not as a registry/,
      /Something else is in front/,
    ],
    [
      'a redirect',
      { status: 302, headers: { Location: 'https://login.example/?token=secret' } },
      /status 302 and leads to https:\/\/login\.example$/,
      /address that it leads to/,
    ],
    ['a redirect to nowhere', { status: 301 }, /leads to nowhere$/, /address/],
    [
      'a proxy that does not reach the mirror',
      { status: 502, headers: { Server: 'nginx' } },
      /status 502 \(nginx\): what is in front of the mirror does not reach it/,
      /log of the proxy/,
    ],
    ['a missing page', { status: 404 }, /status 404 and nothing, not as/, /Something else/],
  ])('may be %s', async (_what, answer, sentence, advice) => {
    const { url } = await answering(answer)
    const found = await examined({ place: placeOf(url) })
    expect(found.finding('registry')).toMatchObject({
      state: 'failed',
      found: expect.stringMatching(sentence),
      advice: expect.stringMatching(advice),
    })
    expect(found.finding('ready').state).toBe('skipped')
    expect(JSON.stringify(found.findings)).not.toContain('secret')
  })

  it.each([
    [503, 'the catalog cannot be read', 'failed'],
    [404, '', 'warning'],
  ])('may not be ready, with status %d', async (status, body, state) => {
    const { url } = await answering(({ path }) =>
      path === '/readyz' ? { ...REGISTRY, status, body } : REGISTRY,
    )
    const found = await examined({ place: placeOf(url) })
    expect(found.finding('ready')).toMatchObject({ state, advice: expect.any(String) })
  })

  it.each([
    [0, 'ok', 'is the same as here'],
    [-90, 'warning', '90 s behind'],
    [3600, 'failed', '3600 s ahead'],
  ])('may have a clock that is %d s ahead', async (seconds, state, words) => {
    const at = Date.now()
    const { url } = await answering({
      headers: { ...REGISTRY.headers, Date: new Date(at + seconds * 1000).toUTCString() },
    })
    // The header knows whole seconds.
    const now = (): number => Math.floor(at / 1000) * 1000
    const found = await examined({ place: placeOf(url) }, { now })
    expect(found.finding('clock')).toMatchObject({ state, found: expect.stringContaining(words) })
  })

  it('may say no time', async () => {
    const { url } = await answering({ headers: { ...REGISTRY.headers, Date: 'once' } })
    expect((await examined({ place: placeOf(url) })).of('clock')).toEqual([
      'skipped: the mirror says no time',
    ])
  })
})

describe('a proxy in the environment', () => {
  const place = placeOf('https://mirror.example:5000')
  const resolve = names({})

  it.each([
    [{}, 'ok', 'names no proxy'],
    [{ HTTP_PROXY: 'http://proxy.example:3128' }, 'ok', 'names no proxy'],
    [{ HTTPS_PROXY: 'http://u:secret@proxy.example:3128' }, 'warning', 'to proxy.example:3128,'],
    [{ all_proxy: 'proxy.example' }, 'warning', 'all_proxy sends'],
    [{ HTTPS_PROXY: '::' }, 'warning', 'to a proxy,'],
    [{ https_proxy: 'http://p', no_proxy: 'other.example,example' }, 'ok', 'excepts'],
    [{ https_proxy: 'http://p', NO_PROXY: '.example' }, 'ok', 'excepts'],
    [{ https_proxy: 'http://p', NO_PROXY: '*.example' }, 'ok', 'excepts'],
    [{ https_proxy: 'http://p', NO_PROXY: '*' }, 'ok', 'excepts'],
    [{ https_proxy: 'http://p', NO_PROXY: 'mirror.example:5000' }, 'ok', 'excepts'],
    [{ https_proxy: 'http://p', NO_PROXY: 'mirror.example:5001' }, 'warning', 'https_proxy'],
    [{ https_proxy: 'http://p', NO_PROXY: '.mirror.example' }, 'warning', 'https_proxy'],
  ])('%j', async (env, state, words) => {
    const found = await examined({ place, env }, resolve)
    expect(found.finding('proxies')).toMatchObject({ state, found: expect.stringContaining(words) })
    expect(JSON.stringify(found.findings)).not.toContain('secret')
  })

  it.each([
    ['10.0.0.0/8', 'ok'],
    ['10.1.2.3', 'ok'],
    ['10.1.2.4,no address', 'warning'],
  ])('is looked at for addresses: %s', (NO_PROXY, state) => {
    const place = placeOf('http://10.1.2.3')
    expect(judgeProxies(place, { HTTP_PROXY: 'http://p', NO_PROXY }).state).toBe(state)
  })

  it('does not count for the own host', async () => {
    const { url } = await healthy()
    const found = await examined({ place: placeOf(url), env: { HTTP_PROXY: 'http://p' } })
    expect(found.of('proxies')).toEqual(['ok: HTTP_PROXY does not count for the own host'])
  })
})

it('gives up when it is told to', async () => {
  const port = await silent()
  const stop = new AbortController()
  const running = examined({ place: placeOf(`http://127.0.0.1:${port.port}`) }, {}, stop.signal)
  await port.asked
  stop.abort(new Error('enough'))
  await expect(running).rejects.toThrow('enough')
})

/** Closes each connection at once. */
function slamming(): Promise<number> {
  return listening(createPlainServer((socket) => socket.destroy()))
}

/** Takes what it is sent, and says nothing. */
async function silent(): Promise<{ readonly port: number; readonly asked: Promise<void> }> {
  const sockets = new Set<Socket>()
  let wasAsked = (): void => undefined
  const asked = new Promise<void>((resolve) => (wasAsked = resolve))
  const server = createPlainServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
    socket.once('data', wasAsked)
  })
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()))
  return { port: await listening(server), asked }
}

async function listening(server: Server): Promise<number> {
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}
