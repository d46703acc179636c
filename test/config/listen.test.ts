import { describe, expect, it } from 'vitest'
import { listenText } from '../../src/config/effective.ts'
import { parseApi, parseListen } from '../../src/config/listen.ts'
import { invalid, parse, problems } from './fixtures.ts'

const FORM =
  'is no address to listen on; write host:port, for example 127.0.0.1:5000 or [::1]:5000, or unix:<path>'

describe('parseListen', () => {
  it.each([
    ['127.0.0.1:5000', '127.0.0.1', 5000],
    ['0.0.0.0:0', '0.0.0.0', 0],
    ['localhost:65535', 'localhost', 65535],
    ['mirror-1.lan:80', 'mirror-1.lan', 80],
    ['[::1]:5000', '::1', 5000],
    ['[::]:5000', '::', 5000],
  ])('takes %s', (text, host, port) => {
    expect(parseListen(text, '/etc')).toEqual({ kind: 'tcp', host, port })
  })

  it.each([
    ['unix:/run/entrepot.sock', '/run/entrepot.sock'],
    ['unix:run/a b:c.sock', '/etc/entrepot/run/a b:c.sock'],
  ])('takes %s', (text, path) => {
    expect(parseListen(text, '/etc/entrepot')).toEqual({ kind: 'unix', path })
  })

  it.each([
    ['systemd', undefined],
    ['systemd:api', 'api'],
    ['systemd:entrepot.socket', 'entrepot.socket'],
  ])('takes %s', (text, name) => {
    expect(parseListen(text, '/etc')).toEqual({ kind: 'systemd', name })
  })

  it.each(['systemd:', 'systemd:a:b', 'systemd:a b', `systemd:${'a'.repeat(256)}`])(
    'refuses %s, which is no name of a socket',
    (text) => {
      expect(invalid(() => parseListen(text, '/'))).toContain('systemd:<name>')
    },
  )

  it.each([':5000', '*:5000', '[]:5000'])('refuses %s, and says what to write', (text) => {
    expect(invalid(() => parseListen(text, '/'))).toBe(
      'does not say on which address; write 0.0.0.0:5000 for every address of this machine, 127.0.0.1:5000 for itself only',
    )
  })

  it.each([
    '',
    '5000',
    'localhost',
    'localhost:',
    'localhost:http',
    'localhost:65536',
    'localhost:-1',
    '::1:5000',
    '[::1]',
    '[127.0.0.1]:5000',
    '[::1%eth0]x:5000',
    '300.0.0.1:5000',
    '127.1:5000',
    'http://localhost:5000',
    'a b:5000',
    '-a:5000',
    'unix:',
    'tcp:/x',
  ])('refuses %j', (text) => {
    expect(invalid(() => parseListen(text, '/'))).toBe(FORM)
  })

  it.each(['127.0.0.1:5000', '[::1]:5000', 'unix:/run/a.sock', 'systemd', 'systemd:api'])(
    'is said as it was written: %s',
    (text) => {
      expect(listenText(parseListen(text, '/etc'))).toBe(text)
    },
  )

  it('counts the bytes of a socket path as the kernel does', () => {
    const folder = '/etc'
    const longest = `unix:/${'a'.repeat(106)}`
    expect(parseListen(longest, folder)).toMatchObject({ kind: 'unix' })
    expect(invalid(() => parseListen(`${longest}a`, folder))).toContain('107 bytes')
    expect(invalid(() => parseListen(`unix:/${'é'.repeat(54)}`, folder))).toContain('too long')
    expect(invalid(() => parseListen('unix:a', `/${'d'.repeat(106)}`))).toContain('too long')
  })
})

describe('parseApi', () => {
  const listen = (text: string) => parseListen(text, '/run')

  it.each([
    ['same', 'same'],
    ['off', 'off'],
    ['127.0.0.1:5001', { kind: 'tcp', host: '127.0.0.1', port: 5001 }],
    ['unix:api.sock', { kind: 'unix', path: '/run/api.sock' }],
  ])('takes %s', (text, api) => {
    expect(parseApi(text, '/run', listen('127.0.0.1:5000'))).toEqual(api)
  })

  it.each(['', 'on', 'Same', '5001', 'localhost'])('refuses %j', (text) => {
    expect(invalid(() => parseApi(text, '/run', undefined))).toBe(
      'is neither same nor off nor an address; write for example 127.0.0.1:5001 or unix:<path>',
    )
  })

  it.each([':5001', 'http://localhost:5001', 'unix:'])('refuses %j as listen does', (text) => {
    expect(invalid(() => parseApi(text, '/run', undefined))).toBe(invalid(() => listen(text)))
  })

  it.each([
    ['127.0.0.1:5000', '127.0.0.1:5000'],
    ['LOCALHOST:5000', 'localhost:5000'],
    ['0.0.0.0:5000', '127.0.0.1:5000'],
    ['127.0.0.1:5000', '0.0.0.0:5000'],
    ['10.0.0.5:5000', '[::]:5000'],
    ['[::1]:5000', '[::]:5000'],
    ['unix:mirror.sock', 'unix:/run/mirror.sock'],
    ['systemd', 'systemd'],
    ['systemd:api', 'systemd'],
    ['systemd', 'systemd:registry'],
    ['systemd:api', 'systemd:api'],
  ])('refuses %s where listen is %s', (text, taken) => {
    expect(invalid(() => parseApi(text, '/run', listen(taken)))).toBe(
      'is taken by "listen"; write same, or an address of its own',
    )
  })

  it.each([
    ['127.0.0.1:5001', '127.0.0.1:5000'],
    ['10.0.0.5:5000', '127.0.0.1:5000'],
    ['[::1]:5000', '0.0.0.0:5000'],
    ['127.0.0.1:0', '127.0.0.1:0'],
    ['unix:/run/api.sock', 'unix:/run/mirror.sock'],
    ['unix:/run/mirror.sock', '127.0.0.1:5000'],
    ['127.0.0.1:5000', 'unix:/run/mirror.sock'],
    ['systemd:api', 'systemd:registry'],
    ['127.0.0.1:5001', 'systemd'],
    ['systemd', 'unix:/run/mirror.sock'],
  ])('takes %s where listen is %s', (text, taken) => {
    expect(parseApi(text, '/run', listen(taken))).toEqual(listen(text))
  })

  it('is compared with listen as it is, by default too, and not with one that is wrong', () => {
    const upstreams = 'upstreams: { docker.io: {} }\n'
    const problem =
      '2 api: "127.0.0.1:5000" is taken by "listen"; write same, or an address of its own'
    expect(problems(`${upstreams}api: 127.0.0.1:5000\n`)).toEqual([problem])
    expect(problems(`${upstreams}api: 127.0.0.1:5000\nlisten: 0.0.0.0:5000\n`)).toEqual([problem])
    const { api } = parse(`${upstreams}api: 127.0.0.1:5000\nlisten: 127.0.0.1:6000\n`)
    expect(api).toMatchObject({ port: 5000 })
    for (const listenLine of ['listen: 5000', 'listen: nowhere']) {
      expect(problems(`${upstreams}api: 127.0.0.1:5000\n${listenLine}\n`)).toEqual([
        expect.stringContaining('3 listen: '),
      ])
    }
  })
})
