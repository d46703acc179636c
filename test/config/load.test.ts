import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigError } from '../../src/config/problem.ts'
import {
  CERTIFICATE,
  CERTIFICATE_KEY,
  folderWith,
  invalid,
  parse,
  problems,
  refusal,
} from './fixtures.ts'

const OK = 'upstreams: { docker.io: {} }\n'

describe('a file that says little', () => {
  it('gets safe defaults: loopback, and nothing allowed', () => {
    const { upstreams, ...rest } = parse(OK)
    expect([...upstreams.keys()]).toEqual(['docker.io'])
    expect(rest).toEqual({
      listen: { kind: 'tcp', host: '127.0.0.1', port: 5000 },
      publicUrl: undefined,
      data: '/etc/entrepot/data',
      budget: undefined,
      lowWatermark: undefined,
      maxUnused: undefined,
      minFree: 64 * 2 ** 20,
      pin: [],
      scrubRate: 8 * 2 ** 20,
      memory: 64 * 2 ** 20,
      workers: 1,
      sendfile: true,
      defaultUpstream: 'docker.io',
      hosts: new Map(),
      offline: false,
      rateLimitStatus: 503,
      tls: [],
      allow: [],
      deny: [],
      anonymous: ['**'],
      htpasswd: undefined,
      grants: new Map(),
      trustedProxies: [],
      api: 'same',
      anonymousStatus: true,
      logLevel: 'info',
      webhook: undefined,
      warm: [],
    })
  })

  it('has no default upstream without docker.io', () => {
    expect(parse('upstreams: { quay.io: {} }').defaultUpstream).toBeUndefined()
  })

  it('may leave lists and mappings empty', () => {
    const { allow, deny, pin, hosts, tls, grants, trustedProxies } = parse(
      `${OK}allow:\ndeny:\npin:\nhosts:\ntls:\ntimeouts:\ngrants:\ntrustedProxies:\n`,
    )
    expect([allow, deny, pin, [...hosts], tls]).toEqual([[], [], [], [], []])
    expect([[...grants], trustedProxies]).toEqual([[], []])
  })
})

describe('a file that says everything', () => {
  it('is read', () => {
    const folder = folderWith({
      'tls.crt': CERTIFICATE,
      'tls.key': CERTIFICATE_KEY,
      users: '',
      hook: `${'k'.repeat(32)}\n`,
      'warm.yml': '',
    })
    const text = `
listen: unix:run/entrepot.sock
publicUrl: https://Mirror.example/
data: ../data
budget: 1.5TiB
lowWatermark: 1TiB
maxUnused: 90d
minFree: 10GiB
pin: [docker.io/library/*:stable]
scrub: 1MiB
memory: 256MiB
workers: 4
sendfile: false
defaultUpstream: QUAY.io
upstreams: { registry-1.docker.io: {}, quay.io: {} }
hosts: { Quay.mirror.lan: quay.io, hub.mirror.lan: index.docker.io }
offline: true
rateLimitStatus: 429
tls: [{ certificate: tls.crt, key: tls.key }]
allow: [docker.io/library/*, "\${TEAM}/**"]
deny: ["**:nightly"]
anonymous: [docker.io/redis]
htpasswd: users
grants: { alice: { pull: ["**"], operate: [quay.io/team/**] } }
trustedProxies: [10.0.0.5, unix]
api: 127.0.0.1:5001
anonymousStatus: false
logLevel: debug
webhook: { url: "https://hooks.example/a?b=c", secretFile: hook }
warm:
  - schedule: '0 3 * * mon-fri'
    timeZone: Europe/Berlin
    jitter: 10m
    images: [docker.io/library/redis:7]
    file: warm.yml
    platforms: [linux/amd64, linux/arm64/v8]
    concurrency: 2
  - { schedule: '@daily', images: [quay.io/coreos/etcd] }
`
    const file = join(folder, 'mirrors.yml')
    const config = parse(text, { file, env: { TEAM: 'quay.io/team' } })
    expect({ ...config, upstreams: [...config.upstreams.keys()] }).toEqual({
      listen: { kind: 'unix', path: join(folder, 'run/entrepot.sock') },
      publicUrl: 'https://mirror.example',
      data: resolve(folder, '../data'),
      budget: 1.5 * 2 ** 40,
      lowWatermark: 2 ** 40,
      maxUnused: 90 * 86_400_000,
      minFree: 10 * 2 ** 30,
      pin: ['docker.io/library/*:stable'],
      scrubRate: 2 ** 20,
      memory: 256 * 2 ** 20,
      workers: 4,
      sendfile: false,
      defaultUpstream: 'quay.io',
      upstreams: ['docker.io', 'quay.io'],
      hosts: new Map([
        ['quay.mirror.lan', 'quay.io'],
        ['hub.mirror.lan', 'docker.io'],
      ]),
      offline: true,
      rateLimitStatus: 429,
      tls: [
        {
          certificate: CERTIFICATE,
          key: CERTIFICATE_KEY,
          files: [join(folder, 'tls.crt'), join(folder, 'tls.key')],
        },
      ],
      allow: [
        { pattern: 'docker.io/library/*', minAge: 0 },
        { pattern: 'quay.io/team/**', minAge: 0 },
      ],
      deny: ['**:nightly'],
      anonymous: ['docker.io/library/redis'],
      htpasswd: join(folder, 'users'),
      grants: new Map([
        [
          'alice',
          [
            { role: 'pull', pattern: '**' },
            { role: 'operate', pattern: 'quay.io/team/**' },
          ],
        ],
      ]),
      trustedProxies: ['10.0.0.5/32', 'unix'],
      api: { kind: 'tcp', host: '127.0.0.1', port: 5001 },
      anonymousStatus: false,
      logLevel: 'debug',
      webhook: { url: 'https://hooks.example/a?b=c', secret: 'k'.repeat(32) },
      warm: [
        {
          schedule: '0 3 * * mon-fri',
          timeZone: 'Europe/Berlin',
          jitter: 600_000,
          images: ['docker.io/library/redis:7'],
          file: join(folder, 'warm.yml'),
          platforms: ['linux/amd64', 'linux/arm64/v8'],
          concurrency: 2,
        },
        {
          schedule: '@daily',
          timeZone: undefined,
          jitter: 0,
          images: ['quay.io/coreos/etcd'],
          file: undefined,
          platforms: [],
          concurrency: 4,
        },
      ],
    })
  })
})

