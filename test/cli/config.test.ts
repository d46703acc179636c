/** The configuration without starting anything: checked, shown, described to editors, and begun. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { checkConfig } from '../../src/cli/check-config.ts'
import { config } from '../../src/cli/config.ts'
import { configSchema } from '../../src/config/json-schema.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import { MAPPINGS } from '../../src/config/shape.ts'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { configFile } from './config-file.ts'
import { runCommand } from './run-command.ts'

const EXAMPLE = 'mirrors.example.yml'
const SECRET = 'hunter2-hunter2-hunter2'

/** Says something of nearly every key. */
const RICH = `
listen: unix:socket
publicUrl: https://mirror.example
budget: 1.5TiB
lowWatermark: 1000000KiB
maxUnused: 90d
minFree: 0MiB
pin: ['docker.io/library/*:stable']
scrub: off
memory: 1MiB
workers: 2
sendfile: false
hosts: { hub.lan: docker.io }
timeouts: { connect: 1.5s, hedge: 250s }
complete: off
staleWhileRevalidate: 1m
staleIfError: 36h
keepDeleted: false
rateLimitStatus: 429
deny: ['**:nightly']
anonymous: []
htpasswd: users
grants: { alice: { pull: ['**'], operate: ['docker.io/**', 'quay.io/**'] } }
trustedProxies: [10.0.0.0/8, unix]
api: '[::1]:5001'
anonymousStatus: false
webhook: { url: 'https://hooks.example/T0/${SECRET}', secret: ${SECRET} }
`

const UPSTREAMS = `
upstreams:
  docker.io:
    endpoints: [https://registry-1.docker.io, https://mirror.gcr.io]
    credentials:
      - { username: someone, password: ${SECRET} }
      - { helper: ecr-login, endpoint: https://mirror.gcr.io }
  quay.io: { tagTtl: 90s, connections: 1 }
  registry.lan: { endpoints: ['http://10.0.0.5:5000'], insecure: true, networks: [10.0.0.0/8] }
allow: ['**', { image: docker.io/grafana/*, minAge: 3d }]
`

function richFile(): { file: string; folder: string } {
  const { folder, file } = configFile()
  writeFileSync(join(folder, 'users'), '')
  writeFileSync(file, `data: here\n${UPSTREAMS}${RICH}`)
  return { file, folder }
}

describe('entrepot config check', () => {
  it('is what check-config is', async () => {
    const { file } = richFile()
    const [one, other] = await Promise.all([
      runCommand(config, ['check', '--config', file]),
      runCommand(checkConfig, ['--config', file]),
    ])
    expect(one).toEqual(other)
    expect([one.code, one.out]).toEqual([0, expect.stringContaining(`${file} is right:`)])
    expect(one.out).not.toContain(SECRET)
  })

  it('prints JSON for programs', async () => {
    const { file } = configFile()
    const { code, out } = await runCommand(config, ['check', '--json', '--config', file])
    expect([code, JSON.parse(out)]).toEqual([
      0,
      { file, valid: true, problems: [], config: expect.objectContaining({ config: file }) },
    ])
  })

  it('prints the mistakes as JSON, and ends with 1', async () => {
    const { file } = configFile('budget: much\ntagTtl: 5m')
    const { code, out, error } = await runCommand(config, ['check', '--json', '--config', file])
    expect([code, error]).toEqual([1, ''])
    expect(JSON.parse(out)).toEqual({
      file,
      valid: false,
      problems: [
        { path: 'budget', line: 4, message: expect.stringContaining('is not a size') },
        { path: 'tagTtl', line: 5, message: expect.any(String) },
      ],
    })
  })

  it.each([[[]], [['destroy']], [['check', 'now']], [['check', '--listen', 'nowhere', '--json']]])(
    'is called wrongly, or cannot be answered, with %j',
    async (args) => {
      const { code, out, error } = await runCommand(config, args)
      expect([code > 0, out]).toEqual([true, ''])
      expect(error.split('\n')).toHaveLength(1)
    },
  )
})

/** Without what cannot be said again. */
function comparable({ webhook, upstreams, ...rest }: Config) {
  const withoutPasswords = [...upstreams].map(([name, { credentials, ...upstream }]) => [
    name,
    { ...upstream, credentials: credentials.map((it) => ({ ...it, password: undefined })) },
  ])
  return { ...rest, webhook: webhook && new URL(webhook.url).origin, withoutPasswords }
}

