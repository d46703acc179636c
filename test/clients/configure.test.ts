import { X509Certificate } from 'node:crypto'
import { parse as parseToml } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { CLIENT_NAMES, type ClientName, type MirrorFacts } from '../../src/clients/client-config.ts'
import { clientConfig } from '../../src/clients/configure.ts'
import { CERTIFICATE, FACTS } from './facts.ts'

const LOGIN = { username: 'alice', password: 'p"\'\\ #€' }
const AUTH = Buffer.from('alice:p"\'\\ #€').toString('base64')

/** Everything that may differ, and what differs because of it. */
interface Case extends MirrorFacts {
  readonly host: string
  readonly isHttp: boolean
}

const CASES: readonly Case[] = [true, false].flatMap((isHttp) =>
  [true, false].flatMap((fallback) =>
    [undefined, LOGIN].map((login) => ({
      ...FACTS,
      isHttp,
      host: isHttp ? 'mirror.example:5000' : 'mirror.example',
      url: isHttp ? 'http://mirror.example:5000' : 'https://mirror.example',
      ca: isHttp ? undefined : CERTIFICATE,
      fallback,
      login,
    })),
  ),
)

type Expected = Readonly<Record<string, unknown>>

/** Paths and what a parser of the format reads there; of certificates, their fingerprints. */
const EXPECTED: Readonly<Record<ClientName, (facts: Case) => Expected>> = {
  docker: (facts) => ({
    '/etc/docker/daemon.json': {
      'registry-mirrors': [facts.url],
      ...(facts.isHttp ? { 'insecure-registries': [facts.host] } : {}),
    },
    ...(facts.fallback && !facts.login ? {} : hostsToml(facts, '/etc/docker/certs.d', 'docker.io')),
    ...hostsToml(facts, '/etc/docker/certs.d', 'quay.io'),
    ...certificate(facts, `/etc/docker/certs.d/${facts.host}/ca.crt`),
    ...auths(facts, '~/.docker/config.json'),
  }),
  'docker-patched': (facts) => ({
    '/etc/docker/daemon.json': {
      registries: [{ Prefix: 'quay.io', Mirrors: [{ URL: `${facts.url}/quay.io/` }] }],
    },
    ...certificate(facts, `/etc/docker/certs.d/${facts.host}/ca.crt`),
    ...auths(facts, '~/.docker/config.json'),
  }),
  containerd: (facts) => ({
    ...hostsToml(facts, '/etc/containerd/certs.d', 'docker.io'),
    ...hostsToml(facts, '/etc/containerd/certs.d', 'quay.io'),
    '/etc/containerd/config.toml': {
      version: 2,
      plugins: {
        'io.containerd.grpc.v1.cri': { registry: { config_path: '/etc/containerd/certs.d' } },
      },
    },
  }),
  nerdctl: (facts) => ({
    ...hostsToml(facts, '~/.config/containerd/certs.d', 'docker.io'),
    ...hostsToml(facts, '~/.config/containerd/certs.d', 'quay.io'),
    ...auths(facts, '~/.docker/config.json'),
  }),
  'cri-o': (facts) => ({
    ...registriesConf(facts),
    ...auths(facts, '/var/lib/kubelet/config.json'),
  }),
  podman: (facts) => ({
    ...registriesConf(facts),
    ...auths(facts, '~/.config/containers/auth.json'),
  }),
  skopeo: (facts) => ({
    ...registriesConf(facts),
    ...auths(facts, '~/.config/containers/auth.json'),
  }),
  buildkit: (facts) => ({
    '/etc/buildkit/buildkitd.toml': {
      registry: {
        'docker.io': { mirrors: [`${facts.host}/docker.io`] },
        'quay.io': { mirrors: [`${facts.host}/quay.io`] },
        [facts.host]: facts.isHttp ? { http: true } : { ca: ['/etc/buildkit/entrepot-ca.pem'] },
      },
    },
    ...certificate(facts, '/etc/buildkit/entrepot-ca.pem'),
    ...auths(facts, '~/.docker/config.json'),
  }),
  k3s: (facts) => rancher(facts, '/etc/rancher/k3s'),
  rke2: (facts) => rancher(facts, '/etc/rancher/rke2'),
  talos: (facts) => {
    const mirror = (upstream: string): unknown => ({
      endpoints: [`${facts.url}/v2/${upstream}`],
      overridePath: true,
      ...(facts.fallback ? {} : { skipFallback: true }),
    })
    const config = {
      ...(facts.login ? { auth: facts.login } : {}),
      ...(facts.ca === undefined ? {} : { tls: { ca: Buffer.from(facts.ca).toString('base64') } }),
    }
    const mirrors = { 'docker.io': mirror('docker.io'), 'quay.io': mirror('quay.io') }
    const registries =
      Object.keys(config).length > 0 ? { mirrors, config: { [facts.host]: config } } : { mirrors }
    return { '~/entrepot-talos.yaml': { machine: { registries } } }
  },
  kaniko: () => ({}),
  jib: (facts) => ({
    '~/.config/google-cloud-tools-java/jib/config.json': {
      registryMirrors: [
        { registry: 'registry-1.docker.io', mirrors: [`${facts.host}/docker.io`] },
        { registry: 'quay.io', mirrors: [`${facts.host}/quay.io`] },
      ],
    },
    ...certificate(facts, '~/.config/entrepot-ca.pem'),
  }),
  crane: (facts) => byName(facts, '~/.docker/config.json'),
  oras: (facts) => byName(facts, '~/.docker/config.json'),
  helm: (facts) => byName(facts, '~/.config/helm/registry/config.json'),
  regctl: (facts) => {
    const settings = {
      ...(facts.isHttp ? { tls: 'disabled' } : { regcert: facts.ca }),
      ...(facts.login ? { user: 'alice', pass: LOGIN.password } : {}),
    }
    return {
      '~/.regctl/config.json': {
        hosts: {
          'docker.io': { mirrors: [facts.host] },
          'quay.io': { mirrors: [facts.host] },
          [facts.host]: settings,
        },
      },
    }
  },
  'kubernetes-secret': (facts) =>
    facts.login
      ? {
          '~/entrepot-secret.yaml': {
            apiVersion: 'v1',
            kind: 'Secret',
            metadata: { name: 'entrepot' },
            type: 'kubernetes.io/dockerconfigjson',
            stringData: {
              '.dockerconfigjson': JSON.stringify({
                auths: { [facts.host]: { ...LOGIN, auth: AUTH } },
              }),
            },
          },
        }
      : {},
  minikube: (facts) => {
    const files = '~/.minikube/files'
    return {
      ...hostsToml(facts, `${files}/etc/containerd/certs.d`, 'docker.io'),
      ...hostsToml(facts, `${files}/etc/containerd/certs.d`, 'quay.io'),
      ...registriesConf(facts, `${files}/etc/containers`),
      ...certificate(facts, '~/.minikube/certs/entrepot-ca.pem'),
    }
  },
}