describe('every mistake at once', () => {
  it('in the order of the file, each with its line, its path and what would be right', () => {
    const text = `listen: :5000
publicurl: https://mirror.example
budget: 200GB
htpasswd: users.htpasswd
tagTtl: 5m
defaultUpstream: dokcer.io
upstreams:
  docker.io:
    tagTtl: 5 minutes
    credentials: [{ username: someone }]
  quay.io:
    tagttl: 5m
    insecure: yes
  registry.lan: { endpoints: [http://registry.lan], ca: none.pem }
hosts:
  https://quay.mirror.lan: quay.oi
timeouts: { conect: 5s, idle: 30 }
offline: "true"
rateLimitStatus: 500
tls: [{ certificate: tls.crt }, tls.crt]
allow:
  - docker.io/library/*
  - ghcr.io/x/**
  - docker.io/bitnami/redis: 7.*
deny: "**:nightly"
anonymous: [docker.io/redis:7]
grants: { alice: { pul: ["**"] } }
trustedProxies: [0.0.0.0/0]
api: on
anonymousStatus: 1
logLevel: trace
webhook: { url: hooks.example, secret: short }
`
    const { message, problems: list } = refusal(text, { file: '/etc/m/mirrors.yml' })
    expect(message.split('\n')).toEqual(
      [
        '1 listen: ":5000" does not say on which address; write 0.0.0.0:5000 for every address of this machine, 127.0.0.1:5000 for itself only',
        '2 publicurl: is not a key; did you mean publicUrl?',
        '3 budget: "200GB" is not a size; write for example 200GiB (units KiB, MiB, GiB, TiB)',
        '4 htpasswd: "users.htpasswd" cannot be read: there is no such file (looked in /etc/m)',
        '5 tagTtl: is not a key here; it belongs under upstreams.<name>',
        '6 defaultUpstream: "dokcer.io" is not under "upstreams"; did you mean docker.io?',
        '9 upstreams.docker.io.tagTtl: "5 minutes" is not a duration; write for example 5m (units s, m, h, d)',
        '10 upstreams.docker.io.credentials[0].password: is missing; write it, or passwordFile with the name of a file',
        '12 upstreams.quay.io.tagttl: is not a key; did you mean tagTtl?',
        '13 upstreams.quay.io.insecure: found "yes"; write true or false',
        '14 upstreams.registry.lan.endpoints[0]: "http://registry.lan" is plain HTTP, which anybody on the way can read and change, credentials too; write https://, or add insecure: true if it is meant',
        '14 upstreams.registry.lan.ca: "none.pem" cannot be read: there is no such file (looked in /etc/m)',
        '16 hosts."https://quay.mirror.lan": "https://quay.mirror.lan" has a scheme; write the name alone, for example quay.mirror.lan',
        '16 hosts."https://quay.mirror.lan": "quay.oi" is not under "upstreams"; did you mean quay.io?',
        '17 timeouts.idle: found 30; write a duration such as 5m (units s, m, h, d)',
        '17 timeouts.conect: is not a key; did you mean connect?',
        '18 offline: found "true"; write true or false',
        '19 rateLimitStatus: found 500; write 429 or 503',
        '20 tls[1]: found "tls.crt"; write a mapping such as { certificate: tls.crt, key: tls.key }',
        '20 tls[0].certificate: "tls.crt" cannot be read: there is no such file (looked in /etc/m)',
        '20 tls[0].key: is missing; write the name of a PEM file',
        '23 allow[1]: "ghcr.io/x/**" begins with what is not under "upstreams"; add it there',
        '24 allow[2]: found a mapping; write a pattern such as docker.io/library/*, in quotes where in doubt and without a space before its tag, or { image: docker.io/library/*, minAge: 3d }',
        '25 deny: found "**:nightly"; write a list, each line of which is "- " and a pattern such as docker.io/library/*',
        '26 anonymous[0]: "docker.io/redis:7" has a tag, but rights are about whole repositories; write docker.io/redis',
        '27 grants.alice.pul: is not a key; did you mean pull?',
        '28 trustedProxies[0]: "0.0.0.0/0" is every address, so that any client could claim any other address; write those of the proxies',
        '29 api: "on" is neither same nor off nor an address; write for example 127.0.0.1:5001 or unix:<path>',
        '30 anonymousStatus: found 1; write true or false',
        '31 logLevel: found "trace"; write debug, info, warn or error',
        '32 webhook.url: the text is not a URL; write for example https://hooks.example/entrepot',
        '32 webhook.secret: the text holds fewer than 16 bytes, which can be guessed; write for example what "openssl rand -hex 32" prints',
      ].map((line) => `/etc/m/mirrors.yml:${line}`),
    )
    expect(list[6]).toEqual({
      path: 'upstreams.docker.io.tagTtl',
      line: 9,
      message: '"5 minutes" is not a duration; write for example 5m (units s, m, h, d)',
    })
  })

  it('and not what merely follows from another mistake', () => {
    expect(
      problems('upstreams: [docker.io]\nallow: [docker.io/x]\ndefaultUpstream: quay.io\n'),
    ).toEqual([
      '1 upstreams: found a list; write a mapping with a line for each upstream, such as "docker.io: {}"',
    ])
    expect(problems('upstreams:\n  quay.io: yes\nallow: [quay.io/x]\n')).toEqual([
      '2 upstreams.quay.io: found "yes"; write a mapping, {} if nothing needs to be said',
    ])
    expect(problems(`${OK}listen: "\${X}"\n`)).toEqual([
      '2 listen: uses what the environment does not set: X; set it, or write $${ where ${ is meant literally',
    ])
  })
})

