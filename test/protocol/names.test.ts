/** Which upstream and which repository a path means. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { verdict } from './answers.ts'
import { askedSince } from './asked.ts'
import { rawVerdicts } from './raw-verdicts.ts'

const HUB_IMAGE = buildImage({ seed: 'hub' })
const QUAY_IMAGE = buildImage({ seed: 'quay' })

let hub: FakeRegistry
let quay: FakeRegistry
let mirror: Mirror

beforeAll(async () => {
  hub = await startRegistry()
  quay = await startRegistry()
  mirror = await startMirror({
    upstreams: { 'docker.io': hub, 'quay.io': quay, 'registry.lan:5000': quay },
    yaml: {
      defaultUpstream: 'docker.io',
      hosts: { 'quay.mirror.lan': 'quay.io' },
    },
  })
})

afterAll(async () => {
  await mirror[Symbol.asyncDispose]()
  await hub.close()
  await quay.close()
})

let before: [number, number]
beforeEach(() => {
  before = [hub.requests.length, quay.requests.length]
})

/** What the upstreams have been asked since the test began. */
function asked(): string[] {
  return [
    ...askedSince(hub, before[0]).map((request) => `hub ${request}`),
    ...askedSince(quay, before[1]).map((request) => `quay ${request}`),
  ]
}

function push(registry: FakeRegistry, repository: string, tag = 'v1'): void {
  registry.push(repository, tag, registry === hub ? HUB_IMAGE : QUAY_IMAGE)
}

/** The seed of the image that was answered. */
async function pullOf(path: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await mirror.get(path, { headers })
  if (answer.status !== 200) return verdict(answer)
  return answer.headers['docker-content-digest'] === HUB_IMAGE.digest ? 'hub' : 'quay'
}

describe('E-6 is the first segment a registry?', () => {
  it('E-6 a dot, a colon or localhost make it one, and an unknown one is never Docker Hub', async () => {
    push(hub, 'my.team/app')
    push(hub, 'localhost/app')
    for (const first of ['my.team', 'localhost', 'localhost:5000', 'my.team:80']) {
      expect(await pullOf(`/v2/${first}/app/manifests/v1`)).toBe('404 NAME_UNKNOWN')
    }
    expect(asked()).toEqual([])
  })

  it('E-6 with ns, a first segment that is no upstream is a part of the repository', async () => {
    push(quay, 'my.team/app')
    expect(await pullOf('/v2/my.team/app/manifests/v1?ns=quay.io')).toBe('quay')
    expect(asked()).toEqual(['quay GET /v2/my.team/app/manifests/v1'])
  })

  it('E-6 a default port is no other registry, another port is', async () => {
    push(quay, 'e6/port')
    expect(await pullOf('/v2/quay.io:443/e6/port/manifests/v1')).toBe('quay')
    expect(await pullOf('/v2/quay.io:5000/e6/port/manifests/v1')).toBe('404 NAME_UNKNOWN')
    expect(await pullOf('/v2/registry.lan:5000/e6/port/manifests/v1')).toBe('quay')
    expect(await pullOf('/v2/registry.lan/e6/port/manifests/v1')).toBe('404 NAME_UNKNOWN')
  })

  it('E-6 decided differently: upper case in a registry is refused, not lowered', async () => {
    expect(await pullOf('/v2/QUAY.io/e6/app/manifests/v1')).toBe('400 NAME_INVALID')
    expect(asked()).toEqual([])
  })
})

describe('E-7 open proxy', () => {
  it('E-7 no path makes the mirror connect anywhere but to configured upstreams', async () => {
    const hosts = ['169.254.169.254', '127.0.0.1', hub.host, 'localhost', '10.0.0.1:22', '[::1]:80']
    for (const host of hosts) {
      expect(await pullOf(`/v2/${host}/latest/meta-data/manifests/v1`)).toBe('404 NAME_UNKNOWN')
      expect(await pullOf(`/${host}/v2/a/b/manifests/v1`)).toBe('404 NAME_UNKNOWN')
    }
    expect(await pullOf(`/v2/a/b/manifests/v1?ns=${hub.host}`)).toBe('404 NAME_UNKNOWN')
    expect(asked()).toEqual([])
  })
})

