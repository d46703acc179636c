/** The list of repositories: nobody sees what they may not pull. */
import { describe, expect, it } from 'vitest'
import { createAllowlist } from '../../src/access/allowlist.ts'
import { parseRepository } from '../../src/oci/reference.ts'
import { verdict } from '../protocol/answers.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { fakeControl, type FakeControlOptions, principal } from './fake-control.ts'
import { type FakeMirror, serveMirror, type Served } from './fake-mirror.ts'

type Key = Parameters<FakeMirror['tagsLeadingTo']>[0]

const NAMES = [
  'docker.io/library/app',
  'docker.io/team/one',
  'docker.io/team/two',
  'gone.example/org/app',
  'quay.io/org/app',
  'quay.io/org/secret',
]
const IDENTITIES = {
  'Basic alice': { principal: principal('user', 'alice', 'pull=docker.io/team/*') },
  'Basic bob': { principal: principal('user', 'bob') },
  'Bearer of-nobody': { credential: 'accepted' },
} as const

describe('/v2/_catalog', () => {
  it('has what the caller may pull and the rules admit, of upstreams that are there', async () => {
    const allowlist = createAllowlist(['**'], ['quay.io/org/secret', 'docker.io/team/two:old'])
    await using served = await serve({ allowlist })
    expect(await namesAt(served, '/v2/_catalog')).toEqual([
      'docker.io/library/app',
      'docker.io/team/one',
      'docker.io/team/two',
      'quay.io/org/app',
    ])
  })

  it('has only what was granted', async () => {
    await using served = await serve({ anonymous: ['quay.io/**'] })
    const forAll = ['quay.io/org/app', 'quay.io/org/secret']
    const team = ['docker.io/team/one', 'docker.io/team/two']
    expect(await namesAt(served, '/v2/_catalog', 'Basic alice')).toEqual([...team, ...forAll])
    expect(await namesAt(served, '/v2/_catalog', 'Basic bob')).toEqual(forAll)
    expect(await namesAt(served, '/v2/_catalog')).toEqual(forAll)
    expect(await namesAt(served, '/v2/_catalog', 'Basic foreign')).toEqual(forAll)
  })

  it.each([undefined, 'Bearer of-nobody', 'Basic foreign'])(
    'asks %s for a login where nobody may pull anything without',
    async (authorization) => {
      await using served = await serve({ anonymous: [], asksForLogin: true })
      const answer = await ask(served, '/v2/_catalog', authorization)
      expect(verdict(answer)).toBe('401 UNAUTHORIZED')
      expect(answer.headers['www-authenticate']).toContain('scope="registry:catalog:*"')
    },
  )

  it('is empty for a user who was granted nothing', async () => {
    await using served = await serve({ anonymous: [], asksForLogin: true })
    expect(await namesAt(served, '/v2/_catalog', 'Basic bob')).toEqual([])
  })

  it('is empty where nobody could log in either', async () => {
    await using served = await serve({ anonymous: [], asksForLogin: false })
    expect(await namesAt(served, '/v2/_catalog')).toEqual([])
  })

  it.each([1, 2, 3, 4, 5, 1000, 10_000])('comes in pages of %s', async (size) => {
    await using served = await serve({})
    const pages: string[][] = []
    let path: string | undefined = `/v2/_catalog?n=${size}`
    while (path !== undefined) {
      const answer = await ask(served, path)
      pages.push(namesIn(answer))
      path = /^<([^>]+)>; rel="next"$/.exec(answer.headers['link'] ?? '')?.[1]
    }
    expect(pages.flat()).toEqual(NAMES.filter((name) => !name.startsWith('gone')))
    expect(pages.every((page) => page.length > 0 && page.length <= size)).toBe(true)
  })

  it('is empty for n=0, and has no next page', async () => {
    await using served = await serve({})
    const answer = await ask(served, '/v2/_catalog?n=0')
    expect([namesIn(answer), answer.headers['link']]).toEqual([[], undefined])
  })

  it('leads on behind names that were told, never behind a hidden one', async () => {
    await using served = await serve({ anonymous: [] }, many(3000, 'quay.io/org'))
    const answer = await ask(served, '/v2/_catalog?n=1', 'Basic alice')
    expect([namesIn(answer), answer.headers['link']]).toEqual([[], undefined])
  })

  it('reads as many pages of the catalog as it takes', async () => {
    await using served = await serve({ anonymous: [] }, [
      ...many(2500, 'docker.io/hidden'),
      'docker.io/team/one',
    ])
    expect(await namesAt(served, '/v2/_catalog', 'Basic alice')).toEqual(['docker.io/team/one'])
  })

  it('has no more than a thousand in a page', async () => {
    await using served = await serve({}, many(2500, 'quay.io/org'))
    const names = await namesAt(served, '/v2/_catalog?n=100000')
    expect(names).toHaveLength(1000)
    const rest = await namesAt(served, `/v2/_catalog?last=${names.at(-1)}`)
    expect(rest[0]).toBe('quay.io/org/app-1000')
  })

  it.each(['/quay.io/v2/_catalog', '/v2/_catalog?ns=quay.io'])(
    'has the names as they have to be asked for at %s',
    async (path) => {
      await using served = await serve({})
      expect(await namesAt(served, path)).toEqual(['org/app', 'org/secret'])
      const joined = path.includes('?') ? '&' : '?'
      expect(await namesAt(served, `${path}${joined}last=org/app`)).toEqual(['org/secret'])
    },
  )

  it.each([
    ['/v2/quay.io/_catalog', '404 NAME_UNKNOWN'],
    ['/ghcr.io/v2/_catalog', '404 NAME_UNKNOWN'],
    ['/v2/_catalog?n=many', '400 PAGINATION_NUMBER_INVALID'],
    ['/v2/_catalog?last=quay.io', '400 NAME_INVALID'],
    ['/v2/_catalog?last=quay.io/UPPER', '400 NAME_INVALID'],
  ])('answers %s with %s', async (path, expected) => {
    await using served = await serve({})
    expect(verdict(await ask(served, path))).toBe(expected)
  })

  it('is not kept by anybody, and told to HEAD in the same headers', async () => {
    await using served = await serve({})
    const whole = await ask(served, '/v2/_catalog')
    expect(whole.headers['cache-control']).toBe('no-store')
    const head = await request({ url: served.url, path: '/v2/_catalog', method: 'HEAD' })
    expect([head.status, head.body.length]).toEqual([200, 0])
    expect(head.headers['content-length']).toBe(whole.headers['content-length'])
  })
})

