/** Every client shape, and every combination that real clients make, means the same. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OciError } from '../../src/oci/error.ts'
import { parseReference } from '../../src/oci/reference.ts'
import { parseRequestPath } from '../../src/routing/request-path.ts'
import { resolve, type RoutingTable, type Target } from '../../src/routing/resolve.ts'
import { anyText, digests, repositories, tags } from '../oci/names.ts'
import { refusal } from '../oci/refusal.ts'

const UPSTREAMS = ['docker.io', 'quay.io', 'registry.lan:5000', 'corp'] as const
type UpstreamName = (typeof UPSTREAMS)[number]

const OTHER_NAMES: Record<UpstreamName, readonly string[]> = {
  'docker.io': ['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com'],
  'quay.io': ['quay.io:443'],
  'registry.lan:5000': [],
  corp: [],
}

const HOSTS: Record<UpstreamName, string> = {
  'docker.io': 'hub.mirror.lan',
  'quay.io': 'quay.mirror.lan',
  'registry.lan:5000': 'lan.mirror.lan',
  corp: 'corp.mirror.lan',
}

function tableWithDefault(defaultUpstream: string | undefined): RoutingTable {
  const hosts = new Map(UPSTREAMS.map((upstream) => [HOSTS[upstream], upstream]))
  return { upstreams: new Set(UPSTREAMS), hosts, defaultUpstream }
}

interface Request {
  readonly target: string
  readonly host?: string
  readonly table?: RoutingTable
}

/** What the server makes of a request; `undefined` when it refuses it. */
function targetOf({ target, host, table = tableWithDefault('docker.io') }: Request) {
  try {
    const path = parseRequestPath(target)
    if (path === undefined) return undefined
    const { prefix, name, query, reference, kind } = path
    if (!['manifest', 'blob', 'tags', 'referrers'].includes(kind)) return undefined
    if (kind !== 'tags') parseReference(reference)
    return resolve(table, { prefix, name, namespaces: query.getAll('ns'), host })
  } catch (error) {
    if (error instanceof OciError) return undefined
    throw error
  }
}

const upstreams = fc.constantFrom(...UPSTREAMS)
const resources = fc.oneof(
  fc.oneof(tags, digests).map((reference) => `manifests/${reference}`),
  digests.map((digest) => `blobs/${digest}`),
  digests.map((digest) => `referrers/${digest}`),
  fc.constant('tags/list'),
)
/** Names that do not begin with what could be, or is, a registry. */
const plainRepositories = repositories.filter(
  (name) => !/^[^/]*\./.test(name) && !UPSTREAMS.some((upstream) => name.startsWith(upstream)),
)

function expected(upstream: string, name: string): Target {
  const repository = upstream === 'docker.io' && !name.includes('/') ? `library/${name}` : name
  return { upstream, repository: repository as Target['repository'] }
}

describe('a name in every shape', () => {
  const cases = fc.record({
    upstream: upstreams,
    name: plainRepositories,
    resource: resources,
    other: fc.oneof(upstreams, fc.constantFrom('index.docker.io', 'unknown.example')),
    port: fc.constantFrom('', ':5000', ':443'),
    alias: fc.nat(),
  })

  it('E-10, E-11, E-13, E-40: leads to the same upstream and repository', () => {
    fc.assert(
      fc.property(cases, ({ upstream, name, resource, other, port, alias }) => {
        const names = [upstream, ...OTHER_NAMES[upstream]]
        const called = names[alias % names.length] ?? upstream
        const path = `${name}/${resource}`
        const ns = encodeURIComponent(called)
        const host = `${HOSTS[upstream]}${port}`
        const requests: Request[] = [
          { target: `/v2/${called}/${path}` },
          { target: `/v2/${path}?ns=${ns}` },
          { target: `/${called}/v2/${path}` },
          { target: `/v2/${path}`, host },
          { target: `/v2/${path}`, host: 'mirror.lan', table: tableWithDefault(upstream) },
          // Together: the prefix wins, then ns, then the host, then the default.
          { target: `/v2/${called}/${path}?ns=${ns}` },
          { target: `/v2/${called}/${path}?ns=${other}`, host: HOSTS.corp },
          { target: `/${called}/v2/${path}?ns=${other}`, host: HOSTS.corp },
          { target: `/v2/${path}?ns=${ns}`, host: HOSTS.corp },
          { target: `/v2/${path}?ns=${ns}&ns=${upstream}`, table: tableWithDefault(undefined) },
          { target: `http://${other}/v2/${path}`, host },
        ]
        for (const request of requests) {
          expect({ ...request, ...targetOf(request) }).toMatchObject(expected(upstream, name))
        }
      }),
      { numRuns: 300 },
    )
  })

  it('E-6: keeps a first component with a dot where prefix or ns say what it is', () => {
    const dotted = fc.tuple(fc.domain(), plainRepositories).map((parts) => parts.join('/'))
    fc.assert(
      fc.property(upstreams, dotted, resources, (upstream, name, resource) => {
        fc.pre(!UPSTREAMS.some((known) => name.startsWith(known)))
        const path = `${name}/${resource}`

        expect(targetOf({ target: `/v2/${path}` })).toBeUndefined()
        expect(targetOf({ target: `/v2/${path}`, host: HOSTS['quay.io'] })).toBeUndefined()
        for (const target of [`/${upstream}/v2/${path}`, `/v2/${upstream}/${path}`]) {
          expect(targetOf({ target })).toEqual(expected(upstream, name))
        }
        expect(targetOf({ target: `/v2/${path}?ns=${upstream}` })).toEqual(expected(upstream, name))
      }),
    )
  })
})

