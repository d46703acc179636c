import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createApiToken } from '../../src/control/api-token.ts'
import { createBearerTokens } from '../../src/control/bearer-token.ts'
import { hashPassword, verifyPassword } from '../../src/control/passwords.ts'
import { createGate } from '../fakes/gate.ts'
import { until, within } from '../support/until.ts'
import {
  basic,
  createQuickPasswords,
  createTestIdentifier,
  HOME,
  KEY,
  quickHash,
  robot,
  START,
  user,
} from './identity-support.ts'

const ALICE = user('alice', 'correct horse')
const BY_PASSWORD = basic('alice', 'correct horse')

describe('a request is of nobody', () => {
  it('without a header', async () => {
    const { identify, anonymous, seen } = createTestIdentifier()
    for (const header of [undefined, '']) {
      const identity = await identify(header)
      expect(identity).toEqual({
        principal: anonymous,
        credential: 'none',
        retryAfter: undefined,
        validUntil: Infinity,
      })
      expect(identity.principal).toBe(anonymous)
    }
    expect(seen).toEqual([])
  })

  it('with what is foreign or malformed, at no cost', async () => {
    const { identify, anonymous, seen, rejected, compared } = createTestIdentifier()
    for (const header of [
      'Bearer foreign',
      'Digest abc',
      'nonsense',
      basic('', 'secret'),
      basic('coreos+robot', 'secret'),
      basic('$oauthtoken', 'secret'),
      basic('_json_key', 'secret'),
      basic('__proto__', 'secret'),
      basic('a'.repeat(65), 'secret'),
    ]) {
      expect(await identify(header)).toEqual({
        principal: anonymous,
        credential: 'rejected',
        retryAfter: undefined,
        validUntil: 0,
      })
    }
    expect(compared).toEqual([])
    expect(rejected).toEqual([])
    expect(new Set(seen)).toEqual(new Set(['rejected']))
  })

  it('with whatever was not given to somebody', async () => {
    const { record } = robot('ci')
    const { identify } = createTestIdentifier({ users: [ALICE], robots: [record] })
    const own = await createBearerTokens({ key: Buffer.alloc(32, 1), now: () => START }).issue({
      kind: 'user',
      name: 'alice',
      version: ALICE.version,
    })
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('alice', own.token, `entp_${record.id}_`, ALICE.passwordHash),
    )
    const header = fc.oneof(
      text,
      text.map((it) => `Basic ${it}`),
      text.map((it) => `Bearer ${it}`),
      fc.tuple(text, text).map(([name, password]) => basic(name, password)),
    )
    await fc.assert(
      fc.asyncProperty(header, fc.string(), async (shown, address) => {
        expect((await identify(shown, address)).credential).not.toBe('accepted')
      }),
      { numRuns: 1000 },
    )
  })
})

describe('a password', () => {
  it('says who it is, with what they may do', async () => {
    const { identify, seen } = createTestIdentifier({ users: [ALICE] })
    expect(await identify(BY_PASSWORD)).toEqual({
      principal: { kind: 'user', name: 'alice', grants: ALICE.grants },
      credential: 'accepted',
      retryAfter: undefined,
      validUntil: Infinity,
    })
    expect(seen).toEqual(['accepted'])
  })

  it('is compared with the true library', async () => {
    const passwordHash = await hashPassword('correct horse')
    const { identify } = createTestIdentifier({
      users: [user('alice', '', { passwordHash })],
      verifyPassword,
    })
    expect((await identify(BY_PASSWORD)).credential).toBe('accepted')
    expect((await identify(basic('alice', 'wrong horse'))).credential).toBe('rejected')
    expect((await identify(basic('bob', 'correct horse'))).credential).toBe('rejected')
  })

  it('costs one comparison a minute, right or wrong, known or not', async () => {
    for (const header of [BY_PASSWORD, basic('alice', 'wrong'), basic('bob', 'wrong')]) {
      const { identify, compared, clock } = createTestIdentifier({ users: [ALICE] })
      await within(Promise.all(Array.from({ length: 20 }, () => identify(header))))
      for (let time = 0; time < 100; time += 1) await identify(header)
      expect(compared).toHaveLength(1)
      clock.advance(60_000)
      await identify(header)
      expect(compared).toHaveLength(2)
    }
  })

  it('is looked at again when the user has another one', async () => {
    const { identify, users } = createTestIdentifier({ users: [ALICE] })
    expect((await identify(basic('alice', 'new horse'))).credential).toBe('rejected')
    await identify(BY_PASSWORD)
    users.set('alice', user('alice', 'new horse'))
    expect((await identify(BY_PASSWORD)).credential).toBe('rejected')
    expect((await identify(basic('alice', 'new horse'))).credential).toBe('accepted')
  })

  it('is of no use when the user was removed, or has another, while it was looked at', async () => {
    for (const later of [undefined, user('alice', 'new horse')]) {
      const gate = createGate()
      const { identify, users } = createTestIdentifier({
        users: [ALICE],
        async verifyPassword() {
          await gate.pass()
          return 'matches'
        },
      })
      const identity = identify(BY_PASSWORD)
      await within(gate.reached)
      if (later === undefined) users.delete('alice')
      else users.set('alice', later)
      gate.open()
      expect((await within(identity)).credential).toBe('rejected')
    }
  })

  it('gives the same principal until something about the user is changed', async () => {
    const { identify, issueToken, users } = createTestIdentifier({ users: [ALICE] })
    const { principal } = await identify(BY_PASSWORD)
    const { token } = await issueToken(principal)
    expect((await identify(BY_PASSWORD)).principal).toBe(principal)
    expect((await identify(`Bearer ${token}`)).principal).toBe(principal)
    users.set('alice', { ...ALICE, grants: [] })
    expect((await identify(BY_PASSWORD)).principal.grants).toEqual([])
    expect((await identify(`Bearer ${token}`)).principal.grants).toEqual([])
  })
})