function many(count: number, below: string): string[] {
  const numbered = Array.from({ length: count }, (_, place) => `${below}/app-${place}`)
  return numbered.map((name) => name.replace(/\d+$/, (digits) => digits.padStart(4, '0')))
}

function serve(options: FakeControlOptions, names: readonly string[] = NAMES): Promise<Served> {
  const keys = names.map(keyOf)
  const repositories: FakeMirror['repositories'] = async (after, limit) => {
    const behind = keys.filter((key) => after === undefined || compare(key, after) > 0)
    return behind.slice(0, limit)
  }
  const control = fakeControl({ identities: IDENTITIES, ...options })
  return serveMirror({ repositories }, { control })
}

function keyOf(name: string): Key {
  const slash = name.indexOf('/')
  return { upstream: name.slice(0, slash), repository: parseRepository(name.slice(slash + 1)) }
}

function compare(a: Key, b: Key): number {
  const [left, right] = [`${a.upstream}\0${a.repository}`, `${b.upstream}\0${b.repository}`]
  return left < right ? -1 : Number(left > right)
}

async function namesAt(served: Served, path: string, authorization?: string): Promise<string[]> {
  return namesIn(await ask(served, path, authorization))
}

function namesIn({ body }: ClientResponse): string[] {
  return (JSON.parse(body.toString()) as { repositories: string[] }).repositories
}

function ask({ url }: Served, path: string, authorization?: string): Promise<ClientResponse> {
  const headers = authorization === undefined ? {} : { Authorization: authorization }
  return request({ url, path, headers })
}
