/** The commands: what they say, what they start, and with which exit code they end. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { chmod, copyFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { MirrorStatus } from '../../src/cache/status.ts'
import { checkConfig } from '../../src/cli/check-config.ts'
import { offline } from '../../src/cli/offline.ts'
import { serve } from '../../src/cli/serve.ts'
import type * as LogModule from '../../src/log.ts'
import { runCommand as run } from '../cli/run-command.ts'
import { buildImage } from '../fakes/images.ts'
import { createGate } from '../fakes/gate.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { download, openStream, request } from '../support/client.ts'
import { mirrorYaml } from '../support/mirror-config.ts'
import { pull } from '../support/pull.ts'
import { until, within } from '../support/until.ts'
import { type Build, buildProgram, FIRST_ADMIN, type Program } from './program.ts'

/** What commands in this process log, as lines. */
const logged = vi.hoisted((): string[] => [])
vi.mock('../../src/log.ts', async (importOriginal) => {
  const original = await importOriginal<typeof LogModule>()
  const write = (line: string): void => void logged.push(line)
  return { ...original, createLog: () => original.createLog({ write }) }
})

const IMAGE = buildImage({ seed: 'command line', layers: [1_000_000] })
const LAYER = IMAGE.blobs.at(-1)?.digest ?? ''
const FREE_PORT = ['--listen', '127.0.0.1:0']

let folder: string
let registry: FakeRegistry
let config: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrepot-command-'))
  registry = await startRegistry()
  registry.push('library/app', 'v1', IMAGE)
  config = join(folder, 'mirrors.yml')
  const upstreams = { 'docker.io': registry }
  await writeFile(config, mirrorYaml({ upstreams, allow: ['docker.io/**'] }, join(folder, 'data')))
  logged.length = 0
})
afterEach(async () => {
  await registry.close()
  await rm(folder, { recursive: true, force: true })
})

describe('check-config', () => {
  it('says what the configuration means', async () => {
    const { code, out } = await run(checkConfig, ['--config', config])
    expect(code).toBe(0)
    expect(out).toContain(`${config} is right`)
    for (const fact of [join(folder, 'data'), 'docker.io', 'docker.io/**', 'unlimited']) {
      expect(out).toContain(fact)
    }
  })

  it('says everything that is wrong, where, and what would be right', async () => {
    await writeFile(config, 'upstreams:\n  docker.io: { tagTtl: 5 minutes }\nalow: []\n')
    const { code, out, error } = await run(checkConfig, ['--config', config])
    expect([code, out]).toEqual([1, ''])
    expect(error).toContain(`${config}:2 upstreams.docker.io.tagTtl: "5 minutes"`)
    expect(error).toContain(`${config}:3 alow: is not a key; did you mean allow?`)
  })

  it('tells no secret', async () => {
    await writeFile(
      config,
      'upstreams: { docker.io: { credentials: [{ username: me, password: "${HUB}" }] } }\n',
    )
    const { code, out } = await run(checkConfig, ['--config', config], { HUB: 'hush' })
    expect(code).toBe(0)
    expect(out).not.toContain('hush')
  })
})

