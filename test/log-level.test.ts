/** How much is written to the log, and who may change that while the mirror runs. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { ConfigurationSource } from '../src/cli/configuration.ts'
import { readLogLevel, withLogLevel } from '../src/cli/log-level.ts'
import type { Config } from '../src/config/schema.ts'
import { createLogLevels } from '../src/log-level.ts'
import { createLog, type LogLevel } from '../src/log.ts'
import { buildImage } from './fakes/images.ts'
import { startRegistry } from './fakes/registry.ts'
import { type Mirror, startMirror } from './support/mirror.ts'
import { openPeople } from './support/people.ts'

const IMAGE = buildImage({ seed: 'levels', layers: [1000] })
const TAG = '/v2/docker.io/library/app/manifests/v1'
const MINUTE = 60_000
const HOP = 'a request to an upstream'

afterEach(() => {
  vi.useRealTimers()
})

const linesOf = ({ logs }: Mirror, message: string) => logs.filter(({ msg }) => msg === message)

describe('the level', () => {
  function levels(configured: LogLevel = 'info') {
    const log = createLog({ write: () => undefined }, 'info')
    const told: LogLevel[] = []
    const made = createLogLevels({ log, configured, now: () => Date.now() })
    made.onChange((level) => void told.push(level))
    return { log, told, levels: made }
  }

  it('is that of the configuration', async () => {
    const { log, told, levels: own } = levels('warn')
    expect(log.level).toBe('warn')
    own.configure('error')
    own.configure('error')
    own.configure('info')
    expect([log.level, told]).toEqual(['info', ['error', 'info']])
    expect(await own.state()).toEqual({ level: 'info', configured: 'info', until: undefined })
  })

  it('is what an operator says until that time is over, whatever the configuration says', async () => {
    vi.useFakeTimers()
    const { log, told, levels: own } = levels()
    const now = Date.now()
    expect(await own.set('debug', MINUTE)).toEqual({
      level: 'debug',
      configured: 'info',
      until: now + MINUTE,
    })
    own.configure('error')
    vi.advanceTimersByTime(MINUTE - 1)
    expect([log.level, own.current()]).toEqual(['debug', 'debug'])
    vi.advanceTimersByTime(1)
    expect([log.level, told]).toEqual(['error', ['debug', 'error']])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is what was said last: an earlier time ends nothing any more', async () => {
    vi.useFakeTimers()
    const { log, levels: own } = levels()
    await own.set('debug', MINUTE)
    await own.set('warn', undefined)
    vi.advanceTimersByTime(2 * MINUTE)
    expect(log.level).toBe('warn')
    await own.reset()
    expect(log.level).toBe('info')
  })

  it('counts for as long as the API lets it, which is longer than a timer can wait', async () => {
    // A timer of Node that is asked for more ends after a millisecond; the fake ones wait.
    const delays: number[] = []
    vi.useFakeTimers()
    const fake = globalThis.setTimeout
    const { log, levels: own } = levels()
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((act: () => void, delay: number) => {
      delays.push(delay)
      return fake(act, delay)
    }) as typeof setTimeout)
    const month = 31 * 24 * 60 * MINUTE
    await own.set('debug', month)
    vi.advanceTimersByTime(month - 1)
    expect(log.level).toBe('debug')
    vi.advanceTimersByTime(1)
    expect(log.level).toBe('info')
    expect(Math.max(...delays)).toBeLessThan(2 ** 31)
    vi.restoreAllMocks()
  })

  it('leaves no timer behind', async () => {
    vi.useFakeTimers()
    const { levels: own } = levels()
    await own.set('debug', MINUTE)
    own.close()
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('ENTREPOT_LOG_LEVEL', () => {
  it.each<[string | undefined, LogLevel | undefined]>([
    [undefined, undefined],
    ['', undefined],
    ['debug', 'debug'],
    ['error', 'error'],
  ])('%j is %s', (text, level) => {
    expect(readLogLevel(text === undefined ? {} : { ENTREPOT_LOG_LEVEL: text })).toBe(level)
  })

  it.each(['trace', 'DEBUG', 'verbose'])('may not be %s', (text) => {
    expect(() => readLogLevel({ ENTREPOT_LOG_LEVEL: text })).toThrow(
      'ENTREPOT_LOG_LEVEL is none of debug, info, warn, error',
    )
  })

  it('wins over the file, each time that is read', () => {
    const source = { load: () => ({ logLevel: 'warn' }) as Config } as ConfigurationSource
    expect(withLogLevel(source, 'debug').load().logLevel).toBe('debug')
    expect(withLogLevel(source, undefined).load().logLevel).toBe('warn')
  })
})

describe('a running mirror', () => {
  it('follows the configuration, with what it answers from memory as well', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { logLevel: 'info' },
    })
    for (const _ of [1, 2, 3]) await mirror.get(TAG)
    expect([linesOf(mirror, 'request').length, linesOf(mirror, HOP)]).toEqual([3, []])
    mirror.reload({ yaml: { logLevel: 'warn' } })
    for (const _ of [1, 2, 3]) await mirror.get(TAG)
    await mirror.get('/v2/')
    expect(linesOf(mirror, 'request')).toHaveLength(3)
    mirror.reload({ yaml: { logLevel: 'info' } })
    for (const _ of [1, 2, 3]) await mirror.get(TAG)
    expect(linesOf(mirror, 'request')).toHaveLength(6)
  })

  it('tells at debug what it asks upstream, without a secret', async () => {
    await using storage = await startRegistry()
    storage.push('library/app', 'v1', IMAGE)
    await using registry = await startRegistry({
      auth: { kind: 'basic', username: 'someone', password: 'hunter2' },
    })
    registry.push('library/app', 'v1', IMAGE)
    registry.fault({
      match: { kind: 'blob' },
      redirectTo: ({ pathname }) => `${storage.url}${pathname}?X-Signature=s1gnature`,
    })
    await using mirror = await startMirror({
      upstreams: {
        'docker.io': { registry, credentials: [{ username: 'someone', password: 'hunter2' }] },
      },
      yaml: { logLevel: 'debug' },
    })
    await mirror.pull('docker.io/library/app', 'v1')
    await registry.goDown()
    await mirror.get('/v2/docker.io/library/other/manifests/v1')
    const lines = linesOf(mirror, HOP)
    expect(lines[0]).toMatchObject({
      level: 'debug',
      upstream: 'docker.io',
      method: 'HEAD',
      url: `${registry.url}${TAG.replace('/docker.io', '')}`,
      status: 401,
      ms: expect.any(Number) as number,
    })
    expect(lines.some(({ url }) => String(url).startsWith(storage.url))).toBe(true)
    expect(lines.at(-1)).toMatchObject({ reason: expect.stringContaining('refuses') as string })
    expect(JSON.stringify(mirror.logs)).not.toMatch(/hunter2|s1gnature|Basic /)
  })

  it('is told how much to write by an admin of all of it, for a while, and writes that down', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { logLevel: 'info' },
    })
    const people = await openPeople(mirror)
    const { admin } = people
    expect(await people.api('GET', '/log-level')).toEqual({
      level: 'info',
      configured: 'info',
      until: null,
    })
    const set = await people.api('PUT', '/log-level', { level: 'debug', forSeconds: 600 })
    expect(set).toMatchObject({ level: 'debug', configured: 'info' })
    const left = Date.parse(String(set['until'])) - Date.now()
    expect(left).toBeGreaterThan(500_000)
    expect(left).toBeLessThanOrEqual(600_000)
    await mirror.get(TAG)
    const seen = linesOf(mirror, HOP).length
    expect(seen).toBeGreaterThan(0)
    expect(await people.api('DELETE', '/log-level')).toMatchObject({ level: 'info', until: null })
    await mirror.get(TAG.replace('v1', 'v2'))
    expect(linesOf(mirror, HOP)).toHaveLength(seen)

    const audit = await mirror.get('/api/v1/audit', { headers: admin })
    const entries = audit.body.toString().trim().split('\n')
    const changes = entries
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ action }) => action === 'log.level')
    expect(changes).toMatchObject([
      {
        actor: 'robot:chief',
        subject: 'log',
        before: { level: 'info' },
        after: { level: 'debug', forSeconds: 600 },
      },
      { before: { level: 'debug' }, after: { level: 'info' } },
    ])

    const part = await people.robot('part', 'admin docker.io/**')
    const operator = await people.robot('operator', 'operate **')
    for (const { headers } of [part, operator]) {
      expect((await mirror.get('/api/v1/log-level', { headers })).status).toBe(403)
    }
    expect((await mirror.get('/api/v1/log-level')).status).toBe(401)
  })

  it.each([
    [{ level: 'trace' }],
    [{ level: 'debug', forSeconds: 0 }],
    [{ level: 'debug', forSeconds: 1.5 }],
    [{ level: 'debug', forSeconds: 32 * 24 * 3600 }],
    [{ level: 'debug', for: '10m' }],
    [{}],
  ])('changes nothing where it is told %j', async (body) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { logLevel: 'info' },
    })
    const people = await openPeople(mirror)
    await expect(people.api('PUT', '/log-level', body)).rejects.toThrow('400')
    expect(await people.api('GET', '/log-level')).toMatchObject({ level: 'info' })
  })
})
