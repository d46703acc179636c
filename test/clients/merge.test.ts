import { describe, expect, it } from 'vitest'
import type { MirrorFacts } from '../../src/clients/client-config.ts'
import { clientConfig } from '../../src/clients/configure.ts'
import { FACTS } from './facts.ts'
import { fileOf, refusal } from './merged.ts'

const STRICT: MirrorFacts = { ...FACTS, fallback: false }
const LOGIN = { username: 'alice', password: 'secret' }

describe('config.toml of containerd', () => {
  const file = fileOf('containerd', 'config.toml')

  it('gets the folder in place of the empty one that it comes with, which is kept', () => {
    const existing = [
      'version = 2',
      '[plugins]',
      '  [plugins."io.containerd.grpc.v1.cri"]',
      '    [plugins."io.containerd.grpc.v1.cri".registry]',
      '      config_path = ""  # none',
      '      [plugins."io.containerd.grpc.v1.cri".registry.mirrors]',
      '',
    ].join('\n')
    const merged = file.merge(existing)
    expect(merged.split('\n').slice(3, 9)).toEqual([
      '    [plugins."io.containerd.grpc.v1.cri".registry]',
      '      # entrepot: begin',
      '# entrepot: was       config_path = ""  # none',
      '      config_path = "/etc/containerd/certs.d"',
      '      # entrepot: end',
      '      [plugins."io.containerd.grpc.v1.cri".registry.mirrors]',
    ])
    expect(file.remove(merged)).toBe(existing)
  })

  it('gets it for the version that it is of', () => {
    const tables = ['', 'version = 2\n', 'version = 3\n'].map((version) => file.merge(version))
    expect(tables[0]).toContain('[plugins.cri.registry]')
    expect(tables[1]).toContain('[plugins."io.containerd.grpc.v1.cri".registry]')
    expect(tables[2]).toContain('[plugins."io.containerd.cri.v1.images".registry]')
  })

  it('stays as it is where the folder is among those that are read', () => {
    const existing = `version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\n`
    expect(file.merge(existing)).toBe(existing)
  })

  it('is refused with another folder, or with lists of the older form', () => {
    const table = 'plugins."io.containerd.grpc.v1.cri".registry'
    expect(
      refusal(() => file.merge(`version = 2\n[${table}]\nconfig_path = "/etc/certs"\n`)),
    ).toEqual({
      message: `it says something of its own for ${table}.config_path; take that out, or change it by hand`,
      line: 2,
      column: undefined,
    })
    const old = `version = 2\n[${table}.mirrors."docker.io"]\nendpoint = ["https://x.example"]\n`
    expect(refusal(() => file.merge(old)).message).toMatch(
      /registry\.mirrors, an older form .* hosts\.toml/,
    )
  })

  it('is not made where it is missing', () => {
    expect(file.onlyIfThere).toBe(true)
  })
})