describe('serve', () => {
  it('says where it listens and what it mirrors, serves, and ends with 0 when told to', async () => {
    const stop = new AbortController()
    const running = run(serve, ['--config', config, ...FREE_PORT], {}, stop.signal)
    const line = await until(() => logLine('the mirror is ready'))
    expect(line).toMatchObject({
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      config,
      data: join(folder, 'data'),
      upstreams: ['docker.io'],
      allow: ['docker.io/**'],
    })
    const url = String(line['url'])
    expect((await pull(url, 'docker.io/library/app', 'v1')).digest).toBe(IMAGE.digest)

    stop.abort()
    expect(await within(running)).toEqual({
      code: 0,
      out: '',
      error: expect.stringMatching(
        /^There is no admin yet\. .*\n {2}ENTREPOT_TOKEN=entp_\S+ .*\n?$/,
      ),
    })
    await expect(request({ url, path: '/v2/' })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('takes address and data folder from its options before the file', async () => {
    const data = join(folder, 'elsewhere')
    const stop = new AbortController()
    const options = ['--config', config, '--listen', `unix:${folder}/s`, '--data', data]
    const running = run(serve, options, {}, stop.signal)
    const line = await until(() => logLine('the mirror is ready'))
    expect(line).toMatchObject({ url: `unix:${folder}/s`, data })
    stop.abort()
    expect((await within(running)).code).toBe(0)
  })

  it('reads the configuration again when the operator asks', async () => {
    const stop = new AbortController()
    let reload = (): void => undefined
    const running = run(serve, ['--config', config, ...FREE_PORT], {}, stop.signal, (asked) => {
      reload = asked
    })
    await until(() => logLine('the mirror is ready'))
    reload()
    expect(logLine('the configuration was read again')).toMatchObject({ config })
    await writeFile(config, 'allow: 5\n')
    reload()
    expect(logged.join('')).toContain('the earlier one stays in force')
    stop.abort()
    expect((await within(running)).code).toBe(0)
  })

  it('goes offline and back when told to, whatever has become of the configuration', async () => {
    const stop = new AbortController()
    const running = run(serve, ['--config', config, ...FREE_PORT], {}, stop.signal)
    const { url } = await until(() => logLine('the mirror is ready'))
    const ask = async (path: string): Promise<number> =>
      (await request({ url: String(url), path: `/v2/docker.io/library/app/${path}` })).status
    const switchTo = (action: string) => run(offline, [action, '--data', join(folder, 'data')])
    expect(await ask('manifests/v1')).toBe(200)

    await writeFile(config, 'allow: 5\n')
    await switchTo('on')
    await until(() => logLine('switched offline: no upstream is asked'))
    const asked = registry.requests.length
    expect(await ask('manifests/v1')).toBe(200)
    expect(await ask(`blobs/${LAYER}`)).toBe(503)
    expect(registry.requests).toHaveLength(asked)

    await switchTo('off')
    await until(() => logLine('no longer switched offline'))
    expect(await ask(`blobs/${LAYER}`)).toBe(200)
    stop.abort()
    expect((await within(running)).code).toBe(0)
  })

  it('starts offline where that was said before, and stays so when it reads its file again', async () => {
    await run(offline, ['on', '--config', config])
    const stop = new AbortController()
    let reload = (): void => undefined
    const running = run(serve, ['--config', config, ...FREE_PORT], {}, stop.signal, (asked) => {
      reload = asked
    })
    const line = await until(() => logLine('the mirror is ready'))
    expect(line).toMatchObject({ offline: true })
    const url = String(line['url'])
    const ask = (tag: string) =>
      request({ url, path: `/v2/docker.io/library/app/manifests/${tag}` })
    expect((await ask('v1')).status).toBe(503)
    reload()
    expect(logLine('the configuration was read again')).toMatchObject({ offline: true })
    expect((await ask('v2')).status).toBe(503)
    expect(registry.requests).toHaveLength(0)
    stop.abort()
    expect((await within(running)).code).toBe(0)
  })

  it('refuses to start with a configuration that is wrong, and says all of it', async () => {
    await writeFile(config, 'listen: 5000\nupstreams: { docker.io: {} }\nallow: [redis]\n')
    const { code, error } = await run(serve, ['--config', config])
    expect(code).toBe(1)
    expect(error).toContain(`${config}:1 listen`)
    expect(error).toContain(`${config}:3 allow[0]`)
  })

  it.each([
    ['no such file', ['--config', '/nowhere/mirrors.yml'], /\/nowhere\/mirrors\.yml/],
    ['an option that is none', ['--port', '5000'], /--port/],
    ['an address that is none', ['--listen', 'somewhere'], /somewhere/],
    ['a data folder that is a file', ['--data', import.meta.filename], /command-line\.test/],
  ])('fails with a sentence for %s', async (_what, options, sentence) => {
    const args = options[0] === '--config' ? options : ['--config', config, ...options]
    const { code, error } = await run(serve, args)
    expect(code).not.toBe(0)
    expect(error).toMatch(sentence)
    expect(error).not.toMatch(/\n\s+at /)
  })

  it('fails with a sentence for an address that is taken', async () => {
    const taken = createServer()
    const port = await listen(taken)
    try {
      const { code, error } = await run(serve, [
        '--config',
        config,
        '--listen',
        `127.0.0.1:${port}`,
      ])
      expect(code).toBe(1)
      expect(error).toContain(String(port))
    } finally {
      taken.close()
    }
  })
})

describe('the program', () => {
  let build: Build
  beforeAll(async () => {
    build = await buildProgram()
  })
  afterAll(() => build[Symbol.asyncDispose]())

  it.each([
    [[], 0, 'output'],
    [['--help'], 0, 'output'],
  ] as const)('called with %j shows how it is used', async (args, code, where) => {
    await using program = build.start({ args })
    expect(await program.exited).toEqual({ code, signal: null })
    expect(program[where]).toContain('entrepot serve')
    expect(program[where]).toContain('--config FILE')
    for (const command of ['check-config', 'status', 'offline', 'gc', 'verify']) {
      expect(program[where]).toContain(`entrepot ${command}`)
    }
  })

  it.each([
    ['SIGINT', ['status'], 130],
    ['SIGTERM', ['status'], 143],
    ['SIGINT', ['status', '--watch'], 0],
  ] as const)('given up at %s, %j says so by its exit code', async (signal, args, code) => {
    const asked = createGate()
    await using silent = await silentServer(() => void asked.pass())
    await using program = build.start({ args: [...args, '--server', silent.url] })
    await within(asked.reached, { deadlineMs: 15_000, what: 'it asks' })
    program.kill(signal)
    expect(await within(program.exited)).toEqual({ code, signal: null })
    expect(program.output).toBe('')
  })

  it.each(['constructor', '__proto__', 'toString'])('has no command %s', async (name) => {
    await using program = build.start({ args: [name] })
    expect(await program.exited).toEqual({ code: 2, signal: null })
    expect(program.errors).toContain(`There is no command "${name}"`)
  })

  it('tells the status of a running mirror, and what gc would remove from it', async () => {
    await using mirror = build.start({ args: ['serve', '--config', config] })
    const { url } = await mirror.ready()
    await pull(url, 'docker.io/library/app', 'v1')

    await using status = build.start({ args: ['status', '--server', url, '--json'] })
    expect(await status.exited).toEqual({ code: 0, signal: null })
    const { store, upstreams } = JSON.parse(status.output) as MirrorStatus
    expect(store.bytes).toBeGreaterThan(1_000_000)
    expect(upstreams.map(({ name }) => name)).toEqual(['docker.io'])

    await using plan = build.start({ args: ['gc', '--dry-run', '--config', config] })
    expect(await plan.exited).toEqual({ code: 0, signal: null })
    expect(plan.output).toBe('Nothing would go.\n')
    expect(plan.errors).toBe('')

    for (const command of ['gc', 'verify']) {
      await using refused = build.start({ args: [command, '--config', config] })
      expect(await refused.exited).toEqual({ code: 1, signal: null })
      expect(refused.output).toBe('')
      expect(refused.errors).toMatch(/^\S[^\n]*\n$/)
    }
    expect((await pull(url, 'docker.io/library/app', 'v1')).digest).toBe(IMAGE.digest)
  })

  it('finds what is damaged once the mirror has been stopped', async () => {
    await using mirror = build.start({ args: ['serve', '--config', config] })
    const { url } = await mirror.ready()
    await pull(url, 'docker.io/library/app', 'v1')
    mirror.kill('SIGTERM')
    await mirror.exited

    const args = ['verify', '--config', config, '--json']
    await using sound = build.start({ args })
    expect(await sound.exited).toEqual({ code: 0, signal: null })
    expect(JSON.parse(sound.output)).toMatchObject({ damaged: [] })

    const hex = LAYER.slice('sha256:'.length)
    const file = join(folder, 'data', 'blobs-v1', 'sha256', hex.slice(0, 2), hex)
    await chmod(file, 0o600)
    await truncate(file, 500_000)
    await using rotten = build.start({ args })
    expect(await rotten.exited).toEqual({ code: 1, signal: null })
    expect(JSON.parse(rotten.output)).toMatchObject({ damaged: [LAYER] })
  })

  it('starts from the example where there is no mirrors.yml, and from that once there is', async () => {
    const args = ['serve', ...FREE_PORT, '--data', join(folder, 'data')]
    await rm(config)
    await using fresh = build.start({ args, folder })
    const { url } = await fresh.ready()
    expect(configIn(fresh)).toBe(join(build.folder, 'mirrors.example.yml'))
    expect((await request({ url, path: '/v2/' })).status).toBe(200)
    fresh.kill('SIGTERM')
    expect(await fresh.exited).toEqual({ code: 0, signal: null })

    await copyFile(join(build.folder, 'mirrors.example.yml'), config)
    await using own = build.start({ args, folder })
    await own.ready()
    expect(configIn(own)).toBe(config)
  })

  it('ends with 1 when the configuration is wrong', async () => {
    await writeFile(config, 'allow: [\n')
    await using program = build.start({ args: ['serve', '--config', config] })
    expect(await program.exited).toEqual({ code: 1, signal: null })
    expect(program.errors).toContain(config)
    expect(program.output).toBe('')
  })

  it('lets transfers end at SIGTERM, then exits with 0', async () => {
    await using program = build.start({ args: ['serve', '--config', config] })
    const { url } = await program.ready()
    const gate = createGate()
    registry.fault({ match: { kind: 'blob' }, hold: { after: 500_000, gate } })
    const path = `/v2/docker.io/library/app/blobs/${LAYER}`
    const transfer = download({ url, path, idleMs: 20_000 })
    await gate.reached

    program.kill('SIGTERM')
    await until(async () =>
      request({ url, path: '/v2/' }).then(
        () => false,
        () => true,
      ),
    )
    gate.open()
    expect(await transfer).toMatchObject({ digest: LAYER, complete: true })
    expect(await within(program.exited)).toEqual({ code: 0, signal: null })
    expect(program.errors).toMatch(FIRST_ADMIN)
  })

  it('ends at once at the second SIGTERM', async () => {
    await using program = build.start({ args: ['serve', '--config', config] })
    const { url } = await program.ready()
    const gate = createGate()
    registry.fault({ match: { kind: 'blob' }, hold: { after: 500_000, gate } })
    const path = `/v2/docker.io/library/app/blobs/${LAYER}`
    const transfer = await openStream({ url, path, idleMs: 20_000 })
    await gate.reached

    program.kill('SIGTERM')
    await until(() => program.log.some(({ msg }) => String(msg).startsWith('stopping')))
    program.kill('SIGTERM')
    expect(await within(program.exited)).toEqual({ code: null, signal: 'SIGTERM' })
    await transfer.rest()
    expect(transfer.complete).toBe(false)
  })
})

/** The file that the program says it uses. */
function configIn({ log }: Program): unknown {
  return log.find(({ msg }) => msg === 'the mirror is ready')?.['config']
}

function logLine(msg: string): Record<string, unknown> | undefined {
  return logged
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .find((it) => it['msg'] === msg)
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

/** Lets others connect, and says nothing. */
async function silentServer(onConnection: () => void): Promise<{ url: string } & AsyncDisposable> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onConnection()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
