import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CERTIFICATE, folderWith, parse, problems } from './fixtures.ts'

describe('names', () => {
  it('a host name is enough, with or without port', () => {
    const { upstreams } = parse('upstreams: { registry.lan: , Registry.lan:5000: {} }')
    expect([...upstreams.values()].map(({ name, endpoints }) => [name, endpoints])).toEqual([
      ['registry.lan', ['https://registry.lan']],
      ['registry.lan:5000', ['https://registry.lan:5000']],
    ])
  })

  it.each(['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com', 'DOCKER.IO'])(
    '%s is docker.io',
    (alias) => {
      const { upstreams, defaultUpstream } = parse(`upstreams: { ${alias}: {} }`)
      expect([...upstreams.keys()]).toEqual(['docker.io'])
      expect(upstreams.get('docker.io')?.realms).toEqual(['auth.docker.io'])
      expect(defaultUpstream).toBe('docker.io')
    },
  )

  it('two names of one registry are one too many', () => {
    expect(problems('upstreams:\n  docker.io: {}\n  index.docker.io: {}\n')).toEqual([
      '3 upstreams.index.docker.io: is another name of docker.io, which is there too; keep one',
    ])
  })

  it('a name that is no host needs endpoints', () => {
    expect(problems('upstreams: { lan: {} }')).toEqual([
      '1 upstreams.lan: is neither a well-known registry nor a host name; say where it is, for example endpoints: ["https://registry.example"]',
    ])
    const { upstreams } = parse('upstreams: { lan: { endpoints: [https://registry.lan/hub/] } }')
    expect(upstreams.get('lan')?.endpoints).toEqual(['https://registry.lan/hub'])
  })

  it.each(['https://quay.io', 'quay.io/coreos', 'a b.c', '.io', '"*.io"', '"[::1]:5000"'])(
    '%s cannot begin an image reference',
    (name) => {
      const [problem] = problems(`upstreams: { ${name}: { endpoints: [https://quay.io] } }`)
      expect(problem).toContain('cannot begin an image reference')
    },
  )

  it('localhost is a host, but a private one', () => {
    expect(problems('upstreams: { localhost:5000: {} }')).toEqual([
      '1 upstreams.localhost:5000: "https://localhost:5000" is a private address, to which nothing connects unless allowed; add networks: ["127.0.0.0/8", "::1/128"]',
    ])
    const { upstreams } = parse('upstreams: { localhost:5000: { networks: [127.0.0.0/8] } }')
    expect(upstreams.get('localhost:5000')).toMatchObject({
      endpoints: ['https://localhost:5000'],
      networks: ['127.0.0.0/8'],
    })
  })

  it('the port of a name must be one', () => {
    expect(problems('upstreams: { registry.lan:99999: {} }')).toEqual([
      '1 upstreams.registry.lan:99999: "https://registry.lan:99999" is not a URL; write for example https://registry.example',
    ])
  })
})

describe('endpoints', () => {
  it('plain HTTP and private addresses must be meant', () => {
    const http =
      'is plain HTTP, which anybody on the way can read and change, credentials too; write https://, or add insecure: true if it is meant'
    const secret =
      'is a private address, to which nothing connects unless allowed; add networks: ["10.0.0.5/32"]'
    expect(
      problems(`
upstreams:
  registry.lan:
    endpoints:
      - http://registry.lan
      - https://10.0.0.5
      - http://10.0.0.5:5000
      - https://10.1.0.5
    networks: [10.1.0.0/16]
`),
    ).toEqual([
      `5 upstreams.registry.lan.endpoints[0]: "http://registry.lan" ${http}`,
      `6 upstreams.registry.lan.endpoints[1]: "https://10.0.0.5" ${secret}`,
      `7 upstreams.registry.lan.endpoints[2]: "http://10.0.0.5:5000" ${http}. It also ${secret}`,
    ])
  })

  it('and then they are taken', () => {
    const { upstreams } = parse(`
upstreams:
  registry.lan:
    endpoints: [http://10.0.0.5:5000, "http://[fd00::5]"]
    insecure: true
    networks: [10.0.0.0/8, fd00::/8]
    credentials: [{ username: someone, password: secret }]
`)
    expect(upstreams.get('registry.lan')).toMatchObject({
      endpoints: ['http://10.0.0.5:5000', 'http://[fd00::5]'],
      insecure: true,
      networks: ['10.0.0.0/8', 'fd00::/8'],
    })
  })

  it.each(['docker.io', 'registry.lan', 'lan'])('insecure without endpoints: %s', (name) => {
    expect(problems(`upstreams: { ${name}: { insecure: true } }`)).toEqual([
      `1 upstreams.${name}.insecure: means plain HTTP, but not where to; add endpoints: ["http://${name}"], or remove it`,
    ])
  })
})