describe('E-10 docker.io/busybox', () => {
  it('E-10 one-component names share one entry with library/, and go upstream as such', async () => {
    push(hub, 'library/busybox')
    for (const path of [
      '/v2/docker.io/busybox',
      '/v2/docker.io/library/busybox',
      '/v2/library/busybox',
      '/v2/busybox',
      '/docker.io/v2/busybox',
      '/v2/busybox?ns=docker.io',
      '/v2/index.docker.io/busybox',
    ]) {
      const [name, query = ''] = path.split('?')
      expect(await pullOf(`${name}/manifests/v1?${query}`)).toBe('hub')
    }
    expect(asked()).toEqual(['hub GET /v2/library/busybox/manifests/v1'])
  })

  it('E-10 no other registry has library/, and names with a slash have it nowhere', async () => {
    push(quay, 'busybox')
    push(hub, 'someone/busybox')
    expect(await pullOf('/v2/quay.io/busybox/manifests/v1')).toBe('quay')
    expect(await pullOf('/v2/docker.io/someone/busybox/manifests/v1')).toBe('hub')
    expect(asked()).toEqual([
      'hub GET /v2/someone/busybox/manifests/v1',
      'quay GET /v2/busybox/manifests/v1',
    ])
  })

  it('E-10 the tag list has the name that was asked for', async () => {
    push(hub, 'library/named')
    const { body } = await mirror.get('/v2/docker.io/named/tags/list')
    expect(JSON.parse(body.toString())).toEqual({ name: 'docker.io/named', tags: ['v1'] })
  })
})

describe('E-11 ns', () => {
  it('E-11 the path wins over ns, and ns over the Host', async () => {
    push(hub, 'e11/app')
    push(quay, 'e11/app')
    const host = { host: 'quay.mirror.lan' }
    expect(await pullOf('/v2/quay.io/e11/app/manifests/v1?ns=docker.io')).toBe('quay')
    expect(await pullOf('/quay.io/v2/e11/app/manifests/v1?ns=docker.io')).toBe('quay')
    expect(await pullOf('/v2/e11/app/manifests/v1?ns=docker.io', host)).toBe('hub')
    expect(await pullOf('/v2/docker.io/e11/app/manifests/v1', host)).toBe('hub')
    expect(await pullOf('/v2/e11/app/manifests/v1', host)).toBe('quay')
  })

  it.each(['docker.io', 'index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com'])(
    'E-11 %s and its aliases agree, and ns never goes upstream',
    async (alias) => {
      push(hub, `library/${alias}`)
      const path = `/v2/docker.io/library/${alias}/manifests/v1?ns=${alias}`
      const answer = await mirror.get(path)
      expect(answer.status).toBe(200)
      expect(answer.headers['oci-namespace']).toBe(alias)
      expect(asked()).toEqual([`hub GET /v2/library/${alias}/manifests/v1`])
    },
  )

  it('E-11 upper case and a default port in ns mean the same registry', async () => {
    push(quay, 'e11/upper')
    expect(await pullOf('/v2/e11/upper/manifests/v1?ns=QUAY.io%3A443')).toBe('quay')
  })

  it('E-11 the same ns twice is one, different ones are refused', async () => {
    push(quay, 'e11/twice')
    const path = '/v2/e11/twice/manifests/v1'
    expect(await pullOf(`${path}?ns=quay.io&ns=quay.io`)).toBe('quay')
    expect(await pullOf(`${path}?ns=quay.io&ns=docker.io`)).toBe('400 NAME_INVALID')
  })

  it.each(['quay.io/x', 'x@quay.io', 'https://quay.io', ''])(
    'E-11 ns=%s is refused',
    async (ns) => {
      const path = `/v2/e11/bad/manifests/v1?ns=${encodeURIComponent(ns)}`
      expect(await pullOf(path)).toBe('400 NAME_INVALID')
      expect(asked()).toEqual([])
    },
  )
})

describe('E-12 percent-encoding', () => {
  it.each([
    `/v2/quay.io/e12/app/manifests/sha256%3A${'a'.repeat(64)}`,
    '/v2/registry.lan%3A5000/e12/app/manifests/v1',
    '/v2/quay.io/e12%2Fapp/manifests/v1',
    '/v2/quay.io/e12%252Fapp/manifests/v1',
    '/v2/quay.io/%2e%2e/app/manifests/v1',
    '/v2/quay.io/e12/../app/manifests/v1',
    '/v2/quay.io/e12/a%5Cpp/manifests/v1',
    '/v2/quay.io/e12/a%00pp/manifests/v1',
    '/v2/quay.io/e12/a%70p/manifests/v1',
  ])(
    'E-12 decided differently: no segment is decoded, any %% in a path is refused: %s',
    async (path) => {
      expect(await pullOf(path)).toBe('400 NAME_INVALID')
      expect(asked()).toEqual([])
    },
  )

  it('E-12 a query is decoded once', async () => {
    push(quay, 'e12/query')
    const path = '/v2/e12/query/manifests/v1'
    expect(await pullOf(`${path}?ns=registry.lan%3A5000`)).toBe('quay')
    expect(await pullOf(`${path}?ns=registry.lan%253A5000`)).toBe('400 NAME_INVALID')
  })
})