describe('wrong passwords', () => {
  it('are held back after five of a user from an address, unlooked at', async () => {
    const { identify, compared, seen, rejected, clock } = createTestIdentifier({ users: [ALICE] })
    for (let guess = 0; guess < 5; guess += 1) {
      const { credential, retryAfter } = await identify(basic('alice', `guess ${guess}`))
      expect([credential, retryAfter]).toEqual(['rejected', undefined])
    }
    clock.advance(10_000)
    expect(await identify(BY_PASSWORD)).toMatchObject({ credential: 'rejected', retryAfter: 50 })
    expect(compared).toHaveLength(5)
    expect(seen).toEqual([...Array<string>(5).fill('rejected'), 'held-back'])
    expect(rejected).toEqual([
      ...Array.from({ length: 5 }, () => ({ user: 'alice', address: HOME, heldBack: false })),
      { user: 'alice', address: HOME, heldBack: true },
    ])
    expect((await identify(BY_PASSWORD, '192.0.2.2')).credential).toBe('accepted')
    clock.advance(50_000)
    expect((await identify(BY_PASSWORD)).credential).toBe('accepted')
  })

  it('do not keep out whoever was let in within the minute', async () => {
    const { identify, compared } = createTestIdentifier({ users: [ALICE] })
    await identify(BY_PASSWORD)
    for (let guess = 0; guess < 200; guess += 1) await identify(basic('alice', `guess ${guess}`))
    expect(compared).toHaveLength(6)
    expect((await identify(BY_PASSWORD)).credential).toBe('accepted')
  })

  it('side by side are no more than one after another', async () => {
    const { identify, compared } = createTestIdentifier({ users: [ALICE] })
    const guesses = Array.from({ length: 60 }, (_, at) => identify(basic('alice', `guess ${at}`)))
    const identities = await within(Promise.all(guesses))
    expect(compared).toHaveLength(5)
    expect(identities.filter(({ retryAfter }) => retryAfter === 60)).toHaveLength(55)
  })

  it('that are shown again and again are one guess, told once', async () => {
    const { identify, rejected } = createTestIdentifier({ users: [ALICE] })
    for (let time = 0; time < 50; time += 1) await identify(basic('alice', 'old horse'))
    expect(rejected).toHaveLength(1)
    expect((await identify(BY_PASSWORD)).credential).toBe('accepted')
  })

  it('cost, count and answer the same for a name that nobody has', async () => {
    const answers = await Promise.all(
      ['alice', 'bob'].map(async (name) => {
        const { identify, compared } = createTestIdentifier({ users: [ALICE] })
        const identities = []
        for (let guess = 0; guess < 7; guess += 1) {
          const { credential, retryAfter } = await identify(basic(name, `guess ${guess}`))
          identities.push({ credential, retryAfter, cost: compared.map((it) => it.slice(4, 6)) })
        }
        return identities
      }),
    )
    expect(answers[1]).toEqual(answers[0])
  })

  it('never put a name that nobody has into the audit', async () => {
    const { identify, rejected } = createTestIdentifier({ users: [ALICE] })
    for (let guess = 0; guess < 6; guess += 1) {
      await identify(basic('correct.horse', `guess ${guess}`))
    }
    expect(rejected).toHaveLength(6)
    for (const login of rejected) expect(login.user).toBeUndefined()
  })

  it('from a whole IPv6 network count as one', async () => {
    const { identify } = createTestIdentifier({ users: [ALICE] })
    for (let guess = 0; guess < 5; guess += 1) {
      await identify(basic('alice', `guess ${guess}`), `2001:db8::${guess}`)
    }
    expect(await identify(BY_PASSWORD, '2001:db8::ffff')).toMatchObject({ retryAfter: 60 })
    expect(await identify(BY_PASSWORD, '2001:db8:0:1::1')).toMatchObject({ credential: 'accepted' })
  })
})