describe('credentials', () => {
  const head = 'upstreams:\n  docker.io:\n    credentials:\n'
  const at = 'upstreams.docker.io.credentials'

  it('come from the file, the environment or a file of their own', () => {
    const key = '{\n  "type": "service_account"\n}'
    const folder = folderWith({ hub: 'from a file\n', windows: 'crlf\r\n', json: `${key}\n` })
    const { upstreams } = parse(
      `${head}
      - { username: one, password: "in the file" }
      - { username: "\${WHO}", password: "$\${x\${PW}" }
      - { username: robot+org, passwordFile: hub }
      - { username: $oauthtoken, passwordFile: ${join(folder, 'windows')} }
      - { username: _json_key, passwordFile: "\${DIR}/json" }
`,
      {
        file: join(folder, 'mirrors.yml'),
        env: { WHO: 'two', PW: 'from ${WHO}', DIR: folder },
      },
    )
    expect(upstreams.get('docker.io')?.credentials).toMatchObject([
      { username: 'one', password: 'in the file' },
      { username: 'two', password: '${xfrom ${WHO}' },
      { username: 'robot+org', password: 'from a file' },
      { username: '$oauthtoken', password: 'crlf' },
      { username: '_json_key', password: key },
    ])
  })

  it('must be whole', () => {
    const folder = folderWith({ empty: '\n', huge: 'x'.repeat(64 * 1024 + 1), hub: 'fine' })
    const list = `${head}
      - { username: one }
      - { password: two }
      - {}
      - { username: "", password: "" }
      - { username: "a:b", password: x }
      - { username: "a\\tb", password: x }
      - { username: both, password: x, passwordFile: hub }
      - { username: x, passwordFile: empty }
      - { username: x, passwordFile: huge }
      - { username: x, passwordFile: missing }
      - { username: x, passwordFile: "" }
`
    expect(problems(list, { file: join(folder, 'mirrors.yml') })).toEqual([
      `5 ${at}[0].password: is missing; write it, or passwordFile with the name of a file`,
      `6 ${at}[1].username: is missing; write the user name of the account`,
      `7 ${at}[2].username: is missing; write the user name of the account`,
      `7 ${at}[2].password: is missing; write it, or passwordFile with the name of a file`,
      `8 ${at}[3].username: the text is empty; write the user name of the account`,
      `8 ${at}[3].password: the text is empty; write the password of the account`,
      `9 ${at}[4].username: the text holds a colon or a control character, which no user name may`,
      `10 ${at}[5].username: the text holds a colon or a control character, which no user name may`,
      `11 ${at}[6].password: is there beside passwordFile; keep one of the two`,
      `12 ${at}[7].passwordFile: "empty" is an empty file; write the password into it`,
      `13 ${at}[8].passwordFile: "huge" is longer than 64 KiB, so it is hardly a password`,
      `14 ${at}[9].passwordFile: "missing" cannot be read: there is no such file (looked in ${folder})`,
      `15 ${at}[10].passwordFile: "" is not the name of a file`,
    ])
  })
})

describe('credential helpers', () => {
  const head = 'upstreams:\n  docker.io:\n    credentials:\n'
  const at = 'upstreams.docker.io.credentials'

  it('are named, beside accounts and in their order', () => {
    const { upstreams } = parse(
      `${head}
      - { helper: ecr-login }
      - { username: one, password: two }
      - { helper: "\${HELPER}" }
      - { helper: 0_x.y }
`,
      { env: { HELPER: 'gcr' } },
    )
    expect(upstreams.get('docker.io')?.credentials).toMatchObject([
      { helper: 'ecr-login' },
      { username: 'one', password: 'two' },
      { helper: 'gcr' },
      { helper: '0_x.y' },
    ])
  })

  it.each(['ECR-login', '-v', '.x', '../x', '/usr/bin/x', 'a b', 'a;b', '""', 'secret!'])(
    'have no other name: %s',
    (name) => {
      expect(problems(`${head}      - { helper: ${name} }\n`)).toEqual([
        `4 ${at}[0].helper: the text is not the name of a credential helper; write what follows docker-credential- in the name of the program, for example ecr-login`,
      ])
    },
  )

  it('are not what is easily mistaken for them', () => {
    expect(
      problems(`${head}
      - { helper: docker-credential-gcr }
      - { helper: 1 }
      - { helper: gcr, username: x, password: y, passwordFile: z }
      - { helper: "", password: y }
      - { helper: [gcr], password: y }
      - { helpers: gcr, username: x, password: y }
`),
    ).toEqual([
      `5 ${at}[0].helper: the text begins with docker-credential-, which is added by itself; leave it out`,
      `6 ${at}[1].helper: found a number; write the name of a credential helper, such as ecr-login`,
      ...['username', 'password', 'passwordFile'].map(
        (key) =>
          `7 ${at}[2].${key}: is there beside helper, which gives user and password itself; keep one of the two`,
      ),
      `8 ${at}[3].password: is there beside helper, which gives user and password itself; keep one of the two`,
      `8 ${at}[3].helper: the text is not the name of a credential helper; write what follows docker-credential- in the name of the program, for example ecr-login`,
      `9 ${at}[4].helper: found a list; write the name of a credential helper, such as ecr-login`,
      `9 ${at}[4].password: is there beside helper, which gives user and password itself; keep one of the two`,
      `10 ${at}[5].helpers: is not a key; did you mean helper?`,
    ])
  })
})