describe('entrepot config show', () => {
  it('says all that counts, as the file could', async () => {
    const { file, folder } = richFile()
    const { code, out, error } = await runCommand(config, ['show', '--config', file])
    expect([code, error]).toEqual([0, ''])
    const shown = join(folder, 'shown.yml')
    // Of secrets it says only that there are any.
    writeFileSync(shown, out.replace('secret: "***"', `secret: ${SECRET}`))
    expect(comparable(loadConfig(shown, {}))).toEqual(comparable(loadConfig(file, {})))
  })

  it.each([[[]], [['--json']]])('shows no secret: %j', async (options) => {
    const { file } = richFile()
    const { out } = await runCommand(config, ['show', '--config', file, ...options])
    expect(out).not.toContain('hunter2')
    expect(out).toContain('***')
    expect(out).toContain('https://hooks.example/')
  })

  it('fills in what the file leaves open, in the order of the file', async () => {
    const { file, data } = configFile()
    const { out } = await runCommand(config, ['show', '--json', '--config', file])
    expect(JSON.parse(out)).toMatchObject({
      listen: '127.0.0.1:5000',
      data,
      minFree: '64MiB',
      scrub: '8MiB',
      api: 'same',
      upstreams: { 'docker.io': { tagTtl: '5m', staleIfError: 'unlimited' } },
    })
    expect(JSON.parse(out)).not.toHaveProperty('budget')
    const other = ['--listen', '[::1]:5005', '--data', 'elsewhere']
    const told = await runCommand(config, ['show', '--json', '--config', file, ...other])
    expect(JSON.parse(told.out)).toMatchObject({
      listen: '[::1]:5005',
      data: join(process.cwd(), 'elsewhere'),
    })
    const socket = await runCommand(config, ['show', '--config', file, '--listen', 'systemd:web'])
    expect(socket.out).toContain('listen: systemd:web')
  })

  it('says for whom certificates are, and nothing of their keys', async () => {
    await using authority = await createCertificateAuthority()
    const { certificateFile, keyFile } = await authority.issue(['DNS:mirror.example'])
    const { file } = configFile(`tls: [{ certificate: ${certificateFile}, key: ${keyFile} }]`)
    const { out } = await runCommand(config, ['show', '--json', '--config', file])
    expect(JSON.parse(out)).toMatchObject({
      tls: [
        { certificate: expect.stringMatching(/^\(DNS:mirror\.example, valid until /), key: '***' },
      ],
    })
    expect(out).not.toContain('BEGIN')
  })

  it('shows nothing of a file that is wrong', async () => {
    const { file } = configFile('budget: much')
    const { code, out, error } = await runCommand(config, ['show', '--config', file])
    expect([code, out, error]).toEqual([1, '', expect.stringContaining('budget')])
  })
})

describe('entrepot config schema', () => {
  const schema = configSchema()
  const accepts = (text: string): boolean => z.fromJSONSchema(schema).safeParse(parse(text)).success

  it('is printed whole', async () => {
    const { code, out } = await runCommand(config, ['schema', '--json'])
    expect([code, JSON.parse(out)]).toEqual([0, JSON.parse(JSON.stringify(schema))])
    expect(schema['$schema']).toBe('https://json-schema.org/draft/2020-12/schema')
  })

  it('accepts what the mirror accepts', () => {
    expect(accepts(readFileSync(EXAMPLE, 'utf8'))).toBe(true)
    expect(accepts(`${UPSTREAMS}${RICH}`)).toBe(true)
  })

  it.each([
    ['budgt: 5GiB'],
    ['budget: 5'],
    ['workers: 0'],
    ['upstreams: { docker.io: { tagTtll: 5m } }'],
    ['rateLimitStatus: 500'],
    ['allow: [{ image: "**", age: 3d }]'],
  ])('refuses what the mirror refuses: %s', (text) => {
    expect(accepts(text)).toBe(false)
  })

  it('says of each key what it is for', () => {
    const keys = new Set(MAPPINGS.flatMap((mapping) => mapping.keys))
    const described = keysOf(schema)
    expect(new Set(described.map(([key]) => key))).toEqual(keys)
    expect(described.filter(([, description]) => typeof description !== 'string')).toEqual([])
  })
})

/** Of all mappings in it, with what is said of them. */
function keysOf(schema: unknown): [key: string, description: unknown][] {
  if (typeof schema !== 'object' || schema === null) return []
  const { properties = {} } = schema as { properties?: Record<string, { description?: unknown }> }
  return [
    ...Object.entries(properties).map(([key, it]): [string, unknown] => [key, it.description]),
    ...Object.values(schema).flatMap(keysOf),
    ...Object.values(properties).flatMap(keysOf),
  ]
}

describe('entrepot config init', () => {
  it('writes a first file that counts, with comments', async () => {
    const { folder, file: taken } = configFile()
    const file = join(folder, 'new.yml')
    const { code, out, error } = await runCommand(config, ['init', '--config', file])
    expect([code, error, out]).toEqual([0, '', expect.stringContaining(`${file} is written`)])
    const text = readFileSync(file, 'utf8')
    expect(text).toContain('# Where clients connect')
    expect(text).not.toContain('copy it to mirrors.yml')
    expect(parse(text)).toEqual(parse(readFileSync(EXAMPLE, 'utf8')))
    expect((await runCommand(config, ['check', '--config', file])).code).toBe(0)
    expect(taken).not.toBe(file)
  })

  it('writes mirrors.yml where nothing else is said', async () => {
    const { folder } = configFile()
    const empty = join(folder, 'empty')
    mkdirSync(empty)
    const before = process.cwd()
    try {
      process.chdir(empty)
      const { out } = await runCommand(config, ['init', '--json'])
      expect(JSON.parse(out)).toEqual({ file: join(process.cwd(), 'mirrors.yml') })
    } finally {
      process.chdir(before)
    }
    expect(readdirSync(empty)).toEqual(['mirrors.yml'])
  })

  it('leaves alone what is there, also behind a link', async () => {
    const { folder, file } = configFile()
    const before = readFileSync(file, 'utf8')
    const link = join(folder, 'link.yml')
    symlinkSync(join(folder, 'nothing.yml'), link)
    for (const there of [file, link]) {
      const { code, out, error } = await runCommand(config, ['init', '--config', there])
      expect([code, out]).toEqual([2, ''])
      expect(error).toBe(
        `${there} is there already, and stays as it is: edit it, or name another with --config`,
      )
    }
    expect(readFileSync(file, 'utf8')).toBe(before)
    expect(existsSync(join(folder, 'nothing.yml'))).toBe(false)
  })

  it('says why nothing can be written', async () => {
    const { folder, file } = configFile()
    for (const [path, reason] of [
      [join(folder, 'no', 'mirrors.yml'), 'there is no such folder'],
      [join(file, 'mirrors.yml'), 'its folder is none'],
    ] as const) {
      const { code, error } = await runCommand(config, ['init', '--config', path])
      expect([code, error]).toEqual([2, `${path} cannot be written: ${reason}`])
    }
  })
})
