/** Several processes on one port over one data folder: one download, one policy, one set of metrics. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { request as requestHttp } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { buildImage } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { download, openStream, request } from '../support/client.ts'
import { until } from '../support/until.ts'
import {
  type Crew,
  coldLayerOf,
  endOf,
  isGone,
  openIn,
  startCrew as start,
  workersAre,
} from '../workers/crew.ts'
import { BLOB_REQUEST, holdAt } from './cold-layer.ts'
import { createHerd } from './herd.ts'
import { metric } from './metrics-page.ts'
import { basic } from './operator-commands.ts'
import { type Build, buildProgram } from './program.ts'

const MIB = 1024 * 1024
const IMAGE = buildImage({ seed: 'crew', layers: [100_000] })
const APP = '/v2/docker.io/library/app/manifests/v1'
const PASSWORD = 'correct horse battery'
const LAYER = `/v2/docker.io/library/app/blobs/${IMAGE.blobs.at(-1)?.digest}`

// Several processes are started for each.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let build: Build
beforeAll(async () => {
  build = await buildProgram()
})
afterAll(() => build[Symbol.asyncDispose]())

const startCrew = (...[registry, ...rest]: Tail<Parameters<typeof start>>): Promise<Crew> =>
  start(build, registry, ...rest)
type Tail<T extends unknown[]> = T extends [unknown, ...infer Rest] ? Rest : never

async function startApp() {
  const registry = await startRegistry()
  registry.push('library/app', 'v1', IMAGE)
  return registry
}

describe('a crowd at several workers', () => {
  it('costs one download, and each has every byte', async () => {
    await using registry = await startRegistry()
    await using crew = await startCrew(registry)
    const { digest, bytes, path } = await coldLayerOf(registry, crew, {
      size: 8 * MIB,
      seed: 'herd',
    })
    const [gate] = holdAt(registry, MIB)
    const herd = createHerd({ url: crew.url, path })
    herd.join(30)
    await gate.reached
    await until(async () => (await metric(crew, 'entrepot_fill_joined_readers_total')) === 29)
    const downloads = [{ digest, size: 8 * MIB, clients: 30 }]
    expect(await statusOf(crew)).toMatchObject({ fills: { running: 1, downloads } })
    // 15 clients each, and its channel.
    for (const worker of await crew.workers()) {
      expect((await openIn(worker, crew.data)).sockets).toBeGreaterThanOrEqual(15)
    }
    gate.open()
    for (const got of await herd.all()) {
      expect(got).toEqual({ status: 200, digest, bytes: bytes.length, complete: true })
    }
    expect(registry.bodyBytes(digest)).toBe(bytes.length)
    expect(registry.count(BLOB_REQUEST)).toBe(1)
  })

  it('costs nothing that is open when all have left', async () => {
    await using registry = await startRegistry()
    await using crew = await startCrew(registry)
    const { digest, path } = await coldLayerOf(registry, crew, { size: 2 * MIB, seed: 'left' })
    const pids = [crew.pid, ...(await crew.workers())]
    const before = await Promise.all(pids.map((pid) => openIn(pid, crew.data)))
    for (let round = 0; round < 2; round += 1) {
      const herd = createHerd({ url: crew.url, path })
      herd.join(8)
      for (const got of await herd.all()) expect(got).toMatchObject({ digest, complete: true })
    }
    for (const [index, pid] of pids.entries()) {
      const { files = 0, sockets = 0 } = before[index] ?? {}
      await until(async () => {
        const open = await openIn(pid, crew.data)
        // The connection to upstream may be kept.
        return open.files <= files && open.sockets <= sockets + 1
      })
    }
  })

  it('may ask for any range of what is still on its way', async () => {
    await using registry = await startRegistry()
    await using crew = await startCrew(registry)
    const { bytes, path } = await coldLayerOf(registry, crew, { size: 8 * MIB, seed: 'ranges' })
    const ranges = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => [index * MIB, index * MIB + 70_000])
    const got = await Promise.all(
      ranges.map(([first, last]) => crew.get(path, { range: `bytes=${first}-${last}` })),
    )
    for (const [index, { status, body }] of got.entries()) {
      const [first = 0, last = 0] = ranges[index] ?? []
      expect(status).toBe(206)
      expect(body.equals(Buffer.from(bytes.subarray(first, last + 1)))).toBe(true)
    }
  })
})

describe('a worker that is killed', () => {
  it('costs its own clients, and the download and all others go on', async () => {
    await using registry = await startRegistry()
    await using crew = await startCrew(registry)
    const { digest, bytes, path } = await coldLayerOf(registry, crew, {
      size: 8 * MIB,
      seed: 'killed',
    })
    const { files, sockets } = await openIn(crew.pid, crew.data)
    const [gate] = holdAt(registry, 2 * MIB)
    const streams = await Promise.all(
      Array.from({ length: 6 }, () => openStream({ url: crew.url, path, idleMs: 20_000 })),
    )
    const begun = await Promise.all(streams.map((stream) => stream.read(MIB)))
    const [victim = 0, other] = await crew.workers()
    process.kill(victim, 'SIGKILL')
    await isGone(victim)
    gate.open()

    let served = 0
    for (const [index, stream] of streams.entries()) {
      const body = Buffer.concat([begun[index] ?? Buffer.of(), await stream.rest()])
      if (!stream.complete) continue
      served += 1
      expect(createHash('sha256').update(body).digest('hex')).toBe(digest.slice(7))
    }
    expect(served).toBe(3)
    expect(registry.bodyBytes(digest)).toBe(bytes.length)

    const workers = await workersAre(crew, 2)
    expect(workers).toContain(other)
    expect(crew.program.log).toContainEqual(
      expect.objectContaining({
        level: 'error',
        pid: victim,
        signal: 'SIGKILL',
        msg: 'a worker has died: another one takes its place',
      }),
    )
    expect(await crew.statuses(path)).toEqual(new Set([200]))
    await until(async () => {
      const open = await openIn(crew.pid, crew.data)
      return open.files <= files && open.sockets <= sockets
    })
  })

  it('with all the others has successors, for which clients wait', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry)
    expect(await crew.statuses(APP)).toEqual(new Set([200]))
    const victims = await crew.workers()
    for (const pid of victims) process.kill(pid, 'SIGKILL')
    await Promise.all(victims.map(isGone))
    expect(await crew.statuses(APP)).toEqual(new Set([200]))
    await workersAre(crew, 2)
  })

  it('costs no client that it had not taken', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry)
    expect(await crew.statuses(APP)).toEqual(new Set([200]))
    const { sockets } = await openIn(crew.pid, crew.data)
    const [victim = 0] = await crew.workers()
    process.kill(victim, 'SIGSTOP')
    const answers = Array.from({ length: 6 }, () => crew.get(APP))
    // Those of the worker that stands still are open in the main process.
    await until(async () => (await openIn(crew.pid, crew.data)).sockets >= sockets + 3)
    process.kill(victim, 'SIGKILL')
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(Array(6).fill(200))
    await workersAre(crew, 2)
    await until(async () => (await openIn(crew.pid, crew.data)).sockets <= sockets)
  })

  it('leaves what it has counted', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry)
    await crew.statuses(APP, 10)
    const counted = () => metric(crew, 'entrepot_requests_total', { kind: 'manifest' })
    await until(async () => (await counted()) === 10)
    const [victim = 0] = await crew.workers()
    process.kill(victim, 'SIGKILL')
    await isGone(victim)
    expect((await crew.get(APP)).status).toBe(200)
    await until(async () => (await counted()) === 11)
    expect(await metric(crew, 'entrepot_fills_running')).toBe(0)
    // Whichever of them is asked, it tells of all.
    expect(await statusOf(crew)).toMatchObject({ traffic: { answers: 11 } })
  })
})

describe('a change', () => {
  it('of the rules on the host is refused by all at the next request', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry)
    for (let round = 0; round < 2; round += 1) {
      expect(await crew.statuses(APP, 6)).toEqual(new Set([200]))
      await crew.command('deny', 'add', 'docker.io/library/app')
      expect(await crew.statuses(APP, 6)).toEqual(new Set([403]))
      const { rules } = JSON.parse(await crew.command('deny', 'list', '--json')) as Rules
      await crew.command('deny', 'remove', rules.find(({ origin }) => origin !== 'file')?.id ?? '')
    }
  })

  it('of the rules at one worker holds at all, and is in the audit once', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry)
    expect(await crew.statuses(APP, 6)).toEqual(new Set([200]))
    const { token } = JSON.parse(
      await crew.command('tokens', 'add', 'robot', '--grant', 'admin=**', '--json'),
    ) as { token: string }
    const { status } = await request({
      url: crew.url,
      path: '/api/v1/rules',
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ effect: 'deny', pattern: 'docker.io/library/app' }),
    })
    expect(status).toBe(201)
    expect(await crew.statuses(APP, 6)).toEqual(new Set([403]))
    expect((await actions(crew)).filter((action) => action === 'rule.add')).toHaveLength(1)
  })

  it('of the file holds at all when that is said, and is in the audit once', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry)
    expect(await crew.statuses(APP, 6)).toEqual(new Set([200]))
    await crew.edit({ allow: [] })
    crew.program.kill('SIGHUP')
    await until(() => said(crew, 'the configuration was read again'))
    expect(await crew.statuses(APP, 6)).toEqual(new Set([403]))
    expect((await actions(crew)).filter((it) => it === 'config.changed')).toHaveLength(1)
  })

  it('of the switch holds at all when that is said', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry)
    expect(await crew.statuses(APP, 4)).toEqual(new Set([200]))
    await crew.command('offline', 'on')
    await until(() => said(crew, 'switched offline: no upstream is asked'))
    const asked = registry.requests.length
    expect(await crew.statuses(LAYER, 4)).toEqual(new Set([503]))
    expect(registry.requests).toHaveLength(asked)
    await crew.command('offline', 'off')
    await until(() => said(crew, 'no longer switched offline'))
    expect(await crew.statuses(LAYER, 4)).toEqual(new Set([200]))
  })

  it('holds for a worker that came after it', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry)
    await crew.edit({ allow: [] })
    crew.program.kill('SIGHUP')
    await until(() => said(crew, 'the configuration was read again'))
    const victims = await crew.workers()
    for (const pid of victims) process.kill(pid, 'SIGKILL')
    await Promise.all(victims.map(isGone))
    expect(await crew.statuses(APP, 6)).toEqual(new Set([403]))
  })
})

it('a worker that came after a change listens as all do, over the same data', async () => {
  await using authority = await createCertificateAuthority()
  await using registry = await startApp()
  await using crew = await startCrew(registry)
  await crew.command('deny', 'add', 'docker.io/library/app')
  expect(await crew.statuses(APP)).toEqual(new Set([403]))
  const { certificateFile, keyFile } = await authority.issue()
  const tls = [{ certificate: certificateFile, key: keyFile }]
  await crew.edit({ yaml: { tls, data: `${crew.data}-elsewhere` } })
  crew.program.kill('SIGHUP')
  await until(() => said(crew, 'the configuration was read again'))
  const victims = await crew.workers()
  for (const pid of victims) process.kill(pid, 'SIGKILL')
  await Promise.all(victims.map(isGone))
  expect(await crew.statuses(APP, 6)).toEqual(new Set([403]))
})

describe('wrong logins', () => {
  it('are counted over all workers, and right ones know each other', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry, { anonymous: [] })
    await crew.command('users', 'add', 'alice', '--grant', 'pull=**', '--password-stdin')
    const login = (password: string, path = '/token') =>
      crew.get(path, { authorization: basic('alice', password) })
    for (let count = 0; count < 4; count += 1) {
      expect((await login(PASSWORD, APP)).status).toBe(200)
    }
    const tokens = await login(PASSWORD)
    const { token } = JSON.parse(tokens.body.toString()) as { token: string }
    for (let count = 0; count < 4; count += 1) {
      expect((await crew.get(APP, { authorization: `Bearer ${token}` })).status).toBe(200)
    }
    for (let count = 0; count < 5; count += 1) {
      const { status, headers } = await login(`wrong ${count}`)
      expect([status, headers['retry-after']]).toEqual([401, undefined])
    }
    for (let count = 0; count < 3; count += 1) {
      expect(Number((await login('wrong again')).headers['retry-after'])).toBeGreaterThan(0)
    }
    expect(await metric(crew, 'entrepot_logins_total', { result: 'rejected' })).toBe(5)
    // Some are answered from memory.
    const accepted = await metric(crew, 'entrepot_logins_total', { result: 'accepted' })
    expect(accepted).toBeLessThanOrEqual(5)
  })
})

describe('a stop', () => {
  it('lets running transfers end, whoever else gets the signal', async () => {
    await using registry = await startRegistry()
    await using crew = await startCrew(registry)
    const { digest, path } = await coldLayerOf(registry, crew, { size: 4 * MIB, seed: 'stop' })
    const [gate] = holdAt(registry, MIB)
    const clients = Array.from({ length: 4 }, () =>
      download({ url: crew.url, path, idleMs: 20_000 }),
    )
    await gate.reached
    await until(async () => (await metric(crew, 'entrepot_fill_joined_readers_total')) === 3)
    const workers = await crew.workers()
    for (const pid of workers) process.kill(pid, 'SIGTERM')
    for (const pid of workers) process.kill(pid, 'SIGHUP')
    crew.program.kill('SIGTERM')
    for (const pid of workers) process.kill(pid, 'SIGINT')
    await until(async () => (await crew.get('/v2/').catch(refusal)) === 'ECONNREFUSED')
    gate.open()
    for (const got of await Promise.all(clients)) {
      expect(got).toMatchObject({ digest, complete: true })
    }
    expect(await endOf(crew.program)).toEqual({ code: 0, signal: null })
    await Promise.all(workers.map(isGone))
    expect(crew.program.log.filter(({ level }) => level === 'error')).toEqual([])
    expect(crew.program.log.filter(({ kind }) => kind === 'blob')).toHaveLength(4)
  })

  it('by kill -9 leaves no worker, whoever is being served, and the port is free', async () => {
    await using registry = await startRegistry()
    await using crew = await startCrew(registry)
    const { path } = await coldLayerOf(registry, crew, { size: 4 * MIB, seed: 'orphan' })
    const [gate] = holdAt(registry, 2 * MIB)
    const streams = await Promise.all([1, 2].map(() => openStream({ url: crew.url, path })))
    for (const stream of streams) await stream.read(MIB)
    const workers = await crew.workers()
    crew.program.kill('SIGKILL')
    await Promise.all(workers.map(isGone))
    for (const stream of streams) await stream.rest()
    expect(streams.map(({ complete }) => complete)).toEqual([false, false])
    gate.open()
    const server = createServer()
    const { hostname, port } = new URL(crew.url)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(Number(port), hostname, resolve)
    })
    await new Promise((resolve) => server.close(resolve))
  })
})

describe('several workers answer', () => {
  it('as one process does, also what goes wrong', async () => {
    await using registry = await startApp()
    await using one = await startCrew(registry, { deny: ['**/secret'] }, { workers: 1 })
    await using two = await startCrew(registry, { deny: ['**/secret'] })
    expect([await one.workers(), (await two.workers()).length]).toEqual([[], 2])
    for (const crew of [one, two]) {
      await crew.get(LAYER)
      await until(async () => (await metric(crew, 'entrepot_fills_total')) === 1)
    }
    const unknown = `sha256:${'0'.repeat(64)}`
    const asked: [path: string, headers?: Record<string, string>][] = [
      ['/v2/'],
      [APP],
      [LAYER],
      [LAYER, { range: 'bytes=5-10' }],
      [LAYER, { range: 'bytes=999999999-' }],
      [LAYER, { range: 'bytes=0-1,5-6' }],
      [LAYER.replace('blobs', 'manifests')],
      ['/v2/docker.io/library/secret/manifests/v1'],
      ['/v2/docker.io/library/none/manifests/v1'],
      [`/v2/docker.io/library/app/blobs/${unknown}`],
      [`/v2/docker.io/library/app/blobs/sha256:short`],
      ['/v2/docker.io/library/app/tags/list'],
      [`/v2/docker.io/library/app/referrers/${IMAGE.digest}`],
      ['/v2/_catalog'],
      ['/v2/nowhere.io/a/manifests/b'],
      ['/nothing'],
      ['/api/v1/rules'],
      ['/readyz'],
      ['/client', { host: 'mirror.example' }],
      ['/client/podman?fallback=no', { host: 'mirror.example' }],
      ['/client/install.sh', { host: 'mirror.example' }],
    ]
    for (const [path, headers] of asked) {
      const [first, second] = [await one.get(path, headers), await two.get(path, headers)]
      expect(comparable(second)).toEqual(comparable(first))
    }
    await registry.close()
    const cold = APP.replace('v1', 'v2')
    expect(comparable(await two.get(cold))).toEqual(comparable(await one.get(cold)))
  })

  it('over TLS, with certificates that are renewed', async () => {
    await using authority = await createCertificateAuthority()
    await using registry = await startApp()
    const { ca } = authority
    const certificates = async () => {
      const { certificateFile, keyFile } = await authority.issue()
      return [{ certificate: certificateFile, key: keyFile }]
    }
    await using crew = await startCrew(registry, { yaml: { tls: await certificates() } }, { ca })
    expect(crew.url).toMatch(/^https:/)
    expect(await crew.statuses(LAYER)).toEqual(new Set([200]))
    await crew.edit({ yaml: { tls: await certificates() } })
    crew.program.kill('SIGHUP')
    await until(() => said(crew, 'the configuration was read again'))
    expect(await crew.statuses(LAYER)).toEqual(new Set([200]))
  })

  it('over TLS, whose certificate stays where the new one is of no use', async () => {
    await using authority = await createCertificateAuthority()
    await using registry = await startApp()
    const { certificateFile, keyFile } = await authority.issue()
    const tls = [{ certificate: certificateFile, key: keyFile }]
    await using crew = await startCrew(registry, { yaml: { tls } }, { ca: authority.ca })
    const before = await crew.workers()
    await crew.edit({ yaml: { tls: [await weakCertificate(crew.folder)] } })
    crew.program.kill('SIGHUP')
    await until(() => said(crew, 'the configuration is not usable: the earlier one stays in force'))
    expect(await crew.statuses(LAYER)).toEqual(new Set([200]))
    expect(await crew.workers()).toEqual(before)
  })

  it('on a socket file, and operators on a port of their own', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry, {
      yaml: { listen: 'unix:./mirror.sock' },
      api: '127.0.0.1:0',
      anonymousStatus: true,
    })
    const { apiUrl } = crew.program.log.find(({ msg }) => msg === 'the mirror is ready') ?? {}
    const api = { url: String(apiUrl) }
    for (let index = 0; index < 4; index += 1) {
      expect(await statusOverSocket(crew.url.replace('unix:', ''), APP)).toBe(200)
      expect((await request({ ...api, path: '/status' })).status).toBe(200)
    }
    await until(
      async () => (await metric(api, 'entrepot_requests_total', { kind: 'manifest' })) === 4,
    )
  })

  it('not at all where the address is taken, and that is said', async () => {
    await using registry = await startApp()
    await using crew = await startCrew(registry)
    const listen = new URL(crew.url).host
    await expect(startCrew(registry, { yaml: { listen } })).rejects.toThrow('EADDRINUSE')
  })
})