describe('keys', () => {
  it.each([
    [
      `${OK}port: 5000`,
      '2 port: is not a key; the keys here are listen, publicUrl, data, budget, lowWatermark, maxUnused, minFree, pin, scrub, memory, workers, sendfile, defaultUpstream, upstreams, hosts, timeouts, complete, staleWhileRevalidate, staleIfError, keepDeleted, offline, rateLimitStatus, tls, allow, deny, anonymous, htpasswd, grants, trustedProxies, api, anonymousStatus, logLevel, webhook, warm',
    ],
    [
      'upstreams: { docker.io: { allow: [] } }',
      '1 upstreams.docker.io.allow: is not a key here; it belongs under the top level',
    ],
    [
      'upstreams: { docker.io: { passwordFile: x } }',
      '1 upstreams.docker.io.passwordFile: is not a key here; it belongs under credentials',
    ],
    [
      'upstreams: { timeouts.lan: { tagtll: x } }',
      '1 upstreams.timeouts.lan.tagtll: is not a key; did you mean tagTtl?',
    ],
    [
      'upstreams: { docker.io: { htpasswd: x } }',
      '1 upstreams.docker.io.htpasswd: is not a key here; it belongs under the top level',
    ],
    [
      'upstreams: { docker.io: { mirrorOf: x } }',
      '1 upstreams.docker.io.mirrorOf: is not a key; the keys here are endpoints, credentials, realms, insecure, ca, networks, tagTtl, complete, staleWhileRevalidate, staleIfError, keepDeleted, connections, timeouts',
    ],
    [
      'upstreams: { docker.io: { timeouts: { read: 5s } } }',
      '1 upstreams.docker.io.timeouts.read: is not a key; the keys here are connect, firstByte, idle, hedge',
    ],
    [`${OK}tls: [{ cert: x }]`, '2 tls[0].cert: is not a key; the keys here are certificate, key'],
    [
      'upstreams: { timeouts: { endpoint: [https://x.lan] } }',
      '1 upstreams.timeouts.endpoint: is not a key; did you mean endpoints?',
    ],
  ])('%s', (text, problem) => {
    expect(problems(text)).toContain(problem)
  })

  it.each([
    'listen',
    'publicUrl',
    'data',
    'budget',
    'lowWatermark',
    'maxUnused',
    'minFree',
    'scrub',
    'memory',
    'workers',
    'sendfile',
    'complete',
    'staleWhileRevalidate',
    'staleIfError',
    'keepDeleted',
    'defaultUpstream',
    'offline',
    'rateLimitStatus',
    'htpasswd',
    'api',
    'anonymousStatus',
    'webhook',
  ])('%s must have a value if it is there', (key) => {
    expect(problems(`${OK}${key}:\n`)).toEqual([
      expect.stringContaining(`2 ${key}: found nothing; write `),
    ])
  })

  it.each(['{}', '', '{ }\nallow: ["**"]'])('some upstream must be there: %j', (upstreams) => {
    expect(problems(`upstreams: ${upstreams}`)).toEqual([
      '1 upstreams: names no registry to mirror; write at least "docker.io: {}" below it',
    ])
  })

  it('without "upstreams" no rule can be called wrong', () => {
    expect(problems('allow: [docker.io/x]\n')).toEqual([
      '1 upstreams: names no registry to mirror; write at least "docker.io: {}" below it',
    ])
  })

  it('data must be the name of a folder', () => {
    expect(problems(`${OK}data: ""\n`)).toEqual([
      '2 data: "" is not the name of a folder; write for example ./data',
    ])
  })

  it('a host in two cases is one host', () => {
    expect(problems(`${OK}hosts:\n  a.lan: docker.io\n  A.lan: docker.io\n  b.lan:\n`)).toEqual([
      '4 hosts.A.lan: is there twice, in upper and lower case; keep one',
      '5 hosts.b.lan: found nothing; write the name of an upstream, such as quay.io',
    ])
  })

  it('each list item keeps its number beside wrong ones', () => {
    expect(problems(`${OK}deny: [1, docker.io/x, true, docker.io, null, [x]]\n`)).toEqual([
      expect.stringContaining('2 deny[0]: found 1; '),
      expect.stringContaining('2 deny[2]: found true; '),
      expect.stringContaining('2 deny[4]: found nothing; '),
      expect.stringContaining('2 deny[5]: found a list; '),
      '2 deny[3]: "docker.io" names an upstream only; write docker.io/** for everything of it',
    ])
  })
})

