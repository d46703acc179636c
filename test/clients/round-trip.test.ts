import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ClientName, MirrorFacts } from '../../src/clients/client-config.ts'
import { FormatError } from '../../src/formats/format-error.ts'
import { busyJson, busyToml, busyYaml } from './busy-files.ts'
import { FACTS, PEM } from './facts.ts'
import { fileOf } from './merged.ts'

const OTHER: MirrorFacts = {
  ...FACTS,
  url: 'http://10.0.0.5:5000',
  upstreams: ['quay.io', 'docker.io'],
  login: { username: 'node', password: 'secret' },
  fallback: false,
}

/** What others have in the same places, as far as it does not contradict. */
const SAMPLES: readonly [ClientName, string, fc.Arbitrary<string>][] = [
  [
    'docker',
    'daemon.json',
    busyJson({
      'registry-mirrors': fc.uniqueArray(
        fc.constantFrom('https://a.example', 'http://b.example/x/'),
      ),
      'insecure-registries': fc.constantFrom([], ['10.0.0.0/8']),
    }),
  ],
  [
    'docker-patched',
    'daemon.json',
    busyJson({
      registries: fc.subarray([
        { Prefix: 'gcr.io', Mirrors: [{ URL: 'https://gcr.mirror.example/' }] },
        { Prefix: 'quay.io', Mirrors: [] },
        { Prefix: 'lan.example' },
      ]),
    }),
  ],
  [
    'jib',
    'config.json',
    busyJson({
      registryMirrors: fc.subarray([
        { registry: 'quay.io', mirrors: ['other.example/quay.io'] },
        { registry: 'gcr.io', mirrors: [] },
        { registry: 'registry-1.docker.io', mirrors: [] },
      ]),
    }),
  ],
  [
    'regctl',
    'config.json',
    busyJson({
      hosts: fc.constantFrom(
        {},
        { 'quay.io': {} },
        { 'quay.io': { tls: 'enabled', mirrors: ['a.example'] } },
        { 'docker.io': { mirrors: [], hostname: 'registry-1.docker.io' } },
      ),
    }),
  ],
  [
    'crane',
    '.docker/config.json',
    busyJson({
      auths: fc.constantFrom({}, { 'quay.io': { auth: 'YTpi' } }),
      credHelpers: fc.constant({}),
    }),
  ],
  [
    'containerd',
    'certs.d/quay.io/hosts.toml',
    busyToml(
      ['dial_timeout = "3s"\n'],
      ['[host."https://other.example"]\n  capabilities = ["pull"]\n'],
    ),
  ],
  [
    'containerd',
    'containerd/config.toml',
    fc
      .tuple(
        fc.constantFrom('version = 2\n', 'version = 3\n', ''),
        busyToml(
          ['root = "/var/lib/containerd"\n'],
          [
            '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = ""\n',
            '  [plugins."io.containerd.grpc.v1.cri".containerd]\n    snapshotter = "native"\n',
            "[plugins.'io.containerd.cri.v1.images'.registry]\n\tconfig_path = '' # none\n",
            '[plugins.cri.registry]\n',
            '  [plugins.cri.registry.mirrors]\n',
          ],
        ),
      )
      .map(([version, rest]) => (rest.startsWith('\uFEFF') ? rest : version + rest)),
  ],
  [
    'podman',
    '50-entrepot.conf',
    busyToml(
      ['unqualified-search-registries = ["docker.io"]\n'],
      [
        '[[registry]]\nprefix = "gcr.io"\nlocation = "gcr.io"\n  [[registry.mirror]]\n  location = "x/gcr.io"\n',
      ],
    ),
  ],
  [
    'buildkit',
    'buildkitd.toml',
    busyToml(
      ['debug = true\n'],
      [
        '[registry."gcr.io"]\n  mirrors = ["x"]\n',
        '[registry."quay.io"]\n',
        '[worker.oci]\n  gc = true\n',
      ],
    ),
  ],
  [
    'k3s',
    'registries.yaml',
    busyYaml([
      'mirrors:\n  gcr.io:\n    endpoint:\n      - "https://x.example"\n',
      'configs: # who\n\n    # indented by four\n    other.example:\n        auth: {username: a}\n',
    ]),
  ],
  [
    'podman',
    'ca.crt',
    fc.constantFrom(
      '',
      PEM.replaceAll('MIIB', 'MIIC'),
      `# mine\n${PEM.trimEnd()}`,
      PEM.replaceAll('\n', '\r\n'),
    ),
  ],
]

describe.each(SAMPLES)('a file of %s, %s', (client, ending, samples) => {
  const facts = { ...FACTS, ca: PEM, login: { username: 'alice', password: 'p"\'\\' } }

  it('is as it was when our part has been taken out again, by whatever settings', () => {
    fc.assert(
      fc.property(samples, (existing) => {
        const file = fileOf(client, ending, facts)
        const merged = file.merge(existing)
        expect(merged).not.toBe(existing)
        expect(file.merge(merged)).toBe(merged)
        expect(file.remove(merged)).toBe(existing)
        const later = fileOf(client, ending, {
          ...facts,
          upstreams: ['docker.io', 'quay.io', 'ghcr.io'],
          fallback: false,
        })
        const changed = later.merge(merged)
        expect(changed).toBe(later.merge(existing))
        expect(file.remove(changed)).toBe(existing)
      }),
    )
  })

  it('is cleaned of nothing where there is nothing of ours', () => {
    fc.assert(
      fc.property(samples, (existing) => {
        expect(fileOf(client, ending, facts).remove(existing)).toBe(existing)
      }),
    )
  })

  it('is ours alone where there was none', () => {
    const file = fileOf(client, ending, facts)
    expect(file.merge(file.text)).toBe(file.text)
    expect(file.remove(file.text)).toBeUndefined()
    const later = fileOf(client, ending, {
      ...facts,
      ca: PEM + PEM,
      fallback: false,
    })
    expect(later.merge(file.text)).toBe(later.text)
  })

  it('is never damaged: what it says is merged, or refused', () => {
    fc.assert(
      fc.property(samples, fc.nat(400), fc.string({ maxLength: 3 }), (existing, at, noise) => {
        const text = existing.slice(0, at) + noise + existing.slice(at)
        const file = fileOf(client, ending, OTHER_WITH_CA)
        const merged = attempt(() => file.merge(text))
        if (merged === undefined || merged === text) return
        expect(file.merge(merged)).toBe(merged)
        expect(file.remove(merged)).toBe(text)
      }),
    )
  })
})

const OTHER_WITH_CA = { ...OTHER, ca: PEM }

/** @returns `undefined` where it was refused */
function attempt(merge: () => string): string | undefined {
  try {
    return merge()
  } catch (error) {
    if (error instanceof FormatError) return undefined
    throw error
  }
}
