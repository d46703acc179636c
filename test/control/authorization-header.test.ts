import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createApiToken } from '../../src/control/api-token.ts'
import { readAuthorization } from '../../src/control/authorization-header.ts'
import { basic } from './identity-support.ts'

const { id, token } = createApiToken()
const secret = token.slice(-32)

function base64(text: string, encoding: BufferEncoding = 'utf8'): string {
  return Buffer.from(text, encoding).toString('base64')
}

describe('the header', () => {
  it.each([undefined, ''])('%j says nothing', (header) => {
    expect(readAuthorization(header)).toEqual({ kind: 'none' })
  })

  it.each([
    [basic('alice', 'secret'), 'alice', 'secret'],
    [`basic ${base64('alice:secret')}`, 'alice', 'secret'],
    [`BASIC    ${base64('alice:secret')}`, 'alice', 'secret'],
    [basic('alice', 'a:b:c'), 'alice', 'a:b:c'],
    [basic('', ''), '', ''],
    [basic('jürgen', 'Schlüssel€'), 'jürgen', 'Schlüssel€'],
    [basic('\uFEFFalice', 'x'), '\uFEFFalice', 'x'],
    // Looks like an API token, and is none.
    [basic('alice', 'entp_x_y'), 'alice', 'entp_x_y'],
  ])('%s is a password', (header, user, password) => {
    expect(readAuthorization(header)).toEqual({ kind: 'password', user, password })
  })

  it.each([
    `Bearer ${token}`,
    `bearer  ${token}`,
    basic('', token),
    basic('anybody', token),
    basic('$oauthtoken', token),
  ])('%s is an API token', (header) => {
    expect(readAuthorization(header)).toEqual({ kind: 'api-token', id, secret })
  })

  it.each(['a.b.c', 'entp_short', 'x', 'ab+/=='])('Bearer %s is a bearer token', (text) => {
    expect(readAuthorization(`Bearer ${text}`)).toEqual({ kind: 'bearer', token: text })
  })

  it.each([
    'Basic',
    'Basic ',
    'Bearer',
    'Bearer a b',
    'Bearer a, Basic b',
    `Basic ${base64('alice:secret')}, Basic ${base64('bob:secret')}`,
    `Basic\t${base64('alice:secret')}`,
    ` Basic ${base64('alice:secret')}`,
    `Digest ${base64('alice:secret')}`,
    'Negotiate abc',
    'AWS4-HMAC-SHA256 abc',
    token,
    `Basic ${base64('no colon')}`,
    // Control characters are illegal (RFC 7617 §2).
    `Basic ${base64('alice:sec\nret')}`,
    `Basic ${base64('ali\u0000ce:secret')}`,
    `Basic ${base64('alice:\u0085')}`,
    // No UTF-8.
    `Basic ${base64('jürgen:secret', 'latin1')}`,
    // Other spellings of the same bytes.
    `Basic ${base64('alice:secre').replace(/=+$/, '')}`,
    `Basic ${base64('alice:secre')}=`,
    `Basic ${base64('alice:>>>???').replaceAll('+', '-').replaceAll('/', '_')}`,
    'Basic YTpiYR==',
    `Basic ${base64('a:')}${base64('b')}=`,
    `Basic ${base64(`alice:${'x'.repeat(4096)}`)}`,
    `Bearer ${'x'.repeat(4096)}`,
  ])('%s is of no use', (header) => {
    expect(readAuthorization(header)).toEqual({ kind: 'unusable' })
  })

  it('gives back any name without a colon, and any password, without control characters', () => {
    const text = fc.string({ unit: 'grapheme' }).filter((it) => !/\p{Cc}/u.test(it))
    fc.assert(
      fc.property(text, text, (name, password) => {
        const user = name.replaceAll(':', '')
        expect(readAuthorization(basic(user, password))).toEqual({
          kind: 'password',
          user,
          password,
        })
      }),
    )
  })

  it('may hold anything', () => {
    const bytes = fc.uint8Array().map((it) => Buffer.from(it).toString('base64'))
    const value = fc.oneof(fc.string({ unit: 'binary' }), bytes, fc.base64String())
    fc.assert(
      fc.property(fc.constantFrom('', 'Basic ', 'Bearer ', 'basic  '), value, (scheme, text) => {
        const shown = readAuthorization(scheme + text)
        expect(shown.kind).not.toBe('api-token')
        const again = shown.kind === 'password' ? base64(`${shown.user}:${shown.password}`) : text
        expect(again).toBe(text)
      }),
    )
  })
})
