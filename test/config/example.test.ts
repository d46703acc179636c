import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { beforeEach, describe, expect, it } from 'vitest'
import { createAllowlist } from '../../src/access/allowlist.ts'
import { loadConfig } from '../../src/config/load.ts'
import { CERTIFICATE, CERTIFICATE_KEY, folderWith, parse } from './fixtures.ts'

const FILE = new URL('../../mirrors.example.yml', import.meta.url).pathname
const LINES = readFileSync(FILE, 'utf8').split('\n')
/** An example begins with # and its key; what belongs to it is indented further. Prose has one space. */
const EXAMPLE = /^( *)#(\S.*)$/
const CONTINUATION = /^( *)#( {2,}\S.*)$/

describe('mirrors.example.yml', () => {
  it('loads without any other file and without environment', () => {
    const config = loadConfig(FILE, {})
    expect(config.listen).toEqual({ kind: 'tcp', host: '127.0.0.1', port: 5000 })
    expect(config.budget).toBe(50 * 2 ** 30)
    expect(config.defaultUpstream).toBe('docker.io')
    expect([...config.upstreams.keys()]).toEqual([
      'docker.io',
      'quay.io',
      'gcr.io',
      'ghcr.io',
      'registry.k8s.io',
    ])
  })

  it('allows some of each registry, and not everything', () => {
    const { upstreams, allow, deny } = loadConfig(FILE, {})
    const allowlist = createAllowlist(
      allow.map(({ pattern }) => pattern),
      deny,
    )
    for (const name of upstreams.keys()) {
      expect(allow.some(({ pattern }) => pattern.startsWith(`${name}/`))).toBe(true)
      expect(allowlist.judge(name, 'attacker/image').refused).toBe(name !== 'registry.k8s.io')
    }
    expect(allowlist.judge('docker.io', 'library/busybox').refused).toBe(false)
    expect(allowlist.judge('quay.io', 'coreos/etcd').refused).toBe(false)
    expect(allowlist.judge('registry.k8s.io', 'pause').refused).toBe(false)
  })
})

describe('its commented examples', () => {
  let file: string
  const env = { HUB_PASSWORD: 'secret' }

  beforeEach(() => {
    const folder = folderWith({
      'tls.crt': CERTIFICATE,
      'tls.key': CERTIFICATE_KEY,
      'lan-ca.pem': CERTIFICATE,
    })
    mkdirSync(join(folder, 'secrets'))
    writeFileSync(join(folder, 'secrets', 'lan'), 'secret\n')
    writeFileSync(join(folder, 'secrets', 'webhook'), `${'k'.repeat(32)}\n`)
    writeFileSync(join(folder, 'users.htpasswd'), '')
    file = join(folder, 'mirrors.yml')
  })

  const starts = [...LINES.keys()].filter((index) => EXAMPLE.test(LINES[index] ?? ''))

  it.each(starts.map((start) => [LINES[start], start] as const))('%s', (line, start) => {
    // Of whom the grants are: without that file they mean nothing.
    const users = starts.filter((other) => line === '#grants:' && isLineOf('htpasswd', other))
    const before = parse(withExamples(users), { file, env })
    const after = parse(withExamples([...users, start]), { file, env })
    const isDefault =
      /#(lowWatermark|minFree|scrub|memory|workers|sendfile|defaultUpstream|tagTtl|timeouts|complete|stale\w+|keepDeleted|offline|rateLimitStatus|anonymous|api|anonymousStatus|logLevel):/
    expect(isDeepStrictEqual(after, before)).toBe(isDefault.test(LINES[start] ?? ''))
  })

  it('all together', () => {
    const config = parse(withExamples(starts), { file, env })
    expect(config.upstreams.get('registry.lan')?.credentials).toMatchObject([
      { username: 'puller', password: 'secret' },
    ])
    expect(config.upstreams.size).toBe(13)
  })

  it.each([
    'listen',
    'publicUrl',
    'data',
    'budget',
    'lowWatermark',
    'maxUnused',
    'minFree',
    'pin',
    'scrub',
    'memory',
    'workers',
    'sendfile',
    'defaultUpstream',
    'upstreams',
    'hosts',
    'timeouts',
    'complete',
    'staleWhileRevalidate',
    'staleIfError',
    'keepDeleted',
    'offline',
    'rateLimitStatus',
    'tls',
    'allow',
    'deny',
    'anonymous',
    'htpasswd',
    'grants',
    'trustedProxies',
    'api',
    'anonymousStatus',
    'logLevel',
    'webhook',
    'minAge',
    'secretFile',
    'endpoints',
    'credentials',
    'realms',
    'insecure',
    'ca',
    'networks',
    'tagTtl',
    'connections',
    'passwordFile',
    'helper',
    'hedge',
  ])('%s is there, after a line that explains it or before words that do', (key) => {
    const index = LINES.findIndex((line) => new RegExp(`^[ #]*(?:.*{ .*)?${key}:`).test(line))
    const explained = /^ *# \S/.test(LINES[index - 1] ?? '') || / # \S/.test(LINES[index] ?? '')
    expect([index >= 0, explained || CONTINUATION.test(LINES[index] ?? '')]).toEqual([true, true])
  })
})

function isLineOf(key: string, index: number): boolean {
  return LINES[index]?.startsWith(`#${key}:`) === true
}

/** The file with the examples that begin at these lines put in force. */
function withExamples(starts: readonly number[]): string {
  const lines = [...LINES]
  for (const start of starts) {
    lines[start] = lines[start]?.replace(EXAMPLE, '$1$2') ?? ''
    for (let next = start + 1; CONTINUATION.test(lines[next] ?? ''); next += 1) {
      lines[next] = lines[next]?.replace(CONTINUATION, '$1$2') ?? ''
    }
  }
  return lines.join('\n')
}
