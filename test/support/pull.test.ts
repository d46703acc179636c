import { describe, expect, it } from 'vitest'
import { buildImage, buildMultiPlatform } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import type { FaultRule } from '../fakes/faults.ts'
import { pull } from './pull.ts'

describe('pull', () => {
  it('asks as containerd does, each blob once', async () => {
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'pull', layers: [10, 20] })
    registry.push('app', 'v1', image)
    await pull(registry.url, 'app', 'v1', { ns: 'quay.io', headers: { 'user-agent': 'x' } })
    const asked = registry.requests.map(({ method, path, query }) => `${method} ${path}?${query}`)
    expect(asked.slice(0, 2)).toEqual([
      'HEAD /v2/app/manifests/v1?ns=quay.io',
      `GET /v2/app/manifests/${image.digest}?ns=quay.io`,
    ])
    expect(asked.slice(2).toSorted()).toEqual(
      image.blobs.map(({ digest }) => `GET /v2/app/blobs/${digest}?ns=quay.io`).toSorted(),
    )
    expect(registry.requests.every(({ headers }) => headers['user-agent'] === 'x')).toBe(true)
  })

  it('hashes with the algorithm of the digest', async () => {
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'sha512', algorithm: 'sha512' })
    registry.push('app', 'v1', image)
    expect((await pull(registry.url, 'app', image.digest)).digest).toBe(image.digest)
  })

  it.each<[string, FaultRule, RegExp]>([
    ['a blob of other bytes', { match: { kind: 'blob' }, wrongByteAt: 5 }, /is sha256:.* not/],
    ['a short blob', { match: { kind: 'blob' }, cutAfter: 5 }, /was cut after 5 bytes/],
    ['a missing blob', { match: { kind: 'blob' }, status: 404, after: 2 }, /was answered 404/],
    ['a manifest of other bytes', { match: { kind: 'manifest' }, wrongByteAt: 9 }, /is sha256/],
    ['a short manifest', { match: { kind: 'manifest' }, cutAfter: 9 }, /was cut after 9 bytes/],
    ['another type', { match: { method: 'GET' }, contentType: 'text/plain' }, /is text\/plain/],
    ['no digest', { match: { method: 'HEAD' }, noDigestHeader: true }, /lacks a digest/],
  ])('refuses %s', async (_what, fault, message) => {
    await using registry = await startRegistry()
    registry.push('app', 'v1', buildMultiPlatform('refused'))
    registry.fault(fault)
    await expect(pull(registry.url, 'app', 'v1')).rejects.toThrow(message)
  })
})
