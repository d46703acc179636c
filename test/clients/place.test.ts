import { describe, expect, it } from 'vitest'
import { clientConfig } from '../../src/clients/configure.ts'
import { FACTS, PEM } from './facts.ts'
import { fileOf, refusal } from './merged.ts'

describe('what a mirror is said to be', () => {
  it.each([
    { url: 'https://mirror.example/path' },
    { url: 'https://user@mirror.example' },
    { url: 'ftp://mirror.example' },
    { url: 'https://mirror.example"\n[host."https://evil.example' },
    { url: 'https://mirror.example ' },
    { upstreams: ['quay.io', 'a"b'] },
    { upstreams: ['../../etc'] },
    { upstreams: [] },
    { upstreams: ['quay.io\nserver'] },
    { login: { username: 'a:b', password: 'x' } },
    { login: { username: '', password: 'x' } },
    { login: { username: 'a', password: '' } },
    { login: { username: 'a', password: 'x\ny' } },
    { login: { username: 'a', password: 'x\u0085y' } },
    { ca: 'no certificate' },
    { ca: '-----BEGIN CERTIFICATE-----\n# entrepot: end\n-----END CERTIFICATE-----\n' },
  ])('is refused where it could break out of a file: %j', (wrong) => {
    const { message } = refusal(() => clientConfig('containerd', { ...FACTS, ...wrong }))
    expect(message).toMatch(/^The .*\.$/)
    expect(message).not.toContain('\n')
  })

  it('is taken with a port, an address, an alias and text around certificates', () => {
    const facts = {
      ...FACTS,
      url: 'http://[::1]:5000',
      upstreams: ['index.docker.io', 'Quay.IO', 'docker.io', 'lan:5000'],
    }
    const { files } = clientConfig('containerd', {
      ...facts,
      ca: `subject=/CN=x\r\n${PEM.replaceAll('\n', '\r\n')}trailer\n`,
    })
    expect(files.filter(({ path }) => path.endsWith('hosts.toml')).map(({ path }) => path)).toEqual(
      [
        '/etc/containerd/certs.d/docker.io/hosts.toml',
        '/etc/containerd/certs.d/quay.io/hosts.toml',
        '/etc/containerd/certs.d/lan_5000_/hosts.toml',
      ],
    )
    const ca = files.find(({ path }) => path.endsWith('.pem'))
    expect(ca?.text).toBe(`# entrepot: begin\n${PEM}# entrepot: end\n`)
  })

  it('needs no permission of docker where the mirror is on the same host', () => {
    const facts = { ...FACTS, url: 'http://127.0.0.1:5000' }
    expect(fileOf('docker', 'daemon.json', facts).text).not.toContain('insecure-registries')
  })
})