interface Rules {
  readonly rules: readonly { readonly id: string; readonly origin: string }[]
}

/** Of a key that can be read, and is too short for TLS. */
async function weakCertificate(folder: string) {
  const [certificate, key] = [join(folder, 'weak.pem'), join(folder, 'weak.key')]
  const subject = ['-subj', '/CN=weak', '-addext', 'subjectAltName=IP:127.0.0.1']
  const request = ['req', '-x509', '-newkey', 'rsa:512', '-nodes', ...subject]
  await promisify(execFile)('openssl', [...request, '-keyout', key, '-out', certificate])
  return { certificate, key }
}

/** Of all entries of the audit. */
async function actions(crew: Crew): Promise<string[]> {
  const lines = (await crew.command('audit', '--json')).trim().split('\n')
  return lines.map((line) => (JSON.parse(line) as { action: string }).action)
}

function said(crew: Crew, message: string): boolean {
  return crew.program.log.some(({ msg }) => msg === message)
}

/** Without what each answer has of its own. */
function comparable({ status, headers, body }: Awaited<ReturnType<Crew['get']>>): object {
  const { date: _date, 'x-request-id': _id, ...rest } = headers
  const boundary = /boundary=(\w+)/.exec(headers['content-type'] ?? '')?.[1] ?? '\0'
  const plain = (text: string): string =>
    text.replaceAll(boundary, 'boundary').replace(/\br-[a-z2-9]{10}\b/g, 'request')
  return {
    status,
    headers: JSON.parse(plain(JSON.stringify(rest).replace(/127\.0\.0\.1:\d+/g, 'host'))) as object,
    body: plain(body.toString('latin1').replace(/127\.0\.0\.1:\d+/g, 'host')),
  }
}

function refusal(error: NodeJS.ErrnoException): string | undefined {
  return error.code
}

function statusOverSocket(socketPath: string, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const outgoing = requestHttp({ socketPath, path, agent: false }, (incoming) => {
      incoming.resume().once('end', () => resolve(incoming.statusCode))
    })
    outgoing.once('error', reject)
    outgoing.end()
  })
}

async function statusOf(crew: { get(path: string): Promise<{ body: Buffer }> }): Promise<unknown> {
  return JSON.parse((await crew.get('/status')).body.toString())
}