describe('loadConfig', () => {
  it('reads a file, and names in it are relative to its folder', () => {
    const folder = folderWith({ 'mirrors.yml': `${OK}data: cache\n` })
    expect(loadConfig(join(folder, 'mirrors.yml'), {}).data).toBe(join(folder, 'cache'))
  })

  it('says what is wrong with a file that cannot be read', () => {
    const folder = folderWith({})
    expect(() => loadConfig(join(folder, 'none.yml'), {})).toThrow(
      expect.objectContaining({
        name: 'ConfigError',
        message: `${join(folder, 'none.yml')}: the configuration cannot be read: there is no such file`,
        problems: [
          { path: '', message: 'the configuration cannot be read: there is no such file' },
        ],
      }),
    )
    expect(() => loadConfig(folder, {})).toThrow('it is a folder')
  })

  it('reads it anew each time', () => {
    const folder = folderWith({ 'mirrors.yml': OK })
    const file = join(folder, 'mirrors.yml')
    expect(loadConfig(file, {}).allow).toEqual([])
    writeFileSync(file, `${OK}allow: [docker.io/x]\n`)
    expect(loadConfig(file, {}).allow).toEqual([{ pattern: 'docker.io/x', minAge: 0 }])
    writeFileSync(file, `${OK}allow: docker.io/x\n`)
    expect(() => loadConfig(file, {})).toThrow(ConfigError)
  })
})

it('an error that is no mistake of the file is not called one', () => {
  const env = new Proxy(
    {},
    {
      getOwnPropertyDescriptor: () => {
        throw new TypeError('broken')
      },
    },
  )
  expect(() => parse(`${OK}data: "\${X}"`, { env })).toThrow(TypeError)
  expect(() => invalid(() => parse(`${OK}data: "\${X}"`, { env }))).toThrow('broken')
})
