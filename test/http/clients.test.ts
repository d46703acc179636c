/** The pages that tell clients how to be configured: for everybody, about nothing but this mirror. */
import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { CLIENT_NAMES } from '../../src/clients/client-config.ts'
import { clientConfig } from '../../src/clients/configure.ts'
import { describeClient } from '../../src/clients/describe.ts'
import { verdict } from '../protocol/answers.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { fakeControl } from './fake-control.ts'
import { serveMirror, type Served, type ServedOptions } from './fake-mirror.ts'

const FACTS = {
  url: 'https://mirror.example',
  upstreams: ['docker.io', 'quay.io', 'registry.example:5000'],
  defaultUpstream: 'docker.io',
  ca: undefined,
  login: undefined,
  fallback: true,
}

describe('/client', () => {
  it('lists every client, with its title and how the rest is had', async () => {
    await using served = await serve()
    const text = textOf(await get(served, '/client'))
    for (const name of CLIENT_NAMES) {
      expect(text).toMatch(
        new RegExp(`^  ${name} +${escaped(clientConfig(name, FACTS).title)}$`, 'm'),
      )
    }
    expect(text).toContain('https://mirror.example/client/install.sh | sudo sh')
  })
})

describe.each(CLIENT_NAMES)('/client/%s', (name) => {
  it('says what the command says', async () => {
    await using served = await serve()
    const answer = await get(served, `/client/${name}`)
    expect(textOf(answer)).toBe(`${describeClient(clientConfig(name, FACTS)).trimEnd()}\n`)
    const strict = textOf(await get(served, `/client/${name}?fallback=no`))
    const config = clientConfig(name, { ...FACTS, fallback: false })
    expect(strict).toBe(`${describeClient(config).trimEnd()}\n`)
    expect(textOf(await get(served, `/client/${name}?fallback=yes`))).toBe(textOf(answer))
  })
})

it('refuses what is neither fallback nor none', async () => {
  await using served = await serve()
  const answer = await get(served, '/client/docker?fallback=maybe')
  expect(answer.status).toBe(400)
  expect(answer.body.toString()).toBe('The parameter fallback is yes or no.\n')
})

it.each(['/client', '/client/docker', '/client/install.sh'])(
  '%s is for everybody, kept by nobody, and depends on no catalog',
  async (path) => {
    const refresh = (): Promise<void> => Promise.reject(new Error('The state cannot be read.'))
    const control = fakeControl({ refresh, anonymous: [], asksForLogin: true })
    await using served = await serve({ control })
    const answer = await get(served, path)
    expect(answer.status).toBe(200)
    expect(answer.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-length': String(answer.body.length),
    })
    expect(control.identified).toEqual([])
    const head = await request({ url: served.url, path, method: 'HEAD' })
    expect([head.status, head.body.length]).toEqual([200, 0])
    expect(head.headers['content-length']).toBe(String(answer.body.length))
  },
)

describe('paths of the registry', () => {
  it('stay what they are', async () => {
    const options = { publicUrl: 'http://mirror.example' }
    const tags = async () =>
      ({ tags: ['v1'], nextQuery: undefined, outcome: 'hit', staleBecause: undefined }) as const
    await using served = await serveMirror({ tags }, options)
    const answers = [
      ['/client/v2/', '404 NAME_UNKNOWN'],
      ['/client/v2', '404 NAME_UNKNOWN'],
      ['/client/v2/install.sh/tags/list', '404 NAME_UNKNOWN'],
      ['/v2/client/docker/tags/list', '200'],
      ['/quay.io/v2/client/docker/tags/list', '200'],
      ['/client/', '404 NAME_UNKNOWN'],
      ['/client/docker/', '404 NAME_UNKNOWN'],
      ['/client/dockers', '404 NAME_UNKNOWN'],
      ['/client/constructor', '404 NAME_UNKNOWN'],
      ['/client/install.sh/x', '404 NAME_UNKNOWN'],
      ['/client/do%63ker', '404 NAME_UNKNOWN'],
    ]
    for (const [path = '', expected] of answers) {
      expect([path, verdict(await get(served, path))]).toEqual([path, expected])
    }
    const posted = await request({ url: served.url, path: '/client/docker', method: 'POST' })
    expect(posted.status).toBe(404)
  })

  it('are where the registry is: not on the listener of the API', async () => {
    await using served = await serve({ parts: { registry: false, api: true } })
    for (const path of ['/client', '/client/docker', '/client/install.sh']) {
      expect((await get(served, path)).status).toBe(404)
    }
  })
})

describe('the URL', () => {
  it('is the one of the request where none is configured', async () => {
    await using served = await serveMirror({})
    const text = textOf(await get(served, '/client/docker', { Host: 'mirror.lan:8080' }))
    expect(text).toContain('http://mirror.lan:8080')
  })

  it('is that of the proxy in front', async () => {
    await using served = await serveMirror({}, { behindProxy: true })
    const headers = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'front.example' }
    expect(textOf(await get(served, '/client/docker', headers))).toContain('https://front.example')
  })

  it('is not what a stranger says of a proxy', async () => {
    await using served = await serveMirror({})
    const headers = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'evil.example' }
    expect(textOf(await get(served, '/client/install.sh', headers))).not.toContain('evil.example')
  })

  it.each([
    "a'; touch /tmp/pwned; '",
    'a"$(id)"',
    'a`id`',
    'a\\b',
    'user@mirror.example',
    'mirror.example/path',
    'mirror.example?x',
    'mirror.example:80:80',
    'mirror.example;id',
    'mirror..example\u00e9',
  ])('is refused where the request says %j', async (host) => {
    await using served = await serveMirror({})
    for (const path of ['/client', '/client/docker', '/client/install.sh']) {
      const send = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
      const { text: answer } = await exchangeRaw({ url: served.url, send })
      expect(answer).toMatch(/^HTTP\/1\.1 400 /)
      expect(answer).not.toContain(host)
    }
  })
})

it('a host that clients could not write down is refused, too', async () => {
  await using served = await serveMirror({})
  for (const path of ['/client', '/client/docker', '/client/install.sh']) {
    const answer = await get(served, path, { Host: 'mirror.example.' })
    expect(verdict(answer)).toBe('400 NAME_INVALID')
  }
})

it('/client/install.sh is a script that a shell can read', async () => {
  await using served = await serve()
  const script = textOf(await get(served, '/client/install.sh'))
  expect(script).toMatch(/^#!\/bin\/sh\n/)
  execFileSync('sh', ['-n'], { input: script })
})

function serve(options: ServedOptions = {}): Promise<Served> {
  return serveMirror({}, { publicUrl: 'https://mirror.example', ...options })
}

function get(
  { url }: Served,
  path: string,
  headers: Record<string, string> = {},
): Promise<ClientResponse> {
  return request({ url, path, headers })
}

function textOf({ status, body }: ClientResponse): string {
  expect(status).toBe(200)
  return body.toString()
}

function escaped(text: string): string {
  return text.replace(/[.*+?^$(){}|[\]\\]/g, '\\$&')
}