describe('hosts.toml', () => {
  const OTHERS =
    'server = "https://quay.io"\n\n# ours\n[host."https://other.example"]\n  capabilities = ["pull"]\n'

  it('has the mirror before all other hosts', () => {
    const merged = fileOf('containerd', 'quay.io/hosts.toml').merge(OTHERS)
    expect(merged).toBe(
      OTHERS.replace(
        '[host."https://other',
        [
          '# entrepot: begin',
          '[host."https://mirror.example/v2/quay.io"]',
          '  capabilities = ["pull", "resolve"]',
          '  override_path = true',
          '# entrepot: end',
          '[host."https://other',
        ].join('\n'),
      ),
    )
  })

  it('has the mirror in place of the registry where there must be no other way', () => {
    const file = fileOf('containerd', 'quay.io/hosts.toml', STRICT)
    const merged = file.merge(OTHERS)
    expect(merged).toContain(
      '# entrepot: was server = "https://quay.io"\nserver = "https://mirror.example/v2/quay.io"\n',
    )
    expect(file.remove(merged)).toBe(OTHERS)
    expect(fileOf('containerd', 'quay.io/hosts.toml').merge(merged)).toContain(
      '\nserver = "https://quay.io"\n'.trim(),
    )
  })

  it('is refused without another way where it has one', () => {
    const file = fileOf('containerd', 'docker.io/hosts.toml', STRICT)
    expect(refusal(() => file.merge('[host."https://registry-1.docker.io"]\n')).message).toBe(
      'it has a host for docker.io itself, a way around the mirror; take that out',
    )
    expect(refusal(() => file.merge('server = "https://other.example"\n')).message).toMatch(
      /something of its own for server/,
    )
  })

  it('takes the key for no line of a text', () => {
    const existing = `note = """\nserver = "https://quay.io"\n"""\n${OTHERS}`
    const file = fileOf('containerd', 'quay.io/hosts.toml', STRICT)
    expect(file.merge(existing)).toContain('"""\n# entrepot: begin\n# entrepot: was server')
    expect(file.remove(file.merge(existing))).toBe(existing)
  })

  it('follows the mirror to another address', () => {
    const before = fileOf('containerd', 'quay.io/hosts.toml', STRICT).merge(OTHERS)
    const after = fileOf('containerd', 'quay.io/hosts.toml', {
      ...FACTS,
      url: 'http://10.0.0.5:5000',
    })
    expect(after.merge(before)).toBe(after.merge(OTHERS))
  })

  it('stays as it is where somebody wrote the same by hand', () => {
    const existing = [
      'server = "https://quay.io"',
      '[host."https://mirror.example/v2/quay.io"] # by hand',
      'capabilities = [ "pull", "resolve" ]',
      'override_path = true',
      '',
    ].join('\r\n')
    expect(fileOf('containerd', 'quay.io/hosts.toml').merge(existing)).toBe(existing)
  })
})

describe('registries.conf', () => {
  it('is refused where it has an entry for the same registry', () => {
    const file = fileOf('podman', '50-entrepot.conf')
    for (const key of ['prefix', 'location']) {
      expect(refusal(() => file.merge(`[[registry]]\n${key} = "quay.io"\n`)).message).toMatch(
        /^it has an entry for quay\.io already; /,
      )
    }
  })
})

describe('daemon.json', () => {
  const file = fileOf('docker', 'daemon.json')

  it('has the mirror first, and stays as it is where it has it', () => {
    const existing =
      '{\r\n\t"debug": true,\r\n\t"registry-mirrors": [\r\n\t\t"https://other.example"\r\n\t]\r\n}'
    const merged = file.merge(existing)
    expect(merged).toBe(existing.replace('[\r\n', '[\r\n\t\t"https://mirror.example",\r\n'))
    const byHand = '{"registry-mirrors": ["https://other.example", "https://mirror.example"]}'
    expect(file.merge(byHand)).toBe(byHand)
  })

  it('changes the form of the URL in place of adding a second one', () => {
    const path = fileOf('docker', 'daemon.json', { ...FACTS, defaultUpstream: undefined })
    expect(JSON.parse(path.merge(file.merge('{}')))).toEqual({
      'registry-mirrors': ['https://mirror.example/docker.io'],
    })
  })

  it('is refused with the place where it cannot be read or is of another kind', () => {
    expect(refusal(() => file.merge('{\n  "debug": true,,\n}'))).toEqual({
      message: 'this is not valid JSON',
      line: 2,
      column: 17,
    })
    expect(refusal(() => file.merge(''))).toMatchObject({ line: 1, column: 1 })
    expect(refusal(() => file.merge('{"a": [1,]}'))).toMatchObject({ line: 1 })
    expect(refusal(() => file.merge('{\n"registry-mirrors": "x"}'))).toEqual({
      message: 'a list was expected here; change it by hand',
      line: 2,
      column: 21,
    })
    expect(refusal(() => file.merge('[]')).message).toMatch(/an object was expected/)
    expect(
      refusal(() => file.merge('{"registry-mirrors": [],\n"registry-mirrors": []}')),
    ).toMatchObject({
      message: '"registry-mirrors" is there twice; change it by hand',
      line: 2,
    })
    expect(refusal(() => file.merge('['.repeat(200_000))).message).toMatch(
      /nested deeper|not valid JSON/,
    )
  })

  it('is refused where a comment stands between our entry and its comma', () => {
    const merged = file.merge('{"a": 1}').replace('],', '] /* , */ ,')
    expect(refusal(() => file.remove(merged)).message).toMatch(/^there is a comment within/)
  })

  it('is cleaned wherever our entry has been moved to', () => {
    const moved = '{"registry-mirrors": ["https://a.example" , "https://mirror.example" ]}'
    expect(file.remove(moved)).toBe('{"registry-mirrors": ["https://a.example" ]}')
  })

  it('is left to docker as it can read it: a URL without a path where that is enough', () => {
    expect(JSON.parse(file.text)).toEqual({ 'registry-mirrors': ['https://mirror.example'] })
    const quayOnly = { ...FACTS, upstreams: ['quay.io'] }
    const { files, formerFiles } = clientConfig('docker', quayOnly)
    expect(files.map(({ path }) => path)).not.toContain('/etc/docker/daemon.json')
    expect(formerFiles.map(({ path }) => path)).toContain('/etc/docker/daemon.json')
  })
})

