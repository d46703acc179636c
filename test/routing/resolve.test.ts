import { describe, expect, it } from 'vitest'
import { parseRequestPath } from '../../src/routing/request-path.ts'
import { looksLikeHost } from '../../src/oci/registry-name.ts'
import { resolve, type RoutingTable } from '../../src/routing/resolve.ts'
import { refusal } from '../oci/refusal.ts'

const table: RoutingTable = {
  upstreams: new Set(['docker.io', 'quay.io', 'registry.lan:5000', 'corp', 'localhost']),
  hosts: new Map([
    ['quay.mirror.lan', 'quay.io'],
    ['corp.mirror.lan', 'corp'],
  ]),
  defaultUpstream: 'docker.io',
}

/** `<upstream> <repository>` for the part of a request target before `/manifests/…`, and a Host. */
function target(start: string, host = 'mirror.lan', routing = table): string {
  const [path = '', query = ''] = start.split('?')
  const request = parseRequestPath(`${path}/manifests/v1?${query}`)
  if (request === undefined) throw new Error(`${start} is no path of the registry API.`)
  const { prefix, name } = request
  const namespaces = request.query.getAll('ns')
  const { upstream, repository } = resolve(routing, { prefix, name, namespaces, host })
  return `${upstream} ${repository}`
}

