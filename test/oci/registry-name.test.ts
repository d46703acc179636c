import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalRegistry, expandRepository } from '../../src/oci/registry-name.ts'
import { repositories } from './names.ts'

describe('canonicalRegistry', () => {
  it.each([
    ['docker.io', 'docker.io'],
    ['index.docker.io', 'docker.io'],
    ['registry-1.docker.io', 'docker.io'],
    ['registry.hub.docker.com', 'docker.io'],
    ['Registry-1.Docker.IO:443', 'docker.io'],
    ['QUAY.io', 'quay.io'],
    ['quay.io:443', 'quay.io'],
    ['quay.io:5443', 'quay.io:5443'],
    ['registry.lan:5000', 'registry.lan:5000'],
    ['hub.docker.com', 'hub.docker.com'],
    ['evil-docker.io', 'evil-docker.io'],
    ['index.docker.io.evil.example', 'index.docker.io.evil.example'],
  ])('E-6: calls %s %s', (host, name) => {
    expect(canonicalRegistry(host)).toBe(name)
  })

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(fc.domain(), (host) => {
        const once = canonicalRegistry(host)

        expect(canonicalRegistry(once)).toBe(once)
      }),
    )
  })
})

describe('expandRepository', () => {
  it('E-10: adds library/ on Docker Hub only, and only to names of one component', () => {
    fc.assert(
      fc.property(fc.constantFrom('docker.io', 'quay.io'), repositories, (registry, name) => {
        const isOfficial = registry === 'docker.io' && name.split('/').length === 1

        expect(expandRepository(registry, name)).toBe(isOfficial ? `library/${name}` : name)
      }),
    )
  })
})