describe('when bcrypt is busy', () => {
  it('a login may come again in a second, and is no failure', async () => {
    const { identify, seen, rejected } = createTestIdentifier({
      users: [ALICE],
      verifyPassword: () => Promise.resolve('busy'),
    })
    for (let time = 0; time < 10; time += 1) {
      expect(await identify(BY_PASSWORD)).toMatchObject({ credential: 'rejected', retryAfter: 1 })
    }
    expect(new Set(seen)).toEqual(new Set(['held-back']))
    expect(rejected).toEqual([])
  })

  it('one that fails for another reason is tried anew', async () => {
    let isBroken = true
    const quick = createQuickPasswords()
    const { identify } = createTestIdentifier({
      users: [ALICE],
      verifyPassword: (...login) =>
        isBroken ? Promise.reject(new Error('no memory')) : quick.verifyPassword(...login),
    })
    await expect(identify(BY_PASSWORD)).rejects.toThrow('no memory')
    isBroken = false
    expect((await identify(BY_PASSWORD)).credential).toBe('accepted')
  })
})

describe('the same right password', () => {
  it('from an address that is held back is still looked at for another', async () => {
    const gate = createGate()
    const quick = createQuickPasswords()
    const { identify } = createTestIdentifier({
      users: [ALICE],
      async verifyPassword(password, hash, begin) {
        if (password === 'correct horse') await gate.pass()
        return quick.verifyPassword(password, hash, begin)
      },
    })
    const first = identify(BY_PASSWORD, '192.0.2.66')
    await within(gate.reached)
    const second = identify(BY_PASSWORD, '192.0.2.1')
    for (let guess = 0; guess < 5; guess += 1) {
      await identify(basic('alice', `guess ${guess}`), '192.0.2.66')
    }
    gate.open()
    expect(await within(first)).toMatchObject({ credential: 'rejected', retryAfter: 60 })
    expect(await within(second)).toMatchObject({ credential: 'accepted' })
  })
})

describe('an API token', () => {
  it('says which robot it is, as a bearer token or a password of any user', async () => {
    const { record, token } = robot('ci')
    const { identify, compared, seen } = createTestIdentifier({ robots: [record] })
    for (const header of [`Bearer ${token}`, basic('', token), basic('any+body', token)]) {
      expect(await identify(header)).toEqual({
        principal: { kind: 'robot', name: 'ci', grants: record.grants },
        credential: 'accepted',
        retryAfter: undefined,
        validUntil: Infinity,
      })
    }
    expect(compared).toEqual([])
    expect(seen).toEqual(['accepted', 'accepted', 'accepted'])
  })

  it('of a robot that was removed or has expired, or with another secret, is refused', async () => {
    const { record, token } = robot('ci', { expiresAt: START + 1000 })
    const { identify, robots, clock, rejected } = createTestIdentifier({ robots: [record] })
    expect((await identify(`Bearer ${token}`)).credential).toBe('accepted')
    const forged = `entp_${record.id}_${createApiToken().token.slice(-32)}`
    expect((await identify(`Bearer ${forged}`)).credential).toBe('rejected')
    clock.advance(1000)
    expect((await identify(`Bearer ${token}`)).credential).toBe('rejected')
    robots.clear()
    expect((await identify(basic('x', token))).credential).toBe('rejected')
    expect(rejected.map(({ user: name }) => name)).toEqual(['ci', 'ci', undefined])
  })

  it('that is wrong counts once a minute for its address, and holds no right one back', async () => {
    const { record, token } = robot('ci')
    const { identify, rejected } = createTestIdentifier({ users: [ALICE], robots: [record] })
    const wrong = Array.from({ length: 31 }, () => `Bearer ${createApiToken().token}`)
    for (let time = 0; time < 50; time += 1) await identify(wrong[0])
    expect(rejected).toHaveLength(1)
    for (const header of wrong.slice(0, 30)) {
      expect(await identify(header)).toMatchObject({ retryAfter: undefined })
    }
    expect(await identify(wrong[30])).toMatchObject({ credential: 'rejected', retryAfter: 60 })
    expect(await identify(BY_PASSWORD)).toMatchObject({ retryAfter: 60 })
    expect((await identify(`Bearer ${token}`)).credential).toBe('accepted')
    expect((await identify(BY_PASSWORD, '192.0.2.2')).credential).toBe('accepted')
  })
})