describe('the rest', () => {
  it('is read with its units', () => {
    const folder = folderWith({ 'ca.pem': `# ours\n${CERTIFICATE}${CERTIFICATE}` })
    const { upstreams } = parse(
      `
timeouts: { connect: 1s, idle: 3s, hedge: 0.5s }
upstreams:
  quay.io: { tagTtl: 0s, connections: 8, timeouts: { idle: 4s, hedge: 9s } }
  registry.lan: { ca: ca.pem, realms: [Auth.lan:443, auth.lan:5001], timeouts: }
`,
      { file: join(folder, 'mirrors.yml') },
    )
    expect(upstreams.get('quay.io')).toMatchObject({
      tagTtl: 0,
      connections: 8,
      timeouts: { connect: 1000, firstByte: 20_000, idle: 4000, hedge: 9000 },
    })
    expect(upstreams.get('registry.lan')).toMatchObject({
      ca: `# ours\n${CERTIFICATE}${CERTIFICATE}`,
      realms: ['auth.lan:443', 'auth.lan:5001'],
      tagTtl: 300_000,
      connections: 4,
      timeouts: { connect: 1000, firstByte: 20_000, idle: 3000, hedge: 500 },
    })
  })

  it('is refused where it is wrong', () => {
    expect(
      problems(`
upstreams:
  quay.io:
    tagTtl: 5 minutes
    timeouts: { idle: 0s, connect: 2d, hedge: 0s }
    realms: [https://quay.io/token]
    networks: [10.0.0.1]
`),
    ).toEqual([
      '4 upstreams.quay.io.tagTtl: "5 minutes" is not a duration; write for example 5m (units s, m, h, d)',
      '5 upstreams.quay.io.timeouts.connect: "2d" is no usable timeout; write more than 0s and at most 1d',
      '5 upstreams.quay.io.timeouts.idle: "0s" is no usable timeout; write more than 0s and at most 1d',
      '5 upstreams.quay.io.timeouts.hedge: "0s" is no usable timeout; write more than 0s and at most 1d',
      '6 upstreams.quay.io.realms[0]: "https://quay.io/token" is not a host; write host or host:port, without scheme and path, for example auth.example',
      '7 upstreams.quay.io.networks[0]: "10.0.0.1" is not a CIDR block; write for example 10.0.0.1/32',
    ])
  })
})

describe('connections for one large blob', () => {
  it.each([1, 2, 16])('may be %i', (connections) => {
    const { upstreams } = parse(`upstreams: { quay.io: { connections: ${connections} }, gcr.io: }`)
    expect(upstreams.get('quay.io')).toMatchObject({ connections })
    expect(upstreams.get('gcr.io')).toMatchObject({ connections: 4 })
  })

  it.each([
    ['0', '0'],
    ['17', '17'],
    ['-1', '-1'],
    ['2.5', '2.5'],
    ['0.5', '0.5'],
    ['1e20', '100000000000000000000'],
    ['"4"', '"4"'],
    ['many', '"many"'],
    ['"${CONNECTIONS}"', '"${CONNECTIONS}"'],
    ['off', '"off"'],
    ['false', 'false'],
    ['[4]', 'a list'],
    ['{ max: 4 }', 'a mapping'],
    ['', 'nothing'],
  ])('are refused as %s', (value, found) => {
    const text = `upstreams:\n  quay.io:\n    connections: ${value}\n`
    expect(problems(text, { env: { CONNECTIONS: '4' } })).toEqual([
      `3 upstreams.quay.io.connections: found ${found}; write a number of connections from 1 to 16`,
    ])
  })

  it.each([
    [
      'upstreams: { quay.io: { connection: 2 } }',
      'upstreams.quay.io.connection: is not a key; did you mean connections?',
    ],
    [
      'upstreams: { quay.io: { connect: 2s } }',
      'upstreams.quay.io.connect: is not a key here; it belongs under timeouts',
    ],
    [
      '{ connections: 2, upstreams: { quay.io: } }',
      'connections: is not a key here; it belongs under upstreams.<name>',
    ],
  ])('have one name and one place: %s', (text, problem) => {
    expect(problems(text)).toEqual([`1 ${problem}`])
  })
})
