import { describe, expect, test } from 'vitest'
import { isRealmAllowed } from '../../src/upstream/realm.ts'

interface Case {
  endpoint?: string
  realms?: string[]
  insecure?: boolean
}

function allowed(realm: string, { endpoint, realms = [], insecure = false }: Case): boolean {
  const url = endpoint === undefined ? undefined : new URL(endpoint)
  return isRealmAllowed(new URL(realm), { endpoint: url, realms, insecure })
}

describe('a realm on the endpoint itself', () => {
  test.each([
    ['https://quay.io/v2/auth', 'https://quay.io'],
    ['https://QUAY.io:443/v2/auth', 'https://quay.io'],
    ['https://registry.lan:5000/token', 'https://registry.lan:5000'],
    ['https://[fd00::1]:5000/token', 'https://[fd00:0::1]:5000'],
  ])('%s is allowed for %s', (realm, endpoint) => {
    expect(allowed(realm, { endpoint })).toBe(true)
  })

  test.each([
    ['https://evil.test/token', 'https://quay.io'],
    ['https://auth.quay.io/token', 'https://quay.io'],
    ['https://quay.io.evil.test/token', 'https://quay.io'],
    ['https://quay.io:8443/token', 'https://quay.io'],
    ['https://registry.lan/token', 'https://registry.lan:5000'],
    ['https://quay.io./token', 'https://quay.io'],
    ['https://quay.io@evil.test/token', 'https://quay.io'],
    ['https://user@quay.io/token', 'https://quay.io'],
    ['https://:secret@quay.io/token', 'https://quay.io'],
    ['http://quay.io/token', 'https://quay.io'],
    ['ftp://quay.io/token', 'https://quay.io'],
    ['file:///etc/passwd', 'https://quay.io'],
    ['https://quаy.io/token', 'https://quay.io'], // Cyrillic а
  ])('%s is refused for %s', (realm, endpoint) => {
    expect(allowed(realm, { endpoint })).toBe(false)
  })

  test('after a redirect to another host there is no endpoint, so only pinned realms count', () => {
    expect(allowed('https://ghcr.io/token', {})).toBe(false)
    expect(allowed('https://ghcr.io/token', { realms: ['ghcr.io'] })).toBe(true)
  })
})

describe('a pinned realm', () => {
  const endpoint = 'https://registry-1.docker.io'

  test.each([
    ['https://auth.docker.io/token', 'auth.docker.io'],
    ['https://auth.docker.io/token', 'Auth.Docker.IO'],
    ['https://auth.docker.io/token', 'auth.docker.io:443'],
    ['https://auth.lan:5001/token', 'auth.lan:5001'],
    ['https://[fd00::1]/token', '[fd00::1]'],
    ['https://[fd00::1]:5001/token', '[fd00::1]:5001'],
  ])('%s is allowed by %s', (realm, pinned) => {
    expect(allowed(realm, { endpoint, realms: ['other.test', pinned] })).toBe(true)
  })

  test.each([
    ['https://auth.docker.io:8443/token', 'auth.docker.io'],
    ['https://auth.docker.io/token', 'auth.docker.io:8443'],
    ['https://auth.docker.io/token', 'docker.io'],
    ['https://evil.auth.docker.io/token', 'auth.docker.io'],
    ['https://auth.lan:443/token', 'auth.lan:80'],
    ['https://[fd00::1]:5001/token', '[fd00::1]'],
    ['https://auth.docker.io/token', ''],
    ['https://auth.docker.io/token', '*'],
    ['https://auth.docker.io/token', 'no host'],
  ])('%s is refused by %s', (realm, pinned) => {
    expect(allowed(realm, { endpoint, realms: [pinned] })).toBe(false)
  })
})

describe('plain HTTP', () => {
  const endpoint = 'http://registry.lan:5000'

  test('is allowed only where it is meant', () => {
    expect(allowed('http://registry.lan:5000/token', { endpoint, insecure: true })).toBe(true)
    expect(allowed('http://registry.lan:5000/token', { endpoint })).toBe(false)
    expect(allowed('http://auth.lan/token', { endpoint, realms: ['auth.lan'] })).toBe(false)
    expect(allowed('ftp://registry.lan:5000/token', { endpoint, insecure: true })).toBe(false)
  })

  test('has a default port of its own', () => {
    const insecure = true
    expect(allowed('http://auth.lan/token', { realms: ['auth.lan'], insecure })).toBe(true)
    expect(allowed('http://auth.lan/token', { realms: ['auth.lan:80'], insecure })).toBe(true)
    expect(allowed('http://auth.lan/token', { realms: ['auth.lan:443'], insecure })).toBe(false)
    expect(allowed('http://quay.io/token', { endpoint: 'https://quay.io', insecure })).toBe(false)
  })
})