function hostsToml(facts: Case, root: string, upstream: string): Expected {
  const mirror = `${facts.url}/v2/${upstream}`
  const common = {
    override_path: true,
    ...(facts.ca === undefined ? {} : { ca: 'entrepot-ca.pem' }),
    ...(facts.login ? { header: { Authorization: [`Basic ${AUTH}`] } } : {}),
  }
  const registry = upstream === 'docker.io' ? 'https://registry-1.docker.io' : `https://${upstream}`
  return {
    [`${root}/${upstream}/hosts.toml`]: {
      server: facts.fallback ? registry : mirror,
      ...(facts.fallback ? {} : common),
      host: { [mirror]: { capabilities: ['pull', 'resolve'], ...common } },
    },
    ...certificate(facts, `${root}/${upstream}/entrepot-ca.pem`),
  }
}

function registriesConf(facts: Case, root = '/etc/containers'): Expected {
  const registry = (prefix: string): unknown => {
    const mirror = {
      location: `${facts.host}/${prefix}`,
      ...(facts.isHttp ? { insecure: true } : {}),
    }
    return facts.fallback ? { prefix, location: prefix, mirror: [mirror] } : { prefix, ...mirror }
  }
  return {
    [`${root}/registries.conf.d/50-entrepot.conf`]: {
      registry: [registry('docker.io'), registry('quay.io')],
    },
    ...certificate(facts, `${root}/certs.d/${facts.host}/ca.crt`),
  }
}