describe('registries of the patched engine', () => {
  it('has one registry for each name of the mirror', () => {
    const { files, notes } = clientConfig('docker-patched', {
      ...FACTS,
      upstreams: ['docker.io', 'quay.io', 'ghcr.io'],
    })
    expect(files[0]?.text.match(/Prefix/g)).toHaveLength(1)
    expect(notes.filter((note) => /run this again with --upstream/.test(note))).toHaveLength(2)
    const hubOnly = clientConfig('docker-patched', { ...FACTS, upstreams: ['docker.io'] })
    expect(hubOnly.files[0]?.text).toContain('"https://mirror.example/docker.io/"')
  })
})

describe('logins', () => {
  const facts = { ...FACTS, login: LOGIN }

  it('follow a new password, but leave a login that somebody made', () => {
    const file = fileOf('crane', 'config.json', facts)
    const merged = file.merge('{\n\t"auths": {},\n\t"credsStore": "pass"\n}')
    const renewed = fileOf('crane', 'config.json', {
      ...FACTS,
      login: { ...LOGIN, password: 'other' },
    })
    expect(renewed.remove(renewed.merge(merged))).toBe(
      '{\n\t"auths": {},\n\t"credsStore": "pass"\n}',
    )
    const byHand = '{\n\t"auths": {\n\t\t"mirror.example": {\n\t\t\t"auth": "YTpi"\n\t\t}\n\t}\n}'
    expect(refusal(() => file.merge(byHand))).toEqual({
      message: 'it says something of its own for "mirror.example"; change it by hand',
      line: 3,
      column: 21,
    })
    expect(file.remove(byHand)).toBe(byHand)
  })
})

