import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import { type MirrorSettings, mirrorYaml } from './mirror-config.ts'

function configOf(settings: Omit<MirrorSettings, 'upstreams'>, yaml = ''): Config {
  const text = mirrorYaml({ upstreams: {}, yaml, ...settings }, '/data')
  const upstreams = text.replace('upstreams: {}', 'upstreams: { docker.io: {} }')
  return parseConfig(upstreams, { file: '/etc/mirrors.yml', env: {} })
}

it('lets everybody pull everything unless said otherwise', () => {
  expect(configOf({})).toMatchObject({
    allow: [{ pattern: '**', minAge: 0 }],
    anonymous: ['**'],
    htpasswd: undefined,
    api: 'same',
    anonymousStatus: true,
    webhook: undefined,
  })
})

it('writes every key of access', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mirror-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const htpasswd = join(folder, 'users')
  writeFileSync(htpasswd, '')
  const webhook = { url: 'http://127.0.0.1:9/hook', secret: 'k'.repeat(16) }
  const settings = {
    allow: ['docker.io/a/b', { image: 'docker.io/c/d', minAge: '1h' }],
    anonymous: [],
    htpasswd,
    grants: { alice: { admin: ['**'] } },
    trustedProxies: ['127.0.0.1'],
    api: '127.0.0.1:0',
    anonymousStatus: false,
    webhook,
  }
  expect(configOf(settings)).toMatchObject({
    allow: [
      { pattern: 'docker.io/a/b', minAge: 0 },
      { pattern: 'docker.io/c/d', minAge: 3_600_000 },
    ],
    anonymous: [],
    htpasswd,
    grants: new Map([['alice', [{ role: 'admin', pattern: '**' }]]]),
    trustedProxies: ['127.0.0.1/32'],
    api: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    anonymousStatus: false,
    webhook,
  })
})