describe('a request that is not plain', () => {
  const forms = fc.constantFrom(
    (upstream: string, path: string) => `/v2/${upstream}/${path}`,
    (upstream: string, path: string) => `/${upstream}/v2/${path}`,
    (upstream: string, path: string) => `/v2/${path}?ns=${upstream}`,
  )
  const targets = fc
    .tuple(upstreams, plainRepositories, resources, forms)
    .map(([upstream, name, resource, form]) => form(upstream, `${name}/${resource}`))
  const spoiled = (spoil: (path: string, at: number) => string) =>
    fc.tuple(targets, fc.nat({ max: 200 })).map(([target, at]) => {
      const [path = '', query] = target.split('?')
      return spoil(path, at % (path.length + 1)) + (query === undefined ? '' : `?${query}`)
    })
  const inserted = (text: string) =>
    spoiled((path, at) => `${path.slice(0, at)}${text}${path.slice(at)}`)
  const afterSlash = (text: string) =>
    spoiled((path, at) => {
      const slash = path.lastIndexOf('/', at)
      return `${path.slice(0, slash + 1)}${text}${path.slice(slash + 1)}`
    })

  it.each([
    ['percent-encoding', inserted('%41')],
    ['an encoded slash', inserted('%2F')],
    ['a lone percent sign', inserted('%')],
    ['a double slash', afterSlash('/')],
    ['a dot segment', afterSlash('./')],
    ['a double dot segment', afterSlash('../')],
    ['a backslash', inserted('\\')],
    ['NUL', inserted('\u0000')],
    ['a line feed', inserted('\n')],
    ['a space', inserted(' ')],
    ['a letter outside ASCII', inserted('é')],
    ['a letter that is lower case of an ASCII one', inserted('\u212a')],
    ['a semicolon', inserted(';')],
    ['a trailing slash', spoiled((path) => `${path}/`)],
  ])('E-12: has no target with %s, wherever it stands', (_, texts) => {
    fc.assert(
      fc.property(texts, (target) => {
        expect(targetOf({ target })).toBeUndefined()
      }),
      { numRuns: 300 },
    )
  })

  it('E-42: has no target with upper case, other than in a tag', () => {
    const withUpperCase = fc.tuple(targets, fc.nat({ max: 200 })).map(([target, at]) => {
      const position = at % startOfTagOrQuery(target)
      const letter = target.charAt(position)
      const upperCase = `${target.slice(0, position)}${letter.toUpperCase()}${target.slice(position + 1)}`
      return /[a-z]/.test(letter) ? upperCase : undefined
    })
    fc.assert(
      fc.property(withUpperCase, (target) => {
        fc.pre(target !== undefined)

        expect(targetOf({ target })).toBeUndefined()
      }),
      { numRuns: 500 },
    )
  })

  it('resolves any address to a configured upstream, or refuses it', () => {
    const text = fc.oneof(anyText, upstreams, repositories)
    const addresses = fc.record({
      prefix: fc.option(text, { nil: undefined }),
      name: fc.array(text, { maxLength: 4 }),
      namespaces: fc.array(text, { maxLength: 2 }),
      host: fc.option(text, { nil: undefined }),
    })
    fc.assert(
      fc.property(addresses, (address) => {
        const code = refusal(() => {
          const { upstream, repository } = resolve(tableWithDefault('docker.io'), address)
          expect(UPSTREAMS).toContain(upstream)
          expect(repository).toMatch(/^[a-z0-9._/-]+$/)
        })

        expect([undefined, 'NAME_INVALID', 'NAME_UNKNOWN']).toContain(code)
      }),
      { numRuns: 2000 },
    )
  })
})

function startOfTagOrQuery(target: string): number {
  const [path = ''] = target.split('?')
  const tag = /\/manifests\/([^/:]+)$/.exec(path)?.[1] ?? ''
  return path.length - tag.length
}