describe('registries.yaml', () => {
  const file = fileOf('k3s', 'registries.yaml')

  it('keeps what others have among the same mirrors, comments and all', () => {
    const existing =
      '# of k3s\r\nmirrors: # all\r\n    # gcr\r\n    gcr.io:\r\n        endpoint: ["https://x.example"]\r\n'
    const merged = file.merge(existing)
    expect(merged.split('\r\n').slice(0, 7)).toEqual([
      '# of k3s',
      'mirrors: # all',
      '    # entrepot: begin',
      '    "docker.io":',
      '      endpoint:',
      '        - "https://mirror.example/v2/docker.io"',
      '    "quay.io":',
    ])
    expect(file.remove(merged)).toBe(existing)
  })

  it('fills mirrors that are empty', () => {
    expect(file.remove(file.merge('mirrors:\n'))).toBe('mirrors:\n')
    expect(file.remove(file.merge('mirrors:'))).toBe('mirrors:')
  })

  it('stays as it is where somebody wrote the same by hand', () => {
    const existing =
      'mirrors: {docker.io: {endpoint: ["https://mirror.example/v2/docker.io"]}, quay.io: {endpoint: ["https://mirror.example/v2/quay.io"]}}\n'
    expect(file.merge(existing)).toBe(existing)
  })

  it('is refused with the place where it says otherwise or leaves no room', () => {
    expect(
      refusal(() =>
        file.merge('a: 1\nmirrors:\n  quay.io:\n    endpoint: ["https://x.example"]\n'),
      ),
    ).toEqual({
      message:
        'it says something of its own for mirrors.quay.io.endpoint; take that out, or change it by hand',
      line: 4,
      column: 5,
    })
    expect(refusal(() => file.merge('mirrors: {gcr.io: {endpoint: []}}\n'))).toEqual({
      message: 'mirrors is not written one entry a line; add this by hand',
      line: 1,
      column: 1,
    })
    expect(refusal(() => file.merge('- a\n'))).toMatchObject({ line: 1, column: 1 })
    expect(refusal(() => file.merge('a: [1\nb: 2\n'))).toMatchObject({ line: 2 })
    expect(refusal(() => file.merge('{a: 1}\n')).message).toMatch(/leaves no place/)
    expect(refusal(() => file.merge('mirrors: ~\n')).message).toMatch(/leaves no place/)
    expect(refusal(() => file.merge('['.repeat(1000))).message).toMatch(/^this is nested deeper/)
  })
})

describe('files of ours', () => {
  it('take no place of another', () => {
    const file = fileOf('talos', 'entrepot-talos.yaml')
    expect(refusal(() => file.merge('machine: {}\n')).message).toBe(
      'there is another file of this name; move it away',
    )
    expect(file.merge(fileOf('talos', 'entrepot-talos.yaml', STRICT).text)).toBe(file.text)
    expect(file.remove('machine: {}\n')).toBe('machine: {}\n')
  })
})

describe('marks', () => {
  it('are refused with their place where one has lost the other', () => {
    const file = fileOf('podman', '50-entrepot.conf')
    for (const [text, line] of [
      ['# a\n# entrepot: begin\nx = 1\n', 2],
      ['# entrepot: begin\n# entrepot: begin\n', 1],
      ['x = 1\n\n# entrepot: end\n', 3],
    ] as const) {
      const expected = { message: expect.stringContaining('has lost its other half'), line }
      expect(refusal(() => file.merge(text))).toMatchObject(expected)
      expect(refusal(() => file.remove(text))).toMatchObject(expected)
    }
  })
})

describe('TOML that cannot be read', () => {
  it.each(['certs.d/quay.io/hosts.toml', 'config.toml'])(
    'is refused with its place: %s',
    (ending) => {
      const file = fileOf('containerd', ending)
      expect(refusal(() => file.merge('a = 1\nsecret = "never shown\n'))).toMatchObject({
        message: 'this is not valid TOML',
        line: 2,
      })
    },
  )

  it('is refused where tables are written in a way that leaves no place', () => {
    const text = 'registry = { "gcr.io" = { mirrors = ["x"] } }\n'
    expect(refusal(() => fileOf('buildkit', 'buildkitd.toml').merge(text)).message).toMatch(
      /leaves no place/,
    )
    const dotted = 'version = 2\n[plugins]\n"io.containerd.grpc.v1.cri".registry.config_path = ""\n'
    expect(refusal(() => fileOf('containerd', 'config.toml').merge(dotted))).toMatchObject({
      message: expect.stringMatching(/config_path; take that out/),
      line: 2,
    })
    expect(refusal(() => fileOf('podman', '50-entrepot.conf').merge('registry = "x"\n'))).toEqual({
      message: 'it says something of its own for registry; take that out, or change it by hand',
    })
    const other = '[registry."quay.io"]\nmirrors = ["x"]\n'
    expect(refusal(() => fileOf('buildkit', 'buildkitd.toml').merge(other))).toMatchObject({
      line: 1,
    })
  })
})
