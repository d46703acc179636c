import { describe, expect, it } from 'vitest'
import {
  parseEndpoint,
  parseHostName,
  parsePublicUrl,
  parseRealm,
} from '../../src/config/endpoint.ts'
import { invalid } from './fixtures.ts'

describe('parseEndpoint', () => {
  it.each([
    ['https://quay.io', 'https://quay.io'],
    ['https://quay.io/', 'https://quay.io'],
    ['https://QUAY.io:443//', 'https://quay.io'],
    ['http://10.0.0.5:5000', 'http://10.0.0.5:5000'],
    ['https://[::1]:5000', 'https://[::1]:5000'],
    ['https://harbor.lan/hub/', 'https://harbor.lan/hub'],
    ['https://harbor.lan/v2/hub', 'https://harbor.lan/v2/hub'],
    ['HTTPS://quay.io', 'https://quay.io'],
  ])('%s is %s', (text, base) => {
    expect(parseEndpoint(text)).toBe(base)
  })

  it.each([
    '',
    'quay.io',
    'quay.io:443',
    '10.0.0.5:5000',
    'ftp://quay.io',
    'https://',
    'https:quay.io',
    'https:///quay.io',
    'https:\\\\quay.io',
    'https://quay.io\\x',
    'https://quay .io',
    ' https://quay.io',
    'https://quay.io\n',
    'https://quay.io:99999',
    'file:///etc/passwd',
  ])('refuses %j, which is no URL of a registry', (text) => {
    expect(invalid(() => parseEndpoint(text))).toBe(
      'is not a URL; write for example https://registry.example',
    )
  })

  it.each(['https://user:secret@quay.io', 'https://user@quay.io', 'https://@quay.io'])(
    'refuses user information: %s',
    (text) => {
      expect(invalid(() => parseEndpoint(text))).toBe(
        'holds user information; move it to "credentials"',
      )
    },
  )

  it.each(['https://quay.io?x=1', 'https://quay.io/?', 'https://quay.io/#x', 'https://quay.io#'])(
    'refuses query and fragment: %s',
    (text) => {
      expect(invalid(() => parseEndpoint(text))).toBe('has a query or fragment; leave it out')
    },
  )

  it.each(['https://quay.io/v2', 'https://quay.io/v2/', 'https://index.docker.io/v1/'])(
    'refuses the path of the API: %s',
    (text) => {
      expect(invalid(() => parseEndpoint(text))).toContain('which is added by itself')
    },
  )
})

describe('parsePublicUrl', () => {
  it.each([
    ['https://mirror.example', 'https://mirror.example'],
    ['http://Mirror.example:5000/', 'http://mirror.example:5000'],
  ])('%s is %s', (text, origin) => {
    expect(parsePublicUrl(text)).toBe(origin)
  })

  it('refuses a path, and says what to write', () => {
    expect(invalid(() => parsePublicUrl('https://mirror.example/hub'))).toBe(
      'has a path, but clients look for /v2/ at the root; write https://mirror.example',
    )
  })

  it('refuses what is no URL', () => {
    expect(invalid(() => parsePublicUrl('mirror.example'))).toBe(
      'is not a URL; write for example https://mirror.example',
    )
  })
})

describe('parseRealm', () => {
  it.each([
    ['auth.docker.io', 'auth.docker.io'],
    ['AUTH.docker.io', 'auth.docker.io'],
    ['auth.lan:5001', 'auth.lan:5001'],
    ['auth.lan:443', 'auth.lan:443'],
    ['[::1]:5001', '[::1]:5001'],
    ['10.0.0.5', '10.0.0.5'],
  ])('%s is %s', (text, host) => {
    expect(parseRealm(text)).toBe(host)
  })

  it.each([
    '',
    'https://auth.docker.io',
    'auth.docker.io/',
    'auth.docker.io/token',
    'user@auth.docker.io',
    'auth.docker.io?x',
    'auth.docker.io#x',
    'auth docker.io',
    'auth.lan:port',
    'a\\b',
    '::1',
  ])('refuses %j', (text) => {
    expect(invalid(() => parseRealm(text))).toBe(
      'is not a host; write host or host:port, without scheme and path, for example auth.example',
    )
  })
})

describe('parseHostName', () => {
  it.each([
    ['quay.mirror.lan', 'quay.mirror.lan'],
    ['Quay.Mirror.LAN', 'quay.mirror.lan'],
    ['mirror', 'mirror'],
    ['10.0.0.5', '10.0.0.5'],
    ['[FD00::1]', '[fd00::1]'],
  ])('%s is %s', (text, host) => {
    expect(parseHostName(text)).toBe(host)
  })

  it.each([
    ['https://quay.mirror.lan', 'has a scheme; '],
    ['quay.mirror.lan:5000', 'has a port, which is not looked at; '],
    ['[::1]:5000', 'has a port, which is not looked at; '],
    ['', 'is not a host name; '],
    ['quay.mirror.lan/', 'is not a host name; '],
    ['quay mirror', 'is not a host name; '],
    ['-quay', 'is not a host name; '],
  ])('refuses %j, because it %s', (text, reason) => {
    expect(invalid(() => parseHostName(text))).toBe(
      `${reason}write the name alone, for example quay.mirror.lan`,
    )
  })
})
