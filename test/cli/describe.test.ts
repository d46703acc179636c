import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { describeConfig } from '../../src/cli/describe.ts'
import { parseConfig } from '../../src/config/load.ts'

function described(text: string): unknown {
  const config = parseConfig(text, { file: '/etc/mirrors.yml', env: {} })
  return JSON.parse(JSON.stringify(describeConfig('/etc/mirrors.yml', config)))
}

describe('describeConfig', () => {
  it('says little of what is as always', () => {
    expect(described('upstreams: { docker.io: {} }\nbudget: 1GiB\n')).toEqual({
      config: '/etc/mirrors.yml',
      data: '/etc/data',
      budget: 2 ** 30,
      upstreams: ['docker.io'],
      defaultUpstream: 'docker.io',
      allow: 'nothing: add rules under "allow"',
      deny: [],
    })
    const asAlways = `
upstreams: { quay.io: { timeouts: { hedge: 1.5s }, staleIfError: unlimited, connections: 4 } }
lowWatermark: 0.9GiB
budget: 1GiB
minFree: 64MiB
scrub: 8MiB
memory: 64MiB
workers: 1
sendfile: true
complete: pulled
keepDeleted: true
anonymous: ['**']
api: same
anonymousStatus: true
`
    expect(Object.keys(described(asAlways) as object)).toEqual([
      'config',
      'data',
      'budget',
      'upstreams',
      'allow',
      'deny',
    ])
  })

  it('says what differs, of each upstream what is its own', () => {
    const text = `
budget: 1GiB
lowWatermark: 512MiB
maxUnused: 1d
minFree: 1GiB
pin: ['**:stable']
scrub: off
memory: 0MiB
workers: 2
sendfile: false
staleIfError: 7d
upstreams:
  docker.io: { complete: off, staleWhileRevalidate: 1m, timeouts: { hedge: 5s } }
  quay.io: { staleIfError: unlimited }
  gcr.io: { keepDeleted: false, connections: 1 }
`
    expect(described(text)).toMatchObject({
      lowWatermark: 2 ** 29,
      maxUnused: 86_400_000,
      minFree: 2 ** 30,
      pin: ['**:stable'],
      scrub: 'off',
      memory: 0,
      workers: 2,
      sendfile: false,
      upstreams: ['docker.io', 'quay.io', 'gcr.io'],
    })
    expect(described(text)).toHaveProperty('upstreamSettings', {
      'docker.io': {
        complete: 'off',
        staleWhileRevalidate: 60_000,
        staleIfError: 604_800_000,
        timeouts: { hedge: 5_000 },
      },
      'gcr.io': { staleIfError: 604_800_000, keepDeleted: false, connections: 1 },
    })
    expect(described('upstreams: { gcr.io: {} }\nscrub: 1MiB\n')).toMatchObject({ scrub: 2 ** 20 })
  })

  it('says who may pull and who is told, and no secret', () => {
    const folder = mkdtempSync(join(tmpdir(), 'describe-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const users = join(folder, 'users')
    writeFileSync(users, '')
    const text = `
upstreams: { quay.io: {} }
allow: [quay.io/x, { image: quay.io/y/*, minAge: 3d }]
anonymous: [quay.io/x]
htpasswd: ${users}
grants: { alice: {}, bob: { pull: ['**'] } }
trustedProxies: [10.0.0.5, unix]
api: '[::1]:5001'
anonymousStatus: false
webhook: { url: 'https://hooks.example/s3cret?s3cret', secret: s3cret-s3cret-s3cret }
warm: [{ schedule: '@daily', images: [redis] }]
`
    expect(described(text)).toEqual({
      config: '/etc/mirrors.yml',
      data: '/etc/data',
      budget: 'unlimited',
      upstreams: ['quay.io'],
      allow: ['quay.io/x', { image: 'quay.io/y/*', minAge: 259_200_000 }],
      deny: [],
      anonymous: ['quay.io/x'],
      htpasswd: users,
      usersWithGrants: 2,
      trustedProxies: ['10.0.0.5/32', 'unix'],
      api: '[::1]:5001',
      anonymousStatus: false,
      webhook: 'https://hooks.example',
      warm: ['@daily'],
    })
  })

  it.each([
    ['off', 'off'],
    ['127.0.0.1:5001', '127.0.0.1:5001'],
    ['unix:api.sock', 'unix:/etc/api.sock'],
  ])('says where the API answers: %s', (api, said) => {
    expect(described(`upstreams: { quay.io: {} }\napi: ${api}\n`)).toMatchObject({ api: said })
  })

  it('says that nothing is open to everybody', () => {
    const text = 'upstreams: { quay.io: {} }\nanonymous: []\n'
    expect(described(text)).toMatchObject({ anonymous: [] })
  })

  it('counts pins rather than listing very many', () => {
    const pins = Array.from({ length: 52 }, (_, index) => `quay.io/app${index}`)
    const text = `upstreams: { quay.io: {} }\npin: ${JSON.stringify(pins)}\n`
    expect(described(text)).toMatchObject({ pin: [...pins.slice(0, 50), '… and 2 more'] })
  })
})
