import { describe, expect, it } from 'vitest'
import { parseListen } from '../../src/config/listen.ts'
import { invalid } from './fixtures.ts'

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

  it('counts the bytes of a socket path as the kernel does', () => {
    const folder = '/etc'
    const longest = `unix:/${'a'.repeat(106)}`
    expect(parseListen(longest, folder)).toMatchObject({ kind: 'unix' })
    expect(invalid(() => parseListen(`${longest}a`, folder))).toContain('107 bytes')
    expect(invalid(() => parseListen(`unix:/${'é'.repeat(54)}`, folder))).toContain('too long')
    expect(invalid(() => parseListen('unix:a', `/${'d'.repeat(106)}`))).toContain('too long')
  })
})
