import { expect, it } from 'vitest'
import { parse } from './fixtures.ts'

it.each([
  ['docker.io', 'https://registry-1.docker.io', ['auth.docker.io']],
  ['quay.io', 'https://quay.io', []],
  ['gcr.io', 'https://gcr.io', []],
  ['ghcr.io', 'https://ghcr.io', []],
  ['registry.k8s.io', 'https://registry.k8s.io', []],
  ['mcr.microsoft.com', 'https://mcr.microsoft.com', []],
  ['public.ecr.aws', 'https://public.ecr.aws', []],
  ['registry.gitlab.com', 'https://registry.gitlab.com', ['gitlab.com']],
  ['nvcr.io', 'https://nvcr.io', ['authn.nvidia.com']],
  ['registry.suse.com', 'https://registry.suse.com', []],
  ['registry.opensuse.org', 'https://registry.opensuse.org', []],
])('%s needs no more than its name', (name, endpoint, realms) => {
  expect(parse(`upstreams: { ${name}: {} }`).upstreams.get(name)).toEqual({
    name,
    endpoints: [endpoint],
    credentials: [],
    realms,
    insecure: false,
    ca: undefined,
    networks: [],
    tagTtl: 300_000,
    complete: 'pulled',
    staleWhileRevalidate: 0,
    staleIfError: Number.POSITIVE_INFINITY,
    keepDeleted: true,
    connections: 4,
    timeouts: { connect: 5_000, firstByte: 20_000, idle: 30_000, hedge: 1_500 },
  })
})

it('what the file says goes before the preset, and its realms come in addition', () => {
  const { upstreams } = parse(`
upstreams:
  docker.io:
    endpoints: [https://registry-1.docker.io, https://mirror.gcr.io]
    realms: [auth.mirror.lan, auth.docker.io]
`)
  expect(upstreams.get('docker.io')).toMatchObject({
    endpoints: ['https://registry-1.docker.io', 'https://mirror.gcr.io'],
    realms: ['auth.docker.io', 'auth.mirror.lan'],
  })
})

it('an empty list of endpoints leaves those of the preset', () => {
  const { upstreams } = parse('upstreams: { docker.io: { endpoints: [], realms: } }')
  expect(upstreams.get('docker.io')).toMatchObject({
    endpoints: ['https://registry-1.docker.io'],
    realms: ['auth.docker.io'],
  })
})