describe('resolve', () => {
  it.each([
    ['/v2/quay.io/coreos/etcd', 'quay.io coreos/etcd'],
    ['/v2/registry.lan:5000/team/app', 'registry.lan:5000 team/app'],
    ['/v2/corp/team/app', 'corp team/app'],
    ['/v2/localhost/app', 'localhost app'],
    ['/v2/coreos/etcd?ns=quay.io', 'quay.io coreos/etcd'],
    ['/v2/team/app?ns=registry.lan%3A5000', 'registry.lan:5000 team/app'],
    ['/quay.io/v2/coreos/etcd', 'quay.io coreos/etcd'],
    ['/corp/v2/app', 'corp app'],
    ['/v2/library/busybox', 'docker.io library/busybox'],
    ['/v2/bitnami/redis', 'docker.io bitnami/redis'],
  ])('sends %s to %s', (start, expected) => {
    expect(target(start)).toBe(expected)
  })

  it.each([
    ['/v2/docker.io/busybox', 'docker.io library/busybox'],
    ['/v2/docker.io/library/busybox', 'docker.io library/busybox'],
    ['/v2/busybox', 'docker.io library/busybox'],
    ['/v2/busybox?ns=docker.io', 'docker.io library/busybox'],
    ['/docker.io/v2/busybox', 'docker.io library/busybox'],
    ['/v2/quay.io/busybox', 'quay.io busybox'],
    ['/v2/busybox?ns=quay.io', 'quay.io busybox'],
    ['/v2/docker.io/a/b/c', 'docker.io a/b/c'],
  ])('E-10: sends %s to %s', (start, expected) => {
    expect(target(start)).toBe(expected)
  })

  it.each([
    ['/v2/docker.io/library/busybox?ns=docker.io', 'docker.io library/busybox'],
    ['/v2/quay.io/coreos/etcd?ns=docker.io', 'quay.io coreos/etcd'],
    ['/v2/quay.io/coreos/etcd?ns=unknown.example', 'quay.io coreos/etcd'],
    ['/quay.io/v2/coreos/etcd?ns=docker.io', 'quay.io coreos/etcd'],
    ['/v2/docker.io/busybox?ns=registry-1.docker.io', 'docker.io library/busybox'],
    ['/v2/registry-1.docker.io/busybox?ns=docker.io', 'docker.io library/busybox'],
    ['/index.docker.io/v2/busybox', 'docker.io library/busybox'],
    ['/v2/busybox?ns=registry.hub.docker.com', 'docker.io library/busybox'],
    ['/v2/busybox?ns=quay.io&ns=quay.io', 'quay.io busybox'],
    ['/v2/busybox?ns=docker.io&ns=index.docker.io', 'docker.io library/busybox'],
    ['/v2/busybox?ns=QUAY.io:443', 'quay.io busybox'],
  ])('E-11: sends %s to %s', (start, expected) => {
    expect(target(start)).toBe(expected)
  })

  it.each([
    '/v2/busybox?ns=docker.io&ns=quay.io',
    '/v2/quay.io/coreos/etcd?ns=docker.io&ns=quay.io',
    '/v2/busybox?ns=',
    '/v2/busybox?ns=quay.io/coreos',
    '/v2/busybox?ns=https://quay.io',
    '/v2/busybox?ns=user@quay.io',
    '/v2/busybox?ns=quay.io.',
    '/v2/busybox?ns=.quay.io',
    '/v2/busybox?ns=quay.io%00',
    '/v2/busybox?ns=quay.io%0A',
    '/v2/busybox?ns=[::1]',
    '/v2/busybox?ns=quay.io:123456',
    `/v2/busybox?ns=${'a'.repeat(256)}`,
    '/v2/quay.io/coreos/etcd?ns=a%2Fb',
  ])('E-11: refuses %s', (start) => {
    expect(refusal(() => target(start))).toBe('NAME_INVALID')
  })

  it.each([
    ['/v2/my.team/image?ns=quay.io', 'quay.io my.team/image'],
    ['/v2/my.team?ns=docker.io', 'docker.io library/my.team'],
    ['/quay.io/v2/my.team/image', 'quay.io my.team/image'],
    ['/v2/quay.io/my.team/image', 'quay.io my.team/image'],
    ['/v2/quay.io:443/coreos/etcd', 'quay.io coreos/etcd'],
    ['/v2/corp', 'docker.io library/corp'],
  ])('E-6: sends %s to %s', (start, expected) => {
    expect(target(start)).toBe(expected)
  })

  it.each([
    '/v2/my.team/image',
    '/v2/gcr.io/project/app',
    '/v2/gcr.io/project/app?ns=gcr.io',
    '/v2/gcr.io:443/project/app?ns=gcr.io',
    '/v2/quay.io:5000/coreos/etcd',
    '/v2/quay.io',
    '/v2/quay.io.',
    '/v2/registry.lan/team/app',
    '/v2/a:b/app',
    '/v2/app?ns=gcr.io',
    '/gcr.io/v2/project/app',
    '/unknown/v2/app',
    '//v2/app',
  ])('E-6, E-7: does not know where %s should go, and does not guess', (start) => {
    expect(refusal(() => target(start))).toBe('NAME_UNKNOWN')
  })

  it('E-7: names what is not mirrored, and no more of it than a host can be long', () => {
    const host = `${'a'.repeat(300)}.example`
    const address = { prefix: undefined, name: [host, 'app'], namespaces: [], host: undefined }

    expect(() => resolve(table, address)).toThrow(
      expect.objectContaining({ detail: { upstream: host.slice(0, 255) } }),
    )
  })

  it.each([
    '/v2/Quay.io/coreos/etcd',
    '/v2/QUAY.IO/coreos/etcd',
    '/Quay.io/v2/coreos/etcd',
    '/v2/CORP/team/app',
    '/CORP/v2/app',
    '/v2/LOCALHOST/app',
    '/v2/Library/busybox',
    '/v2/quay.io/Coreos/etcd',
    '/v2/library/busybox_',
    '/v2/quay.io/v2:v2/etcd',
    `/v2/${'a'.repeat(256)}`,
    // With its library/ it is one character too long.
    `/v2/${'a'.repeat(248)}`,
  ])('E-42: refuses %s', (start) => {
    expect(refusal(() => target(start))).toBe('NAME_INVALID')
  })

  it.each([
    ['quay.mirror.lan', 'quay.io app'],
    ['quay.mirror.lan:5000', 'quay.io app'],
    ['QUAY.Mirror.lan', 'quay.io app'],
    ['corp.mirror.lan', 'corp app'],
    ['mirror.lan', 'docker.io library/app'],
    ['quay.mirror.lan.evil.example', 'docker.io library/app'],
    ['[::1]:5000', 'docker.io library/app'],
    ['', 'docker.io library/app'],
  ])('E-40: sends a bare name for Host "%s" to %s', (host, expected) => {
    expect(target('/v2/app', host)).toBe(expected)
  })

  it('E-40: believes the Host last', () => {
    expect(target('/v2/corp/app', 'quay.mirror.lan')).toBe('corp app')
    expect(target('/v2/team/app?ns=corp', 'quay.mirror.lan')).toBe('corp team/app')
    expect(target('/corp/v2/app', 'quay.mirror.lan')).toBe('corp app')
  })

  it('needs a name without a registry only where a default upstream is configured', () => {
    const withoutDefault = { ...table, defaultUpstream: undefined }

    expect(refusal(() => target('/v2/app', 'mirror.lan', withoutDefault))).toBe('NAME_UNKNOWN')
    expect(refusal(() => target('/v2/app', '', withoutDefault))).toBe('NAME_UNKNOWN')
    expect(target('/v2/app', 'quay.mirror.lan', withoutDefault)).toBe('quay.io app')
    expect(target('/v2/quay.io/app', 'mirror.lan', withoutDefault)).toBe('quay.io app')
  })

  it('needs no Host', () => {
    const address = { prefix: undefined, name: ['app'], namespaces: [], host: undefined }

    expect(resolve(table, address)).toEqual({ upstream: 'docker.io', repository: 'library/app' })
  })

  it('refuses a request that names no repository', () => {
    expect(refusal(() => target('/v2'))).toBe('NAME_INVALID')
    expect(refusal(() => target('/quay.io/v2'))).toBe('NAME_INVALID')
    expect(refusal(() => target('/v2?ns=quay.io'))).toBe('NAME_INVALID')
  })
})

describe('looksLikeHost', () => {
  it.each([
    ['quay.io', true],
    ['registry:5000', true],
    ['localhost', true],
    ['library', false],
    ['local-host', false],
    ['', false],
  ])('E-6: %s: %s', (component, expected) => {
    expect(looksLikeHost(component)).toBe(expected)
  })
})
