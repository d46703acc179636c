/** The program as it is shipped, with several processes: what it loads and sends, and how it ends. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type FakeCollector, startCollector } from '../fakes/collector.ts'
import { buildImage } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { request } from '../support/client.ts'
import { mirrorYaml } from '../support/mirror-config.ts'
import { pull } from '../support/pull.ts'
import { until, within } from '../support/until.ts'
import { type Build, buildProgram, type Program } from './program.ts'

const IMAGE = buildImage({ seed: 'traced', layers: [100_000] })
const APP = 'docker.io/library/app'

// The program is built, and several processes are started.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let build: Build
let count = 0
beforeAll(async () => {
  build = await buildProgram()
  await writeFile(join(build.folder, 'watch.mjs'), WATCH)
})
afterAll(() => build[Symbol.asyncDispose]())

/** Says on standard error which libraries for traces a process of the program asks for. */
const WATCH = `
  import { register } from 'node:module'
  const hook = \`
    import { writeSync } from 'node:fs'
    export async function resolve(name, context, next) {
      if (name.includes('opentelemetry')) writeSync(2, 'LOADS ' + name + '\\\\n')
      return next(name, context)
    }\`
  register('data:text/javascript,' + encodeURIComponent(hook))
`

async function start(
  registry: Awaited<ReturnType<typeof startRegistry>>,
  env: Readonly<Record<string, string>>,
  yaml: Readonly<Record<string, unknown>> = { workers: 2 },
): Promise<Program & { readonly url: string }> {
  count += 1
  const config = join(build.folder, `mirrors-${count}.yml`)
  const settings = { upstreams: { 'docker.io': registry }, yaml }
  await writeFile(config, mirrorYaml(settings, join(build.folder, `data-${count}`)))
  const program = build.start({
    args: ['serve', '--config', config],
    env: { NODE_OPTIONS: '--import ./watch.mjs', ...env },
  })
  try {
    return Object.assign(program, await program.ready())
  } catch (error) {
    await program[Symbol.asyncDispose]()
    throw error
  }
}

async function stop(program: Program): Promise<void> {
  program.kill('SIGTERM')
  const exit = await within(program.exited, { deadlineMs: 10_000, what: 'the program ends' })
  expect(exit).toEqual({ code: 0, signal: null })
}

async function startApp() {
  const registry = await startRegistry()
  registry.push('library/app', 'v1', IMAGE)
  return registry
}

describe('without the variables', () => {
  it('no library for traces is loaded, by no process', async () => {
    await using registry = await startApp()
    await using program = await start(registry, {})
    await pull(program.url, APP, 'v1')
    await stop(program)
    expect(program.errors).not.toContain('LOADS')
  })
})

describe('with a collector', () => {
  /** Of a pull over all processes. */
  async function traced(collector: FakeCollector) {
    await using registry = await startApp()
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_TIMEOUT: '500' }
    await using program = await start(registry, env)
    await pull(program.url, APP, 'v1')
    await stop(program)
    expect(program.errors).toContain('LOADS')
    return program
  }

  it('a trace goes from a worker to the process that fetches', async () => {
    await using collector = await startCollector()
    await traced(collector)
    const { spans } = collector
    const instanceOf = (name: string) =>
      new Set(
        spans.filter((span) => span.name === name).map((it) => it.resource['service.instance.id']),
      )
    const [fetching] = instanceOf('fill')
    const serving = instanceOf('GET /v2/{repository}/blobs/{digest}')
    expect(fetching).toBeDefined()
    expect(serving.size).toBeGreaterThan(0)
    expect(serving.has(fetching)).toBe(false)
    const fills = spans.filter(({ name }) => name === 'fill')
    for (const { parentSpanId } of fills) {
      const parent = spans.find(({ spanId }) => spanId === parentSpanId)
      expect(parent?.name).toBe('GET /v2/{repository}/blobs/{digest}')
    }
  })

  it('that is down costs nobody anything, and one line of each process', async () => {
    const collector = await startCollector()
    await collector[Symbol.asyncDispose]()
    const program = await traced(collector)
    const complaints = program.log.filter(
      ({ msg }) => msg === 'traces are not taken by the collector',
    )
    expect(complaints.length).toBeLessThanOrEqual(3)
    for (const complaint of complaints) expect(complaint).toMatchObject({ level: 'warn' })
  })
})

describe('how much is logged', () => {
  it('is what the variable says from the first line on, and what an admin says in all processes', async () => {
    await using registry = await startApp()
    await using program = await start(registry, { ENTREPOT_LOG_LEVEL: 'info' })
    const first = /ENTREPOT_TOKEN=(\S+)/.exec(program.errors)?.[1] ?? ''
    const body = JSON.stringify({ name: 'ci', grants: [{ role: 'admin', pattern: '**' }] })
    const made = await ask(program, first, 'POST', '/tokens', body)
    const { token } = JSON.parse(made.body.toString()) as { token: string }
    const manifest = `/v2/${APP}/manifests/v1`
    const lines = (msg: string): number => program.log.filter((line) => line['msg'] === msg).length

    await request({ url: program.url, path: manifest })
    await until(() => lines('request') > 0)
    expect(lines('a request to an upstream')).toBe(0)
    expect((await ask(program, token, 'PUT', '/log-level', '{"level":"debug"}')).status).toBe(200)
    await request({ url: program.url, path: `/v2/${APP}/manifests/v2` })
    await until(() => lines('a request to an upstream') > 0)
    // Whichever worker is asked, it says the same.
    for (let time = 0; time < 4; time += 1) {
      const { body: said } = await ask(program, token, 'GET', '/log-level')
      expect(JSON.parse(said.toString())).toMatchObject({ level: 'debug', configured: 'info' })
    }
    await ask(program, token, 'PUT', '/log-level', '{"level":"error"}')
    const before = lines('request')
    for (let time = 0; time < 6; time += 1) await request({ url: program.url, path: manifest })
    await ask(program, token, 'DELETE', '/log-level')
    await request({ url: program.url, path: `/v2/${APP}/manifests/v3` })
    await until(() => program.log.some(({ reference }) => reference === 'v3'))
    const between = program.log.slice(-1 - (lines('request') - before))
    expect(between.filter(({ reference }) => reference === 'v1')).toEqual([])
    await stop(program)
  })

  it('may not be what there is not: nothing begins', async () => {
    await using registry = await startApp()
    const failed = start(registry, { ENTREPOT_LOG_LEVEL: 'loud' })
    await expect(failed).rejects.toThrow('ENTREPOT_LOG_LEVEL is none of debug, info, warn, error')
  })
})

function ask(
  { url }: { readonly url: string },
  token: string,
  method: string,
  path: string,
  body?: string,
) {
  return request({
    url,
    path: `/api/v1${path}`,
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
      }),
    },
    ...(body !== undefined && { body }),
  })
}
