import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createBearerTokens, type Subject } from '../../src/control/bearer-token.ts'
import { createClock, KEY, START } from './identity-support.ts'

const ALICE: Subject = { kind: 'user', name: 'alice', version: 'v1' }
const NOW = START / 1000

const HEADER = { alg: 'HS256', typ: 'JWT' }
const CLAIMS = {
  kind: 'user',
  ver: 'v1',
  sub: 'alice',
  iss: 'entrepot',
  aud: 'entrepot',
  iat: NOW,
  exp: NOW + 300,
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

/** A token by hand, so that it may say anything and still be signed right. */
function forge({ header = {}, claims = {}, key = KEY, hash = 'sha256' } = {}): string {
  const text = `${encode({ ...HEADER, ...header })}.${encode({ ...CLAIMS, ...claims })}`
  return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`
}

function createTokens(key = KEY) {
  const clock = createClock()
  return { ...createBearerTokens({ key, now: clock.now }), clock }
}

describe('a token', () => {
  it.each([
    ALICE,
    { kind: 'robot', name: 'abc', version: 'x' },
    { kind: 'anonymous', name: 'anonymous', version: '' },
  ] as const)('says who %j is, to whoever has the key', async (subject) => {
    const tokens = createTokens()
    const { token, expiresIn, issuedAt } = await tokens.issue(subject)
    expect(expiresIn).toBe(300)
    expect(issuedAt).toEqual(new Date(START))
    expect(token.length).toBeLessThan(1024)
    expect((await tokens.read(token))?.subject).toEqual(subject)
    expect((await createTokens().read(token))?.subject).toEqual(subject)
    expect(await createTokens(Buffer.alloc(32, 8)).read(token)).toBeUndefined()
  })

  it('is good for 300 seconds, also where it is remembered', async () => {
    const tokens = createTokens()
    const { token } = await tokens.issue(ALICE)
    tokens.clock.advance(299_999)
    expect((await tokens.read(token))?.subject).toEqual(ALICE)
    tokens.clock.advance(1)
    expect(await tokens.read(token)).toBeUndefined()
    const fresh = createTokens()
    fresh.clock.advance(300_000)
    expect(await fresh.read(token)).toBeUndefined()
  })

  it('by hand is accepted when it is as ours are', async () => {
    expect((await createTokens().read(forge()))?.subject).toEqual(ALICE)
  })
})

describe('a token is refused', () => {
  it.each([
    ['with a key id', { header: { kid: '../../dev/null' } }],
    ['with a key', { header: { jwk: { kty: 'oct', k: KEY.toString('base64url') } } }],
    ['with the address of a key', { header: { jku: 'https://attacker.test/keys' } }],
    ['with a certificate', { header: { x5c: ['MIIB'] } }],
    ['with the address of a certificate', { header: { x5u: 'https://attacker.test/cert' } }],
    ['with something critical', { header: { crit: ['exp'] } }],
    ['with an unencoded body', { header: { b64: false, crit: ['b64'] } }],
    ['of another type', { header: { typ: 'at+jwt' } }],
    ['without a type', { header: { typ: undefined } }],
    ['with an algorithm of nobody', { header: { alg: 'none' } }],
    ['with no algorithm', { header: { alg: undefined } }],
    ['with another algorithm', { header: { alg: 'HS512' }, hash: 'sha512' }],
    ['with RS256 and our key as the secret', { header: { alg: 'RS256' } }],
    ['of another key', { key: Buffer.alloc(32, 8) }],
    ['of an empty key', { key: Buffer.alloc(0) }],
    ['of another issuer', { claims: { iss: 'attacker' } }],
    ['of no issuer', { claims: { iss: undefined } }],
    ['for others', { claims: { aud: 'registry' } }],
    ['for nobody', { claims: { aud: undefined } }],
    ['that has expired', { claims: { exp: NOW } }],
    ['that never expires', { claims: { exp: undefined } }],
    ['that expires at no time', { claims: { exp: 'never' } }],
    ['that counts later', { claims: { nbf: NOW + 1 } }],
    ['that was made at no time', { claims: { iat: undefined } }],
    ['of nobody', { claims: { sub: undefined } }],
    ['of somebody else than a name', { claims: { sub: 7 } }],
    ['of the host', { claims: { kind: 'host' } }],
    ['of no kind', { claims: { kind: undefined } }],
    ['of no version', { claims: { ver: undefined } }],
    ['of a number as a version', { claims: { ver: 1 } }],
    ['that is longer than 4 KiB', { claims: { more: 'x'.repeat(4096) } }],
  ])('%s', async (_, parts) => {
    expect(await createTokens().read(forge(parts))).toBeUndefined()
  })

  it('without a signature', async () => {
    const tokens = createTokens()
    const [header = '', claims = ''] = forge().split('.')
    const none = encode({ alg: 'none', typ: 'JWT' })
    for (const text of [`${none}.${claims}.`, `${none}.${claims}`, `${header}.${claims}.`]) {
      expect(await tokens.read(text)).toBeUndefined()
    }
  })

  it('with a signature of the key in its header', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const header = { alg: 'RS256', typ: 'JWT', jwk: publicKey.export({ format: 'jwk' }) }
    const text = `${encode(header)}.${encode(CLAIMS)}`
    const signature = sign('sha256', Buffer.from(text), privateKey).toString('base64url')
    expect(await createTokens().read(`${text}.${signature}`)).toBeUndefined()
  })

  it('with its signature in another spelling', async () => {
    const token = forge()
    const signature = Buffer.from(token.slice(-43), 'base64url')
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const same = Array.from(letters)
      .map((letter) => token.slice(0, -1) + letter)
      .filter((text) => Buffer.from(text.slice(-43), 'base64url').equals(signature))
    expect(same).toHaveLength(4)
    for (const text of [...same, `${token}=`]) {
      expect((await createTokens().read(text))?.subject).toEqual(text === token ? ALICE : undefined)
    }
  })

  it('after any change, and so is any other text', async () => {
    const tokens = createTokens()
    const token = forge()
    const changed = fc
      .tuple(fc.nat(token.length - 1), fc.oneof(fc.base64String({ maxLength: 4 }), fc.string()))
      .map(([at, text]) => token.slice(0, at) + text + token.slice(at + 1))
      .filter((text) => text !== token)
    const parts = fc.tuple(fc.json(), fc.json(), fc.string()).map((it) => it.map(encode).join('.'))
    await fc.assert(
      fc.asyncProperty(fc.oneof(changed, parts, fc.string()), async (text) => {
        expect(await tokens.read(text)).toBeUndefined()
      }),
      { numRuns: 500 },
    )
    expect((await tokens.read(token))?.subject).toEqual(ALICE)
  })
})
