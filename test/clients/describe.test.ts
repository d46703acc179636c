import { describe, expect, it } from 'vitest'
import { clientConfig } from '../../src/clients/configure.ts'
import { describeClient } from '../../src/clients/describe.ts'
import { FACTS } from './facts.ts'

describe('describeClient', () => {
  it('shows each file, what to run, and what is good to know', () => {
    const text = describeClient(clientConfig('skopeo', { ...FACTS, upstreams: ['quay.io'] }))
    expect(text).toBe(`skopeo

/etc/containers/registries.conf.d/50-entrepot.conf:

  # entrepot: begin
  [[registry]]
    prefix = "quay.io"
    location = "quay.io"
  [[registry.mirror]]
    location = "mirror.example/quay.io"
  # entrepot: end

Then run:

  skopeo inspect docker://quay.io/NAME:TAG

Good to know:

- skopeo reads the same files as podman, at each call.
- Where another file of registries.conf.d has an entry with the same prefix, the file whose name comes last counts.
- What the mirror refuses or does not have is asked of the registry itself, but not a layer after its manifest.
`)
  })

  it('says which files are secret, and which are only changed', () => {
    const login = { username: 'a', password: 'b' }
    expect(describeClient(clientConfig('crane', { ...FACTS, login }))).toContain(
      '~/.docker/config.json, mode 600:\n',
    )
    expect(describeClient(clientConfig('containerd', FACTS))).toContain(
      '/etc/containerd/config.toml, if it is there; by itself it would be:\n',
    )
  })

  it('has no empty parts', () => {
    expect(describeClient(clientConfig('kubernetes-secret', FACTS))).toMatch(
      /^[^\n]+\n\nGood to know:\n\n- .*\n$/,
    )
  })

  it.each([
    [{ fallback: false }, '--skip-default-registry-fallback'],
    [{ url: 'http://10.0.0.5:5000' }, '--insecure-registry 10.0.0.5:5000'],
    [
      {},
      '--registry-map "index.docker.io=mirror.example/docker.io;quay.io=mirror.example/quay.io"',
    ],
  ])('has the arguments of kaniko: %j', (change, argument) => {
    expect(describeClient(clientConfig('kaniko', { ...FACTS, ...change }))).toContain(argument)
  })
})
