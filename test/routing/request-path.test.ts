import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRequestPath, pathOf, type RequestPath } from '../../src/routing/request-path.ts'
import { anyText, digests, repositories, tags } from '../oci/names.ts'
import { refusal } from '../oci/refusal.ts'

const digest = `sha256:${'a'.repeat(64)}`

const LEGAL_PARTS = ['v2', 'manifests', 'blobs', 'tags', 'list', 'uploads', '_catalog', 'quay.io']
const ILLEGAL_PARTS = ['', '.', '..', '%2f', '\\', '\u0000', 'é', '?', '#', 'http://']

/** Kind, prefix, name and reference in one line. */
function read(target: string): string | undefined {
  const path = parseRequestPath(target)
  return path && say(path)
}

function say({ kind, prefix, name, reference }: Omit<RequestPath, 'path' | 'query'>): string {
  return `${kind} ${prefix ?? '-'} ${name.join('/')} ${reference}`
}

describe('parseRequestPath', () => {
  it.each([
    ['/v2/library/nginx/manifests/latest', 'manifest - library/nginx latest'],
    [`/v2/library/nginx/manifests/${digest}`, `manifest - library/nginx ${digest}`],
    [`/v2/nginx/blobs/${digest}`, `blob - nginx ${digest}`],
    ['/v2/nginx/tags/list', 'tags - nginx '],
    [`/v2/nginx/referrers/${digest}`, `referrers - nginx ${digest}`],
    ['/v2/nginx/blobs/uploads/', 'upload -  '],
    ['/v2/nginx/blobs/uploads', 'upload -  '],
    ['/v2/nginx/blobs/uploads/0a1b', 'upload -  '],
    ['/v2/_catalog', 'catalog -  '],
    ['/v2/quay.io/_catalog', 'catalog - quay.io '],
    ['/quay.io/v2/coreos/etcd/manifests/v3.1', 'manifest quay.io coreos/etcd v3.1'],
    ['/quay.io/v2/_catalog', 'catalog quay.io  '],
  ])('reads %s as "%s"', (target, said) => {
    expect(read(target)).toBe(said)
  })

  it.each([
    ['/v2', 'ping -  '],
    ['/v2/', 'ping -  '],
    ['/v2/?ns=quay.io', 'ping -  '],
    ['/v2/quay.io', 'ping - quay.io '],
    ['/v2/quay.io/', 'ping - quay.io '],
    ['/quay.io/v2', 'ping quay.io  '],
    ['/quay.io/v2/', 'ping quay.io  '],
  ])('E-41: reads %s as "%s"', (target, said) => {
    expect(read(target)).toBe(said)
  })

  it.each([
    ['/v2/quay.io/org/manifests/manifests/latest', 'manifest - quay.io/org/manifests latest'],
    ['/v2/manifests/blobs/tags/manifests/list', 'manifest - manifests/blobs/tags list'],
    ['/v2/org/tags/list/tags/list', 'tags - org/tags/list '],
    ['/v2/org/blobs/uploads/manifests/latest', 'manifest - org/blobs/uploads latest'],
    ['/v2/org/blobs/uploads/tags/list', 'tags - org/blobs/uploads '],
    [`/v2/blobs/uploads/blobs/${digest}`, `blob - blobs/uploads ${digest}`],
    [`/v2/referrers/referrers/${digest}`, `referrers - referrers ${digest}`],
    ['/v2/org/app/manifests/uploads', 'manifest - org/app uploads'],
    ['/v2/org/app/manifests/_catalog', 'manifest - org/app _catalog'],
    ['/v2/v2/app/manifests/latest', 'manifest - v2/app latest'],
    ['/v2/v2/manifests/v2', 'manifest - v2 v2'],
    ['/quay.io/v2/v2/app/manifests/latest', 'manifest quay.io v2/app latest'],
    ['/v2/quay.io/v2/coreos/etcd/manifests/v3', 'manifest - quay.io/v2/coreos/etcd v3'],
  ])('E-13: reads %s from its end: "%s"', (target, said) => {
    expect(read(target)).toBe(said)
  })

  it.each([
    '/',
    '',
    '*',
    '/v1/_ping',
    '/v1/search',
    '/v20/',
    '/healthz',
    '/V2/',
    '/a/b/v2/',
    '/%76%32/',
  ])('E-41: leaves %s to others', (target) => {
    expect(parseRequestPath(target)).toBeUndefined()
  })

  it.each([
    '/v2//',
    '/quay.io/v2//',
    '/v2//nginx/manifests/latest',
    '/v2/library//nginx/manifests/latest',
    '/v2/nginx//manifests/latest',
    '/v2/nginx/manifests//latest',
    '/v2/nginx/manifests/latest/',
    '/v2/nginx/manifests/',
    `/v2/nginx/blobs/${digest}/`,
    '/v2/nginx/tags/list/',
    '/v2/a/b/',
    '/v2/nginx/v1/latest',
    '/v2/nginx/tags/lists',
  ])('E-41, E-42: knows nothing at %s', (target) => {
    expect(refusal(() => parseRequestPath(target))).toBe('NAME_UNKNOWN')
  })

  it.each([
    `/v2/nginx/blobs/sha256%3A${'a'.repeat(64)}`,
    '/v2/reg.corp%3A5000/app/manifests/latest',
    '/v2/library%2Fnginx/manifests/latest',
    '/v2/library%252Fnginx/manifests/latest',
    '/v2/a/%2e%2e/b/manifests/latest',
    '/v2/a/../b/manifests/latest',
    '/v2/a/./b/manifests/latest',
    '/v2/..',
    '/v2/nginx/manifests/..',
    '/v2/library\\nginx/manifests/latest',
    '/v2/nginx/manifests/lat\u0000est',
    '/v2/nginx/manifests/lat est',
    '/v2/nginx/manifests/lat\u007fest',
    '/v2/nginx/manifests/é',
    '/quay.io%2F/v2/nginx/manifests/latest',
  ])('E-12: refuses %j', (target) => {
    expect(refusal(() => parseRequestPath(target))).toBe('NAME_INVALID')
  })

  it('looks at 4096 characters at most, the query included', () => {
    const longest = `/v2/nginx/manifests/latest?n=${'1'.repeat(4096 - 29)}`

    expect(longest).toHaveLength(4096)
    expect(read(longest)).toBe('manifest - nginx latest')
    expect(refusal(() => parseRequestPath(`${longest}1`))).toBe('NAME_INVALID')
  })

  it('E-40: ignores the authority of an absolute-form target', () => {
    const path = '/v2/nginx/manifests/latest'

    expect(read(`http://evil.example${path}`)).toBe(read(path))
    expect(read(`HTTPS://user@evil.example:8080${path}?ns=quay.io`)).toBe(read(path))
    expect(pathOf('http://evil.example')).toBe('/')
    expect(pathOf('http://evil.example?/v2/')).toBe('/')
    expect(pathOf('')).toBe('/')
  })

  it('keeps the query, decoded once, and the path as it was sent', () => {
    const target = '/v2/nginx/tags/list?n=10&last=v1%2E0&ns=a&ns=b%3A5000'

    const path = parseRequestPath(target)

    expect(path?.path).toBe('/v2/nginx/tags/list')
    expect(path?.query.get('last')).toBe('v1.0')
    expect(path?.query.getAll('ns')).toEqual(['a', 'b:5000'])
    expect([...(parseRequestPath('/v2/nginx/tags/list')?.query ?? [])]).toEqual([])
    expect([...(parseRequestPath('/v2/nginx/tags/list?')?.query ?? [])]).toEqual([])
  })

  it('E-13: finds the name and the reference again, whatever they are', () => {
    const prefixes = fc.constantFrom(undefined, 'quay.io', 'registry.lan:5000', 'corp')
    const resources = fc.oneof(
      fc.tuple(fc.constant('manifest' as const), fc.oneof(tags, digests)),
      fc.tuple(fc.constantFrom('blob' as const, 'referrers' as const), digests),
      fc.constant(['tags', ''] as const),
    )
    const keywords = { manifest: 'manifests', blob: 'blobs', referrers: 'referrers', tags: 'tags' }
    fc.assert(
      fc.property(prefixes, repositories, resources, (prefix, name, [kind, reference]) => {
        const before = prefix === undefined ? '' : `/${prefix}`
        const last = kind === 'tags' ? 'list' : reference

        expect(read(`${before}/v2/${name}/${keywords[kind]}/${last}`)).toBe(
          say({ kind, prefix, name: name.split('/'), reference }),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('throws nothing but OciError, whatever it is given', () => {
    const parts = fc.constantFrom(...LEGAL_PARTS, ...ILLEGAL_PARTS, digest)
    const targets = fc.oneof(
      fc.array(parts, { maxLength: 8 }).map((segments) => `/${segments.join('/')}`),
      anyText,
      anyText.map((text) => `/v2/${text}`),
    )
    fc.assert(
      fc.property(targets, (target) => {
        expect([undefined, 'NAME_INVALID', 'NAME_UNKNOWN']).toContain(
          refusal(() => parseRequestPath(target)),
        )
      }),
      { numRuns: 2000 },
    )
  })
})
