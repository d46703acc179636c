import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createPasswords,
  hashPassword,
  isPasswordHash,
  problemOfPassword,
  verifyPassword,
} from '../../src/control/passwords.ts'
import { createGate } from '../fakes/gate.ts'
import { until, within } from '../support/until.ts'
import { createQuickPasswords, quickHash } from './identity-support.ts'

/** Of `x`, written as `htpasswd -B` does: the library would not take it as it is. */
const FROM_HTPASSWD = '$2y$04$6LWMZzZyU0fNfYnspSefv.bZjQ80LDW2IPDRwr0aB84HNdGGtmFI2'

describe('hashes', () => {
  it('are of cost 10, and match their password only', async () => {
    const hash = await hashPassword('correct horse')
    expect(hash).toMatch(/^\$2b\$10\$/)
    expect(isPasswordHash(hash)).toBe(true)
    expect(await verifyPassword('correct horse', hash)).toBe('matches')
    expect(await verifyPassword('correct horsf', hash)).toBe('differs')
  })

  it.each(['$2y$', '$2b$'])('of %s match', async (prefix) => {
    const hash = FROM_HTPASSWD.replace('$2y$', prefix)
    expect(await verifyPassword('x', hash)).toBe('matches')
    expect(await verifyPassword('y', hash)).toBe('differs')
  })

  it('match no password that is the same for the first 72 bytes', async () => {
    const hash = await hashPassword('ä'.repeat(36))
    expect(await verifyPassword('ä'.repeat(36), hash)).toBe('matches')
    expect(await verifyPassword(`${'ä'.repeat(36)}b`, hash)).toBe('differs')
  })

  it.each([
    '',
    'secret',
    '$apr1$x$y',
    `$2x$10$${'a'.repeat(53)}`,
    `$2b$03$${'a'.repeat(53)}`,
    `$2b$15$${'a'.repeat(53)}`,
    `$2b$10$${'a'.repeat(52)}`,
    `$2b$10$${'a'.repeat(54)}`,
    `$2b$10$${'a'.repeat(52)}\n`,
  ])('are not %j', async (text) => {
    expect(isPasswordHash(text)).toBe(false)
    expect(await createQuickPasswords().verifyPassword('secret', text)).toBe('differs')
  })
})

describe('a wrong password', () => {
  const workOf = (hashes: readonly string[]) =>
    hashes.reduce((sum, hash) => sum + 2 ** Number(hash.slice(4, 6)), 0)

  it.each(['04', '05', '10', '12', '14'])(
    'costs the same for a hash of cost %s as for no user at all',
    async (cost) => {
      const { verifyPassword, compared } = createQuickPasswords()
      await verifyPassword('right', quickHash('right', cost))
      compared.length = 0
      await verifyPassword('wrong', quickHash('right', cost))
      const work = workOf(compared.splice(0))
      await verifyPassword('wrong', undefined)
      expect(compared).toHaveLength(1)
      expect(workOf(compared)).toBe(work)
      expect(work).toBe(2 ** Math.max(10, Number(cost)))
    },
  )

  it('costs what the dearest hash does, whoever it is for', async () => {
    const { verifyPassword, compared } = createQuickPasswords()
    await verifyPassword('right', quickHash('right', '13'))
    for (const hash of [quickHash('right', '04'), quickHash('right'), undefined]) {
      compared.length = 0
      await verifyPassword('wrong', hash)
      expect(workOf(compared)).toBe(2 ** 13)
    }
  })

  it('is never that of nobody, with the true library', async () => {
    expect(await verifyPassword('', undefined)).toBe('differs')
    expect(await verifyPassword('password', undefined)).toBe('differs')
  })
})

describe('the queue', () => {
  function createSlowPasswords() {
    const gate = createGate()
    const started: string[] = []
    const passwords = createPasswords({
      hash: (password) => Promise.resolve(password),
      async compare(password) {
        started.push(password)
        await gate.pass()
        return password.startsWith('right')
      },
    })
    return { ...passwords, gate, started }
  }

  it('looks at two at once, lets 64 wait and sends others away', async () => {
    const { verifyPassword, gate, started } = createSlowPasswords()
    const hash = quickHash('any')
    const asked = Array.from({ length: 66 }, (_, at) => verifyPassword(`right ${at}`, hash))
    expect(await verifyPassword('right', hash)).toBe('busy')
    expect(started).toEqual(['right 0', 'right 1'])
    gate.open()
    const verdicts = await within(Promise.all(asked))
    expect(new Set(verdicts)).toEqual(new Set(['matches']))
    expect(started).toHaveLength(66)
    expect(await verifyPassword('right', hash)).toBe('matches')
  })

  it('skips what is no longer wanted when its turn comes', async () => {
    const { verifyPassword, gate, started } = createSlowPasswords()
    let isWanted = true
    const asked = Array.from({ length: 5 }, () =>
      verifyPassword('wrong', undefined, () => isWanted),
    )
    await until(() => started.length === 2)
    isWanted = false
    gate.open()
    expect(await within(Promise.all(asked))).toEqual([
      'differs',
      'differs',
      'skipped',
      'skipped',
      'skipped',
    ])
    expect(started).toHaveLength(2)
  })

  it('goes on after a failure of the library', async () => {
    let failures = 3
    const { verifyPassword } = createPasswords({
      hash: (password) => Promise.resolve(password),
      compare: () =>
        failures-- > 0 ? Promise.reject(new Error('no memory')) : Promise.resolve(true),
    })
    const hash = quickHash('any')
    const asked = Array.from({ length: 5 }, () => verifyPassword('right', hash))
    const outcomes = await within(Promise.allSettled(asked))
    expect(outcomes.map(({ status }) => status)).toEqual([
      ...Array<string>(3).fill('rejected'),
      ...Array<string>(2).fill('fulfilled'),
    ])
  })
})

describe('a new password', () => {
  it.each([
    ['1234567', /^has 7 bytes; choose one of at least 8$/],
    ['ä'.repeat(37), /^has 74 bytes, of which bcrypt would look at the first 72 only/],
    ['pass\u0000word', /^holds a control character/],
    ['password\n', /^holds a control character/],
    ['password\u0085', /^holds a control character/],
    ['password\ud800', /^holds a control character/],
    ['entp_password', /^begins like an API token/],
  ])('%j is refused', (password, problem) => {
    expect(problemOfPassword(password)).toMatch(problem)
  })

  it('may be anything else of 8 to 72 bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 8, maxLength: 80 }), (text) => {
        const length = Buffer.byteLength(text)
        fc.pre(!text.startsWith('entp_') && !/\p{Cc}/u.test(text))
        expect(problemOfPassword(text) === undefined).toBe(length >= 8 && length <= 72)
      }),
    )
  })

  it('is not told in what is wrong with it', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 12, maxLength: 100 }), (text) => {
        expect(problemOfPassword(`${text}\u0000`)).not.toContain(text)
      }),
    )
  })
})