describe('E-13 names with keywords', () => {
  it.each([
    'org/manifests',
    'org/blobs',
    'org/tags',
    'org/uploads',
    'org/referrers',
    'org/v2',
    'manifests/manifests',
    'blobs/uploads',
    'v2/v2/v2',
    'a/b/c/d/e/f/g/h',
  ])('E-13 %s', async (repository) => {
    push(quay, repository)
    const blob = QUAY_IMAGE.blobs[0]?.digest
    for (const base of [`/v2/quay.io/${repository}`, `/quay.io/v2/${repository}`]) {
      expect(await pullOf(`${base}/manifests/v1`)).toBe('quay')
      expect((await mirror.get(`${base}/blobs/${blob}`)).status).toBe(200)
      expect(JSON.parse((await mirror.get(`${base}/tags/list`)).body.toString())).toMatchObject({
        tags: ['v1'],
      })
      expect((await mirror.get(`${base}/referrers/${QUAY_IMAGE.digest}`)).status).toBe(200)
    }
    expect(asked()).toContain(`quay GET /v2/${repository}/manifests/v1`)
  })

  it('E-13 tags with the names of keywords', async () => {
    for (const tag of ['list', 'uploads', 'manifests', 'blobs', 'tags', '_catalog', '__proto__']) {
      push(quay, 'e13/tags', tag)
      expect(await pullOf(`/v2/quay.io/e13/tags/manifests/${tag}`)).toBe('quay')
    }
  })
})

describe('E-40 Host', () => {
  it.each(['quay.mirror.lan', 'quay.mirror.lan:8443', 'QUAY.mirror.LAN'])(
    'E-40 %s means the upstream that is configured for it',
    async (host) => {
      push(quay, `e40/${host.length}`)
      expect(await pullOf(`/v2/e40/${host.length}/manifests/v1`, { host })).toBe('quay')
    },
  )

  it('E-40 any other name means the default upstream', async () => {
    push(hub, 'e40/other')
    for (const host of ['mirror.lan', 'quay.io', '127.0.0.1:5000', 'sub.quay.mirror.lan']) {
      expect(await pullOf('/v2/e40/other/manifests/v1', { host })).toBe('hub')
    }
  })

  it('E-40 the name in an absolute-form target routes nothing, the Host does', async () => {
    push(hub, 'e40/absolute')
    const answer = await exchangeRaw({
      url: mirror.url,
      send:
        'GET http://quay.mirror.lan/v2/e40/absolute/manifests/v1 HTTP/1.1\r\n' +
        'Host: mirror.lan\r\nConnection: close\r\n\r\n',
    })
    expect(rawVerdicts(answer)).toEqual(['200'])
    expect(asked()).toEqual(['hub GET /v2/e40/absolute/manifests/v1'])
  })
})

describe('E-41 historic URL shapes', () => {
  it('E-41 /v2 without a slash is a ping', async () => {
    const answer = await mirror.get('/v2')
    expect(answer.status).toBe(200)
    expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0')
  })

  it.each(['/v1/', '/v1/_ping', '/v1/repositories/busybox/images', '/quay.io/v1/_ping'])(
    'E-41 %s is 404 at once',
    async (path) => {
      expect(verdict(await mirror.get(path))).toBe('404 NAME_UNKNOWN')
    },
  )

  it.each(['//v2/', '/v2//', '/v2//e41/app/manifests/v1', '/v2/quay.io//e41/manifests/v1'])(
    'E-41 the double slash in %s is 404',
    async (path) => {
      expect(verdict(await mirror.get(path))).toBe('404 NAME_UNKNOWN')
      expect(asked()).toEqual([])
    },
  )
})

describe('E-42 case, lengths, and what trails', () => {
  it.each([
    ['/v2/quay.io/E42/app/manifests/v1', '400 NAME_INVALID'],
    [`/v2/quay.io/${'a'.repeat(256)}/manifests/v1`, '400 NAME_INVALID'],
    [`/v2/quay.io/e42/app/manifests/${'a'.repeat(129)}`, '400 TAG_INVALID'],
    [`/v2/quay.io/e42/app/manifests/sha256:${'A'.repeat(64)}`, '400 DIGEST_INVALID'],
    [`/v2/quay.io/e42/app/blobs/sha256:${'A'.repeat(64)}`, '400 DIGEST_INVALID'],
    ['/v2/quay.io/e42/app/manifests/v1/', '404 NAME_UNKNOWN'],
    ['/v2/quay.io/e42/app/manifests/', '404 NAME_UNKNOWN'],
  ])('E-42 %s is %s', async (path, expected) => {
    expect(await pullOf(path)).toBe(expected)
    expect(asked()).toEqual([])
  })

  it('E-42 the longest names and tags are served', async () => {
    const repository = `${'a'.repeat(127)}/${'b'.repeat(127)}`
    const tag = 'T'.repeat(128)
    push(quay, repository, tag)
    expect(await pullOf(`/v2/quay.io/${repository}/manifests/${tag}`)).toBe('quay')
  })
})