describe('a token of ours', () => {
  it('is of whoever it was given to', async () => {
    const { record, token: apiToken } = robot('ci')
    const test = createTestIdentifier({ users: [ALICE], robots: [record] })
    for (const header of [undefined, BY_PASSWORD, `Bearer ${apiToken}`]) {
      const { principal } = await test.identify(header)
      const { token, expiresIn, issuedAt } = await test.issueToken(principal)
      expect([expiresIn, issuedAt]).toEqual([300, new Date(START)])
      const identity = await test.identify(`Bearer ${token}`)
      expect(identity.credential).toBe('accepted')
      expect(identity.principal).toBe(principal)
    }
  })

  it('is of nobody at once when the user was removed, or has another password', async () => {
    const test = createTestIdentifier({ users: [ALICE] })
    const { token } = await test.issueToken((await test.identify(BY_PASSWORD)).principal)
    const header = `Bearer ${token}`
    expect((await test.identify(header)).credential).toBe('accepted')
    test.users.delete('alice')
    expect((await test.identify(header)).credential).toBe('rejected')
    test.users.set('alice', { ...ALICE, grants: [{ role: 'admin', pattern: '**' }] })
    expect((await test.identify(header)).principal.grants[0]?.role).toBe('admin')
    test.users.set('alice', user('alice', 'new horse'))
    expect(await test.identify(header)).toMatchObject({
      principal: { kind: 'anonymous' },
      credential: 'rejected',
    })
  })

  it('is of nobody at once when the robot was removed or has expired', async () => {
    const { record, token: apiToken } = robot('ci', { expiresAt: START + 1000 })
    const test = createTestIdentifier({ robots: [record] })
    const { token } = await test.issueToken((await test.identify(`Bearer ${apiToken}`)).principal)
    const header = `Bearer ${token}`
    expect((await test.identify(header)).credential).toBe('accepted')
    test.robots.clear()
    expect((await test.identify(header)).credential).toBe('rejected')
    test.robots.set(record.id, record)
    expect((await test.identify(header)).credential).toBe('accepted')
    test.clock.advance(1000)
    expect((await test.identify(header)).credential).toBe('rejected')
  })

  it('proves the password that was shown, not the one that was set since', async () => {
    const test = createTestIdentifier({ users: [ALICE] })
    const { principal } = await test.identify(BY_PASSWORD)
    test.users.set('alice', user('alice', 'new horse'))
    const { token } = await test.issueToken(principal)
    expect((await test.identify(`Bearer ${token}`)).credential).toBe('rejected')
  })

  it('of a user is not one of a robot or another user of the same version', async () => {
    const twin = user('bob', '', { version: 'same' })
    const test = createTestIdentifier({ users: [user('alice', 'a', { version: 'same' }), twin] })
    const { principal } = await test.identify(basic('alice', 'a'))
    const { token } = await test.issueToken(principal)
    const [, claims = ''] = token.split('.')
    const { ver } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { ver: string }
    const forged = await createBearerTokens({ key: KEY, now: test.clock.now }).issue({
      kind: 'user',
      name: 'bob',
      version: ver,
    })
    expect((await test.identify(`Bearer ${forged.token}`)).credential).toBe('rejected')
  })

  it('tells nothing that is secret', async () => {
    const { record, token: apiToken } = robot('ci')
    const test = createTestIdentifier({ users: [ALICE], robots: [record] })
    const secrets = [ALICE.passwordHash, quickHash('correct horse'), record.secretHash, apiToken]
    for (const header of [BY_PASSWORD, `Bearer ${apiToken}`]) {
      const { token } = await test.issueToken((await test.identify(header)).principal)
      const text = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()
      for (const secret of secrets) expect(text).not.toContain(secret)
    }
  })

  it('is not made for a principal that nobody has proven to be', async () => {
    const { issueToken } = createTestIdentifier({ users: [ALICE] })
    const principal = { kind: 'user', name: 'alice', grants: [] } as const
    await expect(issueToken(principal)).rejects.toThrow('There is no token for alice.')
  })

  it('is no login, so it is not counted as one', async () => {
    const test = createTestIdentifier({ users: [ALICE] })
    const { token } = await test.issueToken((await test.identify(BY_PASSWORD)).principal)
    for (let time = 0; time < 5; time += 1) await test.identify(`Bearer ${token}`)
    test.clock.advance(300_000)
    expect((await test.identify(`Bearer ${token}`)).credential).toBe('rejected')
    await until(() => test.seen.length === 1)
    expect(test.rejected).toEqual([])
  })
})
