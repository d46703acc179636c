import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { createApiToken, matchesSecret, parseApiToken } from '../../src/control/api-token.ts'

it('a new token is made of letters and digits, has 160 secret bits, and is never the same', () => {
  const made = Array.from({ length: 500 }, () => createApiToken())
  for (const { token } of made) expect(token).toMatch(/^entp_[a-z2-7]{12}_[a-z2-7]{32}$/)
  expect(new Set(made.map(({ id }) => id)).size).toBe(500)
  expect(new Set(made.map(({ token }) => token.slice(-32))).size).toBe(500)
  // Every letter at every place of the secret: none of the five bits is fixed.
  for (let place = 0; place < 32; place += 1) {
    expect(new Set(made.map(({ token }) => token.at(-1 - place))).size).toBeGreaterThan(28)
  }
})

it('a token is taken apart again, and its secret matches the hash that does not hold it', () => {
  const { id, token, secretHash } = createApiToken()
  const parts = parseApiToken(token)
  expect(parts?.id).toBe(id)
  const { secret = '' } = parts ?? {}
  expect(secretHash).toMatch(/^[0-9a-f]{64}$/)
  expect(secretHash).not.toContain(secret)
  expect(matchesSecret(secretHash, secret)).toBe(true)
  expect(matchesSecret(createApiToken().secretHash, secret)).toBe(false)
  expect(matchesSecret(secretHash.slice(0, -2), secret)).toBe(false)
  expect(matchesSecret('', '')).toBe(false)
  expect(matchesSecret('no hex', secret)).toBe(false)
})

it('whatever else is none', () => {
  const { token } = createApiToken()
  for (const text of [
    '',
    'entp_',
    token.slice(1),
    token.toUpperCase(),
    `${token}a`,
    `${token}\n`,
    ` ${token}`,
    token.slice(0, -1),
    token.replaceAll('_', '-'),
    `${token.slice(0, -1)}1`,
  ]) {
    expect(parseApiToken(text)).toBeUndefined()
  }
  fc.assert(
    fc.property(fc.string(), fc.nat(48), (text, at) => {
      const changed = token.slice(0, at) + text + token.slice(at)
      fc.pre(text !== '')
      expect(parseApiToken(text)).toBeUndefined()
      expect(parseApiToken(changed)).toBeUndefined()
    }),
  )
})