function rancher(facts: Case, folder: string): Expected {
  const config = {
    ...(facts.login ? { auth: facts.login } : {}),
    ...(facts.ca === undefined ? {} : { tls: { ca_file: `${folder}/entrepot-ca.pem` } }),
  }
  return {
    [`${folder}/registries.yaml`]: {
      mirrors: {
        'docker.io': { endpoint: [`${facts.url}/v2/docker.io`] },
        'quay.io': { endpoint: [`${facts.url}/v2/quay.io`] },
      },
      ...(Object.keys(config).length > 0 ? { configs: { [facts.host]: config } } : {}),
    },
    ...(facts.fallback
      ? {}
      : {
          [`${folder}/config.yaml.d/50-entrepot.yaml`]: {
            'disable-default-registry-endpoint': true,
          },
        }),
    ...certificate(facts, `${folder}/entrepot-ca.pem`),
  }
}

function byName(facts: Case, path: string): Expected {
  return { ...certificate(facts, '~/.config/entrepot-ca.pem'), ...auths(facts, path) }
}

function certificate({ ca }: Case, path: string): Expected {
  return ca === undefined ? {} : { [path]: new X509Certificate(ca).fingerprint256 }
}

function auths({ host, login }: Case, path: string): Expected {
  return login ? { [path]: { auths: { [host]: { auth: AUTH } } } } : {}
}

function read(path: string, text: string): unknown {
  if (/\.(?:toml|conf)$/.test(path)) return JSON.parse(JSON.stringify(parseToml(text)))
  if (path.endsWith('.json')) return JSON.parse(text)
  return path.endsWith('.yaml') ? parseYaml(text) : new X509Certificate(text).fingerprint256
}

describe.each(CLIENT_NAMES)('the files of %s', (client) => {
  it.each(CASES)('say what it needs: $url, fallback $fallback, login $login.username', (facts) => {
    const { files } = clientConfig(client, facts)
    const said = Object.fromEntries(files.map(({ path, text }) => [path, read(path, text)]))
    expect(said).toEqual(EXPECTED[client](facts))
  })

  it('are for their owner alone where there is a secret in them, and for everybody else otherwise', () => {
    for (const facts of CASES) {
      for (const { mode, text } of clientConfig(client, facts).files) {
        const isSecret = [AUTH, LOGIN.password, JSON.stringify(LOGIN.password)].some((one) =>
          text.includes(one),
        )
        expect(mode).toBe(isSecret ? 0o600 : 0o644)
      }
    }
  })

  it('have an end wherever they were written with other settings', () => {
    const paths = CASES.flatMap((facts) =>
      clientConfig(client, facts).files.map(({ path }) => path),
    )
    for (const facts of CASES.filter(({ isHttp }) => !isHttp)) {
      const { files, formerFiles } = clientConfig(client, facts)
      const known = [...files, ...formerFiles].map(({ path }) => path)
      expect(new Set(known).size).toBe(known.length)
      const missing = paths.filter((path) => !known.includes(path) && !path.includes(':5000'))
      expect(missing).toEqual([])
      for (const file of formerFiles) expect(file.remove(file.text)).toBeUndefined()
    }
  })

  it('have no secrets in notes and commands, and notes are whole sentences', () => {
    for (const facts of CASES) {
      const { commands, notes, title } = clientConfig(client, facts)
      expect([...commands, ...notes, title].join('\n')).not.toContain(LOGIN.password)
      for (const note of notes) expect(note).toMatch(/^\S.*\.$/)
      for (const command of commands) expect(command).toMatch(/^\S[^\n]*\S$/)
    }
  })
})
